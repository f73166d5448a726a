/**
 * What the doorbell may bring about (docs/POUF.md §2.6): a cycle that would come later comes now. It
 * decides nothing else, cuts no pause that a failure or a server has asked for, and begins a cycle
 * every `minimumDoorbellMilliseconds` at most, whoever rings and however often.
 */
import type { Clock } from '../../hal/types.ts';
import { minimumDoorbellMilliseconds } from '../limits.ts';
import type { MetadataStore } from '../verify/metadata-store.ts';

export class Doorbell {
  private readonly clock: Clock;
  private readonly store: Pick<MetadataStore, 'newest'>;
  /** The highest version that was rung for since the last cycle began; 0: nobody rang. */
  private heard = 0;
  /** Of `clock`: no ring counts before. */
  private deafUntil = 0;
  private wake: (() => void) | undefined;

  constructor(clock: Clock, store: Pick<MetadataStore, 'newest'>) {
    this.clock = clock;
    this.store = store;
  }

  /** Somebody says that Timestamp `version` is there; nothing happens when the vehicle holds it. */
  ring(version: number): void {
    this.heard = Math.max(this.heard, version);
    if (this.rung()) this.wake?.();
  }

  /**
   * When the next cycle is due, on the clock.
   * @param earliest before which a ring does not count
   * @param latest when the cycle comes without any
   */
  due(earliest: number, latest: number): number {
    return this.rung() ? Math.min(latest, Math.max(earliest, this.deafUntil)) : latest;
  }

  /** A cycle begins: it brings whatever was rung for. */
  answer(): void {
    if (this.rung()) this.deafUntil = this.clock.monotonic() + minimumDoorbellMilliseconds;
    this.heard = 0;
  }

  /** What came while a cycle ran may be held by now. */
  private rung(): boolean {
    if (this.heard === 0) return false;
    return this.heard > (this.store.newest('director', 'timestamp')?.version ?? 0);
  }

  /** Waits, in milliseconds, or until somebody rings. */
  wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.wake = undefined;
        resolve();
      };
      const timer = this.clock.after(milliseconds, done);
      this.wake = done;
    });
  }
}
