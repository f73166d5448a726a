/** The fault engine itself: each fault happens where it was planned, is counted, and repeats by seed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fault, FaultyFlash, PowerCut } from '../../../hal/emulated/faulty-flash.ts';
import { createFlash, norGeometry } from '../../../hal/emulated/flash.ts';
import type { FlashPartition } from '../../../hal/types.ts';

const test = suite('fault engine of the emulated flash');
const blocks = 4;

function part(seed = 1): FaultyFlash {
  return new FaultyFlash(new Uint8Array(blocks * 4096).fill(0xff), norGeometry, seed);
}

function open(flash: FaultyFlash): FlashPartition {
  const map = { all: { offset: 0, size: blocks * 4096 } };
  return createFlash(map, norGeometry, () => flash.open()).open({ path: 'all' });
}

const sixteen = Uint8Array.from({ length: 16 }, (_, i) => i);
const first = (flash: FaultyFlash, count = 16) => [...flash.bytes.subarray(0, count)];
const erased = new Array(16).fill(0xff);

/** Programs 16 bytes with a cut at that operation; the bytes that are there afterwards. */
function programWithCut(cut: (Fault & { kind: 'cut' })['cut'], seed = 1): number[] {
  const flash = part(seed);
  flash.powerOn([{ kind: 'cut', operation: 0, cut }]);
  const partition = open(flash);
  assert.throws(
    () => partition.write(sixteen, 0),
    (error: unknown) => error instanceof PowerCut,
  );
  assert.throws(() => partition.read(new Uint8Array(1), 0), 'no power');
  assert.equal([flash.planned, flash.fired], [1, 1]);
  return first(flash);
}

test('a cut before an operation leaves nothing of it, one after it all of it', () => {
  assert.equal(programWithCut({ stage: 'before' }), erased);
  assert.equal(programWithCut({ stage: 'after' }), [...sixteen]);
});

test('a cut inside a program leaves a prefix of whole units and one unit of any bits', () => {
  for (let done = 0; done < 4; done++) {
    const seen = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const found = programWithCut({ stage: 'inside', done }, seed);
      assert.equal(found.slice(0, done * 4), [...sixteen].slice(0, done * 4));
      assert.equal(found.slice(done * 4 + 4), erased.slice(done * 4 + 4));
      // Programming takes bits away only.
      for (let i = done * 4; i < done * 4 + 4; i++) assert.is(found[i]! & sixteen[i]!, sixteen[i]);
      seen.add(found.join());
      assert.equal(programWithCut({ stage: 'inside', done }, seed), found, 'by its seed');
    }
    assert.ok(seen.size > 10);
  }
});

test('a cut inside an erasure leaves whole blocks and one block of any bits', () => {
  const flash = part();
  const partition = open(flash);
  partition.write(new Uint8Array(3 * 4096), 0);
  flash.powerOn([{ kind: 'cut', operation: 0, cut: { stage: 'inside', done: 1 } }]);
  assert.throws(() => partition.eraseBlock(0, 3), /power cut inside/);
  assert.ok(flash.bytes.subarray(0, 4096).every((byte) => byte === 0xff));
  const second = flash.bytes.subarray(4096, 8192);
  assert.ok(new Set(second).size > 100);
  assert.ok(flash.bytes.subarray(8192, 3 * 4096).every((byte) => byte === 0));
});

test('what was not synchronised is lost in any combination, what was stays', () => {
  const kept = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const flash = part(seed);
    const cut = { stage: 'before', loseUnsynced: true } as const;
    flash.powerOn([{ kind: 'cut', operation: 4, cut }]);
    const partition = open(flash);
    const other = open(flash);
    partition.write(new Uint8Array(4), 0);
    other.write(new Uint8Array(4), 12);
    // What `sync` promises holds for the whole part.
    other.sync();
    partition.write(new Uint8Array(4), 4);
    partition.write(new Uint8Array(4), 8);
    assert.throws(() => partition.write(new Uint8Array(4), 16), /power cut/);
    const units = [0, 4, 8, 12, 16].map((at) => flash.bytes[at] === 0);
    assert.equal([units[0], units[3], units[4]], [true, true, false]);
    kept.add(`${units[1]} ${units[2]}`);
  }
  assert.is(kept.size, 4, 'the later without the earlier too');
});

test('a rotten bit reads inverted from its operation on', () => {
  const flash = part();
  flash.powerOn([{ kind: 'bit-rot', operation: 1, offset: 5, bit: 3 }]);
  const partition = open(flash);
  partition.write(sixteen, 0);
  assert.is(flash.fired, 0);
  partition.write(sixteen, 16);
  assert.equal([flash.bytes[5], flash.fired], [5 ^ 8, 1]);
});

test('a read fails as often as planned', () => {
  const flash = part();
  flash.powerOn([{ kind: 'read-error', read: 1, times: 2 }]);
  const partition = open(flash);
  const buffer = new Uint8Array(4);
  partition.read(buffer, 0);
  for (let n = 0; n < 2; n++) assert.throws(() => partition.read(buffer, 0), /read \d failed/);
  partition.read(buffer, 0);
  assert.is(flash.fired, 1);
});

test('a stuck block keeps its content when it is erased', () => {
  const flash = part();
  const partition = open(flash);
  partition.write(new Uint8Array(2 * 4096), 0);
  flash.powerOn([{ kind: 'stuck-block', block: 1 }]);
  partition.eraseBlock(0, 2);
  assert.equal([flash.bytes[0], flash.bytes[4096], flash.bytes[8191]], [0xff, 0, 0]);
  assert.is(flash.fired, 1);
});

test('a fault that is not met does not count as fired', () => {
  const flash = part();
  flash.powerOn([{ kind: 'cut', operation: 7, cut: { stage: 'after' } }]);
  open(flash).write(sixteen, 0);
  assert.equal([flash.planned, flash.fired, flash.operations], [1, 0, 1]);
});

test.run();
