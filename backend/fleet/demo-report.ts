/** `report.json` of a demonstration: what is now installed where, read from the flash itself. */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { relative } from 'node:path';
import { isRefusal } from '../../agent/codes.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { createEmulatedFlash } from '../../hal/emulated/flash.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import type { PeakMemory } from './ecu-process.ts';
import type { ProvisionedAgent, ProvisionedEcu } from './provision.ts';
import { board } from './vehicle-layout.ts';

/** One ECU: lengths and offsets in bytes, hash in lower-case hex, paths from the project's root. */
export interface ReportedEcu {
  readonly ecuId: string;
  readonly role: 'primary' | 'secondary';
  readonly hostedBy?: string;
  readonly verification: 'full' | 'partial';
  readonly hardwareId: string;
  readonly image: string;
  readonly version: number;
  readonly slot: 'A' | 'B';
  readonly length: number;
  readonly sha256: string;
  readonly flashFile: string;
  readonly slotOffset: number;
  readonly executable: string;
  readonly peakRssBytes: number;
  /** Of the JavaScript heap in it, where the engine tells. */
  readonly peakHeapBytes?: number;
}

export interface ReportedRefusal {
  readonly ecuId: string;
  readonly code: string;
  readonly row: string;
  readonly attack: string | null;
}

export interface DemoReport {
  readonly result: 'installed' | 'refused' | 'failed';
  readonly seconds: number;
  readonly ecus: readonly ReportedEcu[];
  readonly refusals: readonly ReportedRefusal[];
  readonly attacksReported: readonly string[];
  readonly manifestAccepted: boolean;
}

/** Reads the confirmed image of an ECU that is powered off, and checks its digest again. */
export function readInstalled(
  agent: ProvisionedAgent,
  ecu: ProvisionedEcu,
  peak: PeakMemory,
): ReportedEcu {
  const crypto = createNodeCrypto();
  const flash = createEmulatedFlash(ecu.flashFile, ecu.flashMap, board.flash);
  const boot = BootBlock.open(flash.open({ path: ecu.partitions.state }), crypto);
  if (isRefusal(boot)) throw new Error(`${ecu.ecuId}: ${boot.detail}`);
  const { confirmed, slots } = boot.status();
  const image = slots[confirmed]!;
  const name = ecu.partitions.slots[confirmed]!;
  const content = new Uint8Array(image.length);
  flash.open({ path: name }).read(content, 0);
  const sha256 = Buffer.from(crypto.digest('SHA-256', content)).toString('hex');
  if (sha256 !== Buffer.from(image.sha256).toString('hex')) {
    throw new Error(`${ecu.ecuId}: slot ${name} does not hold ${image.filename}`);
  }
  const { layout } = agent;
  return {
    ecuId: ecu.ecuId,
    role: layout.program === 'primary' && ecu.hostedBy === undefined ? 'primary' : 'secondary',
    ...(ecu.hostedBy === undefined ? {} : { hostedBy: ecu.hostedBy }),
    verification: layout.verification,
    hardwareId: ecu.hardwareId,
    image: image.filename,
    version: image.releaseCounter,
    slot: confirmed === 0 ? 'A' : 'B',
    length: image.length,
    sha256,
    flashFile: relative(process.cwd(), ecu.flashFile),
    slotOffset: ecu.flashMap[name]!.offset,
    executable: process.execPath,
    peakRssBytes: peak.rss,
    ...(peak.heap === undefined ? {} : { peakHeapBytes: peak.heap }),
  };
}

/** True when the flash file of every ECU holds the image that a written report tells of. */
export function isReportTrue(path: string): boolean {
  const { ecus } = JSON.parse(readFileSync(path, 'utf8')) as DemoReport;
  return ecus.every(({ flashFile, slotOffset, length, sha256 }) => {
    const image = readFileSync(flashFile).subarray(slotOffset, slotOffset + length);
    return createHash('sha256').update(image).digest('hex') === sha256;
  });
}

/** Writes the report in one step: a reader sees all of it or nothing. */
export function writeReport(path: string, report: DemoReport): void {
  const temporary = `${path}.incomplete`;
  const file = openSync(temporary, 'w');
  writeSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, path);
}
