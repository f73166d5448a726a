import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode, field, integer, record } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { BootBlock } from '../../../agent/install/boot-block.ts';
import { RecordLog } from '../../../agent/install/record-log.ts';
import type { RollbackReason, SlotImage } from '../../../hal/types.ts';
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
    rollbackReason: undefined,
    failedTrials: undefined,
    recovered: false,
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
    rollbackReason: undefined,
    failedTrials: undefined,
    recovered: false,
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
    boot.rollback('self-test');
    assert.throws(() => boot.rollback('self-test'), /no image is pending/);
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

test('INS-12: failed trials of one image are counted across starts, those of another begin anew', () => {
  const rig = factory();
  const fail = (image: SlotImage, reason: RollbackReason) => {
    const boot = openBoot(rig, 0);
    boot.activate(1, image, 1);
    if (reason === 'self-test') boot.rollback(reason);
    else for (let start = 0; start < 2; start++) openBoot(rig).selectSlot(reason === 'watchdog');
    const { rollbackReason, failedTrials } = openBoot(rig, 0).status();
    assert.is(rollbackReason, reason);
    openBoot(rig, 0).acknowledge();
    return failedTrials;
  };
  const six = { releaseCounter: 6, sha256: imageOf(6).sha256 };
  assert.equal(fail(imageOf(6), 'unconfirmed'), { ...six, count: 1 });
  assert.equal(fail(imageOf(6), 'watchdog'), { ...six, count: 2 });
  assert.equal(fail(imageOf(6), 'self-test'), { ...six, count: 3 });
  assert.equal(fail(imageOf(7), 'self-test')?.count, 1);
  // The same bytes under another release are another image.
  assert.equal(fail({ ...imageOf(7), releaseCounter: 8 }, 'self-test')?.count, 1);
  openBoot(rig, 0).activate(1, imageOf(9), 1);
  const trial = openBoot(rig);
  trial.selectSlot();
  trial.confirm();
  assert.is(openBoot(rig).status().failedTrials, undefined);
});

test('the largest record has room in the log', () => {
  const rig = factory();
  const long = (n: number) => ({ ...imageOf(n), filename: `${n}${'x'.repeat(127)}` });
  openBoot(rig, 0).activate(1, { ...long(6), length: 2 ** 50, releaseCounter: 2 ** 50 }, 1);
  const trial = openBoot(rig);
  trial.selectSlot();
  trial.confirm();
  trial.activate(0, { ...long(7), length: 2 ** 50, releaseCounter: 2 ** 51 }, 255);
  trial.rollback('image-damaged');
  trial.activate(0, { ...long(7), length: 2 ** 50, releaseCounter: 2 ** 51 }, 255);
  assert.is(openBoot(rig).status().rolledBack?.filename.length, 128);
});

test.run();
