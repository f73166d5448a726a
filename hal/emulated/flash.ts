/**
 * An emulated NOR flash part (hal/types.ts `Flash`). It keeps the rules of real parts: programming
 * in aligned units, only from the erased bit value to the other, erasing in whole blocks. A broken
 * rule throws, because on a real part it would corrupt data silently.
 */
import {
  type FlashGeometry,
  type FlashMap,
  type FlashRegion,
  norGeometry,
} from '../ecu-description.ts';
import type { Flash, FlashPartition, FlashStatus } from '../types.ts';

export { type FlashGeometry, norGeometry } from '../ecu-description.ts';

import { type FlashStorage, openFileStorage } from './flash-storage.ts';

/** Checks a flash map against the geometry; returns the size of the part in bytes. */
export function flashMapSize(map: FlashMap, geometry: FlashGeometry): number {
  const { blockLength, writeAlign, eraseValue } = geometry;
  if (!(writeAlign >= 1 && blockLength >= writeAlign && blockLength % writeAlign === 0)) {
    throw new RangeError(`flash: block of ${blockLength} bytes with units of ${writeAlign}`);
  }
  if (eraseValue !== 0xff && eraseValue !== 0) {
    throw new RangeError(`flash: eraseValue: expected 0xff or 0, got ${eraseValue}`);
  }
  const regions = Object.entries(map).sort(([, a], [, b]) => a.offset - b.offset);
  let end = 0;
  for (const [name, { offset, size }] of regions) {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset % blockLength !== 0) {
      throw new RangeError(`flash: partition ${name}: offset ${offset} is not at a block`);
    }
    if (!Number.isSafeInteger(size) || size <= 0 || size % blockLength !== 0) {
      throw new RangeError(`flash: partition ${name}: size ${size} is not whole blocks`);
    }
    if (offset < end) throw new RangeError(`flash: partition ${name} overlaps another`);
    end = offset + size;
  }
  if (end === 0) throw new RangeError('flash: the flash map names no partition');
  return end;
}

class NorPartition implements FlashPartition {
  onReady: (() => void) | undefined = undefined;
  private readonly name: string;
  private readonly region: FlashRegion;
  private readonly geometry: FlashGeometry;
  private readonly storage: FlashStorage;
  private closed = false;

  constructor(name: string, region: FlashRegion, geometry: FlashGeometry, storage: FlashStorage) {
    this.name = name;
    this.region = region;
    this.geometry = geometry;
    this.storage = storage;
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
    const { writeAlign, eraseValue } = this.geometry;
    this.checkRange('write', offset, buffer.length);
    if (offset % writeAlign !== 0 || buffer.length % writeAlign !== 0) {
      this.fail('write', `${buffer.length} bytes at ${offset} are not in units of ${writeAlign}`);
    }
    const before = new Uint8Array(buffer.length);
    this.storage.read(before, this.region.offset + offset);
    for (let i = 0; i < buffer.length; i++) {
      // A bit that already left the erased value cannot change again.
      if (((before[i]! ^ eraseValue) & (before[i]! ^ buffer[i]!)) !== 0) {
        const was = before[i]!.toString(16).padStart(2, '0');
        const wanted = buffer[i]!.toString(16).padStart(2, '0');
        this.fail('write', `0x${was} at ${offset + i} cannot become 0x${wanted} without erasing`);
      }
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

/** A part over any storage; `open` is called once for each partition that is opened. */
export function createFlash(
  map: FlashMap,
  geometry: FlashGeometry,
  openStorage: (size: number) => FlashStorage,
): Flash {
  const size = flashMapSize(map, geometry);
  return {
    open({ path }) {
      const region = Object.hasOwn(map, path) ? map[path] : undefined;
      if (region === undefined) throw new RangeError(`flash: no partition is named ${path}`);
      return new NorPartition(path, region, geometry, openStorage(size));
    },
  };
}

/**
 * A part over a file, which is created erased when it is missing.
 * @param path of the file; its size is the end of the last partition of `map`
 * @param geometry differences from 4 KiB blocks, 4-byte units, erased to 0xff
 */
export function createEmulatedFlash(
  path: string,
  map: FlashMap,
  geometry: Partial<FlashGeometry> = {},
): Flash {
  const full = { ...norGeometry, ...geometry };
  const flash = createFlash(map, full, (size) => openFileStorage(path, size, full.eraseValue));
  openFileStorage(path, flashMapSize(map, full), full.eraseValue).close();
  return flash;
}
