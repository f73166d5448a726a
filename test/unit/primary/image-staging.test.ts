/** Ciphertexts on the Primary's flash: resumed, bounded, and checked from what was really stored. */
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import type { Target } from '../../../agent/metadata/targets.ts';
import { ImageStaging, stagingProgressBlocks } from '../../../agent/primary/image-staging.ts';
import { FaultyFlash } from '../../../hal/emulated/faulty-flash.ts';
import { createFlash, norGeometry } from '../../../hal/emulated/flash.ts';
import { MemoryKeyValue, RepositorySimulator } from '../../simulator/repository-simulator.ts';
import { crypto } from '../../simulator/simulated-repository.ts';

const test = suite('Image staging');
const sizeBytes = 64 * 4_096;
const partitionBytes = sizeBytes + stagingProgressBlocks * norGeometry.blockLength;

function create(keyValue = new MemoryKeyValue()) {
  const map = { download: { offset: 0, size: partitionBytes } };
  const flash = new FaultyFlash(new Uint8Array(partitionBytes).fill(0xff), norGeometry);
  const over = (part: FaultyFlash) => {
    const partition = createFlash(map, norGeometry, () => part.open()).open({ path: 'download' });
    return new ImageStaging(partition, keyValue, crypto);
  };
  /** Another start, with what the part holds now. */
  const open = () => over(new FaultyFlash(flash.bytes.slice(), norGeometry));
  return { staging: over(flash), open, flash };
}

const template = new RepositorySimulator('ecdsa').target({ filename: 'a.bin', releaseCounter: 1 });

function targetOf(content: Uint8Array, length = content.length): Target {
  const sha256 = crypto.digest('SHA-256', content);
  const sha512 = crypto.digest('SHA-512', content);
  const hashes = [
    { key: -16 as const, value: sha256 },
    { key: -44 as const, value: sha512 },
  ];
  return { ...template, length, hashes };
}

function expectRefusal(outcome: unknown, code: string): void {
  assert.ok(isRefusal(outcome));
  assert.is((outcome as Refusal).refused, code);
}

test('pieces of any size are stored and fit every listed hash (PRI-09, PRI-10)', () => {
  const { staging } = create();
  const contents = [randomBytes(10_001), randomBytes(4_096), randomBytes(1)];
  const targets = contents.map((content) => targetOf(content));
  assert.is(staging.reserve(targets), undefined);
  contents.forEach((content, i) => {
    const image = staging.find(targets[i]!.hashes[0]!.value);
    const writer = staging.writer(image);
    for (let at = 0; at < content.length; at += 777) {
      assert.is(writer.write(content.subarray(at, at + 777)), undefined);
    }
    assert.is(writer.finish(), undefined);
    const stored = staging.find(targets[i]!.hashes[0]!.value);
    assert.is(staging.check(stored), undefined);
    const back = new Uint8Array(content.length);
    staging.read(stored, back, 0);
    assert.equal(back, new Uint8Array(content));
  });
});

test('PRI-10: one wrong hash of several is enough to refuse, and the bytes are forgotten', () => {
  const { staging } = create();
  const content = randomBytes(5_000);
  const good = targetOf(content);
  const wrong = { key: -44 as const, value: randomBytes(64) };
  const target = { ...good, hashes: [good.hashes[0]!, wrong] };
  staging.reserve([target]);
  const writer = staging.writer(staging.find(good.hashes[0]!.value));
  writer.write(content);
  writer.finish();
  expectRefusal(staging.check(staging.find(good.hashes[0]!.value)), 'image-hash');
  assert.is(staging.find(good.hashes[0]!.value).received, 0);
});

test('INS-09: a byte more than the signed length is refused', () => {
  const { staging } = create();
  const content = randomBytes(100);
  const target = targetOf(content);
  staging.reserve([target]);
  const writer = staging.writer(staging.find(target.hashes[0]!.value));
  assert.is(writer.write(content), undefined);
  expectRefusal(writer.write(new Uint8Array(1)), 'image-length');
});

test('a download goes on from the last whole block after a restart', () => {
  const { staging, open } = create();
  const content = randomBytes(30_000);
  const target = targetOf(content);
  staging.reserve([target]);
  const first = staging.writer(staging.find(target.hashes[0]!.value));
  first.write(content.subarray(0, 10_000));
  expectRefusal(first.finish(), 'image-truncated');

  const again = open();
  assert.is(again.reserve([target]), undefined);
  const image = again.find(target.hashes[0]!.value);
  assert.is(image.received, 8_192);
  const writer = again.writer(image);
  writer.write(content.subarray(image.received));
  assert.is(writer.finish(), undefined);
  assert.is(again.check(again.find(target.hashes[0]!.value)), undefined);
});

test('a power cut costs less than one chunk, whatever the pieces', () => {
  for (const piece of [777, 4_096, 16_400, 65_536]) {
    const { staging, open } = create();
    const content = randomBytes(200_000);
    const target = targetOf(content);
    staging.reserve([target]);
    const writer = staging.writer(staging.find(target.hashes[0]!.value));
    for (let at = 0; at + piece < content.length; at += piece) {
      writer.write(content.subarray(at, at + piece));
      // Nothing was finished or recorded in order: the power is gone.
      const { received } = open().find(target.hashes[0]!.value);
      assert.ok(writer.received - received < 16_400, `${writer.received} and ${received}`);
      const back = new Uint8Array(received);
      staging.read(staging.find(target.hashes[0]!.value), back, 0);
      assert.equal(back, new Uint8Array(content.subarray(0, received)));
    }
  }
});

test('a chunk costs one synchronisation and no key-value write', () => {
  const keyValue = new MemoryKeyValue();
  const { staging, flash } = create(keyValue);
  const chunks = 12;
  const content = randomBytes(chunks * 16_384);
  const target = targetOf(content);
  staging.reserve([target]);
  const writer = staging.writer(staging.find(target.hashes[0]!.value));
  const { syncs } = flash;
  const { changes } = keyValue;
  writer.write(content);
  // Two more where the records go on in another block: they are sealed at once there, and erased.
  const blocks = 2;
  assert.ok(flash.syncs - syncs <= chunks + 2 * blocks, `${flash.syncs - syncs} syncs`);
  assert.is(keyValue.changes, changes);
  assert.is(writer.finish(), undefined);
});

test('a record whose bytes are not there is believed up to the chunk before', () => {
  const { staging, open, flash } = create();
  const content = randomBytes(100_000);
  const target = targetOf(content);
  staging.reserve([target]);
  const image = staging.find(target.hashes[0]!.value);
  staging.writer(image).write(content.subarray(0, 3 * 16_384));
  assert.is(open().find(image.sha256).received, 3 * 16_384);
  // The cut has kept the record, and of the chunk all but its last page.
  flash.bytes.fill(0xff, 3 * 16_384 - 4_096, 3 * 16_384);
  const again = open();
  const found = again.find(image.sha256);
  assert.is(found.received, 2 * 16_384);
  const writer = again.writer(found);
  assert.is(writer.write(content.subarray(writer.received)), undefined);
  assert.is(writer.finish(), undefined);
  assert.is(again.check(again.find(image.sha256)), undefined);
});

test('a cut right behind the last piece, before it is recorded, costs no more than a chunk', () => {
  const { staging, open, flash } = create();
  const content = randomBytes(2 * 16_384 - 100);
  const target = targetOf(content);
  staging.reserve([target]);
  const image = staging.find(target.hashes[0]!.value);
  const writer = staging.writer(image);
  writer.write(content);
  const received: number[] = [];
  flash.onOperation = () => received.push(open().find(image.sha256).received);
  assert.is(writer.finish(), undefined);
  assert.ok(received.length > 1);
  assert.ok(
    received.every((bytes) => bytes >= 16_384),
    received.join(),
  );
  assert.is(open().find(image.sha256).received, content.length);
});

test('images that are still wanted stay where they are, others make room', () => {
  const { staging, open } = create();
  const contents = [40_000, 90_000, 40_000].map((length) => randomBytes(length));
  const targets = contents.map((content) => targetOf(content));
  assert.is(staging.reserve(targets), undefined);
  contents.forEach((content, i) => {
    const writer = staging.writer(staging.find(targets[i]!.hashes[0]!.value));
    writer.write(content);
    assert.is(writer.finish(), undefined);
  });
  const [added, larger] = [targetOf(randomBytes(80_000)), targetOf(randomBytes(100_000))];
  assert.is(staging.reserve([targets[0]!, added, targets[2]!]), undefined);
  for (const kept of [targets[0]!, targets[2]!]) {
    const image = open().find(kept.hashes[0]!.value);
    assert.is(image.received, kept.length);
    assert.is(staging.check(image), undefined);
  }
  assert.is(open().find(added.hashes[0]!.value).offset, 40_960);
  // No gap is large enough: everything is laid out anew, and nothing is believed to be there.
  assert.is(staging.reserve([targets[0]!, larger, targets[2]!]), undefined);
  assert.is(open().find(targets[0]!.hashes[0]!.value).received, 0);
});

test('progress of an earlier life of an image does not vouch for a later one', () => {
  const keyValue = new MemoryKeyValue();
  const { staging, open } = create(keyValue);
  const content = randomBytes(50_000);
  const target = targetOf(content);
  staging.reserve([target]);
  const writer = staging.writer(staging.find(target.hashes[0]!.value));
  writer.write(content);
  writer.finish();
  staging.clear();
  const changes = keyValue.changes;
  // A cut after each of the changes that reserving it again makes.
  for (let after = 0; after < 4; after++) {
    keyValue.failAfter = changes + after;
    try {
      staging.reserve([target]);
    } catch {
      // The power is gone.
    }
    keyValue.failAfter = Number.POSITIVE_INFINITY;
    const again = open();
    again.reserve([target]);
    assert.is(again.find(target.hashes[0]!.value).received, 0);
    again.clear();
    keyValue.changes = changes;
  }
});

test('the entity tag of an object is kept with its bytes', () => {
  const { staging, open } = create();
  const target = targetOf(randomBytes(9_000));
  staging.reserve([target]);
  staging.keepEntityTag(staging.find(target.hashes[0]!.value), '"1"');
  assert.is(open().find(target.hashes[0]!.value).etag, '"1"');
  const long = `"${'x'.repeat(127)}"`;
  staging.keepEntityTag(staging.find(target.hashes[0]!.value), long);
  assert.is(
    open().find(target.hashes[0]!.value).etag,
    '"1"',
    'a tag of 129 characters is not kept',
  );
});

test('an image that begins anew forgets what came, also across a restart', () => {
  const { staging, open } = create();
  const content = randomBytes(60_000);
  const target = targetOf(content);
  staging.reserve([target]);
  const writer = staging.writer(staging.find(target.hashes[0]!.value));
  writer.write(randomBytes(50_000));
  writer.restart();
  assert.is(open().find(target.hashes[0]!.value).received, 0);
  writer.write(content);
  assert.is(writer.finish(), undefined);
  assert.is(staging.check(staging.find(target.hashes[0]!.value)), undefined);
});

test('images that do not fit together are refused before a byte is asked for', () => {
  const { staging } = create();
  expectRefusal(staging.reserve([targetOf(randomBytes(1), sizeBytes + 1)]), 'target-too-large');
  assert.is(staging.reserve([targetOf(randomBytes(1), sizeBytes)]), undefined);
});

test.run();
