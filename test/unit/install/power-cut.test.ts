/**
 * Cuts the power at every program and erase operation of a whole update, tears that operation, and
 * again at every operation of the recovery. After each cut exactly the confirmed old or the
 * verified new image boots, and the update can be finished.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { loadProgram } from '../../../hal/emulated/bootloader.ts';
import { PowerCut } from '../../../hal/emulated/faulty-flash.ts';
import { norGeometry } from '../../../hal/emulated/flash.ts';
import {
  createRig,
  crypto,
  makeImage,
  manufacture,
  openInstaller,
  type Rig,
  slotBytes,
  type TestImage,
} from './rig.ts';

const test = suite('power cuts during an update');
const pair = { slots: ['slot-a', 'slot-b'], state: 'state', journal: 'journal' } as const;
const oldImage = makeImage('agent-1', 5_000, 1);
/** Two chunks. */
const smallImage = makeImage('agent-2', 17_000, 2);
/** Long enough for the journal to go round its blocks on the way. */
const largeImage = makeImage('agent-2', 290_000, 2);

interface Part {
  readonly seed: number;
  readonly rig: Rig;
  readonly newImage: TestImage;
}

/** Starts the ECU once: what boots must be the old or the new image, whole. */
function start({ rig, newImage }: Part) {
  const loaded = loadProgram(rig.flash, crypto, pair);
  if (isRefusal(loaded)) throw new Error(`${loaded.refused}: ${loaded.detail}`);
  const isNew = loaded.image.releaseCounter === 2;
  assert.equal(loaded.program, isNew ? newImage.plaintext : oldImage.plaintext);
  const { counter, confirmed, slots } = loaded.boot.status();
  assert.ok(counter <= slots[confirmed]!.releaseCounter);
  return { ...loaded, isNew };
}

/** One life of the ECU, from power-up until its program has nothing left to do or restarts. */
function live(part: Part): 'updated' | 'restart' {
  const { boot, isNew } = start(part);
  const status = boot.status();
  if (isNew) {
    if (status.pending !== undefined) boot.confirm();
    return 'updated';
  }
  if (status.rolledBack !== undefined) boot.acknowledge();
  const installer = openInstaller(part.rig, boot);
  const begun = installer.begin(part.newImage.request);
  if (isRefusal(begun)) throw new Error(begun.refused);
  const rest = part.newImage.ciphertext.subarray(begun.resumeOffset);
  for (let i = 0; i < rest.length; i += 9_000) installer.write(rest.subarray(i, i + 9_000));
  const image = installer.finish();
  if (isRefusal(image)) throw new Error(`${image.refused}: ${image.detail}`);
  installer.activate(image);
  return 'restart';
}

/** Lives until the update is done or the power fails. */
function liveOn(part: Part): void {
  for (let lives = 0; lives < 6; lives++) if (live(part) === 'updated') return;
  throw new Error('the update never ends');
}

/** Runs until the cut; true when it happened. */
function liveUntilCut(part: Part, operation: number): boolean {
  const { storage } = part.rig;
  const cut = { stage: 'inside', loseUnsynced: part.seed % 2 === 0 } as const;
  storage.powerOn([{ kind: 'cut', operation, cut }]);
  try {
    liveOn(part);
    return false;
  } catch (error) {
    // The bootloader bears a journal that fails, and meets the missing power at its next step.
    if (!storage.isOff) throw error;
    return true;
  } finally {
    storage.powerOn();
  }
}

function assertUpdated(part: Part): void {
  const status = start(part).boot.status();
  assert.equal(
    [status.confirmed, status.pending, status.counter, status.rolledBack],
    [1, undefined, 2, undefined],
  );
}

/** A part fresh from the factory, with its own tears. */
function factory(newImage: TestImage, seed: number, geometry = norGeometry): Part {
  const { blockLength } = geometry;
  const spare = blockLength > 16_384 ? 1 : 0;
  const slotBlocks = Math.ceil(newImage.plaintext.length / blockLength) + spare;
  const rig = createRig({ geometry, slotBlocks, seed });
  manufacture(rig, oldImage);
  rig.storage.powerOn();
  return { seed, rig, newImage };
}

/** Program and erase operations of an update without a cut. */
function cleanOperations(newImage: TestImage): number {
  const part = factory(newImage, 0);
  liveOn(part);
  return part.rig.storage.operations;
}

/** The same from the own flash: records of four chunks. */
const localImage: TestImage = {
  ...largeImage,
  request: { ...largeImage.request, chunksPerRecord: 4 },
};

for (const [newImage, seeds] of [
  [smallImage, 20],
  [largeImage, 4],
  [localImage, 4],
] as const) {
  const length = newImage.plaintext.length;
  const each = newImage.request.chunksPerRecord ?? 1;
  test(`${length} bytes, ${each} chunks a record: a cut at any operation leaves the old or the new image`, () => {
    const operations = cleanOperations(newImage);
    let fired = 0;
    for (let cutAt = 0; cutAt < operations; cutAt++) {
      for (let seed = 1; seed <= seeds; seed++) {
        const part = factory(newImage, seed * 1001 + cutAt);
        const active = slotBytes(part.rig, 0);
        assert.ok(liveUntilCut(part, cutAt));
        fired += 1;
        assert.ok(Buffer.compare(slotBytes(part.rig, 0), active) === 0);
        start(part);
        liveOn(part);
        assertUpdated(part);
      }
    }
    assert.is(fired, operations * seeds);
    assert.ok(fired > 200);
  });
}

test('a second cut at any operation of the recovery does no harm either', () => {
  const operations = cleanOperations(smallImage);
  let fired = 0;
  for (let first = 0; first < operations; first++) {
    for (let second = 0; ; second++) {
      const part = factory(smallImage, first * 101 + second);
      assert.ok(liveUntilCut(part, first));
      if (!liveUntilCut(part, second)) break;
      fired += 1;
      start(part);
      liveOn(part);
      assertUpdated(part);
    }
  }
  assert.ok(fired > operations * 8);
});

test('large blocks: a cut at any operation costs no complete chunk, nor does a second one', () => {
  const geometry = { blockLength: 65_536, writeAlign: 256, eraseValue: 0xff };
  /** Three chunks in the first block, two behind it. */
  const image = makeImage('agent-2', 4 * 16_384 + 700, 2);
  const { ciphertext, request } = image;
  let moved = 0;
  for (const chunks of [1, 3]) {
    for (let first = 0; ; first++) {
      const part = factory(image, first, geometry);
      const { storage } = part.rig;
      const end = 56 + chunks * 16_400;
      const installer = openInstaller(part.rig);
      installer.begin(request);
      installer.write(ciphertext.subarray(0, end));
      // Cut in the next chunk: its units are torn.
      storage.powerOn([{ kind: 'cut', operation: 0, cut: { stage: 'inside' } }]);
      assert.throws(() => installer.write(ciphertext.subarray(end, end + 16_400)));
      storage.powerOn([{ kind: 'cut', operation: first, cut: { stage: 'inside' } }]);
      try {
        openInstaller(part.rig).begin(request);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
      }
      const wasCut = storage.isOff;
      storage.powerOn();
      assert.equal(openInstaller(part.rig).begin(request), { resumeOffset: end });
      liveOn(part);
      assertUpdated(part);
      if (!wasCut) break;
      moved += 1;
    }
  }
  assert.ok(moved > 10);
});

test.run();
