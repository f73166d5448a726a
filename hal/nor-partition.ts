/**
 * One partition of a NOR part (hal/types.ts `FlashPartition`), over a storage that keeps NOR's rule:
 * programming changes bits one way only. Ranges, units and blocks are checked here; what breaks a
 * rule throws, because on a real part it would corrupt data silently.
 */
import type { FlashGeometry, FlashRegion } from './ecu-description.ts';
import type { FlashPartition, FlashStatus } from './types.ts';

/** How much is read at a time to see whether it is erased. */
const lookBytes = 4_096;

/** A whole part; offsets are its own. */
export interface NorStorage {
  /** Fills `buffer` from `offset`. */
  read(buffer: Uint8Array, offset: number): void;
  /** Programs whole units; throws when a bit would have to go back to the erased value. */
  program(bytes: Uint8Array, offset: number): void;
  /** True when all of these bytes have the value; absent where only the reader can tell. */
  isErased?(offset: number, length: number, eraseValue: number): boolean;
  /** SHA-256 of these bytes; absent where it is the reader's to compute. */
  sha256?(offset: number, length: number): Uint8Array;
  /** Sets `length` bytes, whole blocks, to `eraseValue`. */
  erase(offset: number, length: number, eraseValue: number): void;
  /** For the whole part: what was changed through another opening of it, too. */
  sync(): void;
  close(): void;
}

export class NorPartition implements FlashPartition {
  onReady: (() => void) | undefined = undefined;
  readonly sha256: ((from: number, to: number) => Uint8Array) | undefined;
  private readonly name: string;
  private readonly region: FlashRegion;
  private readonly geometry: FlashGeometry;
  /** Never busy, so that it is always the same. */
  private readonly constantStatus: FlashStatus;
  private readonly storage: NorStorage;
  private closed = false;

  constructor(name: string, region: FlashRegion, geometry: FlashGeometry, storage: NorStorage) {
    this.name = name;
    this.region = region;
    this.geometry = geometry;
    this.storage = storage;
    const { size } = region;
    const blocks = size / geometry.blockLength;
    this.constantStatus = { ...geometry, size, blocks, busy: false };
    if (storage.sha256 === undefined) return;
    this.sha256 = (from, to) => {
      this.checkRange('sha256', from, to - from);
      return storage.sha256!(region.offset + from, to - from);
    };
  }

  status(): FlashStatus {
    return this.constantStatus;
  }

  eraseBlock(from: number, to: number = from + 1): void {
    const { blockLength, eraseValue } = this.geometry;
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from >= to) {
      this.fail('eraseBlock', `blocks ${from} to ${to} are no range`);
    }
    this.checkRange('eraseBlock', from * blockLength, (to - from) * blockLength);
    const offset = this.region.offset + from * blockLength;
    this.storage.erase(offset, (to - from) * blockLength, eraseValue);
  }

  read(buffer: Uint8Array, offset: number): void {
    this.checkRange('read', offset, buffer.length);
    this.storage.read(buffer, this.region.offset + offset);
  }

  write(buffer: Uint8Array, offset: number): void {
    const { writeAlign } = this.geometry;
    this.checkRange('write', offset, buffer.length);
    if (offset % writeAlign !== 0 || buffer.length % writeAlign !== 0) {
      this.fail('write', `${buffer.length} bytes at ${offset} are not in units of ${writeAlign}`);
    }
    this.storage.program(buffer, this.region.offset + offset);
  }

  isErased(offset: number, length: number): boolean {
    this.checkRange('isErased', offset, length);
    const { eraseValue } = this.geometry;
    const { storage } = this;
    if (storage.isErased !== undefined) {
      return storage.isErased(this.region.offset + offset, length, eraseValue);
    }
    const buffer = new Uint8Array(Math.min(lookBytes, length));
    for (let done = 0; done < length; done += buffer.length) {
      const part = buffer.subarray(0, Math.min(buffer.length, length - done));
      storage.read(part, this.region.offset + offset + done);
      for (let i = 0; i < part.length; i++) {
        if (part[i] !== eraseValue) return false;
      }
    }
    return true;
  }

  sync(): void {
    this.checkOpen('sync');
    this.storage.sync();
  }

  close(): void {
    if (!this.closed) this.storage.close();
    this.closed = true;
  }

  private checkOpen(call: string): void {
    if (this.closed) this.fail(call, 'the partition is closed');
  }

  private checkRange(call: string, offset: number, length: number): void {
    this.checkOpen(call);
    const inside = Number.isSafeInteger(offset) && offset >= 0;
    if (!inside || offset + length > this.region.size) {
      this.fail(call, `${length} bytes at ${offset} leave its ${this.region.size} bytes`);
    }
  }

  private fail(call: string, what: string): never {
    throw new RangeError(`flash: ${call} on partition ${this.name}: ${what}`);
  }
}
