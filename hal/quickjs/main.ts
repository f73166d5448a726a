/**
 * The bootloader that is part of an ECU's binary: makes the HAL of the host's primitives, chooses a
 * slot by the boot record and starts the agent in it. The agent is never loaded from anywhere but
 * the flash; the host proves its SHA-256 before the engine looks at a byte of it.
 */
import { type Code, isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { startPair } from '../../agent/install/boot-selection.ts';
import { trialWatchdogMilliseconds } from '../../agent/limits.ts';
import { parseDescription } from '../ecu-description.ts';
import { type Hal, halInterfaceVersion, type SlotImage } from '../types.ts';
import { valueFileName } from '../value-file-name.ts';
import { createNativeCrypto } from './crypto.ts';
import { createNativeFlash, openPart } from './flash.ts';
import type { Native } from './native.ts';
import { createNativeNet } from './net.ts';
import { createVehicle } from './vehicle.ts';
import { createNativeWatchdog } from './watchdog.ts';

/** Exit statuses of the host (engine/platform.h). */
const failedStatus = 1;
const usageStatus = 2;
const nothingToRunStatus = 70;

declare const native: Native;
/** Set by the program in the slot. */
declare const agent: { start(hal: Hal): void };

function logRefusal({ refused, detail }: Refusal): void {
  native.log(`refused code=${refused} detail=${detail}`);
}

/** What the device says no to: told by its code, and tried again when the ECU is started again. */
function unlessRefused<T>(code: Code, use: () => T): T {
  try {
    return use();
  } catch (error) {
    const { message } = error as Error;
    // No device says that: memory has run out, which the host tells.
    if (message === 'out of memory' || message === '') throw error;
    logRefusal(refuse(code, message));
    return native.exit(failedStatus);
  }
}

function refuseToRun(refusal: Refusal): never {
  logRefusal(refusal);
  return native.exit(nothingToRunStatus);
}

function main(): void {
  const ecu = parseDescription(native.description, 'description');
  if (isRefusal(ecu)) {
    logRefusal(ecu);
    native.exit(usageStatus);
  }
  // First: the host keeps there why a run ended.
  const values = native.openKeyValue(ecu.keyValueFolder);
  const crypto = createNativeCrypto(native);
  const part = unlessRefused('flash-unusable', () => openPart(native, ecu));
  const flash = createNativeFlash(part, ecu);
  /** Proves the slot's content and runs it: it defines `agent`, which is started later. */
  const loads = (slot: number, image: SlotImage): boolean => {
    const region = ecu.flashMap[ecu.slots[slot]!]!;
    if (image.length > region.size) return false;
    const runs = part.loadProgram(region.offset, image.length, image.sha256);
    if (runs === false) {
      logRefusal(refuse('bytecode-version', `this engine runs ${native.bytecodeVersion}`));
    }
    return runs === true;
  };
  const state = flash.open({ path: ecu.state });
  const journal = flash.open({ path: ecu.journal });
  const pair = { state, journal, crypto, holds: loads };
  const started = startPair(pair, native.watchdogExpired);
  if (isRefusal(started)) refuseToRun(started);
  const { boot, selected } = started;
  if (isRefusal(selected)) refuseToRun(selected);
  native.log(`boot slot=${selected.slot === 0 ? 'A' : 'B'} image=${selected.image.filename}`);
  const watchdog = createNativeWatchdog(native, ecu.watchdogMilliseconds);
  // INS-13: an image that hangs before its first own line is caught too; its program closes it.
  if (boot.status().pending === selected.slot) {
    watchdog.open({ timeout: trialWatchdogMilliseconds });
  }
  agent.start({
    flash,
    boot,
    keyValue: {
      read: (key) => values.read(valueFileName(key)),
      write: (key, value) => values.write(valueFileName(key), value),
      delete: (key) => values.delete(valueFileName(key)),
    },
    can: {
      open({ port, filters, onReadable, onWritable, onError }) {
        const address = ecu.buses[port];
        if (address === undefined) throw new Error(`CAN port ${port} is not configured`);
        return unlessRefused('can-unavailable', () =>
          native.openCan(address, filters, onReadable, onWritable, onError),
        );
      },
    },
    net: createNativeNet(native),
    crypto,
    random: { bytes: native.randomBytes },
    clock: {
      monotonic: native.monotonic,
      after(milliseconds, callback) {
        const timer = native.after(milliseconds, callback);
        return { cancel: () => native.cancel(timer) };
      },
    },
    watchdog,
    ...createVehicle(native, ecu),
    hosted: {
      selfTest: (ecuId, slot) =>
        ecu.hostedSelfTest === undefined ||
        native.command(ecu.hostedSelfTest, ecuId, String(slot)) === 0,
    },
    board: {
      bytecodeVersion: native.bytecodeVersion,
      halVersion: halInterfaceVersion,
      reboot: native.reboot,
      log: native.log,
    },
  });
}

main();
