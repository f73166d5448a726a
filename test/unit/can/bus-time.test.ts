/**
 * How near the shipped state machines come to what bus and flash part allow, for 1 MiB through UDS.
 * Simulated time is deterministic, so these are gates; `make bench` prints all combinations.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { busCeiling, buses, partCeiling, parts, transferTime } from '../../simulator/bus-time.ts';

const test = suite('Bus time');
const [classic, fd2, fd5, fd8] = buses;
const [none, nor4KiB, nor64KiB] = parts;
const leastShare = 0.97;

test('the ceilings are the published ones', () => {
  const ceilings = buses.map((bus) => Math.round(busCeiling(bus)));
  assert.equal(ceilings, [31_532, 189_189, 375_000, 497_041]);
  assert.is(Math.round(partCeiling(nor4KiB!)), 72_883);
  assert.is(Math.round(partCeiling(nor64KiB!)), 199_077);
});

const gates = [
  [classic, none, 'bus'],
  [fd2, none, 'bus'],
  [fd8, none, 'bus'],
  [fd2, nor64KiB, 'bus'],
  [fd5, nor4KiB, 'part'],
  [fd5, nor64KiB, 'part'],
] as const;
for (const [bus, part, limit] of gates) {
  test(`${bus!.name}, ${part!.name}: at least 97 % of the ceiling of the ${limit}`, async () => {
    const time = await transferTime(bus!, part!);
    assert.is(time.limit, limit);
    const share = time.bytesPerSecond / time.ceiling;
    assert.ok(share >= leastShare && share <= 1, `${(100 * share).toFixed(2)} %`);
    // Erasing and programming run beside reception: only the journal's 64 records are waited for.
    assert.ok(time.waited < 350, `waited ${time.waited} ms`);
  });
}

test.run();
