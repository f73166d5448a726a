import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode, field, integer, record } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { BootBlock } from '../../../agent/install/boot-block.ts';
import { RecordLog } from '../../../agent/install/record-log.ts';
import type { SlotImage } from '../../../hal/types.ts';
import { createRig, crypto, openBoot, type Rig } from './rig.ts';

const test = suite('boot block');

function imageOf(releaseCounter: number): SlotImage {
  const sha256 = new Uint8Array(32).fill(releaseCounter);
  return { filename: `agent-${releaseCounter}`, releaseCounter, length: 1000, sha256 };
}

/** A part whose slot 0 holds release 5, confirmed. */
function factory(): Rig {
  const rig = createRig({ slotBlocks: 1 });
  BootBlock.initialise(rig.flash.open({ path: 'state' }), crypto, imageOf(5));
  return rig;
}

test('a part without a record is refused', () => {
  const rig = createRig({ slotBlocks: 1 });
  const boot = BootBlock.open(rig.flash.open({ path: 'state' }), crypto);
  assert.is(isRefusal(boot) && boot.refused, 'boot-block-corrupt');
});

test('a record that is none, or that contradicts itself, is refused', () => {
  const rig = factory();
  const log = new RecordLog(rig.flash.open({ path: 'state' }), crypto);
  const open = () => BootBlock.open(rig.flash.open({ path: 'state' }), crypto);
  const good = log.latest()!;
  const withoutImage = record({
    formatVersion: field(1, integer(1, 1)),
    confirmed: field(2, integer(0, 1)),
    attemptsRemaining: field(4, integer(0, 1)),
    counter: field(5, integer(0, 9)),
  });
  const broken = [
    new Uint8Array(0),
    good.subarray(0, good.length - 1),
    encode(withoutImage, { formatVersion: 1, confirmed: 0, attemptsRemaining: 0, counter: 0 }),
  ];
  for (const payload of broken) {
    log.append(payload);
    const boot = open();
    assert.is(isRefusal(boot) && boot.refused, 'boot-block-corrupt');
  }
  log.append(good);
  assert.not(isRefusal(open()));
});

test('from the factory, slot 0 is confirmed and the counter is its release', () => {
  const boot = openBoot(factory());
  assert.is(boot.selectSlot(), 0);
  assert.equal(boot.status(), {
    active: 0,
    confirmed: 0,
    pending: undefined,
    attemptsRemaining: 0,
    counter: 5,
    slots: [imageOf(5), undefined],
    rolledBack: undefined,
  });
});

test('an activated image is tried, confirmed and stays; HRD-04: the counter rises then only', () => {
  const rig = factory();
  openBoot(rig, 0).activate(1, imageOf(6), 1);
  const trial = openBoot(rig);
  assert.is(trial.status().counter, 5);
  assert.is(trial.selectSlot(), 1);
  const running = openBoot(rig, 1);
  assert.is(running.status().active, 1);
  assert.is(running.status().counter, 5);
  running.confirm();
  assert.equal([running.status().confirmed, running.status().counter], [1, 6]);
  assert.throws(() => running.confirm(), /no trial/);
  const later = openBoot(rig);
  assert.is(later.selectSlot(), 1);
  assert.equal(later.status(), {
    active: 1,
    confirmed: 1,
    pending: undefined,
    attemptsRemaining: 0,
    counter: 6,
    slots: [imageOf(5), imageOf(6)],
    rolledBack: undefined,
  });
});

test('a trial that is not confirmed ends at the next start, and is told until acknowledged', () => {
  const rig = factory();
  openBoot(rig, 0).activate(1, imageOf(6), 1);
  assert.is(openBoot(rig).selectSlot(), 1);
  assert.is(openBoot(rig).status().attemptsRemaining, 0);
  const after = openBoot(rig);
  assert.is(after.selectSlot(), 0);
  assert.equal(after.status().rolledBack, imageOf(6));
  assert.is(after.status().slots[1], undefined);
  assert.is(after.status().counter, 5);
  const again = openBoot(rig);
  assert.is(again.selectSlot(), 0);
  assert.equal(again.status().rolledBack, imageOf(6));
  again.acknowledge();
  assert.is(openBoot(rig).status().rolledBack, undefined);
});

test('each start of a trial takes one attempt', () => {
  const rig = factory();
  openBoot(rig, 0).activate(1, imageOf(6), 3);
  const slots = [1, 2, 3, 4, 5].map(() => openBoot(rig).selectSlot());
  assert.equal(slots, [1, 1, 1, 0, 0]);
});

test('a trial may be given up, before and while it runs', () => {
  for (const started of [false, true]) {
    const rig = factory();
    openBoot(rig, 0).activate(1, imageOf(6), 2);
    const boot = openBoot(rig);
    if (started) boot.selectSlot();
    boot.rollback();
    assert.throws(() => boot.rollback(), /no image is pending/);
    assert.equal(boot.status().rolledBack, imageOf(6));
    assert.is(openBoot(rig).selectSlot(), 0);
  }
});

test('slots in use, old images and trials without attempts are not activated', () => {
  const rig = factory();
  const boot = openBoot(rig, 0);
  assert.throws(() => boot.activate(0, imageOf(6), 1), /slot 0 is in use/);
  assert.throws(() => boot.activate(2, imageOf(6), 1), /slot 2/);
  assert.throws(() => boot.activate(1, imageOf(4), 1), /too old/);
  assert.throws(() => boot.activate(1, imageOf(6), 0), /attempts/);
  boot.activate(1, imageOf(6), 1);
  assert.throws(() => boot.confirm(), /no trial/);
  const trial = openBoot(rig);
  trial.selectSlot();
  assert.throws(() => trial.activate(1, imageOf(7), 1), /in use/);
  assert.throws(() => trial.activate(0, imageOf(7), 1), /in use/);
});

test('HRD-04: only an image at or above the counter may replace a damaged one', () => {
  const rig = factory();
  const boot = openBoot(rig, 0);
  assert.is(boot.spareSlot(), undefined);
  assert.throws(() => boot.replaceConfirmed(), /no spare/);
  boot.activate(1, imageOf(6), 1);
  boot.selectSlot();
  boot.confirm();
  assert.is(boot.spareSlot(), undefined);
  boot.activate(0, { ...imageOf(6), filename: 'again' }, 1);
  boot.selectSlot();
  boot.confirm();
  assert.is(boot.spareSlot(), 1);
  boot.replaceConfirmed();
  const status = openBoot(rig).status();
  assert.equal([status.confirmed, status.counter], [1, 6]);
  assert.is(status.slots[0], undefined);
  assert.is(status.rolledBack?.filename, 'again');
});

test.run();
