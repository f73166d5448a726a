/** What verification costs as vehicles and delegations grow: counted, so that no machine matters. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { byName } from '../../../agent/verify/lookup.ts';
import { delegationsOf, vehicleOf } from '../../simulator/verification-cases.ts';

const test = suite('Cost of verification');

test('a thousand ECUs need as many signature checks, decodings and digests as one', () => {
  const one = vehicleOf(1).run().cost;
  for (const count of [10, 100, 1_000]) {
    const { cost, decision } = vehicleOf(count).run();
    assert.is(decision.assignments.length, count);
    assert.equal(
      [cost.signatures, cost.decodings, cost.digests, cost.files],
      [one.signatures, one.decodings, one.digests, one.files],
    );
  }
});

test('the work for each ECU does not grow with their number', () => {
  const reads = [10, 1_000].map((count) => {
    const measured = vehicleOf(count).settle();
    measured.idReads = 0;
    measured.run();
    return measured.idReads / count;
  });
  assert.ok(reads[1]! <= reads[0]!, reads.join());
  assert.ok(reads[0]! < 20, reads.join());
});

test('each delegation costs one file, one signature check and as many digests as the one before', () => {
  const costs = [0, 8, 16, 24, 32].map((count) => delegationsOf(count).run().cost);
  for (let i = 1; i < costs.length; i++) {
    assert.is(costs[i]!.files - costs[i - 1]!.files, 8);
    assert.is(costs[i]!.signatures - costs[i - 1]!.signatures, 8);
    assert.is(costs[i]!.decodings - costs[i - 1]!.decodings, 8);
  }
  const growth = costs.slice(1).map(({ digests }, i) => digests - costs[i]!.digests);
  assert.is(growth[2], growth[1]);
  assert.is(growth[3], growth[1]);
});

test('nothing changed: one Timestamp of each repository is fetched', () => {
  const measured = vehicleOf(3).settle();
  assert.is(measured.run().cost.files, 2);
});

test('look-up by name takes the first of a name, and any name', () => {
  const find = byName(
    [
      { n: '__proto__', v: 1 },
      { n: 'a', v: 2 },
      { n: 'a', v: 3 },
      { n: undefined, v: 4 },
    ],
    ({ n }) => n,
  );
  assert.is(find('a')?.v, 2);
  assert.is(find('__proto__')?.v, 1);
  for (const absent of ['constructor', 'toString', 'b', '']) assert.is(find(absent), undefined);
});

test.run();
