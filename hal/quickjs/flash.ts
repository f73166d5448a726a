/**
 * Flash partitions over one part of the host (a file or an MTD device), which checks itself that only
 * erasing brings bits back.
 */
import { type EcuDescription, norGeometry } from '../ecu-description.ts';
import { NorPartition } from '../nor-partition.ts';
import type { Flash } from '../types.ts';
import type { Native, NativeFlash } from './native.ts';

/** Opens the part: as large as the flash map. Throws for a file or device of another size. */
export function openPart(native: Native, ecu: EcuDescription): NativeFlash {
  let size = 0;
  for (const region of Object.values(ecu.flashMap)) {
    size = Math.max(size, region.offset + region.size);
  }
  const { blockLength, eraseValue } = ecu.flashGeometry ?? norGeometry;
  return native.openFlash(ecu.flashFile, size, blockLength, eraseValue);
}

export function createNativeFlash(part: NativeFlash, ecu: EcuDescription): Flash {
  // The part stays open for the other partitions.
  const storage = {
    read: (buffer: Uint8Array, offset: number) => part.read(buffer, offset),
    program: (bytes: Uint8Array, offset: number) => part.program(bytes, offset),
    erase: (offset: number, length: number) => part.erase(offset, length),
    sync: () => part.sync(),
    isErased: (offset: number, length: number) => part.isErased(offset, length),
    sha256: (offset: number, length: number) => part.sha256(offset, length),
    close: () => undefined,
  };
  return {
    open({ path }) {
      const region = ecu.flashMap[path];
      if (region === undefined) throw new RangeError(`flash: no partition is named ${path}`);
      return new NorPartition(path, region, ecu.flashGeometry ?? norGeometry, storage);
    },
  };
}
