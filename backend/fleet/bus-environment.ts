/**
 * What the environment asks of an emulated bus (docs/can-bus.md): CAN_LOG, CAN_SOCKETCAND, CAN_SLCAN
 * and CAN_FAULTS, as arguments of the hub's command line.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseBusAddress } from '../../hal/emulated/bus-address.ts';
import { parseFaultPlan } from '../../hal/emulated/can-faults.ts';
import { logPaths } from '../../hal/emulated/can-log.ts';

export interface BusEnvironment {
  readonly hubArguments: readonly string[];
  /** What was wrong, each with its variable. */
  readonly mistakes: readonly string[];
}

/** Reads the variables; those that are absent or empty switch nothing on. */
export function readBusEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): BusEnvironment {
  const { CAN_LOG: log, CAN_SOCKETCAND: port, CAN_SLCAN: slcan, CAN_FAULTS: faults } = environment;
  const mistakes: string[] = [];
  const hubArguments: string[] = [];
  if (log) {
    mistakes.push(...logMistakes(log));
    hubArguments.push('--log', resolve(log));
  }
  if (port) {
    const address = addressOf(port);
    if (address?.startsWith('tcp:')) hubArguments.push('--socketcand', address);
    else mistakes.push(`CAN_SOCKETCAND=${port}: expected a port, 0 to 65535 (0 takes a free one)`);
  }
  if (slcan) {
    const address = addressOf(slcan);
    if (address !== undefined) hubArguments.push('--slcan', address);
    else mistakes.push(`CAN_SLCAN=${slcan}: expected a port, 0 to 65535, or unix:/path`);
  }
  if (faults) {
    const plan = parseFaultPlan(faults);
    if (Array.isArray(plan)) mistakes.push(...plan.map((mistake) => `CAN_FAULTS: ${mistake}`));
    hubArguments.push('--faults', faults);
  }
  return { hubArguments, mistakes };
}

/** A port alone is one on loopback. */
function addressOf(text: string): string | undefined {
  const address = /^\d+$/.test(text) ? `tcp:${text}` : text;
  return parseBusAddress(address) === undefined ? undefined : address;
}

/** Why the two files of the log cannot be written, before anything is started. */
function logMistakes(log: string): string[] {
  const mistakes: string[] = [];
  for (const path of Object.values(logPaths(log))) {
    try {
      const exists = statSync(path, { throwIfNoEntry: false });
      if (exists?.isDirectory()) mistakes.push(`CAN_LOG=${log}: ${path} is a folder`);
      else accessSync(exists === undefined ? dirname(resolve(path)) : path, constants.W_OK);
    } catch (error) {
      mistakes.push(
        `CAN_LOG=${log}: ${path} cannot be written (${(error as NodeJS.ErrnoException).code})`,
      );
    }
  }
  return mistakes;
}
