/**
 * The watchdog of a native ECU (hal/types.ts `Watchdog`): that of the platform, a device or the
 * service manager's, where there is one; else the supervisor that reads this program's lines.
 */
import { createLineWatchdog } from '../emulated/watchdog.ts';
import type { Watchdog } from '../types.ts';
import type { Native } from './native.ts';

/** @param longest greatest time of this watchdog in milliseconds; any when absent */
export function createNativeWatchdog(native: Native, longest: number | undefined): Watchdog {
  const expired = native.watchdogExpired;
  const lines = createLineWatchdog(native.log, expired, longest);
  return {
    expired,
    open({ timeout }) {
      // The platform counts whole seconds; rounded up, a program in time is never restarted.
      const seconds = Math.ceil(Math.min(timeout, longest ?? timeout) / 1000);
      if (!native.watchdog(seconds)) return lines.open({ timeout });
      return {
        feed: () => void native.watchdog(seconds),
        close: () => void native.watchdog(0),
      };
    },
  };
}
