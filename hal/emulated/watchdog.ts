/**
 * The watchdog of an emulated ECU (hal/types.ts `Watchdog`). A process that hangs cannot end
 * itself, so its supervisor does: the ECU says on its standard output when the watchdog is opened,
 * fed and closed, and the supervisor kills the process when the time is over and starts it again
 * with `--watchdog`. Writing to a pipe is synchronous, so the lines of a hanging ECU have arrived.
 */
import type { Watchdog } from '../types.ts';

/** Argument of an ECU that its watchdog has restarted. */
export const watchdogArgument = '--watchdog';
const opened = 'watchdog opened milliseconds=';
const closed = 'watchdog closed';

/**
 * The ECU's side.
 * @param print writes one line to the supervisor
 * @param longest greatest time of this watchdog in milliseconds, as real ones have one
 */
export function createLineWatchdog(
  print: (line: string) => void,
  expired: boolean,
  longest: number = Number.POSITIVE_INFINITY,
): Watchdog {
  return {
    expired,
    open({ timeout }) {
      if (!(timeout >= 1)) throw new RangeError('timeout: expected 1 millisecond or more');
      const feed = () => print(`${opened}${Math.min(timeout, longest)}`);
      feed();
      return { feed, close: () => print(closed) };
    },
  };
}

/** The supervisor's side, for one run of one ECU. */
export class WatchdogSupervisor {
  private readonly onExpired: () => void;
  private timer: NodeJS.Timeout | undefined;

  /** @param onExpired the ECU has to be killed and started again */
  constructor(onExpired: () => void) {
    this.onExpired = onExpired;
  }

  /** Takes a line of the ECU's; true when it was the watchdog's. */
  line(line: string): boolean {
    if (line !== closed && !line.startsWith(opened)) return false;
    this.stop();
    if (line !== closed) {
      this.timer = setTimeout(this.onExpired, Number(line.slice(opened.length)));
    }
    return true;
  }

  /** The ECU has ended. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
