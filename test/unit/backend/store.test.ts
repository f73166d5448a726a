/** The blob store. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, refuse } from '../../../agent/codes.ts';
import { BlobStore, toHex } from '../../../backend/store/blobs.ts';

const test = suite('blob store');
let folder: string;

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'ota-store-'));
});
test.after.each(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function* stream(...pieces: readonly (Uint8Array | Error)[]) {
  for (const piece of pieces) {
    if (piece instanceof Error) throw piece;
    yield piece;
  }
}

const filesBelow = (path: string): readonly string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

const accept = async () => undefined;
const piece = (length: number, value: number) => new Uint8Array(length).fill(value);

test('a blob is stored under its digest, once', async () => {
  const blobs = new BlobStore(join(folder, 'blobs'));
  for (let i = 0; i < 2; i++) {
    const received = await blobs.receive(stream(piece(3, 1), piece(0, 0), piece(2, 2)), 5, accept);
    assert.ok(!isRefusal(received));
    assert.is(received.length, 5);
    assert.is(received.sha512.length, 64);
    assert.ok(blobs.has(received.sha256));
    assert.equal(
      new Uint8Array(readFileSync(blobs.pathOf(received.sha256))),
      Uint8Array.of(1, 1, 1, 2, 2),
    );
    assert.equal(filesBelow(join(folder, 'blobs')), [toHex(received.sha256)]);
  }
});

test('what is refused, too large or cut leaves nothing', async () => {
  const blobs = new BlobStore(join(folder, 'blobs'));
  const codeOf = async (result: Promise<unknown>) => {
    const value = await result;
    return isRefusal(value) ? value.refused : 'stored';
  };
  const no = async () => refuse('image-length');
  assert.is(await codeOf(blobs.receive(stream(piece(3, 1)), 5, no)), 'image-length');
  const large = stream(piece(3, 1), piece(3, 1));
  assert.is(await codeOf(blobs.receive(large, 5, accept)), 'body-too-large');
  const cut = stream(piece(3, 1), new Error('gone'));
  assert.is(await codeOf(blobs.receive(cut, 5, accept)), 'body-incomplete');
  assert.equal(filesBelow(join(folder, 'blobs')), []);
  assert.is(await codeOf(blobs.receive(stream(piece(5, 1)), 5, accept)), 'stored');
});

test('opening the store removes what never became whole', () => {
  const incoming = join(folder, 'blobs', 'incoming');
  mkdirSync(incoming, { recursive: true });
  writeFileSync(join(incoming, 'half'), 'x');
  new BlobStore(join(folder, 'blobs'));
  assert.equal(readdirSync(incoming), []);
});

test('blobs that nobody knows are removed, known ones stay', async () => {
  const blobs = new BlobStore(join(folder, 'blobs'));
  const first = await blobs.receive(stream(piece(1, 1)), 5, accept);
  const second = await blobs.receive(stream(piece(1, 2)), 5, accept);
  assert.ok(!isRefusal(first) && !isRefusal(second));
  await blobs.removeUnknown(async (sha256) => toHex(sha256) === toHex(second.sha256));
  assert.equal([blobs.has(first.sha256), blobs.has(second.sha256)], [false, true]);
});

test.run();
