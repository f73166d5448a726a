/**
 * The program itself over the air (kind `runtime`): A/B files on boards with a file system. Where a
 * loader of the machine chooses between them, see `startByLoader`.
 *
 * The program on the board is never overwritten. At each start it chooses by a boot record of its
 * own which release runs: itself, or the file of slot A or B, which it starts in its place (exec). A
 * file is a copy of what the installer has written to the slot in the flash, made as a whole and
 * durable before it is started, and its SHA-256 is proven at every start. A trial that is not
 * confirmed (crash, hang, power cut, self-test) has used its attempt: the next start runs the old
 * release (docs/SPEC.md §4.1).
 */
import { sameBytes } from '../../agent/codec/reader.ts';
import { isRefusal, refuse } from '../../agent/codes.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { startPair } from '../../agent/install/boot-selection.ts';
import { trialWatchdogMilliseconds } from '../../agent/limits.ts';
import type { EcuDescription, RuntimePair } from '../ecu-description.ts';
import type { Boot, Crypto, Flash, SlotImage, Watchdog } from '../types.ts';
import { valueFileName } from '../value-file-name.ts';
import { createLoader, type MachineLoader } from './machine-loader.ts';
import type { Native, NativeFlash, NativeKeyValue } from './native.ts';

export interface ProgramParts {
  readonly native: Native;
  readonly ecu: EcuDescription;
  readonly part: NativeFlash;
  readonly flash: Flash;
  readonly crypto: Crypto;
  readonly watchdog: Watchdog;
  readonly values: NativeKeyValue;
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
  if (pair.loader !== undefined)
    return startByLoader(parts, pair, createLoader(native, pair.loader));
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
  const { native, watchdog } = parts;
  const isOwn = ({ length, sha256 }: SlotImage) => native.isProgram(undefined, length, sha256);
  const holds = (slot: number, image: SlotImage) =>
    isOwn(image) || isInFile(parts, pair, slot, image);
  for (;;) {
    const choice = choose(parts, pair, holds);
    if ('runs' in choice) return choice.runs;
    const { boot, slot, image } = choice;
    if (isOwn(image)) return runAs(native, boot, false);
    const onTrial = boot.status().pending === slot;
    // A newer one was put on the board by hand meanwhile.
    if (!onTrial && native.programRelease > image.releaseCounter) {
      return runAs(native, boot, true);
    }
    native.log(`program slot=${slot === 0 ? 'A' : 'B'} image=${image.filename}`);
    // INS-13: what hangs before its first own line is ended, too; its agent closes it.
    if (onTrial) watchdog.open({ timeout: trialWatchdogMilliseconds });
    native.startProgram(pair.files[slot]!, slot);
    logProblem(native, 'slot-corrupt', `${image.filename} cannot be started`);
    if (!onTrial) return runAs(native, boot, true);
    boot.rollback('image-damaged');
  }
}

/** What the record chooses; or, where that cannot be had, what `runs` without it, and why is logged. */
type Choice =
  | { readonly boot: BootBlock; readonly slot: number; readonly image: SlotImage }
  | { readonly runs: Boot | undefined };

function choose(
  { native, flash, crypto }: ProgramParts,
  pair: RuntimePair,
  holds: (slot: number, image: SlotImage) => boolean,
): Choice {
  const state = flash.open({ path: pair.state });
  const journal = flash.open({ path: pair.journal });
  const started = startPair({ state, journal, crypto, holds }, native.watchdogExpired);
  if (isRefusal(started)) {
    logProblem(native, 'boot-block-corrupt', started.detail);
    return { runs: undefined };
  }
  const { boot, selected } = started;
  if (!isRefusal(selected)) return { boot, slot: selected.slot, image: selected.image };
  logProblem(native, 'slot-corrupt', selected.detail);
  return { runs: runAs(native, boot, true) };
}

/** The slot's file holds the image, or does so now, copied from the flash. */
function isInFile(
  { native, ecu, part }: ProgramParts,
  pair: RuntimePair,
  slot: number,
  { length, sha256 }: SlotImage,
): boolean {
  const path = pair.files[slot]!;
  if (native.isProgram(path, length, sha256)) return true;
  const region = ecu.flashMap[pair.slots[slot]!]!;
  return length <= region.size && part.copyProgram(region.offset, length, sha256, path);
}

function logProblem(
  native: Native,
  code: 'boot-block-corrupt' | 'slot-corrupt',
  detail: string,
): void {
  const { refused } = refuse(code, detail);
  native.log(`refused code=${refused} detail=program: ${detail}`);
}

/** Names the image whose trial has begun: it begins once. */
const trialKey = valueFileName('program-trial');

/**
 * The machine's loader has started one of the slots, and restarts into the other by being told. A
 * trial is one start of this program in the slot: the second one, without a confirmation, ends it.
 * The loader ends it by itself when not even this program runs.
 */
function startByLoader(
  parts: ProgramParts,
  pair: RuntimePair,
  loader: MachineLoader,
): Boot | undefined {
  const { native, flash, crypto, watchdog, values } = parts;
  const running = loader.running();
  if (running === undefined) {
    logProblem(native, 'boot-block-corrupt', 'the loader does not tell which slot it has started');
    return undefined;
  }
  const before = BootBlock.open(flash.open({ path: pair.state }), crypto, running);
  if (!isRefusal(before) && before.status().pending === running) {
    const { sha256 } = before.status().slots[running]!;
    const begun = values.read(trialKey);
    if (begun === undefined || !sameBytes(begun, sha256)) {
      values.write(trialKey, sha256);
      watchdog.open({ timeout: trialWatchdogMilliseconds });
      return runAs(native, before, false);
    }
    before.rollback(native.watchdogExpired ? 'watchdog' : 'unconfirmed');
    loader.keep(before.status().confirmed);
    return native.restartMachine(undefined);
  }
  const choice = choose(parts, pair, (slot, image) => isInFile(parts, pair, slot, image));
  if ('runs' in choice) return choice.runs;
  const { boot, slot, image } = choice;
  if (boot.status().pending === slot) {
    native.log(`program slot=${slot === 0 ? 'A' : 'B'} image=${image.filename}`);
    values.delete(trialKey);
    loader.tryOnce(slot);
    return native.restartMachine(loader.restartArgument);
  }
  // Also after a cut between a confirmation and its word to the loader: the next start is right. No
  // restart for it, which a loader that does not obey would make an endless one.
  loader.keep(slot);
  return runAs(native, boot, slot !== running);
}
