/** What a doorbell may bring about: one cycle sooner, and never more of them than the bound. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { minimumDoorbellMilliseconds } from '../../../agent/limits.ts';
import { Doorbell } from '../../../agent/primary/doorbell.ts';
import { VirtualClock } from '../../simulator/virtual-clock.ts';

const test = suite('doorbell');

function newDoorbell(held?: number) {
  const clock = new VirtualClock();
  const stored = { version: held ?? 0, bytes: new Uint8Array() };
  const store = { newest: () => (held === undefined ? undefined : stored) };
  return { clock, stored, doorbell: new Doorbell(clock, store) };
}

test('a newer Timestamp makes the cycle due now, one that the vehicle holds does not', () => {
  const { doorbell } = newDoorbell(7);
  for (const version of [0, 6, 7]) {
    doorbell.ring(version);
    assert.is(doorbell.due(0, 60_000), 60_000);
  }
  doorbell.ring(8);
  assert.is(doorbell.due(0, 60_000), 0);
});

test('any version is new to a vehicle that holds none', () => {
  const { doorbell } = newDoorbell();
  doorbell.ring(1);
  assert.is(doorbell.due(0, 60_000), 0);
});

test('a pause after a failure is kept, whoever rings', () => {
  const { doorbell } = newDoorbell(1);
  doorbell.ring(2);
  assert.is(doorbell.due(20_000, 60_000), 20_000);
});

test('a poll that comes sooner than the bell may ring comes', () => {
  const { doorbell } = newDoorbell(1);
  doorbell.ring(2);
  doorbell.answer();
  doorbell.ring(2);
  assert.is(doorbell.due(0, 300), 300);
});

test('a wait ends when somebody rings, and only then', async () => {
  const { clock, doorbell } = newDoorbell(1);
  let over = 0;
  const waited = doorbell.wait(60_000).then(() => {
    over = clock.now;
  });
  doorbell.ring(1);
  assert.is(clock.waiting, 1);
  clock.advanceTo(1_234);
  doorbell.ring(2);
  await waited;
  assert.is(over, 1_234);
  assert.is(clock.waiting, 0);
});

test('forged and replayed doorbells cost one cycle in each least time, and none once it is answered', async () => {
  const { clock, doorbell } = newDoorbell(1);
  const hour = 3_600_000;
  const cycles: number[] = [];
  let latest = hour;
  // Somebody rings ten times a second with the highest version there is.
  while (clock.now < 60_000) {
    doorbell.ring(Number.MAX_SAFE_INTEGER);
    clock.advanceTo(clock.now + 100);
    if (doorbell.due(0, latest) > clock.now) continue;
    doorbell.answer();
    cycles.push(clock.now);
    latest = clock.now + hour;
  }
  assert.is(cycles.length, 60_000 / minimumDoorbellMilliseconds);
  cycles.forEach((time, i) => {
    assert.ok(i === 0 || time - cycles[i - 1]! >= minimumDoorbellMilliseconds);
  });
});

test('an honest doorbell costs one cycle: its replay is of what the vehicle holds by then', () => {
  const { clock, stored, doorbell } = newDoorbell(1);
  doorbell.ring(2);
  doorbell.answer();
  stored.version = 2;
  clock.advanceTo(minimumDoorbellMilliseconds);
  doorbell.ring(2);
  assert.is(doorbell.due(0, 60_000), 60_000);
});

test.run();
