/**
 * One emulated ECU as a process of its own: `node hal/emulated/ecu.ts CONFIGURATION.json`.
 *
 * Builds the HAL over a NOR flash file, a key-value folder and the emulated bus, lets the
 * bootloader choose a slot and runs the program that lies in it: the agent is never loaded from
 * anywhere but the flash. A reboot ends the process with status 75; whoever started it starts it
 * again, as a power supply does.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { trialWatchdogMilliseconds } from '../../agent/limits.ts';
import { type EcuDescription, parseDescription } from '../ecu-description.ts';
import { createNobleCrypto } from '../noble/crypto.ts';
import { createNodeClock } from '../node/clock.ts';
import { createNodeCrypto } from '../node/crypto.ts';
import { createNodeNet } from '../node/net.ts';
import { createNodeRandom } from '../node/random.ts';
import { type Hal, halInterfaceVersion } from '../types.ts';
import { loadProgram } from './bootloader.ts';
import { createEmulatedCan } from './can.ts';
import { createEmulatedFlash } from './flash.ts';
import { createFileKeyValue } from './key-value.ts';
import { createFolderMedium } from './medium.ts';
import { createVehicleInterface } from './vehicle-interface.ts';
import { createLineWatchdog, watchdogArgument } from './watchdog.ts';

/** Exit status of an ECU that restarts itself. */
export const rebootStatus = 75;
/** Exit status of an ECU whose slots hold nothing that may run. */
export const nothingToRunStatus = 70;

/** Runs the bundle read from the slot: it defines the global `agent`, whose `start` gets the HAL. */
export type RunProgram = (program: Uint8Array, hal: Hal) => void;

/**
 * Builds the HAL and runs the program in the chosen slot; returns after its `start`.
 * @param byWatchdog the watchdog ended the run before
 */
export function runEcu(
  ecu: EcuDescription,
  log: (line: string) => void,
  byWatchdog: boolean,
  runProgram: RunProgram = runHere,
): void {
  const random = createNodeRandom();
  const crypto = ecu.crypto === 'noble' ? createNobleCrypto(random) : createNodeCrypto();
  const flash = createEmulatedFlash(ecu.flashFile, ecu.flashMap, ecu.flashGeometry);
  const pair = { slots: ecu.slots, state: ecu.state, journal: ecu.journal };
  const loaded = loadProgram(flash, crypto, pair, byWatchdog);
  if (isRefusal(loaded)) {
    log(`refused code=${loaded.refused} detail=${loaded.detail}`);
    process.exit(nothingToRunStatus);
  }
  log(`boot slot=${loaded.slot === 0 ? 'A' : 'B'} image=${loaded.image.filename}`);
  const watchdog = createLineWatchdog(log, byWatchdog, ecu.watchdogMilliseconds);
  // INS-13: an image that hangs before its first own line is caught too; its program closes it.
  if (loaded.boot.status().pending === loaded.slot) {
    watchdog.open({ timeout: trialWatchdogMilliseconds });
  }
  const hal: Hal = {
    flash,
    boot: loaded.boot,
    keyValue: createFileKeyValue(ecu.keyValueFolder),
    can: createEmulatedCan(ecu.buses),
    net: createNodeNet(),
    crypto,
    random,
    clock: createNodeClock(),
    watchdog,
    ...(ecu.mediumFolder === undefined ? {} : { medium: createFolderMedium(ecu.mediumFolder) }),
    vehicle: createVehicleInterface({ progressFile: ecu.progressFile, consent: ecu.consent }),
    hosted: { selfTest: (ecuId, slot) => runSelfTest(ecu.hostedSelfTest, ecuId, slot) },
    board: {
      bytecodeVersion: 0,
      halVersion: halInterfaceVersion,
      reboot: () => process.exit(rebootStatus),
      log,
    },
  };
  runProgram(loaded.program, hal);
}

/** Without a program of the user's, opaque bytes pass: what is in the slot was checked before. */
function runSelfTest(program: string | undefined, ecuId: string, slot: number): boolean {
  if (program === undefined) return true;
  return spawnSync(program, [ecuId, String(slot)], { stdio: 'ignore' }).status === 0;
}

function runHere(program: Uint8Array, hal: Hal): void {
  const source = new TextDecoder('utf-8', { fatal: true }).decode(program);
  const script = new Script(`${source}\n;agent`, { filename: 'slot' });
  (script.runInThisContext() as { start(hal: Hal): void }).start(hal);
}

/** Reads the description at `path`; code `configuration-invalid`. */
export function readDescription(path: string): EcuDescription | Refusal {
  try {
    return parseDescription(readFileSync(path, 'utf8'), path);
  } catch (error) {
    return refuse('configuration-invalid', (error as Error).message);
  }
}

/** Runs the ECU that the command line of this process names. */
export function runEcuProcess(runProgram?: RunProgram): void {
  const path = process.argv[2];
  if (path === undefined) {
    process.stderr.write('usage: ecu.ts CONFIGURATION.json\n');
    process.exit(2);
  }
  const ecu = readDescription(path);
  if (isRefusal(ecu)) {
    process.stderr.write(`${ecu.refused}: ${ecu.detail}\n`);
    process.exit(2);
  }
  const log = (line: string) => process.stdout.write(`${line}\n`);
  process.on('SIGTERM', () => process.exit(0));
  process.on('exit', () => log(`peak-rss bytes=${process.resourceUsage().maxRSS * 1024}`));
  runEcu(ecu, log, process.argv[3] === watchdogArgument, runProgram);
}

if (process.argv[1] === import.meta.filename) runEcuProcess();
