/** HKDF over the HMAC of every provider. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hkdfExpand, hkdfExtract } from '../../../agent/crypto/hkdf.ts';
import { fromHex, loadVectors, toHex } from '../../vectors.ts';
import { providers } from './providers.ts';

interface Case {
  readonly tcId: number;
  readonly ikm: string;
  readonly salt: string;
  readonly info: string;
  readonly size: number;
  readonly okm: string;
  readonly result: 'valid' | 'invalid';
}
const file = loadVectors<{ testGroups: readonly { tests: readonly Case[] }[] }>(
  'wycheproof_hkdf_sha512_test.json',
  2 * 83,
);

for (const { name, crypto } of providers) {
  const test = suite(`HKDF, ${name}`);

  if (file !== undefined) {
    test('SHA-512 agrees with all 83 Wycheproof cases; too large an output throws', () => {
      let [valid, invalid] = [0, 0];
      for (const one of file.testGroups.flatMap((group) => group.tests)) {
        const run = () => {
          const key = hkdfExtract(crypto, 'SHA-512', fromHex(one.salt), fromHex(one.ikm));
          return hkdfExpand(crypto, 'SHA-512', key, fromHex(one.info), one.size);
        };
        if (one.result === 'valid') {
          assert.is(toHex(run()), one.okm, `case ${one.tcId}`);
          valid += 1;
        } else {
          assert.throws(run, /length/, `case ${one.tcId}`);
          invalid += 1;
        }
      }
      assert.equal([valid, invalid], [80, 3]);
    });
  }

  test('SHA-256 equals RFC 5869 test cases 1 and 3', () => {
    const inputKey = new Uint8Array(22).fill(0x0b);
    const derive = (salt: string, info: string) => {
      const key = hkdfExtract(crypto, 'SHA-256', fromHex(salt), inputKey);
      return toHex(hkdfExpand(crypto, 'SHA-256', key, fromHex(info), 42));
    };
    assert.is(
      derive('000102030405060708090a0b0c', 'f0f1f2f3f4f5f6f7f8f9'),
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    );
    assert.is(
      derive('', ''),
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    );
  });

  test('the output limit is 255 digests', () => {
    const key = new Uint8Array(32);
    const none = new Uint8Array(0);
    assert.is(hkdfExpand(crypto, 'SHA-256', key, none, 0).length, 0);
    assert.is(hkdfExpand(crypto, 'SHA-256', key, none, 8_160).length, 8_160);
    assert.throws(() => hkdfExpand(crypto, 'SHA-256', key, none, 8_161), /length/);
  });

  test.run();
}
