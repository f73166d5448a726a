/**
 * A frame of an emulated bus in SocketCAN's shape (linux/can.h), and which of two frames wins the
 * bus (ISO 11898-1 §10.4: arbitration). The foreign formats are written from it and read into it.
 */

/** Flag bits of `canId`. */
export const extendedFlag = 0x80000000;
export const remoteFlag = 0x40000000;
export const errorFlag = 0x20000000;
/** Bits of `flexibleDataFlags`. */
export const bitRateSwitchFlag = 0x01;
export const flexibleDataFlag = 0x04;

export const largestStandardId = 0x7ff;
export const largestExtendedId = 0x1fffffff;

export interface BusFrame {
  /** 11 or 29 bits of identifier with the flag bits above: 0 … 2³²−1. */
  readonly canId: number;
  /** Number of data bytes; in a remote frame the number that it asks for. */
  readonly length: number;
  /** BRS 1, ESI 2, FDF 4 of an FD frame; undefined in a classic one. */
  readonly flexibleDataFlags: number | undefined;
  /** `length` bytes; none in a remote frame. */
  readonly data: Uint8Array;
}

/** A frame with the time of its end on the bus, in microseconds since 1970. */
export interface StampedFrame {
  readonly frame: BusFrame;
  readonly microseconds: number;
}

export function isExtended(frame: BusFrame): boolean {
  return frame.canId >= extendedFlag;
}

export function isRemote(frame: BusFrame): boolean {
  return (frame.canId & remoteFlag) !== 0;
}

export function isError(frame: BusFrame): boolean {
  return (frame.canId & errorFlag) !== 0;
}

/** The identifier without flag bits. */
export function identifierOf(frame: BusFrame): number {
  return frame.canId % (largestExtendedId + 1);
}

/** The identifier as all the text formats write it: 3 or 8 hexadecimal digits in upper case. */
export function identifierText(frame: BusFrame): string {
  return hexadecimal(identifierOf(frame), isExtended(frame) ? 8 : 3);
}

/** The data in hexadecimal, upper case, without gaps. */
export function dataText(frame: BusFrame): string {
  return Buffer.from(frame.data).toString('hex').toUpperCase();
}

export function hexadecimal(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

/**
 * The arbitration field of the frame whose SocketCAN identifier is `canId`, as a number: the frame
 * with the lower one wins. A standard frame wins over an extended one that begins with the same 11
 * bits, a data frame over a remote one.
 */
export function arbitrationField(canId: number): number {
  const remote = (canId & remoteFlag) !== 0 ? 1 : 0;
  const identifier = canId % (largestExtendedId + 1);
  if (canId < extendedFlag) return (identifier % 2048) * 2 ** 21 + remote * 2 ** 20;
  const base = Math.floor(identifier / 2 ** 18);
  // SRR and IDE are recessive, which is where it loses against the standard frame.
  return base * 2 ** 21 + 2 ** 20 + 2 ** 19 + (identifier % 2 ** 18) * 2 + remote;
}
