/** What a native Primary has around it: who watches and consents, and a medium that is plugged in. */
import type { EcuDescription } from '../ecu-description.ts';
import { isMediumName } from '../medium-name.ts';
import type { Hal, Medium } from '../types.ts';
import { createVehicleInterfaceOn } from '../vehicle-interface.ts';
import type { Native } from './native.ts';

export function createVehicle(
  native: Native,
  ecu: EcuDescription,
): Pick<Hal, 'vehicle' | 'medium'> {
  const { replaceFile, ask } = native;
  if (replaceFile === undefined || ask === undefined) return {};
  const { progressFile, consent, mediumFolder } = ecu;
  const platform = {
    replaceFile,
    ask(program: string, input: string, milliseconds: number) {
      const status = ask(program, input, milliseconds);
      return status < 0 ? undefined : status;
    },
    after(milliseconds: number, callback: () => void) {
      const timer = native.after(milliseconds, callback);
      return { cancel: () => native.cancel(timer) };
    },
  };
  return {
    vehicle: createVehicleInterfaceOn(platform, { progressFile, consent }),
    ...(mediumFolder !== undefined && { medium: createMedium(native, mediumFolder) }),
  };
}

function createMedium(native: Native, folder: string): Medium {
  return {
    length(name) {
      const length = isMediumName(name) ? native.mediumLength!(folder, name) : -1;
      return length < 0 ? undefined : length;
    },
    read: (name, buffer, offset) =>
      isMediumName(name) && native.mediumRead!(folder, name, buffer, offset),
  };
}
