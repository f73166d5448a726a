/** Time that moves only when it is told to, for the state machines of the bus and of flash parts. */
import type { Clock, Timer } from '../../hal/types.ts';

interface Due {
  readonly at: number;
  readonly callback: () => void;
}

/**
 * Timers fire in the order of their times, then of their making. A callback may itself move the
 * time on, as a program does that waits for a part: what is due on the way happens meanwhile.
 */
export class VirtualClock implements Clock {
  now = 0;
  /** Sorted by time. */
  private readonly timers: Due[] = [];

  monotonic(): number {
    return this.now;
  }

  after(milliseconds: number, callback: () => void): Timer {
    const timer: Due = { at: this.now + milliseconds, callback };
    let place = this.timers.length;
    while (place > 0 && this.timers[place - 1]!.at > timer.at) place--;
    this.timers.splice(place, 0, timer);
    return {
      cancel: () => {
        const index = this.timers.indexOf(timer);
        if (index >= 0) this.timers.splice(index, 1);
      },
    };
  }

  /** Moves to `time`, firing what is due on the way. */
  advanceTo(time: number): void {
    while (this.next !== undefined && this.next <= time) this.step();
    this.now = Math.max(this.now, time);
  }

  /** Moves to the next timer and fires it; false when there is none. */
  step(): boolean {
    if (this.next === undefined) return false;
    const timer = this.timers.shift()!;
    this.now = Math.max(this.now, timer.at);
    timer.callback();
    return true;
  }

  /** Timers that have yet to fire. */
  get waiting(): number {
    return this.timers.length;
  }

  /** Time of the next timer. */
  get next(): number | undefined {
    return this.timers[0]?.at;
  }
}
