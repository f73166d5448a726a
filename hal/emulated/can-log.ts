/**
 * The log of an emulated bus: two files that grow with every turn of the bus, `NAME.log` as
 * `candump -L` writes it and `NAME.pcap` for Wireshark. Files of the same names are replaced.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { encodeFileHeader, encodePacket } from './can-pcap.ts';
import type { FrameBatch, Station } from './can-wire.ts';
import { formatLogLine } from './candump.ts';

/** The two files of `CAN_LOG=name`, whether or not the name has one of their suffixes. */
export function logPaths(name: string): { readonly text: string; readonly capture: string } {
  const stem = name.replace(/\.(log|pcap)$/, '');
  return { text: `${stem}.log`, capture: `${stem}.pcap` };
}

export class CanLog implements Station {
  private readonly busName: string;
  private readonly onError: (error: Error) => void;
  private files: { readonly text: number; readonly capture: number } | undefined;

  /**
   * Creates both files; throws what the file system says when it cannot. `onError` is called once
   * when writing fails later; the bus goes on without a log then.
   */
  constructor(name: string, busName: string, onError: (error: Error) => void) {
    const paths = logPaths(name);
    this.busName = busName;
    this.onError = onError;
    this.files = { text: openSync(paths.text, 'w'), capture: openSync(paths.capture, 'w') };
    this.write('', encodeFileHeader());
  }

  receive({ frames }: FrameBatch): void {
    const lines = frames.map((stamped) => formatLogLine(stamped, this.busName)).join('');
    this.write(lines, Buffer.concat(frames.map(encodePacket)));
  }

  /** A log transmits nothing that could be held back. */
  hold(): void {}

  close(): void {
    if (this.files === undefined) return;
    closeSync(this.files.text);
    closeSync(this.files.capture);
    this.files = undefined;
  }

  /** Written at once, so that a hub that is killed leaves whole lines and packets. */
  private write(text: string, capture: Buffer): void {
    if (this.files === undefined) return;
    try {
      writeWhole(this.files.text, Buffer.from(text));
      writeWhole(this.files.capture, capture);
    } catch (error) {
      this.close();
      this.onError(error as Error);
    }
  }
}

/** A file system may take less than it was given. */
function writeWhole(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
