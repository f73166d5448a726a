/** Arbitrary frames of an emulated bus, and short forms of some. */
import * as fc from 'fast-check';
import {
  type BusFrame,
  extendedFlag,
  largestExtendedId,
  largestStandardId,
  remoteFlag,
} from '../../../hal/emulated/bus-frame.ts';
import { bytesOf } from './virtual-wire.ts';

const identifiers = fc.oneof(
  fc.integer({ min: 0, max: largestStandardId }),
  fc.integer({ min: 0, max: largestExtendedId }).map((id) => id + extendedFlag),
);

const classic = fc.record({ canId: identifiers, data: fc.uint8Array({ maxLength: 8 }) }).map(
  ({ canId, data }): BusFrame => ({
    canId,
    length: data.length,
    flexibleDataFlags: undefined,
    data,
  }),
);

const remote = fc.record({ canId: identifiers, length: fc.integer({ min: 0, max: 8 }) }).map(
  ({ canId, length }): BusFrame => ({
    canId: canId + remoteFlag,
    length,
    flexibleDataFlags: undefined,
    data: new Uint8Array(0),
  }),
);

const flexible = fc
  .record({
    canId: identifiers,
    length: fc.constantFrom(0, 1, 7, 8, 12, 16, 20, 24, 32, 48, 64),
    flexibleDataFlags: fc.integer({ min: 0, max: 3 }),
  })
  .chain(({ canId, length, flexibleDataFlags }) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map(
      (data): BusFrame => ({
        canId,
        length,
        flexibleDataFlags,
        data,
      }),
    ),
  );

export const classicFrames = fc.oneof(classic, remote);
export const busFrames = fc.oneof(classic, remote, flexible);

/** A classic frame, or an FD one with `flags`. */
export function busFrame(canId: number, data: string, flags?: number): BusFrame {
  const bytes = bytesOf(data);
  return { canId, length: bytes.length, flexibleDataFlags: flags, data: bytes };
}

/** A remote frame that asks for `length` bytes. */
export function remoteFrame(canId: number, length: number): BusFrame {
  const data = new Uint8Array(0);
  return { canId: canId + remoteFlag, length, flexibleDataFlags: undefined, data };
}
