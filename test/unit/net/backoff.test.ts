/** Waiting times with full jitter: spread evenly, bounded, doubled. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Backoff } from '../../../agent/net/backoff.ts';

const test = suite('backoff');

function backoff(bytes: number): Backoff {
  const random = { bytes: (count: number) => new Uint8Array(count).fill(bytes) };
  return new Backoff({ random, baseMilliseconds: 500, maxMilliseconds: 3_000 });
}

function firstSix(one: Backoff): number[] {
  return Array.from({ length: 6 }, () => one.next());
}

test('the bound doubles up to its last value, the wait is anything from 0 to it', () => {
  assert.equal(firstSix(backoff(0)), [0, 0, 0, 0, 0, 0]);
  assert.equal(firstSix(backoff(255)), [500, 1_000, 2_000, 3_000, 3_000, 3_000]);
});

test('after a reset it begins with the first bound', () => {
  const one = backoff(255);
  firstSix(one);
  one.reset();
  assert.is(one.next(), 500);
});

test.run();
