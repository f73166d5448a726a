/**
 * The wire format of cannelloni over a stream: the handshake `CANNELLONIv1` in both directions
 * (the hub says it last: who has heard it misses no frame), then bare frames. A frame is can_id (32 bits big-endian, SocketCAN's EFF/RTR/ERR flag bits),
 * length (bit 7: FD), one byte of FD flags if FD, data (none in a remote frame).
 */
import type { CanFrame } from '../types.ts';
import { type BusFrame, isRemote } from './bus-frame.ts';

export const handshake: Uint8Array = Buffer.from('CANNELLONIv1', 'latin1');

/** The longest encoded frame: FD with 64 bytes. */
export const maxEncodedFrameBytes = 70;

const extendedFlag = 0x80;
const remoteFlag = 0x40;
const errorFlag = 0x20;
const flexibleDataBit = 0x80;
const bitRateSwitchFlag = 0x01;
/** BRS, ESI and FDF are the only flags there are. */
const knownFlags = 0x07;

/** Result of `scanFrame`: more bytes are needed. */
export const incomplete = 0;
/** Result of `scanFrame`: what starts here is no frame. */
export const malformed = -1;

/** Which numbers of data bytes an FD frame may have, by index. */
export const isFlexibleDataLength: readonly boolean[] = Array.from(
  { length: 65 },
  (_, length) => length <= 8 || [12, 16, 20, 24, 32, 48, 64].includes(length),
);

/** The length in bytes of the encoded frame at `offset`, or `incomplete`, or `malformed`. */
export function scanFrame(bytes: Uint8Array, offset: number): number {
  const available = bytes.length - offset;
  if (available < 5) return incomplete;
  const flags = bytes[offset]! & 0xe0;
  const lengthByte = bytes[offset + 4]!;
  const standard = (flags & (extendedFlag | errorFlag)) === 0;
  // An 11-bit identifier leaves the upper 18 bits of the field empty.
  if (standard && ((bytes[offset]! & 0x1f) !== 0 || bytes[offset + 1] !== 0)) return malformed;
  if (standard && bytes[offset + 2]! > 7) return malformed;
  if (lengthByte < flexibleDataBit) {
    if (lengthByte > 8) return malformed;
    const size = (flags & remoteFlag) !== 0 ? 5 : 5 + lengthByte;
    return available < size ? incomplete : size;
  }
  const length = lengthByte - flexibleDataBit;
  if (isFlexibleDataLength[length] !== true || (flags & (remoteFlag | errorFlag)) !== 0) {
    return malformed;
  }
  if (available < 6) return incomplete;
  if (bytes[offset + 5]! > knownFlags) return malformed;
  return available < 6 + length ? incomplete : 6 + length;
}

/**
 * The frame at `offset`, which `scanFrame` found to be `size` bytes long; its data are a view into
 * `bytes`. Remote and error frames carry no message and give undefined.
 */
export function decodeFrame(bytes: Uint8Array, offset: number, size: number): CanFrame | undefined {
  const first = bytes[offset]!;
  if ((first & (remoteFlag | errorFlag)) !== 0) return undefined;
  const flexibleData = bytes[offset + 4]! >= flexibleDataBit;
  const start = flexibleData ? 6 : 5;
  return {
    identifier:
      ((first & 0x1f) << 24) |
      (bytes[offset + 1]! << 16) |
      (bytes[offset + 2]! << 8) |
      bytes[offset + 3]!,
    extended: (first & extendedFlag) !== 0,
    flexibleData,
    bitRateSwitch: flexibleData && (bytes[offset + 5]! & bitRateSwitchFlag) !== 0,
    data: new Uint8Array(bytes.buffer, bytes.byteOffset + offset + start, size - start),
  };
}

/** Writes `frame` at `offset` and returns its length; throws when the frame cannot exist on CAN. */
export function encodeFrame(frame: CanFrame, bytes: Uint8Array, offset: number): number {
  const { identifier, data, flexibleData } = frame;
  const largest = frame.extended ? 0x1fffffff : 0x7ff;
  if (!(identifier >= 0 && identifier <= largest && identifier % 1 === 0)) {
    throw new RangeError(`identifier: expected 0 to ${largest}, got ${identifier}`);
  }
  const fits = flexibleData ? isFlexibleDataLength[data.length] === true : data.length <= 8;
  if (!fits || (frame.bitRateSwitch && !flexibleData)) {
    throw new RangeError(`data: no frame of this kind has ${data.length} bytes`);
  }
  bytes[offset] = (identifier >>> 24) | (frame.extended ? extendedFlag : 0);
  bytes[offset + 1] = identifier >>> 16;
  bytes[offset + 2] = identifier >>> 8;
  bytes[offset + 3] = identifier;
  bytes[offset + 4] = flexibleData ? data.length | flexibleDataBit : data.length;
  let start = offset + 5;
  if (flexibleData) bytes[start++] = frame.bitRateSwitch ? bitRateSwitchFlag : 0;
  bytes.set(data, start);
  return start + data.length - offset;
}

/** The frame at `offset` as it is, flags and remote frames included; its data are a view. */
export function decodeBusFrame(bytes: Uint8Array, offset: number, size: number): BusFrame {
  const lengthByte = bytes[offset + 4]!;
  const flexibleData = lengthByte >= flexibleDataBit;
  const start = flexibleData ? 6 : 5;
  return {
    canId: canIdAt(bytes, offset),
    length: flexibleData ? lengthByte - flexibleDataBit : lengthByte,
    flexibleDataFlags: flexibleData ? bytes[offset + 5]! : undefined,
    data: bytes.subarray(offset + start, offset + size),
  };
}

/** The bytes of a frame that a parser has judged; throws when it cannot exist on CAN. */
export function encodeBusFrame(frame: BusFrame): Uint8Array {
  const { canId, length, data, flexibleDataFlags } = frame;
  const start = flexibleDataFlags === undefined ? 5 : 6;
  const bytes = new Uint8Array(start + data.length);
  bytes[0] = canId / 0x1000000;
  bytes[1] = canId / 0x10000;
  bytes[2] = canId / 0x100;
  bytes[3] = canId;
  bytes[4] = flexibleDataFlags === undefined ? length : length + flexibleDataBit;
  if (flexibleDataFlags !== undefined) bytes[5] = flexibleDataFlags;
  bytes.set(data, start);
  if (data.length !== (isRemote(frame) ? 0 : length) || scanFrame(bytes, 0) !== bytes.length) {
    throw new RangeError(`frame: ${Buffer.from(bytes).toString('hex')} cannot be on a bus`);
  }
  return bytes;
}

/** SocketCAN's identifier of the frame at `offset`, with its flag bits: 0 … 2³²−1. */
export function canIdAt(bytes: Uint8Array, offset: number): number {
  return (
    bytes[offset]! * 0x1000000 +
    bytes[offset + 1]! * 0x10000 +
    bytes[offset + 2]! * 0x100 +
    bytes[offset + 3]!
  );
}
