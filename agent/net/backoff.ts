/**
 * Waiting times between attempts: exponential with full jitter, so that the vehicles of a fleet
 * that lost the same server do not come back to it at the same instants.
 */
import type { Random } from '../../hal/types.ts';

export interface BackoffOptions {
  readonly random: Random;
  /** Bound of the first waiting time, in milliseconds; doubled with every further one. */
  readonly baseMilliseconds: number;
  readonly maxMilliseconds: number;
}

export class Backoff {
  private readonly options: BackoffOptions;
  private bound: number;

  constructor(options: BackoffOptions) {
    this.options = options;
    this.bound = options.baseMilliseconds;
  }

  /** The next waiting time: evenly spread from 0 to the bound, which then doubles. */
  next(): number {
    const { random, maxMilliseconds } = this.options;
    const bound = Math.min(this.bound, maxMilliseconds);
    this.bound = bound * 2;
    return Math.floor(fraction(random) * (bound + 1));
  }

  /** Things go well again: the next waiting time is as short as the first. */
  reset(): void {
    this.bound = this.options.baseMilliseconds;
  }
}

/** 0 up to but not including 1, from 32 random bits. */
function fraction(random: Random): number {
  let value = 0;
  for (const byte of random.bytes(4)) value = value * 256 + byte;
  return value / 4_294_967_296;
}
