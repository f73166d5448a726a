/** The chunked encryption on two chunks, for engines on which AES is slow. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { CobblestoneDecryptor, CobblestoneEncryptor } from '../../../agent/image/cobblestone.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';

const test = suite('chunked image encryption, two chunks');
const crypto = createNodeCrypto();
const contentKey = new Uint8Array(32).fill(7);
const context = new Uint8Array([1, 2, 3]);
const plaintext = new Uint8Array(17_000).map((_, i) => (i * 7 + Math.floor(i / 256)) % 256);

const encryptor = new CobblestoneEncryptor({
  crypto,
  contentKey,
  context,
  salt: new Uint8Array(24).fill(3),
});
const ciphertext = new Uint8Array(
  Buffer.concat([encryptor.header(), ...encryptor.update(plaintext), encryptor.finish()]),
);

/** What came out before the end, or the refusal's code. */
function decrypt(bytes: Uint8Array): Uint8Array | string {
  const out = new Uint8Array(plaintext.length);
  const decryptor = new CobblestoneDecryptor({
    crypto,
    contentKey,
    context,
    ciphertextLength: bytes.length,
    onPlaintext: (piece, offset) => out.set(piece, offset),
  });
  decryptor.write(bytes);
  const refused = decryptor.finish();
  return isRefusal(refused) ? refused.refused : out;
}

test('what was encrypted comes back', () => {
  assert.equal(decrypt(ciphertext), plaintext);
});

test('a changed byte in the last chunk is refused', () => {
  const changed = new Uint8Array(ciphertext);
  changed[changed.length - 20] = changed[changed.length - 20]! ^ 1;
  assert.is(decrypt(changed), 'image-chunk');
});
test.run();
