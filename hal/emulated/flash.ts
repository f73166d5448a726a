/**
 * An emulated NOR flash part (hal/types.ts `Flash`). It keeps the rules of real parts: programming
 * in aligned units, only from the erased bit value to the other, erasing in whole blocks. A broken
 * rule throws, because on a real part it would corrupt data silently.
 */
import { type FlashGeometry, type FlashMap, norGeometry } from '../ecu-description.ts';
import { NorPartition, type NorStorage } from '../nor-partition.ts';
import type { Flash } from '../types.ts';

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

/** A storage that keeps NOR's rule for one partition, over one that stores whatever it is given. */
function withNorRule(
  storage: FlashStorage,
  name: string,
  start: number,
  eraseValue: number,
): NorStorage {
  return {
    ...storage,
    program(bytes, offset) {
      const before = new Uint8Array(bytes.length);
      storage.read(before, offset);
      for (let i = 0; i < bytes.length; i++) {
        // A bit that already left the erased value cannot change again.
        if (((before[i]! ^ eraseValue) & (before[i]! ^ bytes[i]!)) !== 0) {
          const was = before[i]!.toString(16).padStart(2, '0');
          const wanted = bytes[i]!.toString(16).padStart(2, '0');
          const what = `0x${was} at ${offset - start + i} cannot become 0x${wanted}`;
          throw new RangeError(`flash: write on partition ${name}: ${what} without erasing`);
        }
      }
      storage.program(bytes, offset);
    },
  };
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
      const { eraseValue } = geometry;
      const storage = withNorRule(openStorage(size), path, region.offset, eraseValue);
      return new NorPartition(path, region, geometry, storage);
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
