/** Node's monotonic clock and timers. */
import type { Clock } from '../types.ts';

/** `setTimeout` fires at once for more than this; longer waits are made of several. */
const longestTimeout = 2_147_483_647;

export function createNodeClock(): Clock {
  return {
    monotonic: () => Math.floor(performance.now()),
    after(milliseconds, callback) {
      let left = Math.max(0, milliseconds);
      let timer: NodeJS.Timeout;
      const wait = (): void => {
        const part = Math.min(left, longestTimeout);
        left -= part;
        timer = setTimeout(left > 0 ? wait : callback, part);
      };
      wait();
      return { cancel: () => clearTimeout(timer) };
    },
  };
}
