/** Single-algorithm signatures of every provider: Wycheproof files, malformed input, interchange. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { fromHex, loadVectors } from '../../vectors.ts';
import { providers, random } from './providers.ts';

interface Case {
  readonly tcId: number;
  readonly comment: string;
  readonly msg: string;
  readonly ctx?: string;
  readonly sig: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}
interface File<Key> {
  readonly testGroups: readonly { readonly publicKey: Key; readonly tests: readonly Case[] }[];
}

const ecdsa = loadVectors<File<{ uncompressed: string }>>(
  'wycheproof_ecdsa_secp256r1_sha256_p1363_test.json',
  2 * 262,
);
const mlDsa = loadVectors<File<string>>('wycheproof_mldsa_65_verify_test.json', 2 * 210);

const none = new Uint8Array(0);
const message = new Uint8Array([1, 2, 3]);

for (const { name, crypto } of providers) {
  const test = suite(`signatures, ${name}`);

  if (ecdsa !== undefined) {
    test('ESP256 agrees with all 262 Wycheproof P1363 cases', () => {
      let seen = 0;
      for (const group of ecdsa.testGroups) {
        const key = fromHex(group.publicKey.uncompressed);
        for (const one of group.tests) {
          const valid = crypto.verify('ESP256', key, fromHex(one.msg), fromHex(one.sig));
          assert.is(valid, one.result === 'valid', `case ${one.tcId}: ${one.comment}`);
          seen += 1;
        }
      }
      assert.is(seen, 262);
    });
  }

  if (mlDsa !== undefined) {
    test('ML-DSA-65 agrees with all 210 Wycheproof cases, contexts included', () => {
      let seen = 0;
      let withContext = 0;
      for (const group of mlDsa.testGroups) {
        const key = fromHex(group.publicKey);
        for (const one of group.tests) {
          const context = one.ctx === undefined ? undefined : fromHex(one.ctx);
          const signature = fromHex(one.sig);
          const valid = crypto.verify('ML-DSA-65', key, fromHex(one.msg), signature, context);
          assert.is(valid, one.result === 'valid', `case ${one.tcId}: ${one.comment}`);
          seen += 1;
          if (context !== undefined) withContext += 1;
        }
      }
      assert.is(seen, 210);
      assert.ok(withContext > 0);
    });
  }

  for (const algorithm of [
    'ESP256',
    'ML-DSA-44',
    'ML-DSA-65',
    'ML-DSA-87',
    'SLH-DSA-SHA2-128s',
  ] as const) {
    test(`GEN-02: ${algorithm} verifies its signature and nothing near it`, () => {
      const signer = signerOf(generateKeyPair(algorithm));
      const key = signer.key.bytes;
      const signature = signer.sign(message);
      const verify = (...input: [Uint8Array, Uint8Array, Uint8Array, Uint8Array?]) =>
        crypto.verify(algorithm, ...input);
      assert.is(verify(key, message, signature), true);
      assert.is(verify(key, message, signature, none), true);
      assert.is(verify(key, message, signature, new Uint8Array([1])), false);
      assert.is(verify(key, message, signature, new Uint8Array(256)), false);
      assert.is(verify(key, new Uint8Array([1, 2]), signature), false);
      const altered = signature.slice();
      altered[altered.length >> 1] = altered[altered.length >> 1]! ^ 1;
      assert.is(verify(key, message, altered), false);
    });

    test(`${algorithm} answers false to malformed keys and signatures, never throws`, () => {
      const signer = signerOf(generateKeyPair(algorithm));
      const key = signer.key.bytes;
      const signature = signer.sign(message);
      for (const malformed of [
        none,
        signature.subarray(1),
        new Uint8Array([...signature, 0]),
        new Uint8Array(signature.length),
        new Uint8Array(signature.length).fill(255),
      ]) {
        assert.is(crypto.verify(algorithm, key, message, malformed), false);
      }
      for (const malformed of [
        none,
        key.subarray(1),
        new Uint8Array([...key, 0]),
        new Uint8Array(key.length),
        new Uint8Array(key.length).fill(255),
        random.bytes(key.length),
      ]) {
        assert.is(crypto.verify(algorithm, malformed, message, signature), false);
      }
    });
  }

  test('a P-256 key that is off the curve or in another form verifies nothing', () => {
    const signer = signerOf(generateKeyPair('ESP256'));
    const key = signer.key.bytes;
    const signature = signer.sign(message);
    const offCurve = key.slice();
    offCurve[64] = offCurve[64]! ^ 1;
    const hybridForm = key.slice();
    hybridForm[0] = 6 + (key[64]! & 1);
    const compressed = new Uint8Array([2 + (key[64]! & 1), ...key.subarray(1, 33)]);
    for (const other of [offCurve, hybridForm, compressed, new Uint8Array([0])]) {
      assert.is(crypto.verify('ESP256', other, message, signature), false);
    }
  });

  test("an ECU's own signature verifies on every provider", () => {
    const pair = generateKeyPair('ESP256');
    const signature = crypto.sign('ESP256', pair.secret, message);
    assert.is(signature.length, 64);
    for (const other of providers) {
      assert.is(other.crypto.verify('ESP256', pair.key.bytes, message, signature), true);
    }
  });

  test('ESP384 verifies the signature of RFC 6979 §A.2.6', () => {
    const key = fromHex(
      '04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720',
    );
    const signature = fromHex(
      '94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe4699ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8',
    );
    const sample = new Uint8Array(Buffer.from('sample'));
    assert.is(crypto.verify('ESP384', key, sample, signature), true);
    assert.is(crypto.verify('ESP384', key, message, signature), false);
  });

  test.run();
}
