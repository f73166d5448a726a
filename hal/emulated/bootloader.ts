/**
 * The bootloader of an emulated ECU: chooses a slot by the boot record, proves its content and
 * returns the program in it. Knows nothing of the program. Boards do the same in C.
 */

import { sameBytes } from '../../agent/codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { slotDigest } from '../../agent/install/slot-writer.ts';
import type { Boot, Crypto, Flash, SlotImage } from '../types.ts';

/** Partition names of one slot pair. */
export interface SlotPair {
  readonly slots: readonly [string, string];
  /** Partition of the boot record. */
  readonly state: string;
}

export interface LoadedProgram {
  readonly program: Uint8Array;
  readonly slot: number;
  readonly image: SlotImage;
  /** Boot control of the pair, which knows that `slot` runs. */
  readonly boot: Boot;
}

/** The bytes of `image` from its slot, or undefined when they are not what was recorded. */
function readImage(
  flash: Flash,
  crypto: Crypto,
  name: string,
  image: SlotImage | undefined,
): Uint8Array | undefined {
  if (image === undefined) return undefined;
  const partition = flash.open({ path: name });
  try {
    if (image.length > partition.status().size) return undefined;
    const program = new Uint8Array(image.length);
    const digest = slotDigest(partition, crypto, image.length, (bytes, offset) =>
      program.set(bytes, offset),
    );
    return sameBytes(digest, image.sha256) ? program : undefined;
  } finally {
    partition.close();
  }
}

/**
 * Selects the slot, recomputes the SHA-256 of what it holds and returns the program.
 *
 * A damaged trial image is rolled back; a damaged confirmed image is replaced by the other slot's,
 * if that is whole and not below the release counter. Both are recorded and reported later.
 * Codes: `boot-block-corrupt`, `boot-nothing-to-run`.
 */
export function loadProgram(flash: Flash, crypto: Crypto, pair: SlotPair): LoadedProgram | Refusal {
  const boot = BootBlock.open(flash.open({ path: pair.state }), crypto);
  if (isRefusal(boot)) return boot;
  const load = (slot: number): LoadedProgram | undefined => {
    const image = boot.status().slots[slot];
    const program = readImage(flash, crypto, pair.slots[slot]!, image);
    return program && image && { program, slot, image, boot };
  };

  const selected = load(boot.selectSlot());
  if (selected !== undefined) return selected;
  if (boot.status().pending !== undefined) {
    boot.rollback();
    const confirmed = load(boot.selectSlot());
    if (confirmed !== undefined) return confirmed;
  }
  const spareSlot = boot.spareSlot();
  const spare = spareSlot === undefined ? undefined : load(spareSlot);
  if (spare === undefined) return refuse('boot-nothing-to-run', 'no slot holds its image');
  boot.replaceConfirmed();
  return spare;
}
