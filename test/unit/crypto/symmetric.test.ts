/** Digests, HMAC and AES-256-GCM of every provider: known answers and failing inputs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fromHex, toHex } from '../../vectors.ts';
import { providers, random } from './providers.ts';

const ascii = (text: string) => new Uint8Array(Buffer.from(text, 'ascii'));
const none = new Uint8Array(0);

/** FIPS 180-4 examples. */
const digests = [
  ['SHA-256', '', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['SHA-256', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'SHA-256',
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  [
    'SHA-512',
    'abc',
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  ],
] as const;

/** Test cases 13, 14 and 16 of the GCM specification (McGrew, Viega). */
const sealed = [
  {
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    aad: '',
    plaintext: '',
    output: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    key: '00'.repeat(32),
    nonce: '00'.repeat(12),
    aad: '',
    plaintext: '00'.repeat(16),
    output: 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    key: 'feffe9928665731c6d6a8f9467308308'.repeat(2),
    nonce: 'cafebabefacedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    plaintext:
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    output:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
  },
];

for (const { name, crypto } of providers) {
  const test = suite(`symmetric crypto, ${name}`);

  test('digests equal the FIPS 180-4 examples', () => {
    for (const [algorithm, message, expected] of digests) {
      assert.is(toHex(crypto.digest(algorithm, ascii(message))), expected);
    }
  });

  test('a digest fed in pieces equals the one-shot digest', () => {
    const message = random.bytes(1_000);
    for (const algorithm of ['SHA-256', 'SHA-512'] as const) {
      for (const piece of [1, 63, 64, 65, 127, 999]) {
        const digest = crypto.createDigest(algorithm);
        for (let at = 0; at < message.length; at += piece) {
          digest.update(message.subarray(at, at + piece));
        }
        assert.equal(digest.finish(), crypto.digest(algorithm, message));
      }
    }
  });

  test('a finished digest takes no more bytes', () => {
    const digest = crypto.createDigest('SHA-256');
    digest.finish();
    assert.throws(() => digest.update(none));
    assert.throws(() => digest.finish());
  });

  test('HMAC equals RFC 4231 test case 2', () => {
    const mac = (algorithm: 'SHA-256' | 'SHA-512') =>
      toHex(crypto.hmac(algorithm, ascii('Jefe'), ascii('what do ya want for nothing?')));
    assert.is(mac('SHA-256'), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
    assert.is(
      mac('SHA-512'),
      '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
    );
  });

  test('AES-256-GCM seals and opens the published cases', () => {
    for (const one of sealed) {
      const [key, nonce, aad] = [fromHex(one.key), fromHex(one.nonce), fromHex(one.aad)];
      assert.is(toHex(crypto.aeadSeal(key, nonce, aad, fromHex(one.plaintext))), one.output);
      const input = fromHex(one.output);
      const out = new Uint8Array(input.length - 16);
      assert.ok(crypto.aeadOpen(key, nonce, aad, input, out));
      assert.is(toHex(out), one.plaintext);
    }
  });

  test('opening in place gives the plaintext in the ciphertext buffer', () => {
    const [key, nonce, plaintext] = [random.bytes(32), random.bytes(12), random.bytes(16_384)];
    const buffer = crypto.aeadSeal(key, nonce, none, plaintext);
    assert.ok(crypto.aeadOpen(key, nonce, none, buffer, buffer.subarray(0, plaintext.length)));
    assert.equal(buffer.slice(0, plaintext.length), plaintext);
  });

  test('a changed key, nonce, header, ciphertext or tag opens nothing and leaves no plaintext', () => {
    const parts = [random.bytes(32), random.bytes(12), random.bytes(5)] as const;
    const input = crypto.aeadSeal(...parts, random.bytes(40));
    const flipped = (bytes: Uint8Array, at: number) => {
      const copy = bytes.slice();
      copy[at] = copy[at]! ^ 1;
      return copy;
    };
    type Attempt = readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const attempts: readonly Attempt[] = [
      [flipped(parts[0], 31), parts[1], parts[2], input],
      [parts[0], flipped(parts[1], 0), parts[2], input],
      [parts[0], parts[1], flipped(parts[2], 4), input],
      [parts[0], parts[1], none, input],
      ...[0, 39, 40, 55].map((at): Attempt => [...parts, flipped(input, at)]),
    ];
    for (const attempt of attempts) {
      const out = new Uint8Array(40).fill(0xaa);
      assert.is(crypto.aeadOpen(...attempt, out), false);
      // Untouched, or cleared by a provider that works in place.
      assert.ok(out.every((byte) => byte === out[0]) && (out[0] === 0xaa || out[0] === 0));
    }
  });

  test('an input shorter than a tag opens nothing', () => {
    for (let length = 0; length < 16; length++) {
      const input = new Uint8Array(length);
      assert.is(crypto.aeadOpen(new Uint8Array(32), new Uint8Array(12), none, input, none), false);
    }
  });

  test('a key of another AES variant and an output of another length are bugs and throw', () => {
    const input = new Uint8Array(20);
    const open = (keyBytes: number, outBytes: number) => () =>
      crypto.aeadOpen(
        new Uint8Array(keyBytes),
        new Uint8Array(12),
        none,
        input,
        new Uint8Array(outBytes),
      );
    assert.throws(open(16, 4));
    assert.throws(open(32, 5));
    assert.throws(() =>
      crypto.aeadSeal(new Uint8Array(16), new Uint8Array(12), none, new Uint8Array(1)),
    );
  });

  test.run();
}
