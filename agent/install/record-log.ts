/**
 * An append-only log of small records in two or more erase blocks: the newest survives a power cut
 * at any instant (docs/SPEC.md §3).
 *
 * record  magic (4) ‖ payload length (4) ‖ sequence (8) ‖ payload ‖ check (8) ‖ padding
 * seal    one programming unit, programmed after the record was synchronised
 *
 * The check is the first 8 bytes of SHA-256 over what stands before it: a torn record fails it. A
 * record without its seal may have been torn in its last bits and read differently each time, so
 * it is copied, sealed, before anybody acts on it. The block of the newest sealed record is never
 * erased.
 */
import type { Crypto, FlashPartition, FlashStatus } from '../../hal/types.ts';
import { compareBytes, sameBytes } from '../codec/reader.ts';
import { maxFlashRecordBytes } from '../limits.ts';

const magic = [0x4f, 0x54, 0x41, 0x52]; // 'OTAR'
const headBytes = 16;
const checkBytes = 8;

interface FoundRecord {
  readonly sequence: number;
  readonly payload: Uint8Array;
  readonly sealed: boolean;
  /** Erase block that holds the record. */
  readonly block: number;
  /** Offset just behind the seal, in the partition. */
  readonly end: number;
}

function writeBigEndian(out: Uint8Array, offset: number, size: number, value: number): void {
  let rest = value;
  for (let i = size - 1; i >= 0; i--) {
    out[offset + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

function readBigEndian(bytes: Uint8Array, offset: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + bytes[offset + i]!;
  return value;
}

export class RecordLog {
  private readonly partition: FlashPartition;
  private readonly crypto: Crypto;
  private readonly geometry: FlashStatus;
  /** Holds one record with its padding, while it is read or written. */
  private readonly buffer: Uint8Array;
  private newest: FoundRecord | undefined;

  /**
   * Opens the log and finds its newest record; writes only if that one has no seal.
   * @param partition two or more erase blocks, each with room for a record of the greatest size
   */
  constructor(partition: FlashPartition, crypto: Crypto) {
    this.partition = partition;
    this.crypto = crypto;
    this.geometry = partition.status();
    const { blocks, blockLength, writeAlign } = this.geometry;
    const largest = this.padded(headBytes + maxFlashRecordBytes + checkBytes);
    if (blocks < 2 || blockLength < largest + writeAlign) {
      throw new RangeError(
        `partition: ${blocks} blocks of ${blockLength} bytes hold no record log`,
      );
    }
    this.buffer = new Uint8Array(largest);
    if (this.geometry.busy) partition.sync();
    this.open();
  }

  /** Payload of the newest record; undefined in a log that was never written. */
  latest(): Uint8Array | undefined {
    return this.newest?.payload;
  }

  /**
   * Adds a record and returns when it is durable. Cut before that, the old or the new one is found.
   * A part that does not keep what was written throws.
   * @param payload at most `maxFlashRecordBytes`
   */
  append(payload: Uint8Array): void {
    if (payload.length > maxFlashRecordBytes) {
      throw new RangeError(`payload: ${payload.length} bytes, at most ${maxFlashRecordBytes}`);
    }
    const sequence = this.newest === undefined ? 1 : this.newest.sequence + 1;
    const last = this.newest;
    if (last !== undefined && this.fits(last, payload.length)) {
      if (this.place(last.block, last.end, sequence, payload)) return;
    }
    this.appendToOtherBlock(last, sequence, payload);
  }

  /** Erases a block that does not hold `keep` and writes there: round robin levels the wear. */
  private appendToOtherBlock(
    keep: FoundRecord | undefined,
    sequence: number,
    payload: Uint8Array,
  ): void {
    const { blocks, blockLength } = this.geometry;
    const first = keep === undefined ? 0 : keep.block + 1;
    const candidates = keep === undefined ? blocks : blocks - 1;
    for (let i = 0; i < candidates; i++) {
      const block = (first + i) % blocks;
      this.partition.eraseBlock(block);
      this.partition.sync();
      if (this.place(block, block * blockLength, sequence, payload)) return;
    }
    throw new Error('record log: the flash does not keep what is written to it');
  }

  private open(): void {
    let sealed: FoundRecord | undefined;
    let newest: FoundRecord | undefined;
    for (let block = 0; block < this.geometry.blocks; block++) {
      let offset = block * this.geometry.blockLength;
      for (;;) {
        const found = this.readRecord(block, offset);
        if (found === undefined) break;
        if (newest === undefined || isNewer(found, newest)) newest = found;
        if (found.sealed && (sealed === undefined || isNewer(found, sealed))) sealed = found;
        offset = found.end;
      }
    }
    this.newest = newest;
    if (newest !== undefined && !newest.sealed) {
      this.appendToOtherBlock(sealed, newest.sequence + 1, newest.payload);
    }
  }

  /** The valid record at `offset`, or undefined: erased, torn, or the block's end. */
  private readRecord(block: number, offset: number): FoundRecord | undefined {
    const { blockLength, writeAlign } = this.geometry;
    const room = (block + 1) * blockLength - offset - writeAlign;
    if (room < headBytes + checkBytes) return undefined;
    const head = this.buffer.subarray(0, headBytes);
    this.partition.read(head, offset);
    for (let i = 0; i < magic.length; i++) if (head[i] !== magic[i]) return undefined;
    const length = readBigEndian(head, 4, 4);
    const sequence = readBigEndian(head, 8, 8);
    if (length > maxFlashRecordBytes || sequence > Number.MAX_SAFE_INTEGER) return undefined;
    const size = this.padded(headBytes + length + checkBytes);
    if (size > room) return undefined;
    const bytes = this.buffer.subarray(0, headBytes + length + checkBytes);
    this.partition.read(bytes, offset);
    const body = bytes.subarray(0, headBytes + length);
    if (!sameBytes(this.check(body), bytes.subarray(headBytes + length))) return undefined;
    const payload = body.slice(headBytes);
    const sealed = !this.isErased(offset + size, writeAlign);
    return { sequence, payload, sealed, block, end: offset + size + writeAlign };
  }

  /** True when a record with `length` bytes of payload fits behind `last`, on erased bytes. */
  private fits(last: FoundRecord, length: number): boolean {
    const { blockLength, writeAlign } = this.geometry;
    const size = this.padded(headBytes + length + checkBytes) + writeAlign;
    return last.end + size <= (last.block + 1) * blockLength && this.isErased(last.end, size);
  }

  /** Writes record, then seal; false when the part reads back something else. */
  private place(block: number, offset: number, sequence: number, payload: Uint8Array): boolean {
    const { writeAlign, eraseValue } = this.geometry;
    const bodyBytes = headBytes + payload.length;
    const record = this.buffer.subarray(0, this.padded(bodyBytes + checkBytes));
    record.fill(eraseValue);
    record.set(magic, 0);
    writeBigEndian(record, 4, 4, payload.length);
    writeBigEndian(record, 8, 8, sequence);
    record.set(payload, headBytes);
    record.set(this.check(record.subarray(0, bodyBytes)), bodyBytes);
    this.partition.write(record, offset);
    this.partition.sync();
    const kept = this.readRecord(block, offset);
    if (kept === undefined || kept.sequence !== sequence) return false;
    if (compareBytes(kept.payload, payload) !== 0) return false;
    const seal = this.buffer.subarray(0, writeAlign);
    seal.fill(0xff - eraseValue);
    this.partition.write(seal, kept.end - writeAlign);
    this.partition.sync();
    this.newest = { ...kept, sealed: true };
    return true;
  }

  private check(body: Uint8Array): Uint8Array {
    return this.crypto.digest('SHA-256', body).subarray(0, checkBytes);
  }

  private isErased(offset: number, length: number): boolean {
    const bytes = this.buffer.subarray(0, Math.min(length, this.buffer.length));
    for (let done = 0; done < length; done += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, length - done));
      this.partition.read(part, offset + done);
      for (let i = 0; i < part.length; i++) {
        if (part[i] !== this.geometry.eraseValue) return false;
      }
    }
    return true;
  }

  private padded(length: number): number {
    const { writeAlign } = this.geometry;
    return Math.ceil(length / writeAlign) * writeAlign;
  }
}

/** A sealed record stands before an unsealed one of the same sequence: that one was torn. */
function isNewer(a: FoundRecord, b: FoundRecord): boolean {
  if (a.sequence !== b.sequence) return a.sequence > b.sequence;
  return a.sealed && !b.sealed;
}
