/** A small flash part with two slot pairs, and encrypted images to install on it. */
import { CobblestoneEncryptor } from '../../../agent/image/cobblestone.ts';
import { imageContext } from '../../../agent/image/image-context.ts';
import { BootBlock } from '../../../agent/install/boot-block.ts';
import { type InstallRequest, SlotInstaller } from '../../../agent/install/slot-installer.ts';
import type { FlashRegion } from '../../../hal/ecu-description.ts';
import { FaultyFlash, seededRandom } from '../../../hal/emulated/faulty-flash.ts';
import { createFlash, type FlashGeometry, norGeometry } from '../../../hal/emulated/flash.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import type { Boot, Flash, FlashPartition, SlotImage } from '../../../hal/types.ts';

export const crypto = createNodeCrypto();

export interface Rig {
  readonly storage: FaultyFlash;
  readonly flash: Flash;
  readonly geometry: FlashGeometry;
  readonly slotBytes: number;
  /** Which slot pair is meant: '' or 'hosted-'. */
  readonly pair: string;
  /** Offset of the pair's first slot in the part. */
  readonly pairOffset: number;
}

export interface RigOptions {
  readonly geometry?: Partial<FlashGeometry>;
  /** Blocks of each of the two slots. */
  readonly slotBlocks: number;
  readonly seed?: number;
}

/** Partitions slot-a, slot-b, state and journal of both pairs in memory, all erased. */
export function createRig(options: RigOptions): Rig {
  const geometry = { ...norGeometry, ...options.geometry };
  const { blockLength } = geometry;
  const slotBytes = options.slotBlocks * blockLength;
  const pairBytes = 2 * slotBytes + 4 * blockLength;
  const map: Record<string, FlashRegion> = {};
  for (const [pair, start] of [
    ['', 0],
    ['hosted-', pairBytes],
  ] as const) {
    const state = start + 2 * slotBytes;
    map[`${pair}slot-a`] = { offset: start, size: slotBytes };
    map[`${pair}slot-b`] = { offset: start + slotBytes, size: slotBytes };
    map[`${pair}state`] = { offset: state, size: 2 * blockLength };
    map[`${pair}journal`] = { offset: state + 2 * blockLength, size: 2 * blockLength };
  }
  const bytes = new Uint8Array(2 * pairBytes).fill(geometry.eraseValue);
  const storage = new FaultyFlash(bytes, geometry, options.seed);
  const flash = createFlash(map, geometry, () => storage.open());
  return { storage, flash, geometry, slotBytes, pair: '', pairOffset: 0 };
}

/** The second slot pair on the same part. */
export function hostedPair(rig: Rig): Rig {
  const pairOffset = 2 * rig.slotBytes + 4 * rig.geometry.blockLength;
  return { ...rig, pair: 'hosted-', pairOffset };
}

/** Opens a partition of the rig's pair. */
export function openPartition(rig: Rig, name: string): FlashPartition {
  return rig.flash.open({ path: rig.pair + name });
}

export interface TestImage {
  readonly plaintext: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly request: InstallRequest;
  readonly image: SlotImage;
}

/** An encrypted image of random bytes. */
export function makeImage(name: string, length: number, releaseCounter: number): TestImage {
  const random = seededRandom(length * 31 + releaseCounter);
  const bytes = (count: number) => Uint8Array.from({ length: count }, () => random(256));
  const plaintext = bytes(length);
  const plaintextSha256 = crypto.digest('SHA-256', plaintext);
  const contentKey = bytes(32);
  const context = imageContext(name, releaseCounter, plaintextSha256);
  const encryptor = new CobblestoneEncryptor({ crypto, contentKey, context, salt: bytes(24) });
  const ciphertext = new Uint8Array(
    Buffer.concat([encryptor.header(), ...encryptor.update(plaintext), encryptor.finish()]),
  );
  return {
    plaintext,
    ciphertext,
    request: {
      filename: name,
      ciphertextLength: ciphertext.length,
      ciphertextSha256: crypto.digest('SHA-256', ciphertext),
      plaintextLength: length,
      plaintextSha256,
      releaseCounter,
      contentKey,
      context,
    },
    image: { filename: name, releaseCounter, length, sha256: plaintextSha256 },
  };
}

/** Puts `image` into slot 0 and confirms it, as the factory does. */
export function manufacture(rig: Rig, image: TestImage): void {
  const { writeAlign, eraseValue } = rig.geometry;
  const padded = new Uint8Array(Math.ceil(image.plaintext.length / writeAlign) * writeAlign);
  padded.fill(eraseValue);
  padded.set(image.plaintext, 0);
  const slot = openPartition(rig, 'slot-a');
  slot.write(padded, 0);
  slot.sync();
  BootBlock.initialise(openPartition(rig, 'state'), crypto, image.image);
}

/** Boot control of the rig, as opened by the program that runs in `active`. */
export function openBoot(rig: Rig, active?: number): BootBlock {
  const boot = BootBlock.open(openPartition(rig, 'state'), crypto, active);
  if (!(boot instanceof BootBlock)) throw new Error(`${boot.refused}: ${boot.detail}`);
  return boot;
}

export function openInstaller(rig: Rig, boot: Boot = openBoot(rig)): SlotInstaller {
  return new SlotInstaller({
    slots: [openPartition(rig, 'slot-a'), openPartition(rig, 'slot-b')],
    boot,
    journal: openPartition(rig, 'journal'),
    crypto,
  });
}

/** What lies in a slot of the rig. */
export function slotBytes(rig: Rig, slot: number): Uint8Array {
  const start = rig.pairOffset + slot * rig.slotBytes;
  return rig.storage.bytes.slice(start, start + rig.slotBytes);
}
