/**
 * The program itself over the air (kind `runtime`): A/B files on boards with a file system.
 *
 * The program on the board is never overwritten. At each start it chooses by a boot record of its
 * own which release runs: itself, or the file of slot A or B, which it starts in its place (exec). A
 * file is a copy of what the installer has written to the slot in the flash, made as a whole and
 * durable before it is started, and its SHA-256 is proven at every start. A trial that is not
 * confirmed (crash, hang, power cut, self-test) has used its attempt: the next start runs the old
 * release (docs/SPEC.md §4.1).
 */
import { isRefusal, refuse } from '../../agent/codes.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { startPair } from '../../agent/install/boot-selection.ts';
import { trialWatchdogMilliseconds } from '../../agent/limits.ts';
import type { EcuDescription, RuntimePair } from '../ecu-description.ts';
import type { Boot, Crypto, Flash, SlotImage, Watchdog } from '../types.ts';
import type { Native, NativeFlash } from './native.ts';

export interface ProgramParts {
  readonly native: Native;
  readonly ecu: EcuDescription;
  readonly part: NativeFlash;
  readonly flash: Flash;
  readonly crypto: Crypto;
  readonly watchdog: Watchdog;
}

/**
 * Returns when this is the program that runs: the bootloader goes on with the agent. Another one is
 * started in its place, and this one ends.
 * @returns its boot control; undefined where the program is not updated, or nothing is known of it
 */
export function selectProgram(parts: ProgramParts): Boot | undefined {
  const { native, ecu, flash, crypto } = parts;
  const { runtime: pair } = ecu;
  if (pair === undefined) return undefined;
  const { programSlot } = native;
  if (programSlot === undefined) return startChosen(parts, pair);
  const boot = BootBlock.open(flash.open({ path: pair.state }), crypto, programSlot);
  return isRefusal(boot) ? undefined : runAs(native, boot, false);
}

/** @param replaced it was put on the board by hand, and is the image of no slot */
function runAs(native: Native, boot: BootBlock, replaced: boolean): Boot {
  native.chooseProgram(boot.status().active, replaced);
  return boot;
}

/** On the board's own program: starts what the record says, until something runs or it is itself. */
function startChosen(parts: ProgramParts, pair: RuntimePair): Boot | undefined {
  const { native, ecu, part, flash, crypto, watchdog } = parts;
  const isOwn = ({ length, sha256 }: SlotImage) => native.isProgram(undefined, length, sha256);
  const holds = (slot: number, image: SlotImage): boolean => {
    const { length, sha256 } = image;
    if (isOwn(image) || native.isProgram(fileOf(pair, slot), length, sha256)) return true;
    const region = ecu.flashMap[pair.slots[slot]!]!;
    if (length > region.size) return false;
    return part.copyProgram(region.offset, length, sha256, fileOf(pair, slot));
  };
  const state = flash.open({ path: pair.state });
  const journal = flash.open({ path: pair.journal });
  const log = (code: 'boot-block-corrupt' | 'slot-corrupt', detail: string) => {
    const { refused } = refuse(code, detail);
    native.log(`refused code=${refused} detail=program: ${detail}`);
  };
  for (;;) {
    const started = startPair({ state, journal, crypto, holds }, native.watchdogExpired);
    if (isRefusal(started)) {
      log('boot-block-corrupt', started.detail);
      return undefined;
    }
    const { boot, selected } = started;
    if (isRefusal(selected)) {
      log('slot-corrupt', selected.detail);
      return runAs(native, boot, true);
    }
    const { slot, image } = selected;
    if (isOwn(image)) return runAs(native, boot, false);
    const onTrial = boot.status().pending === slot;
    // A newer one was put on the board by hand meanwhile.
    if (!onTrial && native.programRelease > image.releaseCounter) {
      return runAs(native, boot, true);
    }
    native.log(`program slot=${slot === 0 ? 'A' : 'B'} image=${image.filename}`);
    // INS-13: what hangs before its first own line is ended, too; its agent closes it.
    if (onTrial) watchdog.open({ timeout: trialWatchdogMilliseconds });
    native.startProgram(fileOf(pair, slot), slot);
    log('slot-corrupt', `${image.filename} cannot be started`);
    if (!onTrial) return runAs(native, boot, true);
    boot.rollback('image-damaged');
  }
}

function fileOf({ folder }: RuntimePair, slot: number): string {
  return `${folder}/${slot === 0 ? 'a' : 'b'}`;
}
