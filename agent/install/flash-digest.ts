/** SHA-256 of what really lies in flash, read through one small buffer (docs/SPEC.md §2, §3). */
import type { Crypto, FlashPartition } from '../../hal/types.ts';
import { slotReadBytes } from '../limits.ts';

/** Bytes of a check: of a record, and of what a record vouches for. */
export const flashCheckBytes = 8;

/**
 * SHA-256 of the bytes from `from` up to but not including `to`.
 * `onBytes` sees each piece; the view is valid during the call only.
 */
export function flashDigest(
  partition: FlashPartition,
  crypto: Crypto,
  from: number,
  to: number,
  onBytes?: (bytes: Uint8Array, offset: number) => void,
): Uint8Array {
  if (partition.sha256 !== undefined && onBytes === undefined) return partition.sha256(from, to);
  const buffer = new Uint8Array(Math.min(slotReadBytes, to - from));
  const digest = crypto.createDigest('SHA-256');
  for (let offset = from; offset < to; offset += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, to - offset));
    partition.read(piece, offset);
    digest.update(piece);
    if (onBytes !== undefined) onBytes(piece, offset);
  }
  return digest.finish();
}

/**
 * Tells whether bytes that were made durable together with their record really are: the first bytes
 * of their SHA-256. Finds what a cut has torn; no protection against somebody who can write there.
 */
export function flashCheck(
  partition: FlashPartition,
  crypto: Crypto,
  from: number,
  to: number,
): Uint8Array {
  return flashDigest(partition, crypto, from, to).slice(0, flashCheckBytes);
}
