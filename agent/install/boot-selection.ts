/**
 * What a bootloader decides at every start (docs/SPEC.md §4): which slot's image runs. An image
 * runs only when its slot holds, to the last bit, what the boot record says.
 */
import type { SlotImage } from '../../hal/types.ts';
import { type Refusal, refuse } from '../codes.ts';
import type { BootBlock } from './boot-block.ts';

export interface SelectedImage {
  readonly slot: number;
  readonly image: SlotImage;
}

/**
 * Selects the slot and has its content proved.
 *
 * A damaged trial image is rolled back; a damaged confirmed image is replaced by the other slot's,
 * if that is whole and not below the release counter. Both are recorded and reported later.
 * @param holds reads the slot and tells whether it holds the image; asked once more when it says
 *   no, since a read may fail for a moment
 * @param byWatchdog the watchdog ended the run before
 * @returns code `boot-nothing-to-run`
 */
export function selectImage(
  boot: BootBlock,
  holds: (slot: number, image: SlotImage) => boolean,
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
