/**
 * Writes an image into one slot, front to back: erases each block just before its first byte comes,
 * pads the last programming unit, reads the result back.
 */
import type { Crypto, FlashPartition, FlashStatus } from '../../hal/types.ts';
import { cobblestoneChunkBytes, slotReadBytes } from '../limits.ts';

export class SlotWriter {
  private readonly partition: FlashPartition;
  private readonly geometry: FlashStatus;
  /** Everything before this offset is erased or written. */
  private erasedEnd: number;

  /** @param start offset of the first byte to come, at an erase block */
  constructor(partition: FlashPartition, start: number) {
    this.partition = partition;
    this.geometry = partition.status();
    this.erasedEnd = start;
    if (cobblestoneChunkBytes % this.geometry.writeAlign !== 0) {
      throw new RangeError(`partition: units of ${this.geometry.writeAlign} do not divide a chunk`);
    }
  }

  /** Writes the next bytes; all but the last call bring whole programming units. */
  write(bytes: Uint8Array, offset: number): void {
    this.eraseUpTo(offset + bytes.length);
    const { writeAlign, eraseValue } = this.geometry;
    const rest = bytes.length % writeAlign;
    const whole = bytes.length - rest;
    if (whole > 0) this.ready().write(bytes.subarray(0, whole), offset);
    if (rest > 0) {
      const unit = new Uint8Array(writeAlign).fill(eraseValue);
      unit.set(bytes.subarray(whole), 0);
      this.ready().write(unit, offset + whole);
    }
  }

  sync(): void {
    this.partition.sync();
  }

  private eraseUpTo(end: number): void {
    if (end <= this.erasedEnd) return;
    const { blockLength } = this.geometry;
    const from = this.erasedEnd / blockLength;
    const to = Math.ceil(end / blockLength);
    this.ready().eraseBlock(from, to);
    this.erasedEnd = to * blockLength;
  }

  /** The part may still be busy with the call before; waiting here lets reception go on earlier. */
  private ready(): FlashPartition {
    if (this.partition.status().busy) this.partition.sync();
    return this.partition;
  }
}

/**
 * SHA-256 of the first `length` bytes in a slot, read through one small buffer.
 * `onBytes` sees each piece; the view is valid during the call only.
 */
export function slotDigest(
  partition: FlashPartition,
  crypto: Crypto,
  length: number,
  onBytes?: (bytes: Uint8Array, offset: number) => void,
): Uint8Array {
  const buffer = new Uint8Array(Math.min(slotReadBytes, length));
  const digest = crypto.createDigest('SHA-256');
  for (let offset = 0; offset < length; offset += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, length - offset));
    partition.read(piece, offset);
    digest.update(piece);
    if (onBytes !== undefined) onBytes(piece, offset);
  }
  return digest.finish();
}
