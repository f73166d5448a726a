/** The images on a medium are what the Image repository lists, whatever the server sends. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Refusal } from '../../../agent/codes.ts';
import { hashAlgorithms } from '../../../agent/metadata/common.ts';
import type { Target } from '../../../agent/metadata/targets.ts';
import { writeMedium } from '../../../backend/cli/offline-medium.ts';
import { OperatorClient } from '../../../backend/cli/operator-client.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { makeImage } from '../../scenario/backend-fixture.ts';

const test = suite('offline medium');
const crypto = createNodeCrypto();
const { target, ciphertext } = makeImage('brakes-2.bin', new Uint8Array(1_000).fill(3), ['hw-b']);
const folders: string[] = [];

/** Writes a medium with one image, from a server that answers with `sent`. */
async function write(
  listed: Target,
  sent: Uint8Array,
): Promise<{ readonly folder: string; readonly refused: Refusal | undefined }> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-medium-'));
  folders.push(folder);
  const server = createServer((_request, response) => response.end(sent));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = new OperatorClient(new URL(`http://127.0.0.1:${port}`), 'the-token');
  const none = new Uint8Array(0);
  try {
    const refused = await writeMedium(crypto, client, folder, {
      roots: { director: [], images: [] },
      images: { snapshot: none, files: [] },
      campaign: {
        snapshot: none,
        targets: none,
        version: 1,
        assignments: [],
        keyObjects: [],
        vehicles: [],
      },
      targets: [listed],
    });
    return { folder, refused };
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test.after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

test('PRI-09: the image that is listed is written under its digest', async () => {
  const { folder, refused } = await write(target, ciphertext);
  assert.is(refused, undefined);
  const digest = Buffer.from(target.hashes[0]!.value).toString('hex');
  const file = new Uint8Array(readFileSync(join(folder, 'targets', `${digest}.brakes-2.bin`)));
  assert.equal(file, new Uint8Array(ciphertext));
});

test('PRI-09: an image that differs from the listed digest makes no medium', async () => {
  const changed = ciphertext.slice();
  changed[100]! ^= 1;
  for (const sent of [changed, ciphertext.subarray(0, -1)]) {
    const { refused } = await write(target, sent);
    assert.is(refused?.refused, 'image-hash');
    assert.is(refused?.detail, 'brakes-2.bin: the server sent something else');
  }
});

test('PRI-09: an image without a digest that names its file makes no medium', async () => {
  const hashes = [{ key: hashAlgorithms['SHA-512'], value: new Uint8Array(64) }];
  const { refused } = await write({ ...target, hashes }, ciphertext);
  assert.is(refused?.refused, 'hash-missing');
  assert.is(refused?.detail, 'brakes-2.bin');
});

test.run();
