/**
 * The frames of ISO-TP (ISO 15765-2:2016, §9): protocol control information, frame lengths and
 * separation times, with normal addressing. Shared by sender and receiver.
 */
import type { CanFrame } from '../../hal/types.ts';

export const singleFrame = 0;
export const firstFrame = 1;
export const consecutiveFrame = 2;
export const flowControlFrame = 3;

export const continueToSend = 0;
export const wait = 1;
export const overflow = 2;

/** Filler of unused bytes: alternates bits, so that padding adds no stuff bits (§10.4.2.1). */
const paddingByte = 0xcc;
/** The largest length in the 12 bits of a first frame; longer ones take the 32-bit escape. */
export const maxShortLength = 4_095;

const flexibleDataLengths = [8, 12, 16, 20, 24, 32, 48, 64];

/** The pair of identifiers and the kind of frames of one link. */
export interface IsoTpAddress {
  readonly transmitId: number;
  readonly receiveId: number;
  /** 29-bit identifiers. */
  readonly extended: boolean;
  /** CAN FD frames of up to 64 bytes; classic frames of 8 bytes otherwise. */
  readonly flexibleData: boolean;
  /** Longest FD frame that is transmitted, in bytes (TX_DL): an FD length of 8 … 64; by default 64. */
  readonly maxFrameBytes?: number;
}

/** True when a frame can have `length` data bytes. */
export function isFrameLength(length: number, flexibleData: boolean): boolean {
  if (length <= 8) return length >= 0;
  return flexibleData && flexibleDataLengths.indexOf(length) >= 0;
}

/** The least frame length of at least 8 that holds `count` bytes (1 … 64). */
export function frameLength(count: number): number {
  for (const length of flexibleDataLengths) if (count <= length) return length;
  throw new RangeError(`count: expected at most 64 bytes, got ${count}`);
}

/** Fills `data` from `start` on; a loop, because typed arrays of ES5 engines have no `fill`. */
export function pad(data: Uint8Array, start: number): void {
  for (let i = start; i < data.length; i++) data[i] = paddingByte;
}

/** A frame of `link` around `data`; FD frames switch to the faster bit rate. */
export function makeFrame(link: IsoTpAddress, data: Uint8Array): CanFrame {
  return {
    identifier: link.transmitId,
    extended: link.extended,
    flexibleData: link.flexibleData,
    bitRateSwitch: link.flexibleData,
    data,
  };
}

/** True for an encoded STmin that may be sent: 0 … 0x7f and 0xf1 … 0xf9 (§9.6.5.4, table 20). */
export function isSeparationTime(encoded: number): boolean {
  return (encoded >= 0 && encoded <= 0x7f) || (encoded >= 0xf1 && encoded <= 0xf9);
}

/** Milliseconds of an encoded STmin; reserved values count as the longest, 127 ms (§9.6.5.4). */
export function separationMilliseconds(encoded: number): number {
  if (encoded >= 0xf1 && encoded <= 0xf9) return (encoded - 0xf0) / 10;
  return Math.min(encoded, 0x7f);
}

/** The 32-bit big-endian number at `offset`; 0 … 2³²−1, so no shift, which would turn negative. */
export function readLength32(data: Uint8Array, offset: number): number {
  return (
    data[offset]! * 16_777_216 +
    data[offset + 1]! * 65_536 +
    data[offset + 2]! * 256 +
    data[offset + 3]!
  );
}

/** Writes `value` as a 32-bit big-endian number. */
export function writeLength32(data: Uint8Array, offset: number, value: number): void {
  let rest = value;
  for (let i = 3; i >= 0; i--) {
    data[offset + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}
