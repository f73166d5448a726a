/** The store of images in files. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FileBlobs } from '../../../backend/store/file-blobs.ts';
import { addBlobsContract } from './blobs-contract.ts';

const test = suite('blobs in files');
let folder: string;

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'ota-store-'));
});
test.after.each(() => {
  rmSync(folder, { recursive: true, force: true });
});

addBlobsContract(test, async () => ({
  blobs: FileBlobs.open(join(folder, 'blobs')),
  names: async () =>
    readdirSync(join(folder, 'blobs'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name),
}));

test('opening the store removes what never became whole', () => {
  const incoming = join(folder, 'blobs', 'incoming');
  mkdirSync(incoming, { recursive: true });
  writeFileSync(join(incoming, 'half'), 'x');
  FileBlobs.open(join(folder, 'blobs'));
  assert.equal(readdirSync(incoming), []);
});

test.run();
