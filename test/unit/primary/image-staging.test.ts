/** Ciphertexts on the Primary's flash: resumed, bounded, and checked from what was really stored. */
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import type { Target } from '../../../agent/metadata/targets.ts';
import { ImageStaging } from '../../../agent/primary/image-staging.ts';
import { createFlash, norGeometry } from '../../../hal/emulated/flash.ts';
import { createMemoryStorage } from '../../../hal/emulated/flash-storage.ts';
import { MemoryKeyValue, RepositorySimulator } from '../../simulator/repository-simulator.ts';
import { crypto } from '../../simulator/simulated-repository.ts';

const test = suite('Image staging');
const sizeBytes = 64 * 4_096;

function create(keyValue = new MemoryKeyValue(), flash = new Uint8Array(sizeBytes).fill(0xff)) {
  const map = { download: { offset: 0, size: sizeBytes } };
  const part = createFlash(map, norGeometry, () => createMemoryStorage(flash));
  const open = () => new ImageStaging(part.open({ path: 'download' }), keyValue, crypto);
  return { staging: open(), open, flash };
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

test('another set of images begins anew', () => {
  const { staging } = create();
  const [one, other] = [targetOf(randomBytes(9_000)), targetOf(randomBytes(9_000))];
  staging.reserve([one]);
  const writer = staging.writer(staging.find(one.hashes[0]!.value));
  writer.write(new Uint8Array(8_192));
  writer.record();
  assert.is(staging.find(one.hashes[0]!.value).received, 8_192);
  staging.reserve([other]);
  assert.is(staging.find(other.hashes[0]!.value).received, 0);
  assert.throws(() => staging.find(one.hashes[0]!.value), 'not reserved');
});

test('images that do not fit together are refused before a byte is asked for', () => {
  const { staging } = create();
  expectRefusal(staging.reserve([targetOf(randomBytes(1), sizeBytes + 1)]), 'target-too-large');
  assert.is(staging.reserve([targetOf(randomBytes(1), sizeBytes)]), undefined);
});

test.run();
