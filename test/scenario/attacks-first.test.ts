/** Seven of the fourteen attacks against real processes, each from one position (`make attacks`: all). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttacksRun, expectShown, runAttacks } from './attacks-run.ts';

const test = suite('attacks');
const expected = [
  ['ATK-01', 'leaves no trace', /nothing readable; then partial-firmware-\d+.bin/],
  ['ATK-02', 'drop-request by partial', /the others go on; then partial-firmware/],
  ['ATK-03', 'slow-retrieval by primary', /transfer given up; then/],
  ['ATK-04', 'freeze by primary', /refused; then/],
  ['ATK-05', 'partial-bundle by the Director', /no conflicting bundle follows; then/],
  ['ATK-06', 'denial-of-service by primary', /growing pauses; then/],
  ['ATK-07', 'rollback by primary', /refused; then/],
] as const;
let run: AttacksRun;

test.before(async () => {
  run = await runAttacks(expected.map(([id]) => id));
});

for (const [id, named, ended] of expected) {
  test(`${id} ends as the Standard demands, is named, and the vehicle takes the next update`, () =>
    expectShown(run, id, named, ended));
}

test('the last line counts the attacks, and the status says that none succeeded', () => {
  assert.is(
    run.output.trimEnd().split('\n').at(-1),
    '7 of 14 attacks ended as the Standard demands',
  );
  assert.is(run.status, 0);
});

test.run();
