/** Seven of the fourteen attacks against real processes, each from one position (`make attacks`: all). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttacksRun, expectShown, runAttacks } from './attacks-run.ts';

const test = suite('attacks');
const ids = ['ATK-01', 'ATK-02', 'ATK-03', 'ATK-04', 'ATK-05', 'ATK-06', 'ATK-07'];
let run: AttacksRun;

test.before(async () => {
  run = await runAttacks(ids);
});

test('ATK-01: eavesdropping yields ciphertext only; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-01', 'leaves no trace', /nothing readable; then partial-firmware-\d+.bin/));

test('ATK-02: dropped requests are reported, and seen by the Director; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-02', 'drop-request by partial', /the others go on; then partial-firmware/));

test('ATK-03: slow retrieval is given up and told; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-03', 'slow-retrieval by primary', /transfer given up; then/));

test('ATK-04: a freeze ends with the expiry; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-04', 'freeze by primary', /refused; then/));

test('ATK-05: a partial bundle is seen, and nothing is built on it; then the vehicle takes an update', () =>
  expectShown(
    run,
    'ATK-05',
    'partial-bundle by the Director',
    /no conflicting bundle follows; then/,
  ));

test('ATK-06: denial of service meets growing pauses; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-06', 'denial-of-service by primary', /growing pauses; then/));

test('ATK-07: a rollback is refused; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-07', 'rollback by primary', /refused; then/));

test('the last line counts the attacks, and the status says that none succeeded', () => {
  assert.is(
    run.output.trimEnd().split('\n').at(-1),
    '7 of 14 attacks ended as the Standard demands',
  );
  assert.is(run.status, 0);
});

test.run();
