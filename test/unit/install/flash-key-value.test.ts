import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FlashKeyValue } from '../../../agent/install/flash-key-value.ts';
import {
  type Cut,
  FaultyFlash,
  PowerCut,
  seededRandom,
} from '../../../hal/emulated/faulty-flash.ts';
import { createFlash, type FlashGeometry, norGeometry } from '../../../hal/emulated/flash.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';

const test = suite('key-value store in flash');
const crypto = createNodeCrypto();
const geometries: readonly (FlashGeometry & { readonly blocks: number })[] = [
  { ...norGeometry, blocks: 2 },
  { ...norGeometry, blocks: 8 },
  { blockLength: 4096, writeAlign: 1, eraseValue: 0xff, blocks: 4 },
  { blockLength: 8192, writeAlign: 8, eraseValue: 0, blocks: 2 },
  { blockLength: 65_536, writeAlign: 256, eraseValue: 0xff, blocks: 2 },
];

type Geometry = (typeof geometries)[number];

function part(geometry: Geometry, seed = 1): FaultyFlash {
  const bytes = new Uint8Array(geometry.blocks * geometry.blockLength).fill(geometry.eraseValue);
  return new FaultyFlash(bytes, geometry, seed);
}

function open(flash: FaultyFlash, geometry: Geometry): FlashKeyValue {
  const map = { values: { offset: 0, size: flash.bytes.length } };
  const partition = createFlash(map, geometry, () => flash.open()).open({ path: 'values' });
  return new FlashKeyValue(partition, crypto);
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value % 256);

test('values are read back by another instance, replaced and deleted', () => {
  for (const geometry of geometries) {
    const flash = part(geometry);
    const store = open(flash, geometry);
    assert.is(store.read('counter'), undefined);
    store.write('counter', Uint8Array.of(1, 2));
    store.write('empty', new Uint8Array(0));
    store.write('counter', Uint8Array.of(3));
    const again = open(flash, geometry);
    assert.equal(again.read('counter'), Uint8Array.of(3));
    assert.equal(again.read('empty'), new Uint8Array(0));
    again.delete('counter');
    again.delete('never written');
    assert.is(open(flash, geometry).read('counter'), undefined);
    assert.equal(open(flash, geometry).read('empty'), new Uint8Array(0));
  }
});

test('thousands of writes go round both banks and keep every other value', () => {
  for (const geometry of geometries) {
    const flash = part(geometry);
    const erased: Record<number, number> = {};
    flash.onOperation = ({ kind, offset }) => {
      if (kind === 'erase') erased[offset] = (erased[offset] ?? 0) + 1;
    };
    const store = open(flash, geometry);
    store.write('root', filled(1_500, 7));
    for (let n = 0; n < 2_000; n++) store.write(`key-${n % 5}`, filled(n % 90, n));
    const counts = Object.values(erased);
    assert.is(counts.length, 2);
    assert.ok(Math.abs(counts[0]! - counts[1]!) <= 1, `${counts}`);
    const again = open(flash, geometry);
    assert.equal(again.read('root'), filled(1_500, 7));
    for (let n = 1_995; n < 2_000; n++) assert.equal(again.read(`key-${n % 5}`), filled(n % 90, n));
  }
});

test('what does not fit is refused before anything is changed', () => {
  const geometry = geometries[0]!;
  const flash = part(geometry);
  const store = open(flash, geometry);
  store.write('a', filled(3_000, 1));
  const before = flash.bytes.slice();
  assert.throws(() => store.write('b', filled(3_000, 2)), /do not fit a bank of 4096/);
  assert.throws(() => store.write('', filled(1, 2)), /1 to 255/);
  assert.throws(() => store.write('é', filled(1, 2)), /printable ASCII/);
  assert.equal(flash.bytes, before);
  assert.equal(open(flash, geometry).read('a'), filled(3_000, 1));
  assert.throws(
    () => open(part({ ...geometry, blocks: 3 }), { ...geometry, blocks: 3 }),
    /two banks/,
  );
});

/** Changes values at random; what `write` returned for is in `sure`, the one under way in `open`. */
class Model {
  sure: Record<string, number | undefined> = {};
  underWay: { key: string; value: number | undefined } | undefined;

  live(store: FlashKeyValue, random: (limit: number) => number): void {
    for (let n = 0; n < 40; n++) {
      const key = `key-${random(4)}`;
      const value = random(5) === 0 ? undefined : random(100_000);
      this.underWay = { key, value };
      if (value === undefined) store.delete(key);
      else store.write(key, filled(50 + (value % 400), value));
      this.sure[key] = value;
      this.underWay = undefined;
    }
  }

  /** Every value is the last sure one, or for the key under way the new one; settles which. */
  check(store: FlashKeyValue): void {
    for (let i = 0; i < 4; i++) {
      const key = `key-${i}`;
      const found = store.read(key);
      const is = (value: number | undefined) =>
        value === undefined
          ? found === undefined
          : found !== undefined && Buffer.compare(found, filled(50 + (value % 400), value)) === 0;
      if (this.underWay?.key === key && is(this.underWay.value))
        this.sure[key] = this.underWay.value;
      assert.ok(is(this.sure[key]), `${key} is ${found?.length} bytes`);
    }
    this.underWay = undefined;
  }
}

test('HRD-14: cuts before, inside and after any operation, also in recovery, leave old or new values', () => {
  let total = 0;
  for (const [i, geometry] of geometries.entries()) {
    let cuts = 0;
    const random = seededRandom(400 + i);
    const flash = part(geometry, i);
    const model = new Model();
    for (let round = 0; round < 300; round++) {
      const stage = (['before', 'inside', 'inside', 'inside', 'after'] as const)[random(5)]!;
      const cut: Cut = { stage, loseUnsynced: random(2) === 0 };
      // Small numbers cut again while the store recovers from the cut before.
      const operation = random(round % 3 === 0 ? 4 : 60);
      flash.powerOn([{ kind: 'cut', operation, cut }]);
      try {
        const store = open(flash, geometry);
        model.check(store);
        model.live(store, random);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
        cuts += 1;
      }
      flash.powerOn();
      model.check(open(flash, geometry));
    }
    assert.is(flash.fired, cuts);
    total += cuts;
  }
  assert.ok(total > 1_000, `${total} cuts`);
});

test('a header without its seal, which may not last, gives way to the bank that it was copied from', () => {
  const geometry = geometries[0]!;
  const flash = part(geometry);
  const store = open(flash, geometry);
  let n = 0;
  while (flash.bytes[4096] === 0xff) store.write('key', filled(200, ++n));
  // The power failed before the seal of the second bank's header, so the last write never returned.
  const seal = 4096 + 32;
  assert.equal([...flash.bytes.subarray(seal, seal + 4)], [0, 0, 0, 0]);
  flash.bytes.fill(0xff, seal, seal + 4);
  const found = open(flash, geometry).read('key')!;
  assert.equal(found, filled(200, n - 1));
  // Whatever the header's bits would have read as tomorrow: nothing is left of it.
  assert.ok(flash.bytes.subarray(4096).every((byte) => byte === 0xff));
});

test('a bank that was written to is the active one, even when the seal of its header fades', () => {
  const geometry = geometries[0]!;
  const flash = part(geometry);
  const store = open(flash, geometry);
  let n = 0;
  while (flash.bytes[4096] === 0xff) store.write('key', filled(200, ++n));
  store.write('key', filled(200, ++n));
  flash.bytes.fill(0xff, 4096 + 32, 4096 + 36);
  assert.equal(open(flash, geometry).read('key'), filled(200, n));
});

test('rotten bits in one entry do not cost the entries behind it', () => {
  const geometry = geometries[1]!;
  const flash = part(geometry);
  const store = open(flash, geometry);
  store.write('first', filled(300, 1));
  store.write('second', filled(300, 2));
  store.write('third', filled(300, 3));
  const at = flash.bytes.indexOf(2, 200);
  flash.bytes[at]! ^= 0x10;
  assert.throws(() => store.read('second'), /has lost second/);
  const again = open(flash, geometry);
  assert.equal(again.read('first'), filled(300, 1));
  assert.is(again.read('second'), undefined);
  assert.equal(again.read('third'), filled(300, 3));
});

test.run();
