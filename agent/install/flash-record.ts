/**
 * One record in flash, as record log and key-value store lay it down (docs/SPEC.md §3):
 *
 * record  magic (4) ‖ payload length (4) ‖ sequence (8) ‖ payload ‖ check (8) ‖ padding
 * seal    one programming unit, programmed after the record was synchronised
 *
 * The check is the first 8 bytes of SHA-256 over what stands before it: a torn record fails it. A
 * seal of which any bit is programmed proves that the record before it was durable.
 */
import type { Crypto, FlashPartition, FlashStatus } from '../../hal/types.ts';
import { fillBytes, sameBytes } from '../codec/reader.ts';
import { flashCheckBytes } from './flash-digest.ts';

const headBytes = 16;
const scanBytes = 1_024;

/** A valid record, as it was found. */
export interface FlashRecord {
  readonly sequence: number;
  readonly payload: Uint8Array;
  readonly sealed: boolean;
  /** First byte, and the byte just behind the seal, in the partition. */
  readonly offset: number;
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

export class FlashRecords {
  readonly geometry: FlashStatus;
  private readonly partition: FlashPartition;
  private readonly crypto: Crypto;
  private readonly magic: Uint8Array;
  private readonly maxPayload: number;

  /** @param magic 4 bytes that begin each record */
  constructor(
    partition: FlashPartition,
    crypto: Crypto,
    magic: readonly number[],
    maxPayload: number,
  ) {
    this.partition = partition;
    this.crypto = crypto;
    this.magic = new Uint8Array(magic);
    this.maxPayload = maxPayload;
    this.geometry = partition.status();
    if (this.geometry.busy) partition.sync();
  }

  /** Bytes that a record takes with its padding and seal. */
  size(payloadLength: number): number {
    return this.padded(payloadLength) + this.geometry.writeAlign;
  }

  /** The valid record at `offset` that ends by `limit`; undefined: erased, torn or something else. */
  read(offset: number, limit: number): FlashRecord | undefined {
    const room = limit - offset;
    if (room < this.size(0)) return undefined;
    const head = new Uint8Array(headBytes);
    this.partition.read(head, offset);
    if (!sameBytes(head.subarray(0, this.magic.length), this.magic)) return undefined;
    const length = readBigEndian(head, 4, 4);
    const sequence = readBigEndian(head, 8, 8);
    if (length > this.maxPayload || sequence > Number.MAX_SAFE_INTEGER) return undefined;
    const size = this.size(length);
    if (size > room) return undefined;
    const bytes = new Uint8Array(headBytes + length + flashCheckBytes);
    this.partition.read(bytes, offset);
    const body = bytes.subarray(0, headBytes + length);
    if (!sameBytes(this.check(body), bytes.subarray(headBytes + length))) return undefined;
    const end = offset + size;
    const { writeAlign } = this.geometry;
    const sealed = !this.isErased(end - writeAlign, writeAlign);
    return { sequence, payload: body.subarray(headBytes), sealed, offset, end };
  }

  /** Writes a record on erased bytes, makes it durable and reads it back; undefined: not kept. */
  write(offset: number, sequence: number, payload: Uint8Array): FlashRecord | undefined {
    if (payload.length > this.maxPayload) {
      throw new RangeError(`payload: ${payload.length} bytes, at most ${this.maxPayload}`);
    }
    const bodyBytes = headBytes + payload.length;
    const record = fillBytes(new Uint8Array(this.padded(payload.length)), this.geometry.eraseValue);
    record.set(this.magic, 0);
    writeBigEndian(record, 4, 4, payload.length);
    writeBigEndian(record, 8, 8, sequence);
    record.set(payload, headBytes);
    record.set(this.check(record.subarray(0, bodyBytes)), bodyBytes);
    this.partition.write(record, offset);
    this.partition.sync();
    const kept = this.read(offset, offset + this.size(payload.length));
    const same = kept && kept.sequence === sequence && sameBytes(kept.payload, payload);
    return same ? kept : undefined;
  }

  /** Programs the seal of a record that is durable; the seal is durable with the next `sync`. */
  seal(record: FlashRecord): void {
    const { writeAlign, eraseValue } = this.geometry;
    const unit = fillBytes(new Uint8Array(writeAlign), 0xff - eraseValue);
    this.partition.write(unit, record.end - writeAlign);
    // What comes next may be programmed as soon as the part has finished.
    if (this.partition.status().busy) this.partition.sync();
  }

  /** Returns when everything before is durable. */
  sync(): void {
    this.partition.sync();
  }

  isErased(offset: number, length: number): boolean {
    return this.partition.isErased(offset, length);
  }

  /** The first unit from `offset` on that begins like a record; `limit` when there is none. */
  findMagic(offset: number, limit: number): number {
    const { writeAlign } = this.geometry;
    const bytes = new Uint8Array(Math.max(scanBytes, writeAlign));
    for (let done = offset; done < limit; done += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, limit - done));
      this.partition.read(part, done);
      for (let i = 0; i < part.length; i += writeAlign) {
        if (part[i] === this.magic[0]) return done + i;
      }
    }
    return limit;
  }

  private check(body: Uint8Array): Uint8Array {
    return this.crypto.digest('SHA-256', body).subarray(0, flashCheckBytes);
  }

  private padded(payloadLength: number): number {
    const { writeAlign } = this.geometry;
    return Math.ceil((headBytes + payloadLength + flashCheckBytes) / writeAlign) * writeAlign;
  }
}
