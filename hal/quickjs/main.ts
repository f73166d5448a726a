/**
 * What an ECU's binary does after its bootloader: makes the HAL of the host's primitives, loads the
 * program that the bootloader has proved and starts the agent. The boot record is kept by the agent's
 * own code, so that it lies in memory once.
 */
import type { isRefusal } from '../../agent/codes.ts';
import type { BootBlock } from '../../agent/install/boot-block.ts';
import type { EcuDescription } from '../ecu-description.ts';
import {
  type Crypto,
  type Flash,
  type Hal,
  halInterfaceVersion,
  type RuntimeProgram,
} from '../types.ts';
import { valueFileName } from '../value-file-name.ts';
import { createNativeCrypto } from './crypto.ts';
import { unlessRefused } from './device-refusal.ts';
import { createNativeFlash, openPart } from './flash.ts';
import { createLoader, LoaderBoot } from './machine-loader.ts';
import type { Native } from './native.ts';
import { createNativeNet } from './net.ts';
import { createVehicle } from './vehicle.ts';
import { createNativeWatchdog } from './watchdog.ts';

declare const native: Native;
/** Set by the program in the slot. */
declare const agent: {
  start(hal: Hal): void;
  BootBlock: typeof BootBlock;
  isRefusal: typeof isRefusal;
};

/** The boot control of the program's own pair, where the bootloader has found one. */
function runtimeOf(
  ecu: EcuDescription,
  flash: Flash,
  crypto: Crypto,
): { runtime?: RuntimeProgram } {
  const { chosenSlot, programRelease: release, programReplaced: replaced } = native;
  if (ecu.runtime === undefined || chosenSlot === undefined) return {};
  const state = flash.open({ path: ecu.runtime.state });
  const boot = agent.BootBlock.open(state, crypto, chosenSlot);
  if (agent.isRefusal(boot)) return {};
  const { loader } = ecu.runtime;
  const told = loader === undefined ? boot : new LoaderBoot(boot, createLoader(native, loader));
  return { runtime: { boot: told, release, replaced } };
}

function main(): void {
  // The bootloader has checked it.
  const ecu = JSON.parse(native.description) as EcuDescription;
  const values = native.openKeyValue(ecu.keyValueFolder);
  const crypto = createNativeCrypto(native);
  const part = unlessRefused(native, 'flash-unusable', () => openPart(native, ecu));
  const flash = createNativeFlash(part, ecu);
  const slot = native.loadProgram();
  const boot = agent.BootBlock.open(flash.open({ path: ecu.state }), crypto, slot);
  // It was read a moment ago: the part fails, and the next start may find it better.
  if (agent.isRefusal(boot)) throw new Error(boot.detail);
  const watchdog = createNativeWatchdog(native, ecu.watchdogMilliseconds);
  agent.start({
    flash,
    boot,
    ...runtimeOf(ecu, flash, crypto),
    keyValue: {
      read: (key) => values.read(valueFileName(key)),
      write: (key, value) => values.write(valueFileName(key), value),
      delete: (key) => values.delete(valueFileName(key)),
    },
    can: {
      open({ port, filters, onReadable, onWritable, onError }) {
        const address = ecu.buses[port];
        if (address === undefined) throw new Error(`CAN port ${port} is not configured`);
        return unlessRefused(native, 'can-unavailable', () =>
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
