/**
 * Slow retrieval on the bus (ECU-03): what a Secondary pulls through the Primary has to move a
 * minimum of bytes in every window of time. Judged whenever the Primary is heard, so that a Primary
 * that is gone, which the session's timeout ends, is not taken for one that drips.
 */
import { minimumBytesPerSecond, slowWindowMilliseconds } from '../limits.ts';

export class PullRate {
  private since: number;
  private bytes: number;

  /**
   * @param now monotonic milliseconds, as everywhere here
   * @param pauseMilliseconds time that the first window forgives, for what comes before the bytes
   */
  constructor(now: number, pauseMilliseconds = 0) {
    this.since = now;
    this.bytes = (pauseMilliseconds * minimumBytesPerSecond) / 1000;
  }

  moved(bytes: number): void {
    this.bytes += bytes;
  }

  /** True when a window has passed in which too little moved; the next window begins then. */
  tooSlow(now: number): boolean {
    const elapsed = now - this.since;
    if (elapsed < slowWindowMilliseconds) return false;
    const slow = this.bytes * 1000 < minimumBytesPerSecond * elapsed;
    this.since = now;
    this.bytes = 0;
    return slow;
  }
}
