/**
 * One partition of a NOR part (hal/types.ts `FlashPartition`), over a storage that keeps NOR's rule:
 * programming changes bits one way only. Ranges, units and blocks are checked here; what breaks a
 * rule throws, because on a real part it would corrupt data silently.
 */
import type { FlashGeometry, FlashRegion } from './ecu-description.ts';
import type { FlashPartition, FlashStatus } from './types.ts';

/** A whole part; offsets are its own. */
export interface NorStorage {
  /** Fills `buffer` from `offset`. */
  read(buffer: Uint8Array, offset: number): void;
  /** Programs whole units; throws when a bit would have to go back to the erased value. */
  program(bytes: Uint8Array, offset: number): void;
  /** True when all of these bytes have the value; absent where only the reader can tell. */
  isErased?(offset: number, length: number, eraseValue: number): boolean;
  /** Sets `length` bytes, whole blocks, to `eraseValue`. */
  erase(offset: number, length: number, eraseValue: number): void;
  /** For the whole part: what was changed through another opening of it, too. */
  sync(): void;
  close(): void;
}

export class NorPartition implements FlashPartition {
  onReady: (() => void) | undefined = undefined;
  readonly isErased?: (offset: number, length: number) => boolean;
  private readonly name: string;
  private readonly region: FlashRegion;
  private readonly geometry: FlashGeometry;
  private readonly storage: NorStorage;
  private closed = false;

  constructor(name: string, region: FlashRegion, geometry: FlashGeometry, storage: NorStorage) {
    this.name = name;
    this.region = region;
    this.geometry = geometry;
    this.storage = storage;
    if (storage.isErased === undefined) return;
    this.isErased = (offset, length) => {
      this.checkRange('isErased', offset, length);
      return storage.isErased!(region.offset + offset, length, geometry.eraseValue);
    };
  }

  status(): FlashStatus {
    const { size } = this.region;
    return {
      ...this.geometry,
      size,
      blocks: size / this.geometry.blockLength,
      busy: false,
    };
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
