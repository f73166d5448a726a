import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { CobblestoneDecryptor } from '../../../agent/image/cobblestone.ts';
import { imageContext } from '../../../agent/image/image-context.ts';
import { EncryptedImage, openImage } from '../../../backend/cli/image-stream.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';

const test = suite('image stream');
const folder = mkdtempSync(join(tmpdir(), 'ota-image-stream-'));
const crypto = createNodeCrypto();

function contentOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + Math.floor(i / 256)) % 251);
}

async function opened(content: Uint8Array) {
  const path = join(folder, 'image');
  writeFileSync(path, content);
  const image = await openImage(path);
  if (isRefusal(image)) throw new Error(image.detail);
  return { image, path };
}

for (const length of [1, 16_383, 16_384, 16_385, 262_144, 300_001]) {
  test(`VIM-06: ${length} bytes come out as they went in`, async () => {
    const content = contentOf(length);
    const { image } = await opened(content);
    assert.is(image.length, length);
    assert.equal(Buffer.from(image.sha256), createHash('sha256').update(content).digest());
    const context = imageContext('image.bin', 3, image.sha256);
    const encrypted = new EncryptedImage(crypto, image, context);
    const plaintext: Uint8Array[] = [];
    const decryptor = new CobblestoneDecryptor({
      crypto,
      contentKey: encrypted.contentKey,
      context,
      ciphertextLength: encrypted.length,
      onPlaintext: (bytes) => plaintext.push(bytes.slice()),
    });
    const hash = createHash('sha256');
    let sent = 0;
    for await (const piece of encrypted.stream()) {
      if (isRefusal(piece)) throw new Error(piece.detail);
      hash.update(piece);
      sent += piece.length;
      assert.is(decryptor.write(piece), undefined);
    }
    assert.is(decryptor.finish(), undefined);
    assert.is(sent, encrypted.length);
    assert.equal(Buffer.concat(plaintext), Buffer.from(content));
    assert.equal(Buffer.from(encrypted.sha256()), hash.digest());
    await image.handle.close();
  });
}

test('two encryptions of one image share neither key nor bytes', async () => {
  const { image } = await opened(contentOf(100));
  const ciphertexts: string[] = [];
  const keys = new Set<string>();
  for (let i = 0; i < 2; i++) {
    const encrypted = new EncryptedImage(crypto, image, imageContext('a', 1, image.sha256));
    keys.add(Buffer.from(encrypted.contentKey).toString('hex'));
    for await (const piece of encrypted.stream()) {
      if (!isRefusal(piece)) ciphertexts.push(Buffer.from(piece).toString('hex'));
    }
  }
  assert.is(keys.size, 2);
  assert.is(new Set(ciphertexts).size, ciphertexts.length);
  await image.handle.close();
});

const changes: Record<string, (path: string) => void> = {
  longer: (path) => appendFileSync(path, 'x'),
  shorter: (path) => truncateSync(path, 99_999),
  other: (path) => writeFileSync(path, new Uint8Array(100_000)),
};

for (const [name, change] of Object.entries(changes)) {
  test(`a file that became ${name} between the passes is refused before its last chunk`, async () => {
    const { image, path } = await opened(contentOf(100_000));
    const encrypted = new EncryptedImage(crypto, image, imageContext('a', 1, image.sha256));
    change(path);
    const pieces: unknown[] = [];
    let sent = 0;
    for await (const piece of encrypted.stream()) {
      pieces.push(piece);
      if (!isRefusal(piece)) sent += piece.length;
    }
    const last = pieces.at(-1);
    assert.ok(isRefusal(last));
    assert.is(last.refused, 'file-unreadable');
    assert.ok(sent < encrypted.length);
    assert.throws(() => encrypted.sha256());
    await image.handle.close();
  });
}

test('IMG-04: what is no readable, non-empty regular file is refused', async () => {
  const empty = join(folder, 'empty');
  writeFileSync(empty, '');
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [empty, pipe, folder, join(folder, 'absent'), '/dev/zero']) {
    const image = await openImage(path);
    assert.ok(isRefusal(image), path);
    assert.is(image.refused, 'file-unreadable', path);
  }
});

test('an image that is too large once encrypted is refused without reading it', async () => {
  const path = join(folder, 'sparse');
  writeFileSync(path, '');
  truncateSync(path, 4_294_967_296);
  const image = await openImage(path);
  assert.ok(isRefusal(image));
  assert.is(image.refused, 'body-too-large');
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
