import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { loadProgram } from '../../../hal/emulated/bootloader.ts';
import type { SlotImage } from '../../../hal/types.ts';
import {
  createRig,
  crypto,
  makeImage,
  manufacture,
  openBoot,
  openInstaller,
  type Rig,
  slotBytes,
  type TestImage,
} from '../install/rig.ts';

const test = suite('bootloader');
const pair = { slots: ['slot-a', 'slot-b'], state: 'state', journal: 'journal' } as const;
const first = makeImage('agent-1', 6_001, 1);
const second = makeImage('agent-2', 5_000, 2);

function factory(): Rig {
  const rig = createRig({ slotBlocks: 2 });
  manufacture(rig, first);
  return rig;
}

function install(rig: Rig, image: TestImage, attempts = 1): void {
  const boot = openBoot(rig, openBoot(rig).status().confirmed);
  const installer = openInstaller(rig, boot);
  installer.begin(image.request);
  installer.write(image.ciphertext);
  installer.activate(installer.finish() as SlotImage, attempts);
}

function load(rig: Rig) {
  const loaded = loadProgram(rig.flash, crypto, pair);
  if (isRefusal(loaded)) throw new Error(`${loaded.refused}: ${loaded.detail}`);
  return loaded;
}

function refusalOf(rig: Rig): string | undefined {
  const loaded = loadProgram(rig.flash, crypto, pair);
  return isRefusal(loaded) ? loaded.refused : undefined;
}

function damage(rig: Rig, slot: number, offset = 1234): void {
  rig.storage.bytes[slot * rig.slotBytes + offset]! ^= 0x10;
}

test('the confirmed program is returned, and nothing is written', () => {
  const rig = factory();
  const before = rig.storage.bytes.slice();
  const loaded = load(rig);
  assert.equal(loaded.program, first.plaintext);
  assert.equal([loaded.slot, loaded.image.filename], [0, 'agent-1']);
  assert.is(loaded.boot.status().active, 0);
  assert.equal(rig.storage.bytes, before);
});

test('an activated program is tried as often as allowed, then the old one is back', () => {
  const rig = factory();
  install(rig, second, 2);
  const slots = [load(rig), load(rig), load(rig), load(rig)];
  assert.equal(
    slots.map(({ slot }) => slot),
    [1, 1, 0, 0],
  );
  assert.equal(slots[0]!.program, second.plaintext);
  assert.equal(slots[3]!.program, first.plaintext);
  assert.is(slots[3]!.boot.status().rolledBack?.filename, 'agent-2');
});

test('a confirmed trial stays', () => {
  const rig = factory();
  install(rig, second);
  load(rig).boot.confirm();
  assert.equal(load(rig).program, second.plaintext);
  assert.equal(load(rig).boot.status().counter, 2);
});

test('a damaged trial image is not run: the confirmed one is, and the failure is recorded', () => {
  for (const offset of [0, 1234, 4999]) {
    const rig = factory();
    install(rig, second, 3);
    damage(rig, 1, offset);
    const loaded = load(rig);
    assert.equal([loaded.slot, loaded.program], [0, first.plaintext]);
    const status = openBoot(rig).status();
    assert.equal([status.pending, status.rolledBack?.filename], [undefined, 'agent-2']);
  }
});

test('bytes behind the image do not matter', () => {
  const rig = factory();
  damage(rig, 0, 6_001);
  assert.equal(load(rig).program, first.plaintext);
});

test('a damaged confirmed image is replaced by a whole one of the same release', () => {
  const rig = factory();
  const again = makeImage('agent-1-again', 5_000, 1);
  install(rig, again);
  load(rig).boot.confirm();
  damage(rig, 1);
  const loaded = load(rig);
  assert.equal([loaded.slot, loaded.program], [0, first.plaintext]);
  assert.is(loaded.boot.status().active, 0);
  const status = openBoot(rig).status();
  assert.equal([status.confirmed, status.rolledBack?.filename], [0, 'agent-1-again']);
});

test('HRD-04: damage is no way back to an older release', () => {
  const rig = factory();
  install(rig, second);
  load(rig).boot.confirm();
  damage(rig, 1);
  const before = rig.storage.bytes.slice();
  assert.is(refusalOf(rig), 'boot-nothing-to-run');
  assert.equal(rig.storage.bytes, before);
  assert.equal(slotBytes(rig, 0).subarray(0, 6_001), first.plaintext);
});

test('VER-02: nothing runs when no slot holds its image or there is no boot record', () => {
  const rig = factory();
  damage(rig, 0);
  assert.is(refusalOf(rig), 'boot-nothing-to-run');
  install(rig, second);
  damage(rig, 1);
  assert.is(refusalOf(rig), 'boot-nothing-to-run');
  assert.is(refusalOf(createRig({ slotBlocks: 2 })), 'boot-block-corrupt');
});

test('a recorded length beyond the slot is not read', () => {
  const rig = factory();
  openBoot(rig, 0).activate(1, { ...second.image, length: 2 ** 40 }, 1);
  assert.is(load(rig).slot, 0);
});

test.run();
