/** An exhausted heap is no damage: nothing is rolled back, lost or forgotten for it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startPair } from '../../../agent/install/boot-selection.ts';
import { InstallJournal } from '../../../agent/install/install-journal.ts';
import { isOutOfMemory } from '../../../agent/install/out-of-memory.ts';
import type { FlashPartition } from '../../../hal/types.ts';
import { createRig, crypto, makeImage, manufacture, openPartition, type Rig } from './rig.ts';

const exhausted = new Error('out of memory');

/** The rig's journal, on an engine whose heap is used up when it is read. */
function withoutMemory(rig: Rig): FlashPartition {
  const journal = openPartition(rig, 'journal');
  return Object.assign(Object.create(journal) as FlashPartition, {
    status: () => journal.status(),
    read: () => {
      throw exhausted;
    },
  });
}

test('what engines throw without memory is told from what devices say', () => {
  for (const error of [exhausted, new Error(''), null, undefined, {}]) {
    assert.ok(isOutOfMemory(error), String(error));
  }
  for (const error of [new Error('flash: reading failed'), new RangeError('offset')]) {
    assert.not.ok(isOutOfMemory(error), String(error));
  }
});

test('VER-02: a start that runs out of memory ends, and changes no boot record', () => {
  const rig = createRig({ slotBlocks: 4 });
  manufacture(rig, makeImage('app-1.bin', 3_000, 1));
  const before = rig.storage.bytes.slice();
  const state = openPartition(rig, 'state');
  const pair = { state, journal: withoutMemory(rig), crypto, holds: () => true };
  assert.throws(() => startPair(pair, false), /out of memory/);
  assert.equal(rig.storage.bytes, before);
});

test('the copy of the confirmed image is not forgotten for want of memory', () => {
  const rig = createRig({ slotBlocks: 4 });
  const { image } = makeImage('app-1.bin', 3_000, 1);
  let hasMemory = true;
  const partition = openPartition(rig, 'journal');
  const journal = new InstallJournal(
    Object.assign(Object.create(partition) as FlashPartition, {
      write: (bytes: Uint8Array, offset: number) => {
        if (!hasMemory) throw exhausted;
        partition.write(bytes, offset);
      },
    }),
    crypto,
  );
  journal.keepConfirmed({ slot: 0, counter: 1, image });
  hasMemory = false;
  assert.throws(() => journal.keepConfirmed({ slot: 1, counter: 2, image }), /out of memory/);
  assert.is(journal.confirmed()?.counter, 1);
});

test.run();
