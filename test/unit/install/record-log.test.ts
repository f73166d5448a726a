import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RecordLog } from '../../../agent/install/record-log.ts';
import { FaultyFlash, PowerCut, seededRandom } from '../../../hal/emulated/faulty-flash.ts';
import { createFlash, type FlashGeometry, norGeometry } from '../../../hal/emulated/flash.ts';
import { createMemoryStorage } from '../../../hal/emulated/flash-storage.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';

const test = suite('record log');
const crypto = createNodeCrypto();
const geometries: readonly FlashGeometry[] = [
  norGeometry,
  { blockLength: 4096, writeAlign: 1, eraseValue: 0xff },
  { blockLength: 4096, writeAlign: 8, eraseValue: 0 },
  { blockLength: 131_072, writeAlign: 256, eraseValue: 0xff },
];

function erasedBytes(geometry: FlashGeometry, blocks = 2): Uint8Array {
  return new Uint8Array(blocks * geometry.blockLength).fill(geometry.eraseValue);
}

function openLog(bytes: Uint8Array, geometry: FlashGeometry): RecordLog {
  const map = { log: { offset: 0, size: bytes.length } };
  const flash = createFlash(map, geometry, () => createMemoryStorage(bytes));
  return new RecordLog(flash.open({ path: 'log' }), crypto);
}

/** A payload whose length varies with `n`, so that block ends are met in many ways. */
function payloadOf(n: number): Uint8Array {
  return new Uint8Array(1 + ((n * 37) % 300)).fill(n % 256);
}

test('an erased log holds nothing; what was appended last is found again', () => {
  for (const geometry of geometries) {
    const bytes = erasedBytes(geometry);
    assert.is(openLog(bytes, geometry).latest(), undefined);
    const log = openLog(bytes, geometry);
    for (let n = 1; n <= 100; n++) {
      log.append(payloadOf(n));
      assert.equal(log.latest(), payloadOf(n));
      assert.equal(openLog(bytes, geometry).latest(), payloadOf(n));
    }
  }
});

test('empty payloads and payloads of the greatest size are kept, one byte more is refused', () => {
  const bytes = erasedBytes(norGeometry);
  const log = openLog(bytes, norGeometry);
  log.append(new Uint8Array(1024).fill(5));
  assert.equal(openLog(bytes, norGeometry).latest(), new Uint8Array(1024).fill(5));
  log.append(new Uint8Array(0));
  assert.equal(openLog(bytes, norGeometry).latest(), new Uint8Array(0));
  assert.throws(() => log.append(new Uint8Array(1025)), /at most 1024/);
});

test('partitions that cannot hold a log are refused', () => {
  assert.throws(() => openLog(erasedBytes(norGeometry, 1), norGeometry), /1 blocks/);
  const small = { blockLength: 1024, writeAlign: 4, eraseValue: 0xff };
  assert.throws(() => openLog(erasedBytes(small), small), /hold no record log/);
});

test('erasing goes round all blocks', () => {
  const bytes = erasedBytes(norGeometry, 4);
  const erased = [0, 0, 0, 0];
  const storage = createMemoryStorage(bytes);
  const flash = createFlash({ log: { offset: 0, size: bytes.length } }, norGeometry, () => ({
    ...storage,
    erase(offset: number, length: number, value: number) {
      erased[offset / 4096]! += length / 4096;
      storage.erase(offset, length, value);
    },
  }));
  const log = new RecordLog(flash.open({ path: 'log' }), crypto);
  for (let n = 0; n < 600; n++) log.append(new Uint8Array(200));
  assert.ok(Math.max(...erased) - Math.min(...erased) <= 1);
  assert.ok(Math.min(...erased) > 5);
});

/** Appends until the power fails and returns the last payload that `append` returned for. */
function appendUntilCut(storage: FaultyFlash, geometry: FlashGeometry, from: number): number {
  const map = { log: { offset: 0, size: storage.bytes.length } };
  const flash = createFlash(map, geometry, () => storage.open());
  let done = from;
  try {
    const log = new RecordLog(flash.open({ path: 'log' }), crypto);
    for (let n = from + 1; n < from + 60; n++) {
      // Some leave their seal to the next one.
      log.append(payloadOf(n), n % 3 !== 0);
      done = n;
    }
  } catch (error) {
    if (!(error instanceof PowerCut)) throw error;
  }
  return done;
}

test('torn records, lost writes and half-erased blocks never cost the newest record', () => {
  let cuts = 0;
  for (const [i, geometry] of geometries.entries()) {
    const random = seededRandom(1000 + i);
    const storage = new FaultyFlash(erasedBytes(geometry), geometry, 1000 + i);
    const cut = { stage: 'inside', loseUnsynced: i % 2 === 0 } as const;
    let confirmed = 0;
    for (let round = 0; round < 250; round++) {
      // Small numbers cut again while the log recovers from the cut before.
      storage.powerOn([{ kind: 'cut', operation: random(round % 3 === 0 ? 3 : 40), cut }]);
      confirmed = appendUntilCut(storage, geometry, confirmed);
      cuts += 1;
      assert.is(storage.fired, cuts - i * 250);
      storage.powerOn();
      const map = { log: { offset: 0, size: storage.bytes.length } };
      const flash = createFlash(map, geometry, () => storage.open());
      const found = new RecordLog(flash.open({ path: 'log' }), crypto).latest();
      if (confirmed === 0 && found === undefined) continue;
      const next = Buffer.compare(found!, payloadOf(confirmed + 1)) === 0;
      if (!next) assert.equal(found, payloadOf(confirmed));
      confirmed += next ? 1 : 0;
    }
  }
  assert.is(cuts, 1000);
});

test('a record torn at any byte, with any last unit, is not taken for a record', () => {
  const random = seededRandom(7);
  const before = erasedBytes(norGeometry);
  openLog(before, norGeometry).append(payloadOf(1));
  const after = before.slice();
  openLog(after, norGeometry).append(payloadOf(2));
  const changed = [...after.keys()].filter((i) => after[i] !== before[i]);
  const start = changed[0]!;
  const end = changed.at(-1)! - 3; // without the seal
  let visited = 0;
  for (let cut = start; cut < end - 8; cut++) {
    const bytes = before.slice();
    bytes.set(after.subarray(start, cut), start);
    const unit = cut - (cut % 4);
    for (let i = cut; i < unit + 4; i++) bytes[i] = random(256);
    const log = openLog(bytes, norGeometry);
    assert.equal(log.latest(), payloadOf(1));
    log.append(payloadOf(3));
    assert.equal(openLog(bytes, norGeometry).latest(), payloadOf(3));
    visited += 1;
  }
  assert.ok(visited > 60);
});

test('a record without its seal is copied before it is used, so that it cannot vanish later', () => {
  const bytes = erasedBytes(norGeometry);
  openLog(bytes, norGeometry).append(payloadOf(1));
  const first = bytes.slice();
  openLog(bytes, norGeometry).append(payloadOf(2));
  const start = first.findIndex((byte, i) => byte !== bytes[i]);
  const seal = bytes.lastIndexOf(0) - 3;
  bytes.fill(0xff, seal, seal + 4);
  const log = openLog(bytes, norGeometry);
  assert.equal(log.latest(), payloadOf(2));
  // A weakly programmed bit of the unsealed record now reads as erased.
  bytes[start + 20]! = 0xff;
  assert.equal(openLog(bytes, norGeometry).latest(), payloadOf(2));
});

test('copying a record without its seal never erases the block of the newest sealed one', () => {
  const bytes = erasedBytes(norGeometry);
  const log = openLog(bytes, norGeometry);
  let last = 0;
  // Block 0 fills up; the first record in block 1 loses its seal to a cut.
  for (let n = 1; bytes[4096] === 0xff; n++) {
    log.append(payloadOf(n));
    last = n;
  }
  const seal = bytes.lastIndexOf(0) - 3;
  bytes.fill(0xff, seal, seal + 4);
  for (let operation = 0; operation < 3; operation++) {
    const storage = new FaultyFlash(bytes.slice(), norGeometry, 5);
    storage.powerOn([{ kind: 'cut', operation, cut: { stage: 'inside' } }]);
    const map = { log: { offset: 0, size: 8192 } };
    const flash = createFlash(map, norGeometry, () => storage.open());
    assert.throws(() => new RecordLog(flash.open({ path: 'log' }), crypto), /power cut/);
    // The unsealed record now reads differently.
    storage.bytes[4096 + 20]! = 0xff;
    const found = openLog(storage.bytes, norGeometry).latest();
    assert.equal(found, payloadOf(last - 1));
  }
});

test('a seal that is left to the next record costs one synchronisation less', () => {
  const storage = new FaultyFlash(erasedBytes(norGeometry), norGeometry);
  const flash = createFlash({ log: { offset: 0, size: 8_192 } }, norGeometry, () => storage.open());
  const log = new RecordLog(flash.open({ path: 'log' }), crypto);
  const costs: number[] = [];
  let { syncs } = storage;
  for (const sealLater of [true, true, true, false, true]) {
    log.append(new Uint8Array(40), sealLater);
    costs.push(storage.syncs - syncs);
    syncs = storage.syncs;
  }
  // The first one of a block comes behind an erasure, and is sealed at once.
  assert.equal(costs, [3, 1, 1, 2, 1]);
});

test('a record that was appended is never lost to a cut while it is sealed by copying', () => {
  for (let records = 1; records < 40; records++) {
    const whole = new FaultyFlash(erasedBytes(norGeometry), norGeometry);
    const map = { log: { offset: 0, size: 8_192 } };
    const open = (part: FaultyFlash) => {
      const flash = createFlash(map, norGeometry, () => part.open());
      return new RecordLog(flash.open({ path: 'log' }), crypto);
    };
    const log = open(whole);
    for (let n = 1; n <= records; n++) log.append(payloadOf(n), true);
    for (let operation = 0; operation < 3; operation++) {
      const part = new FaultyFlash(whole.bytes.slice(), norGeometry, records);
      part.powerOn([{ kind: 'cut', operation, cut: { stage: 'inside' } }]);
      try {
        open(part);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
      }
      part.powerOn();
      assert.equal(open(part).latest(), payloadOf(records));
    }
  }
});

test('a log in the last blocks of a partition leaves the others alone', () => {
  const bytes = erasedBytes(norGeometry, 5);
  bytes.fill(0x5a, 0, 3 * 4_096);
  const flash = createFlash({ log: { offset: 0, size: bytes.length } }, norGeometry, () =>
    createMemoryStorage(bytes),
  );
  const open = () => new RecordLog(flash.open({ path: 'log' }), crypto, 2);
  const log = open();
  for (let n = 1; n <= 100; n++) {
    log.append(payloadOf(n));
    assert.equal(open().latest(), payloadOf(n));
  }
  assert.ok(bytes.subarray(0, 3 * 4_096).every((byte) => byte === 0x5a));
  assert.throws(() => new RecordLog(flash.open({ path: 'log' }), crypto, 6), /hold no record log/);
});

test('any single changed bit makes a record invalid', () => {
  const bytes = erasedBytes(norGeometry);
  openLog(bytes, norGeometry).append(payloadOf(1));
  const first = bytes.slice();
  openLog(bytes, norGeometry).append(payloadOf(2));
  const start = first.findIndex((byte, i) => byte !== bytes[i]);
  const recordBytes = 16 + payloadOf(2).length + 8;
  for (let bit = 0; bit < recordBytes * 8; bit++) {
    const damaged = bytes.slice();
    damaged[start + Math.floor(bit / 8)]! ^= 1 << (bit % 8);
    assert.equal(openLog(damaged, norGeometry).latest(), payloadOf(1));
  }
});

test('a part that keeps nothing is a failing device, not a loop', () => {
  const storage = createMemoryStorage(erasedBytes(norGeometry));
  const flash = createFlash({ log: { offset: 0, size: 8192 } }, norGeometry, () => ({
    ...storage,
    program: () => undefined,
  }));
  const log = new RecordLog(flash.open({ path: 'log' }), crypto);
  assert.throws(() => log.append(payloadOf(1)), /not kept by the flash/);
});

test('random bytes hold no record', () => {
  const random = seededRandom(3);
  for (let i = 0; i < 50; i++) {
    const bytes = erasedBytes(norGeometry).map(() => random(256));
    const log = openLog(bytes, norGeometry);
    assert.is(log.latest(), undefined);
    log.append(payloadOf(i));
    assert.equal(openLog(bytes, norGeometry).latest(), payloadOf(i));
  }
});

test.run();
