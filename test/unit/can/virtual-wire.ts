/** What the tests of the bus protocols share: virtual time, frames as text, a link that records. */

import { IsoTpLink, type IsoTpLinkOptions } from '../../../agent/can/iso-tp.ts';
import type { Refusal } from '../../../agent/codes.ts';
import type { CanFrame } from '../../../hal/types.ts';

export { VirtualClock } from '../../simulator/virtual-clock.ts';

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
}

/** `length` bytes that differ from their neighbours and between blocks of 256. */
export function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 7 + Math.floor(i / 256) * 13) % 256;
  return bytes;
}

/** A frame with `data` given in hexadecimal; FD when it is longer than 8 bytes or said so. */
export function frame(
  identifier: number,
  data: string | Uint8Array,
  kind: { extended?: boolean; flexibleData?: boolean } = {},
): CanFrame {
  const bytes = typeof data === 'string' ? bytesOf(data) : data;
  const flexibleData = kind.flexibleData ?? bytes.length > 8;
  const extended = kind.extended ?? false;
  return { identifier, extended, flexibleData, bitRateSwitch: flexibleData, data: bytes };
}

export interface RecordingLink {
  readonly link: IsoTpLink;
  readonly messages: Uint8Array[];
  readonly errors: string[];
  readonly refusals: Refusal[];
  sent: number;
}

/** A link on 0x700 → 0x701 that records its events. */
export function recordingLink(options: Partial<IsoTpLinkOptions> = {}): RecordingLink {
  const messages: Uint8Array[] = [];
  const errors: string[] = [];
  const refusals: Refusal[] = [];
  const record: RecordingLink = {
    messages,
    errors,
    refusals,
    sent: 0,
    link: new IsoTpLink({
      transmitId: 0x700,
      receiveId: 0x701,
      extended: false,
      flexibleData: false,
      maxMessageBytes: 100_000,
      onMessage: (bytes) => messages.push(bytes),
      onSent: () => {
        record.sent++;
      },
      onError: (refusal, direction) => {
        refusals.push(refusal);
        errors.push(`${direction}: ${refusal.refused}`);
      },
      ...options,
    }),
  };
  return record;
}

/** The other end of `recordingLink(options)`. */
export function peerOf(options: Partial<IsoTpLinkOptions> = {}): RecordingLink {
  const transmitId = options.receiveId ?? 0x701;
  const receiveId = options.transmitId ?? 0x700;
  return recordingLink({ ...options, transmitId, receiveId });
}

/** A bus without delay: carries frames both ways until none is left; returns all of them. */
export function exchange(a: RecordingLink, b: RecordingLink, nowMs = 0): CanFrame[] {
  const carried: CanFrame[] = [];
  for (;;) {
    const fromA = a.link.poll(nowMs, 64);
    for (const sent of fromA) b.link.receive(sent, nowMs);
    const fromB = b.link.poll(nowMs, 64);
    for (const sent of fromB) a.link.receive(sent, nowMs);
    if (fromA.length + fromB.length === 0) return carried;
    carried.push(...fromA, ...fromB);
  }
}
