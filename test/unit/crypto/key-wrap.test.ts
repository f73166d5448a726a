/** Content keys wrapped for one ECU, image and vehicle, and for no other. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { unwrapContentKey, wrapContentKey } from '../../../agent/crypto/key-wrap.ts';
import { maxKeyObjectBytes } from '../../../agent/limits.ts';
import { keyObject, type WrapContext } from '../../../agent/metadata/key-object.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import { providers, random } from './providers.ts';

const digest = new Uint8Array(32).fill(3);
const context: WrapContext = ['vehicle-1', 'brakes', 'brakes-2.bin', digest];
const pair = generateKeyPair('MLKEM768-P256');
const contentKey = random.bytes(32);

for (const { name, crypto } of providers) {
  const test = suite(`key wrap, ${name}`);
  const wrap = () => wrapContentKey(crypto, pair.key, contentKey, context) as Uint8Array;
  const codeOf = (bytes: Uint8Array, secret = pair.secret, bound = context) => {
    const result = unwrapContentKey(crypto, secret, bytes, bound);
    return isRefusal(result) ? result.refused : undefined;
  };

  test('every provider unwraps what this one wrapped', () => {
    const wrapped = wrap();
    assert.ok(wrapped.length < maxKeyObjectBytes);
    for (const other of providers) {
      assert.equal(unwrapContentKey(other.crypto, pair.secret, wrapped, context), contentKey);
    }
  });

  test('wrapping twice gives unrelated key objects without the key in them', () => {
    const [first, second] = [wrap(), wrap()];
    assert.not.equal(first, second);
    assert.is(Buffer.from(first).indexOf(contentKey), -1);
  });

  test('VIM-06: another vehicle, ECU, file, ciphertext or private key unwraps nothing', () => {
    const wrapped = wrap();
    const others: readonly WrapContext[] = [
      ['vehicle-2', 'brakes', 'brakes-2.bin', digest],
      ['vehicle-1', 'steering', 'brakes-2.bin', digest],
      ['vehicle-1', 'brakes', 'brakes-3.bin', digest],
      ['vehicle-1', 'brakes', 'brakes-2.bin', new Uint8Array(32)],
    ];
    for (const other of others) {
      assert.is(codeOf(wrapped, pair.secret, other), 'key-object-unwrap');
    }
    assert.is(codeOf(wrapped, random.bytes(32)), 'key-object-unwrap');
    assert.is(codeOf(wrapped), undefined);
  });

  test('VIM-06: an altered key object unwraps nothing', () => {
    const opened = decode(keyObject, wrap(), maxKeyObjectBytes);
    assert.not.ok(isRefusal(opened));
    if (isRefusal(opened)) return;
    for (const field of ['encapsulation', 'wrappedKey'] as const) {
      const length = opened[field].length;
      for (const at of [0, Math.floor(length / 2), length - 1]) {
        const bytes = opened[field].slice();
        bytes[at] = bytes[at]! ^ 1;
        assert.is(codeOf(encode(keyObject, { ...opened, [field]: bytes })), 'key-object-unwrap');
      }
    }
  });

  test('VIM-06: a truncated, lengthened or oversized key object is refused before any key is used', () => {
    const wrapped = wrap();
    for (let length = 0; length < wrapped.length; length += 1) {
      assert.match(codeOf(wrapped.subarray(0, length))!, /^cbor-/);
    }
    assert.is(codeOf(new Uint8Array([...wrapped, 0])), 'cbor-trailing-bytes');
    assert.is(codeOf(new Uint8Array(maxKeyObjectBytes + 1)), 'cbor-too-large');
  });

  test('keys that wrap nothing are refused', () => {
    const malformed = { algorithm: 'MLKEM768-P256', bytes: new Uint8Array(1249) } as const;
    for (const key of [malformed, generateKeyPair('ESP256').key]) {
      const result = wrapContentKey(crypto, key, contentKey, context);
      assert.is(isRefusal(result) && result.refused, 'key-malformed');
    }
    assert.throws(
      () => wrapContentKey(crypto, pair.key, new Uint8Array(31), context),
      /contentKey/,
    );
  });

  test.run();
}
