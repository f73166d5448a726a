/** What a device says no to: told by its code, and tried again when the ECU is started again. */
import { type Code, type Refusal, refuse } from '../../agent/codes.ts';
import { isOutOfMemory } from '../../agent/install/out-of-memory.ts';
import type { Native } from './native.ts';

/** Exit status of the host (engine/platform.h). */
const failedStatus = 1;

export function logRefusal(native: Native, { refused, detail }: Refusal): void {
  native.log(`refused code=${refused} detail=${detail}`);
}

/** The result of `use`; the program ends with `code` where the host throws. */
export function unlessRefused<T>(native: Native, code: Code, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (isOutOfMemory(error)) throw error;
    logRefusal(native, refuse(code, (error as Error).message));
    return native.exit(failedStatus);
  }
}
