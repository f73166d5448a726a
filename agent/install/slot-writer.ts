/**
 * Writes an image into one slot, front to back: erases each block before its first byte comes, pads
 * the last programming unit, reads the result back.
 *
 * A part may go on working after `eraseBlock` and `write` return (hal/types.ts). Then the writer
 * overlaps: it queues what comes meanwhile, goes on whenever the part is ready, and erases ahead
 * while nothing is queued. A part that is never busy is written as if none of this were there.
 */
import type { FlashPartition, FlashStatus } from '../../hal/types.ts';
import { fillBytes } from '../codec/reader.ts';
import { type Refusal, refuse } from '../codes.ts';
import { cobblestoneChunkBytes, maxEraseAheadBytes, maxQueuedChunks } from '../limits.ts';

interface Piece {
  /** A view of the caller's bytes until the caller has its turn again, then a copy. */
  bytes: Uint8Array;
  readonly offset: number;
}

export interface SlotWriterOptions {
  readonly partition: FlashPartition;
  /** Offset of the first byte to come; the rest of the block in which it lies is erased. */
  readonly start: number;
  /** Offset behind the last byte to come: nothing beyond its block is erased. */
  readonly end: number;
  /** Everything before `offset` was programmed; the part is not busy, so it may be synchronised. */
  readonly onProgrammed: (offset: number) => void;
}

export class SlotWriter {
  private readonly options: SlotWriterOptions;
  private readonly partition: FlashPartition;
  private readonly geometry: FlashStatus;
  private readonly queue: Piece[] = [];
  /** Everything before this offset is erased or written, or will be when the part is ready. */
  private erasedEnd: number;
  private writtenEnd: number;
  /** End of what the part is programming, to be told when it is ready. */
  private programming: number | undefined;
  /** The part was seen busy: erasing ahead gains time. */
  private overlaps = false;
  private failed: Refusal | undefined;

  constructor(options: SlotWriterOptions) {
    this.options = options;
    this.partition = options.partition;
    this.geometry = options.partition.status();
    const { blockLength } = this.geometry;
    this.erasedEnd = Math.ceil(options.start / blockLength) * blockLength;
    this.writtenEnd = options.start;
    if (cobblestoneChunkBytes % this.geometry.writeAlign !== 0) {
      throw new RangeError(`partition: units of ${this.geometry.writeAlign} do not divide a chunk`);
    }
  }

  /** Erases the first blocks, so that the part is at it while the first bytes are on their way. */
  prepare(): void {
    const { start, end } = this.options;
    if (end <= start || this.erasedEnd > start || this.queue.length > 0) return;
    if (!this.busy) this.eraseTo(Math.min(start + cobblestoneChunkBytes, end));
    this.advance();
  }

  /**
   * Takes the next bytes, at most a chunk; all but the last call bring whole programming units.
   * Waits for the part when too much is queued, which `hasRoom` tells beforehand.
   */
  write(bytes: Uint8Array, offset: number): void {
    if (this.failed !== undefined) return;
    while (!this.hasRoom) this.wait();
    const piece: Piece = { bytes, offset };
    this.queue.push(piece);
    this.advance();
    if (this.queue.indexOf(piece) >= 0) piece.bytes = new Uint8Array(bytes);
  }

  /** The part does not take the image; what came since is dropped. Code `slot-corrupt`. */
  get failure(): Refusal | undefined {
    return this.failed;
  }

  /** One more `write` would not wait. */
  get hasRoom(): boolean {
    return this.queue.length < maxQueuedChunks;
  }

  /** Nothing is queued, and the part has finished. */
  get idle(): boolean {
    return this.queue.length === 0 && this.programming === undefined && !this.busy;
  }

  /** Returns when all that was taken is durable. */
  sync(): void {
    while (!this.idle) this.wait();
    this.partition.sync();
  }

  private get busy(): boolean {
    return this.partition.status().busy;
  }

  private wait(): void {
    if (this.busy) this.partition.sync();
    this.advance();
  }

  /** Gives the part one thing after the other to do, until it is busy or there is nothing left. */
  private advance(): void {
    for (;;) {
      if (this.busy) {
        this.overlaps = true;
        this.partition.onReady = () => this.advance();
        return;
      }
      if (!this.next()) return;
    }
  }

  /** Does the next thing; false when there is none. */
  private next(): boolean {
    if (this.programming !== undefined) {
      const end = this.programming;
      this.programming = undefined;
      this.options.onProgrammed(end);
      return true;
    }
    const piece = this.queue[0];
    if (piece !== undefined) {
      const end = piece.offset + piece.bytes.length;
      if (end > this.erasedEnd) this.eraseTo(end);
      else {
        this.queue.shift();
        this.program(piece);
      }
      return true;
    }
    const limit = Math.min(this.options.end, this.writtenEnd + maxEraseAheadBytes);
    if (!this.overlaps || this.erasedEnd >= limit) return false;
    this.eraseTo(this.erasedEnd + 1);
    return true;
  }

  private eraseTo(end: number): void {
    const { blockLength } = this.geometry;
    const to = Math.ceil(end / blockLength);
    this.partition.eraseBlock(this.erasedEnd / blockLength, to);
    this.erasedEnd = to * blockLength;
  }

  private program({ bytes, offset }: Piece): void {
    const { writeAlign, eraseValue } = this.geometry;
    // HRD-15: a worn-out block that keeps its content would be corrupted silently
    if (!this.partition.isErased(offset, bytes.length)) {
      this.queue.length = 0;
      this.failed = refuse('slot-corrupt', `a block before ${offset + bytes.length} is not erased`);
      return;
    }
    const rest = bytes.length % writeAlign;
    const whole = bytes.length - rest;
    if (whole > 0) this.partition.write(rest > 0 ? bytes.subarray(0, whole) : bytes, offset);
    if (rest > 0) {
      const unit = fillBytes(new Uint8Array(writeAlign), eraseValue);
      unit.set(bytes.subarray(whole), 0);
      // Only an image's last piece has a rest: waiting here holds nothing up.
      if (this.busy) this.partition.sync();
      this.partition.write(unit, offset + whole);
    }
    this.writtenEnd = offset + bytes.length;
    this.programming = this.writtenEnd;
  }
}
