/** MLKEM768-P256 of every provider: agreement between them, malformed input, ML-KEM vectors. */
import { createPrivateKey, decapsulate as nativeDecapsulate } from 'node:crypto';
import { ml_kem768_p256 } from '@noble/post-quantum/hybrid.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generateKeyPair, keyPairOf } from '../../../hal/node/signing.ts';
import { fromHex, loadVectors, toHex } from '../../vectors.ts';
import { providers, random } from './providers.ts';

for (const { name, crypto } of providers) {
  const test = suite(`MLKEM768-P256, ${name}`);

  test('what one provider encapsulates, every provider decapsulates to the same secret', () => {
    for (let round = 0; round < 5; round++) {
      const pair = generateKeyPair('MLKEM768-P256');
      const made = crypto.encapsulate(pair.key.bytes);
      assert.is(made?.ciphertext.length, 1153);
      assert.is(made?.sharedSecret.length, 32);
      for (const other of providers) {
        assert.equal(other.crypto.decapsulate(pair.secret, made!.ciphertext), made!.sharedSecret);
      }
    }
  });

  test('every encapsulation is fresh', () => {
    const { key } = generateKeyPair('MLKEM768-P256');
    const [first, second] = [crypto.encapsulate(key.bytes)!, crypto.encapsulate(key.bytes)!];
    assert.not.equal(first.sharedSecret, second.sharedSecret);
    assert.not.equal(first.ciphertext, second.ciphertext);
  });

  test('a changed ML-KEM half gives another secret, a point off the curve none', () => {
    const pair = generateKeyPair('MLKEM768-P256');
    const made = crypto.encapsulate(pair.key.bytes)!;
    const lattice = made.ciphertext.slice();
    lattice[100] = lattice[100]! ^ 1;
    const secret = crypto.decapsulate(pair.secret, lattice);
    assert.is(secret?.length, 32);
    assert.not.equal(secret, made.sharedSecret);
    const point = made.ciphertext.slice();
    point[1152] = point[1152]! ^ 1;
    assert.is(crypto.decapsulate(pair.secret, point), undefined);
    const form = made.ciphertext.slice();
    form[1088] = 6 + (form[1152]! & 1);
    assert.is(crypto.decapsulate(pair.secret, form), undefined);
  });

  test('malformed ciphertexts and public keys give undefined', () => {
    const pair = generateKeyPair('MLKEM768-P256');
    for (const length of [0, 1088, 1152, 1154]) {
      assert.is(crypto.decapsulate(pair.secret, random.bytes(length)), undefined);
    }
    for (const length of [0, 1184, 1248, 1250]) {
      assert.is(crypto.encapsulate(random.bytes(length)), undefined);
    }
    const offCurve = pair.key.bytes.slice();
    offCurve[1248] = offCurve[1248]! ^ 1;
    assert.is(crypto.encapsulate(offCurve), undefined);
    const notReduced = pair.key.bytes.slice();
    notReduced.fill(255, 0, 3); // coefficients above the modulus (FIPS 203 §7.2)
    assert.is(crypto.encapsulate(notReduced), undefined);
  });

  test.run();
}

const keys = suite('MLKEM768-P256 keys');

keys('a seed gives the same public key natively and in noble', () => {
  for (let round = 0; round < 20; round++) {
    const seed = random.bytes(32);
    const native = keyPairOf('MLKEM768-P256', seed).key.bytes;
    assert.equal(native, ml_kem768_p256.getPublicKey(seed));
  }
});

keys.run();

// The providers expose the hybrid only, so the ML-KEM files run on the function below each of them.
interface Case {
  readonly comment: string;
  readonly dk: string;
  readonly c: string;
  readonly K?: string;
  readonly result: 'valid' | 'invalid';
}
const file = loadVectors<{ testGroups: readonly { tests: readonly Case[] }[] }>(
  'wycheproof_mlkem_768_semi_expanded_decaps_test.json',
  2 * 9,
);

/** One DER element with a two-byte length. */
function element(tag: number, content: Uint8Array): Buffer {
  const head = Buffer.from([tag, 0x82, Math.floor(content.length / 256), content.length % 256]);
  return Buffer.concat([head, content]);
}

/** PKCS#8 with ML-KEM's expanded private key (RFC 9935 §6), whatever its length. */
function decapsulateNatively(expandedKey: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  const header = Buffer.from('020100300b0609608648016503040402', 'hex');
  const octets = element(0x04, element(0x04, expandedKey));
  const der = element(0x30, Buffer.concat([header, octets]));
  return nativeDecapsulate(
    createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
    ciphertext,
  );
}

for (const [name, decapsulate] of [
  ['node', decapsulateNatively],
  ['noble', (key: Uint8Array, input: Uint8Array) => ml_kem768.decapsulate(input, key)],
] as const) {
  const test = suite(`ML-KEM-768 below ${name}`);
  if (file !== undefined) {
    test('decapsulation agrees with all 9 Wycheproof cases', () => {
      const cases = file.testGroups.flatMap((group) => group.tests);
      assert.is(cases.length, 9);
      for (const one of cases) {
        const run = () => decapsulate(fromHex(one.dk), fromHex(one.c));
        if (one.result === 'valid') assert.is(toHex(run()), one.K, one.comment);
        else assert.throws(run, undefined, one.comment);
      }
    });
  }
  test.run();
}
