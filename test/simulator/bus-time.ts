/**
 * How long one image takes from the Primary to a Secondary's slot, in simulated time, against what
 * bus and flash part allow. All of it is the shipped state machines: UDS client and server, ISO-TP,
 * decryption, slot writer; what they compute takes no time here. Deterministic.
 *
 * The bus's ceiling is ISO-TP's with block size 0, STmin 0 and no stuff bits: 7 bytes in a classic
 * frame of 8, 63 in an FD frame of 64. The part's is erasing and programming without a pause.
 */
import { isRefusal } from '../../agent/codes.ts';
import { BusVehicle } from './bus-vehicle.ts';
import { nor4KiB, nor64KiB, type PartTimes } from './timed-flash.ts';
import { type BitRates, frameMilliseconds } from './virtual-bus.ts';

export const imageBytes = 1_048_576;

export interface BusKind {
  readonly name: string;
  readonly rates: BitRates;
  readonly flexibleData: boolean;
}

export const buses: readonly BusKind[] = [
  { name: 'CAN 500k', rates: { nominal: 500_000, data: 500_000 }, flexibleData: false },
  { name: 'CAN FD 500k/2M', rates: { nominal: 500_000, data: 2_000_000 }, flexibleData: true },
  { name: 'CAN FD 500k/5M', rates: { nominal: 500_000, data: 5_000_000 }, flexibleData: true },
  { name: 'CAN FD 500k/8M', rates: { nominal: 500_000, data: 8_000_000 }, flexibleData: true },
];

export interface PartKind {
  readonly name: string;
  readonly times: PartTimes | undefined;
  readonly blockLength: number;
}

export const parts: readonly PartKind[] = [
  { name: 'flash left out', times: undefined, blockLength: 4_096 },
  { name: 'NOR, 45 ms for 4 KiB', times: nor4KiB, blockLength: 4_096 },
  { name: 'NOR, 150 ms for 64 KiB', times: nor64KiB, blockLength: 65_536 },
];

/** Bytes a second that ISO-TP can carry at most on this bus. */
export function busCeiling({ rates, flexibleData }: BusKind): number {
  const length = flexibleData ? 64 : 8;
  const data = new Uint8Array(length);
  const frame = { identifier: 0, extended: false, flexibleData, bitRateSwitch: flexibleData, data };
  return ((length - 1) / frameMilliseconds(frame, rates)) * 1000;
}

/** Bytes a second that the part can erase and program at most. */
export function partCeiling({ times, blockLength }: PartKind): number {
  if (times === undefined) return Number.POSITIVE_INFINITY;
  const { eraseBlock, programPage, pageBytes } = times;
  return (blockLength / (eraseBlock + (blockLength / pageBytes) * programPage)) * 1000;
}

export interface TransferTime {
  readonly bytesPerSecond: number;
  /** Of bus and part, what is slower. */
  readonly ceiling: number;
  readonly limit: 'bus' | 'part';
  /** Milliseconds in which the Secondary's program stood still for its part. */
  readonly waited: number;
}

/** From RequestDownload to the answer that says that the slot holds the image. */
export async function transferTime(bus: BusKind, part: PartKind): Promise<TransferTime> {
  const { rates, flexibleData } = bus;
  const { times, blockLength } = part;
  const vehicle = new BusVehicle({
    rates,
    flexibleData,
    imageBytes,
    blockLength,
    ...(times && { part: times }),
  });
  const refused = await vehicle.run(vehicle.verify());
  const offset = await vehicle.run(vehicle.prepare());
  if (refused !== undefined || offset !== 0) throw new Error(JSON.stringify(refused ?? offset));
  const { clock, flash } = vehicle;
  while (flash?.busy) clock.step();
  const start = clock.now;
  const waitedBefore = flash?.waitedMilliseconds ?? 0;
  const failed = await vehicle.run(vehicle.download(offset));
  if (isRefusal(failed)) throw new Error(failed.detail);
  const ceiling = Math.min(busCeiling(bus), partCeiling(part));
  return {
    bytesPerSecond: (imageBytes / (clock.now - start)) * 1000,
    ceiling,
    limit: ceiling === busCeiling(bus) ? 'bus' : 'part',
    waited: (flash?.waitedMilliseconds ?? 0) - waitedBefore,
  };
}
