/** Wycheproof: c2sp_chunked_encryption_aes_256_gcm_test.json, through the streaming interface. */
import { inflateSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CobblestoneDecryptor } from '../../../agent/image/cobblestone.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { fromHex, loadVectors, toHex } from '../../vectors.ts';

interface Case {
  readonly tcId: number;
  readonly comment: string;
  readonly key: string;
  readonly ctx: string;
  /** zlib-compressed. */
  readonly ct: string;
  readonly msgLength?: number;
  readonly msgSha512?: string;
  readonly result: 'valid' | 'invalid';
  readonly flags: readonly string[];
}

const test = suite('Wycheproof vectors of Cobblestone-256');
const crypto = createNodeCrypto();
const caseCount = 35;
const file = loadVectors<{ testGroups: readonly { tests: readonly Case[] }[] }>(
  'wycheproof_c2sp_chunked_encryption_aes_256_gcm_test.json',
  caseCount + 1,
);
const cases = file?.testGroups.flatMap((group) => group.tests) ?? [];
/** One byte at a time for short inputs only: 4 MiB bytewise proves nothing more. */
const pieceSizes = [1, 7, 55, 56, 57, 4096, 16399, 16400, 16401, 60_000, Number.MAX_SAFE_INTEGER];

/** Decrypts as far as it goes; afterwards checks that the decryptor keeps failing. */
function decrypt(vector: Case, ciphertext: Uint8Array, pieceBytes: number, totalLength: number) {
  const digest = crypto.createDigest('SHA-512');
  let emitted = 0;
  const decryptor = new CobblestoneDecryptor({
    crypto,
    contentKey: fromHex(vector.key),
    context: fromHex(vector.ctx),
    ciphertextLength: totalLength,
    onPlaintext(bytes, offset) {
      assert.is(offset, emitted);
      emitted += bytes.length;
      digest.update(bytes);
    },
  });
  for (let i = 0; i < ciphertext.length; i += pieceBytes) {
    const refused = decryptor.write(ciphertext.subarray(i, i + pieceBytes));
    const before = emitted;
    if (refused === undefined) continue;
    assert.is(decryptor.write(ciphertext.subarray(0, pieceBytes)), refused);
    assert.is(emitted, before);
  }
  return { refused: decryptor.finish(), emitted, sha512: toHex(digest.finish()) };
}

if (cases.length > 0) {
  test('all 35 cases are there', () => {
    assert.is(cases.length, caseCount);
  });
}

for (const vector of cases) {
  test(`case ${vector.tcId}: ${vector.comment}`, () => {
    const ciphertext = new Uint8Array(inflateSync(fromHex(vector.ct)));
    for (const pieceBytes of pieceSizes) {
      if (pieceBytes < 50 && ciphertext.length > 100_000) continue;
      const outcome = decrypt(vector, ciphertext, pieceBytes, ciphertext.length);
      assert.is(outcome.refused === undefined, vector.result === 'valid');
      // For an invalid case, the longest valid prefix; nothing where there is none.
      const longest = vector.msgLength ?? 0;
      assert.ok(outcome.emitted <= longest);
      if (vector.result === 'valid') assert.is(outcome.emitted, longest);
      if (vector.msgSha512 !== undefined && outcome.emitted === longest) {
        assert.is(outcome.sha512, vector.msgSha512);
      }
      if (vector.flags.includes('HeaderFailure')) {
        assert.ok(['image-header', 'image-length'].includes(outcome.refused?.refused ?? ''));
      }
    }
  });

  if (!vector.flags.includes('PartialPlaintext')) continue;
  test(`case ${vector.tcId} under a possible length: the valid prefix, then an error`, () => {
    const ciphertext = new Uint8Array(inflateSync(fromHex(vector.ct)));
    for (const pieceBytes of pieceSizes) {
      // A length that promises more than there is: errors come from the stream alone.
      const promised = 56 + 3 * 16400 + 16;
      const outcome = decrypt(vector, ciphertext, pieceBytes, promised);
      assert.ok(outcome.refused !== undefined);
      assert.is(outcome.emitted, vector.msgLength);
      assert.is(outcome.sha512, vector.msgSha512);
    }
  });
}

test.run();
