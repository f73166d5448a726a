/**
 * Slow retrieval (ECU-03): a transfer must move a minimum of bytes in every window of time. Only
 * time in which the peer could send counts: while the consumer has paused, the clock stands still,
 * and it goes on where it stood, so that pausing again and again gives a slow peer nothing.
 */

export class TransferRate {
  private readonly minimumBytes: number;
  private readonly windowMilliseconds: number;
  /** Watched time of this window before `since`. */
  private watched = 0;
  private since: number | undefined;
  private bytes = 0;

  /** @param now monotonic milliseconds, as everywhere here */
  constructor(bytesPerSecond: number, windowMilliseconds: number, now: number) {
    this.minimumBytes = (bytesPerSecond * windowMilliseconds) / 1000;
    this.windowMilliseconds = windowMilliseconds;
    this.since = now;
  }

  moved(bytes: number): void {
    this.bytes += bytes;
  }

  suspend(now: number): void {
    if (this.since !== undefined) this.watched += now - this.since;
    this.since = undefined;
  }

  resume(now: number): void {
    this.since ??= now;
  }

  /** Milliseconds of watched time until the window ends; 0 or less when it has. */
  remaining(now: number): number {
    const running = this.since === undefined ? 0 : now - this.since;
    return this.windowMilliseconds - this.watched - running;
  }

  /** Too few bytes moved in this window so far. */
  get slow(): boolean {
    return this.bytes < this.minimumBytes;
  }

  startWindow(now: number): void {
    this.bytes = 0;
    this.watched = 0;
    if (this.since !== undefined) this.since = now;
  }
}
