/** A boot block that is lost, or has lost its newest record: the journal's copy takes its place. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { loadProgram } from '../../../hal/emulated/bootloader.ts';
import { PowerCut } from '../../../hal/emulated/faulty-flash.ts';
import type { SlotImage } from '../../../hal/types.ts';
import { createRig, crypto, makeImage, manufacture, openInstaller, type Rig } from './rig.ts';

const test = suite('lost boot blocks');
const pair = { slots: ['slot-a', 'slot-b'], state: 'state', journal: 'journal' } as const;
const first = makeImage('agent-1', 6_001, 1);
const second = makeImage('agent-2', 5_000, 2);

/** Starts the ECU; its agent opens the installer, as it does at every start. */
function start(rig: Rig) {
  const loaded = loadProgram(rig.flash, crypto, pair);
  if (isRefusal(loaded)) throw new Error(`${loaded.refused}: ${loaded.detail}`);
  const installer = openInstaller(rig, loaded.boot);
  return { ...loaded, installer };
}

/** An ECU that was started once. */
function factory(): Rig {
  const rig = createRig({ slotBlocks: 2 });
  manufacture(rig, first);
  start(rig);
  return rig;
}

function activate(rig: Rig): void {
  const { installer } = start(rig);
  installer.begin(second.request);
  installer.write(second.ciphertext);
  installer.activate(installer.finish() as SlotImage);
}

function updated(): Rig {
  const rig = factory();
  activate(rig);
  start(rig).installer.confirm();
  return rig;
}

/** Offset of a partition's two blocks in the part. */
const offsetOf = (rig: Rig, name: 'state' | 'journal') =>
  2 * rig.slotBytes + (name === 'state' ? 0 : 2 * rig.geometry.blockLength);

function destroy(rig: Rig, name: 'state' | 'journal'): void {
  const start = offsetOf(rig, name);
  rig.storage.bytes.fill(0x5a, start, start + 2 * rig.geometry.blockLength);
}

function refusalOf(rig: Rig): string | undefined {
  const loaded = loadProgram(rig.flash, crypto, pair);
  return isRefusal(loaded) ? loaded.refused : undefined;
}

test('VER-02: an ECU whose boot block is lost runs its confirmed image, and knows of the loss', () => {
  for (const [rig, release, slot] of [
    [factory(), 1, 0],
    [updated(), 2, 1],
  ] as const) {
    destroy(rig, 'state');
    const { boot, image } = start(rig);
    assert.equal([image.releaseCounter, boot.status().confirmed], [release, slot]);
    assert.equal([boot.status().counter, boot.status().recovered], [release, true]);
    boot.acknowledge();
    const again = start(rig).boot.status();
    assert.equal([again.confirmed, again.recovered], [slot, false]);
  }
});

test('a recovered ECU can be updated', () => {
  const rig = factory();
  destroy(rig, 'state');
  activate(rig);
  start(rig).installer.confirm();
  assert.equal(start(rig).program, second.plaintext);
});

test('HRD-04: any bits of the boot block may be lost, and no older release than the confirmed runs', () => {
  const rig = updated();
  const bytes = rig.storage.bytes.slice();
  const begin = offsetOf(rig, 'state');
  let recovered = 0;
  for (let offset = 0; offset < 1_000; offset++) {
    rig.storage.bytes.set(bytes);
    rig.storage.bytes[begin + offset]! ^= 1 << (offset % 8);
    const { image, boot } = start(rig);
    assert.is(image.releaseCounter, 2, `bit of byte ${offset}`);
    assert.is(boot.status().counter, 2);
    if (boot.status().confirmed === 1 && boot.status().pending === undefined) recovered += 1;
  }
  assert.is(recovered, 1_000);
});

test('HRD-04: where the confirmed image is damaged too, the older one does not run', () => {
  for (const lost of [true, false]) {
    const rig = factory();
    const before = rig.storage.bytes.slice(offsetOf(rig, 'state'), offsetOf(rig, 'journal'));
    activate(rig);
    start(rig).installer.confirm();
    if (lost) destroy(rig, 'state');
    else rig.storage.bytes.set(before, offsetOf(rig, 'state'));
    rig.storage.bytes[rig.slotBytes + 77]! ^= 1;
    assert.is(refusalOf(rig), 'boot-nothing-to-run');
  }
});

test('without a copy nothing is guessed', () => {
  const rig = updated();
  destroy(rig, 'state');
  destroy(rig, 'journal');
  assert.is(refusalOf(rig), 'boot-block-corrupt');
});

test('a lost journal costs nothing, and the copy is taken again', () => {
  const rig = updated();
  destroy(rig, 'journal');
  assert.is(start(rig).image.releaseCounter, 2);
  destroy(rig, 'state');
  assert.is(start(rig).image.releaseCounter, 2);
});

test('a cut anywhere in confirmation or recovery leaves one truth, also when the boot block goes then', () => {
  let fired = 0;
  for (const lost of [false, true]) {
    for (let operation = 0; ; operation++) {
      const rig = factory();
      activate(rig);
      const { installer } = start(rig);
      const cut = { stage: 'inside', loseUnsynced: true } as const;
      rig.storage.powerOn([{ kind: 'cut', operation, cut }]);
      try {
        installer.confirm();
        if (lost) destroy(rig, 'state');
        start(rig);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
      }
      if (rig.storage.fired === 0) break;
      fired += 1;
      rig.storage.powerOn();
      if (lost) destroy(rig, 'state');
      const { image, boot } = start(rig);
      const { confirmed, slots, counter, pending } = boot.status();
      assert.is(pending, undefined);
      assert.equal(slots[confirmed], image);
      assert.is(counter, image.releaseCounter);
      // What ran is what runs from now on.
      assert.equal(start(rig).image, image);
    }
  }
  assert.ok(fired >= 8);
});

test.run();
