/** Seven more of the fourteen attacks against real processes, each from one position. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttacksRun, expectShown, runAttacks } from './attacks-run.ts';

const test = suite('attacks');
const expected = [
  ['ATK-08', 'endless-data by primary', /cut at the bound; then partial-firmware-\d+.bin/],
  ['ATK-09', 'mix-and-match by primary', /refused; then/],
  ['ATK-10', 'tampered-image by primary', /refused; then/],
  ['ATK-11', 'rollback by primary', /recovered by new keys; then/],
  ['ATK-12', 'wrong-ecu by primary', /refused; then/],
  ['ATK-13', 'cross-vehicle-replay by primary', /refused; then/],
  ['ATK-14', 'report-replay by the Director', /dropped by the Director; then/],
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
