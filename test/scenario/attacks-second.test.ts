/** Seven more of the fourteen attacks against real processes, each from one position. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttacksRun, expectShown, runAttacks } from './attacks-run.ts';

const test = suite('attacks');
const ids = ['ATK-08', 'ATK-09', 'ATK-10', 'ATK-11', 'ATK-12', 'ATK-13', 'ATK-14'];
let run: AttacksRun;

test.before(async () => {
  run = await runAttacks(ids);
});

test('ATK-08: endless data are cut at the bound; then the vehicle takes an update', () =>
  expectShown(
    run,
    'ATK-08',
    'endless-data by primary',
    /cut at the bound; then partial-firmware-\d+.bin/,
  ));

test('ATK-09: mix-and-match is refused; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-09', 'mix-and-match by primary', /refused; then/));

test('ATK-10: arbitrary software is refused; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-10', 'tampered-image by primary', /refused; then/));

test('ATK-11: a fast-forward is recovered from by new keys; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-11', 'rollback by primary', /recovered by new keys; then/));

test('ATK-12: a wrong ECU is refused; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-12', 'wrong-ecu by primary', /refused; then/));

test('ATK-13: the bundle of another vehicle is refused; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-13', 'cross-vehicle-replay by primary', /refused; then/));

test('ATK-14: replayed reports are dropped; then the vehicle takes an update', () =>
  expectShown(run, 'ATK-14', 'report-replay by the Director', /dropped by the Director; then/));

test('the last line counts the attacks, and the status says that none succeeded', () => {
  assert.is(
    run.output.trimEnd().split('\n').at(-1),
    '7 of 14 attacks ended as the Standard demands',
  );
  assert.is(run.status, 0);
});

test.run();
