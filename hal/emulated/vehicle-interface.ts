/** The vehicle around an emulated Primary (hal/vehicle-interface.ts) by Node's files and processes. */
import { spawnSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import type { VehicleInterface } from '../types.ts';
import { createVehicleInterfaceOn, type VehicleInterfaceOptions } from '../vehicle-interface.ts';

export function createVehicleInterface(options: VehicleInterfaceOptions): VehicleInterface {
  return createVehicleInterfaceOn(
    {
      replaceFile(path, text) {
        writeFileSync(`${path}.new`, text);
        renameSync(`${path}.new`, path);
      },
      ask(program, input, timeout) {
        const { status } = spawnSync(program, [], {
          input,
          stdio: ['pipe', 'ignore', 'ignore'],
          timeout,
        });
        return status ?? undefined;
      },
      after(milliseconds, callback) {
        // Progress that nobody was shown yet does not keep a program running.
        const timer = setTimeout(callback, milliseconds).unref();
        return { cancel: () => clearTimeout(timer) };
      },
    },
    options,
  );
}
