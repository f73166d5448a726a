/** The flash parts and kinds of ECU over which the power is cut. */
import { stagingProgressBlocks } from '../../agent/primary/image-staging.ts';
import type { FlashMap, FlashRegion } from '../../hal/ecu-description.ts';
import type { FlashGeometry } from '../../hal/emulated/flash.ts';

export interface PartKind extends FlashGeometry {
  readonly name: string;
  /** Blocks of the key-value store's partition. */
  readonly keyValueBlocks: number;
}

export const parts: readonly PartKind[] = [
  { name: '4 KiB/4 B', blockLength: 4_096, writeAlign: 4, eraseValue: 0xff, keyValueBlocks: 16 },
  {
    name: '64 KiB/256 B',
    blockLength: 65_536,
    writeAlign: 256,
    eraseValue: 0xff,
    keyValueBlocks: 2,
  },
  { name: '128 KiB/1 B', blockLength: 131_072, writeAlign: 1, eraseValue: 0xff, keyValueBlocks: 2 },
  { name: 'erased to 0', blockLength: 4_096, writeAlign: 8, eraseValue: 0, keyValueBlocks: 12 },
  // Two blocks for everything that is no image: they are copied again and again.
  { name: 'tiny', blockLength: 16_384, writeAlign: 4, eraseValue: 0xff, keyValueBlocks: 2 },
];

/** What is updated: the ECU under test itself, or in the last case what it hosts. */
export const roles = ['primary', 'full', 'partial', 'hosted'] as const;
export type Role = (typeof roles)[number];

/** Bytes of every image: three chunks, the last one short. */
export const imageBytes = 2 * 16_384 + 700;

/** Partitions, in this order, of a part for `role`, and the size of the part. */
export function layoutOf(part: PartKind, role: Role): { map: FlashMap; size: number } {
  const { blockLength } = part;
  // Blocks of several chunks: one more, so that an unfinished block may be moved to it.
  const spare = blockLength > 16_384 ? 1 : 0;
  const slot = Math.ceil(imageBytes / blockLength) + spare;
  const sizes: [string, number][] = [
    ['slot-a', slot],
    ['slot-b', slot],
    ['state', 2],
    ['journal', 2],
    ['key-value', part.keyValueBlocks],
  ];
  if (role === 'primary') {
    const download = Math.ceil((imageBytes + 200) / blockLength) + spare;
    sizes.push(['download', download + stagingProgressBlocks]);
  }
  if (role === 'hosted') {
    sizes.push(['hosted-a', slot], ['hosted-b', slot], ['hosted-state', 2], ['hosted-journal', 2]);
  }
  const map: Record<string, FlashRegion> = {};
  let offset = 0;
  for (const [name, blocks] of sizes) {
    map[name] = { offset, size: blocks * blockLength };
    offset += blocks * blockLength;
  }
  return { map, size: offset };
}
