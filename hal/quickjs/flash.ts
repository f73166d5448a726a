/**
 * Flash partitions over one part of the host (a file or an MTD device). Ranges and units are checked
 * here, the rule that only erasing brings bits back is checked by the host.
 */
import {
  type EcuDescription,
  type FlashGeometry,
  type FlashRegion,
  norGeometry,
} from '../ecu-description.ts';
import type { Flash, FlashPartition, FlashStatus } from '../types.ts';
import type { Native, NativeFlash } from './native.ts';

class NativePartition implements FlashPartition {
  onReady: (() => void) | undefined = undefined;
  private readonly part: NativeFlash;
  private readonly name: string;
  private readonly region: FlashRegion;
  private readonly geometry: FlashGeometry;

  constructor(part: NativeFlash, name: string, region: FlashRegion, geometry: FlashGeometry) {
    this.part = part;
    this.name = name;
    this.region = region;
    this.geometry = geometry;
  }

  status(): FlashStatus {
    const { size } = this.region;
    return { ...this.geometry, size, blocks: size / this.geometry.blockLength, busy: false };
  }

  eraseBlock(from: number, to: number = from + 1): void {
    const { blockLength } = this.geometry;
    this.check(from * blockLength, (to - from) * blockLength, blockLength);
    this.part.erase(this.region.offset + from * blockLength, (to - from) * blockLength);
  }

  read(buffer: Uint8Array, offset: number): void {
    this.check(offset, buffer.length, 1);
    this.part.read(buffer, this.region.offset + offset);
  }

  write(buffer: Uint8Array, offset: number): void {
    this.check(offset, buffer.length, this.geometry.writeAlign);
    this.part.program(buffer, this.region.offset + offset);
  }

  sync(): void {
    this.part.sync();
  }

  /** The part stays open for the other partitions. */
  close(): void {}

  private check(offset: number, length: number, unit: number): void {
    const whole = offset % unit === 0 && length % unit === 0;
    if (!whole || offset < 0 || length < 0 || offset + length > this.region.size) {
      throw new RangeError(`flash: ${length} bytes at ${offset} of partition ${this.name}`);
    }
  }
}

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
  return {
    open({ path }) {
      const region = ecu.flashMap[path];
      if (region === undefined) throw new RangeError(`flash: no partition is named ${path}`);
      return new NativePartition(part, path, region, ecu.flashGeometry ?? norGeometry);
    },
  };
}
