/**
 * The bootloader of an emulated ECU: chooses a slot by the boot record, proves its content and
 * returns the program in it. Knows nothing of the program. Boards do the same in C.
 */

import { sameBytes } from '../../agent/codec/reader.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { startPair } from '../../agent/install/boot-selection.ts';
import { flashDigest } from '../../agent/install/flash-digest.ts';
import type { Boot, Crypto, Flash, SlotImage } from '../types.ts';

/** Partition names of one slot pair. */
export interface SlotPair {
  readonly slots: readonly [string, string];
  /** Partitions of the boot block and of the installation journal. */
  readonly state: string;
  readonly journal: string;
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
  image: SlotImage,
): Uint8Array | undefined {
  const partition = flash.open({ path: name });
  try {
    if (image.length > partition.status().size) return undefined;
    const program = new Uint8Array(image.length);
    const digest = flashDigest(partition, crypto, 0, image.length, (bytes, offset) =>
      program.set(bytes, offset),
    );
    return sameBytes(digest, image.sha256) ? program : undefined;
  } catch {
    // A slot that cannot be read holds nothing that may run.
    return undefined;
  } finally {
    partition.close();
  }
}

/**
 * Selects the slot as `startPair` does and returns the program in it.
 * Codes: `boot-block-corrupt`, `boot-nothing-to-run`.
 * @param byWatchdog the watchdog ended the run before
 */
export function loadProgram(
  flash: Flash,
  crypto: Crypto,
  pair: SlotPair,
  byWatchdog = false,
): LoadedProgram | Refusal {
  let program: Uint8Array | undefined;
  const holds = (slot: number, image: SlotImage): boolean => {
    program = readImage(flash, crypto, pair.slots[slot]!, image);
    return program !== undefined;
  };
  const state = flash.open({ path: pair.state });
  const journal = flash.open({ path: pair.journal });
  const started = startPair({ state, journal, crypto, holds }, byWatchdog);
  if (isRefusal(started)) return started;
  const { boot, selected } = started;
  return isRefusal(selected) ? selected : { ...selected, program: program!, boot };
}
