/**
 * The bootloader that is part of an ECU's binary: checks the description and chooses a slot by the
 * boot record. The agent is never loaded from anywhere but the flash, and the host proves its SHA-256
 * before the engine looks at a byte of it.
 *
 * It has an engine of its own, which is gone when main.ts starts the program that was proved: what
 * only a start needs costs the running agent no memory.
 */
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { startPair } from '../../agent/install/boot-selection.ts';
import { trialWatchdogMilliseconds } from '../../agent/limits.ts';
import { parseDescription } from '../ecu-description.ts';
import type { Boot, SlotImage } from '../types.ts';
import { createNativeCrypto } from './crypto.ts';
import { logRefusal, unlessRefused } from './device-refusal.ts';
import { createNativeFlash, openPart } from './flash.ts';
import type { Native } from './native.ts';
import { selectProgram } from './runtime-program.ts';
import { createNativeWatchdog } from './watchdog.ts';

/** Exit statuses of the host (engine/platform.h). */
const usageStatus = 2;
const nothingToRunStatus = 70;

declare const native: Native;

function refuseToRun(refusal: Refusal, status: number): never {
  logRefusal(native, refusal);
  return native.exit(status);
}

/** @param program on trial it is to blame, and the one before it is started again */
function refuseToBoot(refusal: Refusal, program: Boot | undefined): never {
  const trial = program?.status();
  if (program === undefined || trial?.pending !== trial?.active) {
    return refuseToRun(refusal, nothingToRunStatus);
  }
  logRefusal(native, refusal);
  program.rollback('self-test');
  return native.reboot();
}

function main(): void {
  const ecu = parseDescription(native.description, 'description');
  if (isRefusal(ecu)) refuseToRun(ecu, usageStatus);
  // First: the host keeps there why a run ended.
  const values = native.openKeyValue(ecu.keyValueFolder);
  const part = unlessRefused(native, 'flash-unusable', () => openPart(native, ecu));
  const flash = createNativeFlash(part, ecu);
  const holds = (slot: number, image: SlotImage): boolean => {
    const region = ecu.flashMap[ecu.slots[slot]!]!;
    if (image.length > region.size) return false;
    const runs = part.proveProgram(slot, region.offset, image.length, image.sha256);
    if (runs === false) {
      logRefusal(native, refuse('bytecode-version', `this engine runs ${native.bytecodeVersion}`));
    }
    return runs === true;
  };
  const state = flash.open({ path: ecu.state });
  const journal = flash.open({ path: ecu.journal });
  const crypto = createNativeCrypto(native);
  const watchdog = createNativeWatchdog(native, ecu.watchdogMilliseconds);
  const program = selectProgram({ native, ecu, part, flash, crypto, watchdog, values });
  const pair = { state, journal, crypto, holds };
  const started = startPair(pair, native.watchdogExpired);
  if (isRefusal(started)) refuseToBoot(started, program);
  const { boot, selected } = started;
  if (isRefusal(selected)) refuseToBoot(selected, program);
  native.log(`boot slot=${selected.slot === 0 ? 'A' : 'B'} image=${selected.image.filename}`);
  // INS-13: an image that hangs before its first own line is caught too; its program closes it.
  if (boot.status().pending === selected.slot) {
    watchdog.open({ timeout: trialWatchdogMilliseconds });
  }
}

main();
