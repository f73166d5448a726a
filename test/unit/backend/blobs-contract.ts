/** What every store of images has to do; run against files and against an S3-compatible server. */
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, refuse } from '../../../agent/codes.ts';
import { type BlobStore, toHex } from '../../../backend/store/blobs.ts';

export interface BlobsUnderTest {
  readonly blobs: BlobStore;
  /** Names of everything that is kept, half uploads among it; digests in hex. */
  names(): Promise<readonly string[]>;
}

export async function* stream(...pieces: readonly (Uint8Array | Error)[]) {
  for (const piece of pieces) {
    if (piece instanceof Error) throw piece;
    yield piece;
  }
}

export const accept = async () => undefined;
export const piece = (length: number, value: number) => new Uint8Array(length).fill(value);

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const one of pieces) all.push(one);
  return new Uint8Array(Buffer.concat(all));
}

/** Adds the contract to a suite; `open` gives an empty store for each test. */
export function addBlobsContract(test: Test, open: () => Promise<BlobsUnderTest>): void {
  test('a blob is stored under its digest, once', async () => {
    const { blobs, names } = await open();
    for (let i = 0; i < 2; i++) {
      const pieces = stream(piece(3, 1), piece(0, 0), piece(2, 2));
      const received = await blobs.receive(pieces, 5, accept);
      assert.ok(!isRefusal(received));
      assert.is(received.length, 5);
      assert.is(received.sha512.length, 64);
      assert.ok(await blobs.has(received.sha256));
      const read = await bytesOf(await blobs.read(received.sha256, 0, 5));
      assert.equal(read, Uint8Array.of(1, 1, 1, 2, 2));
      assert.equal(await names(), [toHex(received.sha256)]);
    }
  });

  test('any part of a blob is read, however many pieces it takes', async () => {
    const { blobs } = await open();
    const content = new Uint8Array(300_000).map((_, i) => i * 7 + (i >> 8));
    const received = await blobs.receive(stream(content), content.length, accept);
    assert.ok(!isRefusal(received));
    for (const [start, end] of [
      [0, 300_000],
      [0, 1],
      [299_999, 300_000],
      [65_535, 200_001],
      [100, 100],
    ] as const) {
      const read = await bytesOf(await blobs.read(received.sha256, start, end));
      assert.is(Buffer.compare(read, content.subarray(start, end)), 0, `${start} to ${end}`);
    }
  });

  test('a reader that has enough ends', async () => {
    const { blobs } = await open();
    const received = await blobs.receive(stream(piece(1_000_000, 1)), 1_000_000, accept);
    assert.ok(!isRefusal(received));
    for await (const one of await blobs.read(received.sha256, 0, 1_000_000)) {
      assert.ok(one.length > 0);
      break;
    }
    const last = await bytesOf(await blobs.read(received.sha256, 999_999, 1_000_000));
    assert.equal(last, Uint8Array.of(1));
  });

  test('what is refused, too large or cut leaves nothing', async () => {
    const { blobs, names } = await open();
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
    assert.equal(await names(), []);
    assert.is(await codeOf(blobs.receive(stream(piece(5, 1)), 5, accept)), 'stored');
  });

  test('blobs that nobody knows are removed, known ones stay', async () => {
    const { blobs } = await open();
    const first = await blobs.receive(stream(piece(1, 1)), 5, accept);
    const second = await blobs.receive(stream(piece(1, 2)), 5, accept);
    assert.ok(!isRefusal(first) && !isRefusal(second));
    await blobs.removeUnknown(async (sha256) => toHex(sha256) === toHex(second.sha256));
    const there = [await blobs.has(first.sha256), await blobs.has(second.sha256)];
    assert.equal(there, [false, true]);
  });

  test('a blob that is not there cannot be read', async () => {
    const { blobs } = await open();
    assert.not(await blobs.has(piece(32, 9)));
    try {
      await bytesOf(await blobs.read(piece(32, 9), 0, 1));
      assert.unreachable('nothing can come of it');
    } catch (error) {
      assert.not.instance(error, assert.Assertion);
    }
  });

  test('there is room for uploads', async () => {
    assert.ok((await (await open()).blobs.freeBytes()) > 0);
  });
}
