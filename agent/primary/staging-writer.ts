/**
 * Writes one encrypted image front to back into its place in the partition of staged images, piece by
 * piece, each block erased just before; says when a chunk's worth of bytes may be recorded.
 */
import type { FlashPartition } from '../../hal/types.ts';
import { type Refusal, refuse } from '../codes.ts';
import { cobblestoneChunkBytes, cobblestoneTagBytes } from '../limits.ts';

const chunkBytes = cobblestoneChunkBytes + cobblestoneTagBytes;
/** What is programmed at a time, where blocks are not smaller. */
const maxPieceBytes = 16_384;

/** Where the image lies in the partition, and how long it is by signed metadata. */
interface StagedBytes {
  readonly offset: number;
  readonly length: number;
}

/** Bytes that are programmed at a time: as many whole pieces to a block. */
function pieceBytes(blockLength: number): number {
  let bytes = maxPieceBytes;
  while (blockLength % bytes !== 0) bytes /= 2;
  return bytes;
}

export class StagingWriter {
  private readonly partition: FlashPartition;
  private readonly image: StagedBytes;
  private readonly onReceived: (before: number, received: number) => void;
  private readonly piece: Uint8Array;
  private filled = 0;
  private written: number;
  private recorded: number;

  constructor(
    partition: FlashPartition,
    image: StagedBytes,
    from: number,
    onReceived: (before: number, received: number) => void,
  ) {
    this.partition = partition;
    this.image = image;
    this.onReceived = onReceived;
    this.piece = new Uint8Array(pieceBytes(partition.status().blockLength));
    // Only whole pieces are recorded until the end, so a continued download starts with one.
    this.written = from;
    this.recorded = from;
  }

  /** Bytes taken so far. */
  get received(): number {
    return this.written + this.filled;
  }

  /** Begins anew: what came was of another object. */
  restart(): void {
    this.written = 0;
    this.filled = 0;
    this.recorded = 0;
    this.onReceived(0, 0);
  }

  /** Takes the next bytes. Code `image-length` for more than the signed length (INS-09). */
  write(bytes: Uint8Array): Refusal | undefined {
    if (this.received + bytes.length > this.image.length) {
      return refuse('image-length', `more than ${this.image.length} bytes`);
    }
    for (let offset = 0; offset < bytes.length; ) {
      const part = bytes.subarray(offset, offset + this.piece.length - this.filled);
      this.piece.set(part, this.filled);
      this.filled += part.length;
      offset += part.length;
      if (this.filled < this.piece.length) continue;
      this.flush();
      // With the piece that fills up meanwhile, a power cut costs less than a chunk.
      if (this.written - this.recorded + this.piece.length > chunkBytes) this.record();
    }
    return undefined;
  }

  /** Ends the image. Code `image-truncated` when bytes are missing; what came is kept. */
  finish(): Refusal | undefined {
    if (this.received !== this.image.length) {
      this.record();
      return refuse('image-truncated', `${this.received} of ${this.image.length} bytes`);
    }
    if (this.filled > 0) {
      this.piece.fill(this.partition.status().eraseValue, this.filled);
      this.flush();
    }
    this.written = this.image.length;
    this.record();
    return undefined;
  }

  /** Makes what was received durable, as far as whole pieces go. */
  record(): void {
    if (this.written === this.recorded) return;
    this.onReceived(this.recorded, this.written);
    this.recorded = this.written;
  }

  private flush(): void {
    const at = this.image.offset + this.written;
    const { blockLength } = this.partition.status();
    if (at % blockLength === 0) this.partition.eraseBlock(at / blockLength);
    this.partition.write(this.piece, at);
    this.written += this.piece.length;
    this.filled = 0;
  }
}
