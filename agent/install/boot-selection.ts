/**
 * What a bootloader decides at every start (docs/SPEC.md §4): which slot's image runs. An image
 * runs only when its slot holds, to the last bit, what the boot record says, or, when that is lost,
 * what its copy in the journal says.
 */
import type { Crypto, FlashPartition, SlotImage } from '../../hal/types.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { BootBlock, type ConfirmedImage } from './boot-block.ts';
import { InstallJournal } from './install-journal.ts';
import { isOutOfMemory } from './out-of-memory.ts';

export interface SelectedImage {
  readonly slot: number;
  readonly image: SlotImage;
}

export interface BootPair {
  /** Partition of the boot block, and of the installation journal. */
  readonly state: FlashPartition;
  readonly journal: FlashPartition;
  readonly crypto: Crypto;
  /**
   * Reads the slot and tells whether it holds the image; asked once more when it says no, since a
   * read may fail for a moment.
   */
  readonly holds: (slot: number, image: SlotImage) => boolean;
}

export interface StartedPair {
  readonly boot: BootBlock;
  /** Code `boot-nothing-to-run`. */
  readonly selected: SelectedImage | Refusal;
}

/**
 * Opens the boot control of a slot pair and selects the image to run.
 *
 * The journal's copy of the confirmed image counts where the boot block holds no valid record, or
 * an older one than was confirmed: damage to the flash is no way to an older release (HRD-04), and
 * no end of the ECU (VER-02).
 * @param byWatchdog the watchdog ended the run before
 * @returns code `boot-block-corrupt` when neither tells anything
 */
export function startPair(pair: BootPair, byWatchdog: boolean): StartedPair | Refusal {
  const boot = openTwice(pair);
  const copy = copyInJournal(pair);
  if (!isRefusal(boot)) {
    if (copy !== undefined && copy.counter > boot.status().counter) boot.adopt(copy);
    return { boot, selected: selectImage(boot, pair, byWatchdog) };
  }
  if (copy === undefined) return boot;
  const recovered = BootBlock.recover(pair.state, pair.crypto, copy);
  return { boot: recovered, selected: selectImage(recovered, pair, byWatchdog) };
}

/** A read may fail for a moment: what is lost has to be lost twice. */
function openTwice({ state, crypto }: BootPair): BootBlock | Refusal {
  const boot = BootBlock.open(state, crypto);
  return isRefusal(boot) ? BootBlock.open(state, crypto) : boot;
}

/** A journal that does not work is no reason not to start: it is only the second witness. */
function copyInJournal({ journal, crypto }: BootPair): ConfirmedImage | undefined {
  try {
    return new InstallJournal(journal, crypto).confirmed();
  } catch (error) {
    if (isOutOfMemory(error)) throw error;
    return undefined;
  }
}

/**
 * Selects the slot and has its content proved.
 *
 * A damaged trial image is rolled back; a damaged confirmed image is replaced by the other slot's,
 * if that is whole and not below the release counter. Both are recorded and reported later.
 */
function selectImage(
  boot: BootBlock,
  { holds }: BootPair,
  byWatchdog: boolean,
): SelectedImage | Refusal {
  const whole = (slot: number): SelectedImage | undefined => {
    const image = boot.status().slots[slot];
    if (image === undefined) return undefined;
    return holds(slot, image) || holds(slot, image) ? { slot, image } : undefined;
  };
  const selected = whole(boot.selectSlot(byWatchdog));
  if (selected !== undefined) return selected;
  if (boot.status().pending !== undefined) {
    boot.rollback('image-damaged');
    const confirmed = whole(boot.selectSlot());
    if (confirmed !== undefined) return confirmed;
  }
  const spareSlot = boot.spareSlot();
  const spare = spareSlot === undefined ? undefined : whole(spareSlot);
  // VER-02: nothing is recorded here, so that a part that reads again boots again
  if (spare === undefined) return refuse('boot-nothing-to-run', 'no slot holds its image');
  boot.replaceConfirmed();
  return spare;
}
