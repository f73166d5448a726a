/** Key identifiers and rules for key lists. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AlgorithmName, coseKey, publicKeyBytes } from '../../../agent/codec/cose-key.ts';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { equalSecrets } from '../../../agent/crypto/constant-time.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { refuseSharedKeys } from '../../../agent/crypto/key-set.ts';
import { generateKeyPair, keyPairOf } from '../../../hal/node/signing.ts';
import { fromHex, toHex } from '../../vectors.ts';
import { providers } from './providers.ts';

for (const { name, crypto } of providers) {
  const test = suite(`key identifiers, ${name}`);

  test('MET-02: an EC2 key has the thumbprint of RFC 9679 §6', () => {
    const point =
      '0465eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c';
    assert.is(
      toHex(keyId(crypto, { algorithm: 'ESP256', bytes: fromHex(point) })),
      '496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec',
    );
  });

  test('MET-02: an AKP key is hashed with its type and algorithm', () => {
    const bytes = new Uint8Array(publicKeyBytes['SLH-DSA-SHA2-128s']).fill(7);
    // {1: 7, 3: -65540, -1: h'07…'}
    const encoded = encode(coseKey, { algorithm: 'SLH-DSA-SHA2-128s', bytes });
    assert.is(toHex(encoded), `a30107033a00010003205820${'07'.repeat(32)}`);
    const id = keyId(crypto, { algorithm: 'SLH-DSA-SHA2-128s', bytes });
    assert.equal(id, crypto.digest('SHA-256', encoded));
  });

  test.run();
}

const test = suite('key lists');
const composite = generateKeyPair('MLDSA65-ECDSA-P256-SHA512');
const elliptic = keyPairOf('ESP256', composite.secret.subarray(32));
const lattice = keyPairOf('ML-DSA-65', composite.secret.subarray(0, 32));

test('distinct keys are accepted', () => {
  const keys = (['MLDSA65-ECDSA-P256-SHA512', 'ESP256', 'ML-DSA-65'] as AlgorithmName[]).map(
    (algorithm) => generateKeyPair(algorithm).key,
  );
  assert.is(refuseSharedKeys([composite.key, ...keys]), undefined);
  assert.is(refuseSharedKeys([]), undefined);
});

test('ROOT-02: a key listed twice is refused', () => {
  for (const { key } of [composite, elliptic, lattice]) {
    assert.is(refuseSharedKeys([key, key])?.refused, 'key-duplicate');
  }
});

test('HRD-18: a half of a composite key is never listed alone', () => {
  for (const { key } of [elliptic, lattice]) {
    assert.is(refuseSharedKeys([composite.key, key])?.refused, 'key-duplicate');
    assert.is(refuseSharedKeys([key, composite.key])?.refused, 'key-duplicate');
  }
});

test('HRD-18: two composite keys share no half', () => {
  const other = generateKeyPair('MLDSA65-ECDSA-P256-SHA512');
  const mixed = keyPairOf(
    'MLDSA65-ECDSA-P256-SHA512',
    new Uint8Array([...other.secret.subarray(0, 32), ...composite.secret.subarray(32)]),
  );
  assert.is(refuseSharedKeys([composite.key, mixed.key])?.refused, 'key-duplicate');
});

test('a key of another length is refused', () => {
  const key = { algorithm: 'ESP256', bytes: new Uint8Array(64) } as const;
  assert.is(refuseSharedKeys([key])?.refused, 'key-malformed');
});

test('secrets compare by content and length', () => {
  const secret = new Uint8Array([1, 2, 3]);
  assert.is(equalSecrets(secret, new Uint8Array([1, 2, 3])), true);
  assert.is(equalSecrets(secret, new Uint8Array([1, 2, 4])), false);
  assert.is(equalSecrets(secret, new Uint8Array([0, 2, 3])), false);
  assert.is(equalSecrets(secret, new Uint8Array([1, 2])), false);
  assert.is(equalSecrets(new Uint8Array(0), new Uint8Array(0)), true);
});

test('a key decodes to itself, and only with the type and curve of its algorithm', () => {
  for (const { key } of [composite, elliptic, lattice, generateKeyPair('MLKEM768-P256')]) {
    const encoded = encode(coseKey, key);
    assert.equal(decode(coseKey, encoded, encoded.length), key);
  }
  const good = encode(coseKey, elliptic.key);
  const codeOf = (at: number, value: number) => {
    const bytes = good.slice();
    bytes[at] = value;
    const key = decode(coseKey, bytes, bytes.length);
    return isRefusal(key) ? key.refused : undefined;
  };
  // a5 01 02 03 28 20 01 21 58 20 …
  assert.is(codeOf(0, 0xa4), 'key-malformed');
  assert.is(codeOf(2, 7), 'key-malformed'); // AKP with ESP256
  assert.is(codeOf(4, 0x29), 'key-malformed'); // an unknown algorithm
  assert.is(codeOf(6, 2), 'key-malformed'); // P-384
  assert.is(codeOf(5, 0x21), 'key-malformed'); // another label
});

test.run();
