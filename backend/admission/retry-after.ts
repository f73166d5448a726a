/**
 * When to come back (RFC 9110 §10.2.3): whole seconds, spread at random, so that those who were
 * turned away together do not return together.
 */
import { randomInt } from 'node:crypto';

/** Longest wait that an overloaded server asks for. */
export const maxOverloadSeconds = 30;
/** Spread behind the end of a quota's window. */
const quotaSpreadSeconds = 5;

/** Seconds for a request that was shed. */
export function secondsAfterOverload(): number {
  return randomInt(1, maxOverloadSeconds + 1);
}

/** Seconds for a request over a quota whose window ends in so many milliseconds. */
export function secondsAfterQuota(milliseconds: number): number {
  return Math.ceil(milliseconds / 1_000) + randomInt(0, quotaSpreadSeconds + 1);
}
