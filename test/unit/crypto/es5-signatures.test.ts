/** Verification in the language of tier 2 (hal/es5), over another provider's SHA-256. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { verifyP256 } from '../../../hal/es5/p256-verify.ts';
import { verifySlhDsa } from '../../../hal/es5/slh-dsa.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { fromHex, loadVectors } from '../../vectors.ts';

interface File {
  readonly testGroups: readonly {
    readonly publicKey: { readonly uncompressed: string };
    readonly tests: readonly {
      readonly tcId: number;
      readonly comment: string;
      readonly msg: string;
      readonly sig: string;
      readonly result: string;
    }[];
  }[];
}

const test = suite('signatures in ES5');
const crypto = createNodeCrypto();
const sha256 = (bytes: Uint8Array) => crypto.digest('SHA-256', bytes);
const none = new Uint8Array(0);
const message = new Uint8Array([1, 2, 3]);

const vectors = loadVectors<File>('wycheproof_ecdsa_secp256r1_sha256_p1363_test.json', 262);
if (vectors !== undefined) {
  test('P-256 agrees with all 262 Wycheproof P1363 cases', () => {
    let seen = 0;
    for (const { publicKey, tests } of vectors.testGroups) {
      const key = fromHex(publicKey.uncompressed);
      for (const { tcId, comment, msg, sig, result } of tests) {
        const valid = verifyP256(sha256, key, fromHex(msg), fromHex(sig));
        assert.is(valid, result === 'valid', `case ${tcId}: ${comment}`);
        seen += 1;
      }
    }
    assert.is(seen, 262);
  });
}

test('P-256 keys that are no points of the curve verify nothing', () => {
  const { key, sign } = signerOf(generateKeyPair('ESP256'));
  const signature = sign(message);
  const verify = (changed: Uint8Array) => verifyP256(sha256, changed, message, signature);
  assert.is(verify(key.bytes), true);
  for (const at of [0, 1, 64]) {
    const other = key.bytes.slice();
    other[at]! ^= 1;
    assert.is(verify(other), false);
  }
  assert.is(verify(key.bytes.subarray(0, 64)), false);
  assert.is(verify(new Uint8Array(65)), false);
  const beyond = new Uint8Array(65).fill(0xff);
  beyond[0] = 4;
  assert.is(verify(beyond), false);
});

test('SLH-DSA verifies its signature and nothing near it', () => {
  const { key, sign } = signerOf(generateKeyPair('SLH-DSA-SHA2-128s'));
  const signature = sign(message);
  const verify = (over: Uint8Array, by: Uint8Array, made: Uint8Array, context = none) =>
    verifySlhDsa(sha256, by, over, made, context);
  assert.is(verify(message, key.bytes, signature), true);
  assert.is(verify(new Uint8Array([1, 2, 4]), key.bytes, signature), false);
  assert.is(verify(message, key.bytes, signature, new Uint8Array(1)), false);
  assert.is(verify(message, key.bytes, signature, new Uint8Array(256)), false);
  for (const at of [0, 31]) {
    const other = key.bytes.slice();
    other[at]! ^= 1;
    assert.is(verify(message, other, signature), false);
  }
  // Randomizer; FORS secret and node; a chain and a node of the first and of the last layer.
  for (const at of [0, 16, 32, 2_928, 3_500, 7_200, 7_855]) {
    const other = signature.slice();
    other[at]! ^= 0x80;
    assert.is(verify(message, key.bytes, other), false);
  }
  assert.is(verify(message, key.bytes, signature.subarray(1)), false);
  assert.is(verify(message, key.bytes.subarray(1), signature), false);
});

test.run();
