import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import {
  CobblestoneDecryptor,
  CobblestoneEncryptor,
  chunkOffset,
  ciphertextLength,
  plaintextLength,
} from '../../../agent/image/cobblestone.ts';
import { imageContext } from '../../../agent/image/image-context.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';

const test = suite('chunked image encryption');
const crypto = createNodeCrypto();
const contentKey = new Uint8Array(32).fill(7);
const context = imageContext('brakes-2.bin', 2, new Uint8Array(32).fill(9));
const lengths = [0, 1, 16383, 16384, 16385, 3 * 16384];

function bytesOf(length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 7 + Math.floor(i / 256)) % 256);
}

function encrypt(plaintext: Uint8Array, pieceBytes: number): Uint8Array {
  const salt = new Uint8Array(24).fill(3);
  const encryptor = new CobblestoneEncryptor({ crypto, contentKey, context, salt });
  const parts = [encryptor.header()];
  for (let i = 0; i < plaintext.length; i += pieceBytes) {
    parts.push(...encryptor.update(plaintext.subarray(i, i + pieceBytes)));
  }
  parts.push(encryptor.finish());
  return new Uint8Array(Buffer.concat(parts));
}

/** Collects what a decryptor hands out, and checks that it comes in order. */
function receiver(start = 0) {
  const parts: Uint8Array[] = [];
  let end = start;
  return {
    onPlaintext(bytes: Uint8Array, offset: number) {
      assert.is(offset, end);
      end += bytes.length;
      parts.push(bytes.slice());
    },
    plaintext: () => new Uint8Array(Buffer.concat(parts)),
  };
}

interface Outcome {
  readonly refused: Refusal | undefined;
  readonly plaintext: Uint8Array;
}

function decrypt(
  ciphertext: Uint8Array,
  pieceBytes = ciphertext.length + 1,
  options: Partial<ConstructorParameters<typeof CobblestoneDecryptor>[0]> = {},
): Outcome {
  const { onPlaintext, plaintext } = receiver((options.resumeAtChunk ?? 0) * 16384);
  const decryptor = new CobblestoneDecryptor({
    crypto,
    contentKey,
    context,
    ciphertextLength: ciphertext.length,
    onPlaintext,
    ...options,
  });
  for (let i = 0; i < ciphertext.length; i += pieceBytes) {
    decryptor.write(ciphertext.subarray(i, i + pieceBytes));
  }
  return { refused: decryptor.finish(), plaintext: plaintext() };
}

test('every length comes back, whatever the size of the pieces', () => {
  for (const length of lengths) {
    const plaintext = bytesOf(length);
    for (const pieceBytes of [1, 55, 56, 57, 4096, 16383, 16384, 16399, 16400, 16401, 60_000]) {
      const ciphertext = encrypt(plaintext, pieceBytes);
      assert.is(ciphertext.length, ciphertextLength(length));
      assert.is(plaintextLength(ciphertext.length), length);
      const outcome = decrypt(ciphertext, pieceBytes);
      assert.is(outcome.refused, undefined);
      assert.equal(outcome.plaintext, plaintext);
    }
  }
});

test('lengths follow the layout, also past 2 GiB, and impossible ones are refused', () => {
  assert.is(ciphertextLength(0), 72);
  assert.is(ciphertextLength(16384), 56 + 16400 + 16);
  assert.is(chunkOffset(2), 56 + 2 * 16400);
  const large = 4_294_967_296 + 5;
  assert.is(plaintextLength(ciphertextLength(large)), large);
  for (const length of [-1, 0, 55, 56, 71, 56 + 16400, 56 + 16400 + 15, 72.5, Number.NaN]) {
    const refused = plaintextLength(length);
    assert.is(isRefusal(refused) && refused.refused, 'image-length');
  }
  assert.is(plaintextLength(56 + 16399), 16383);
});

test('decryption resumes at any chunk with the header at hand', () => {
  const plaintext = bytesOf(3 * 16384 + 100);
  const ciphertext = encrypt(plaintext, 50_000);
  for (let chunk = 0; chunk <= 3; chunk++) {
    const rest = ciphertext.subarray(chunkOffset(chunk));
    const outcome = decrypt(rest, 10_000, {
      header: ciphertext.subarray(0, 56),
      resumeAtChunk: chunk,
      ciphertextLength: ciphertext.length,
    });
    assert.is(outcome.refused, undefined);
    assert.equal(outcome.plaintext, plaintext.subarray(chunk * 16384));
  }
  const options = { header: ciphertext.subarray(0, 56), ciphertextLength: ciphertext.length };
  const wrong = decrypt(ciphertext.subarray(chunkOffset(1), chunkOffset(2)), 9_000, {
    ...options,
    resumeAtChunk: 2,
  });
  assert.is(wrong.refused?.refused, 'image-chunk');
  assert.is(wrong.plaintext.length, 0);
  assert.throws(() => decrypt(ciphertext, 1, { ...options, resumeAtChunk: 4 }), /past the end/);
  assert.throws(() => decrypt(ciphertext, 1, { resumeAtChunk: 1 }), /header/);
});

test('another key or context is refused before any chunk is opened', () => {
  const ciphertext = encrypt(bytesOf(20_000), 20_000);
  let opened = 0;
  const watching = {
    ...crypto,
    aeadOpen: (...call: Parameters<typeof crypto.aeadOpen>) => {
      opened += 1;
      return crypto.aeadOpen(...call);
    },
  };
  const wrong = [
    { contentKey: new Uint8Array(32) },
    { contentKey: new Uint8Array(31).fill(7) },
    { contentKey: new Uint8Array(33).fill(7) },
    { context: imageContext('brakes-2.bin', 3, new Uint8Array(32).fill(9)) },
    { context: new Uint8Array(0) },
  ];
  for (const options of wrong) {
    const outcome = decrypt(ciphertext, 16400, { ...options, crypto: watching });
    assert.is(outcome.refused?.refused, 'image-header');
    const resumed = decrypt(ciphertext.subarray(56), 16400, {
      ...options,
      crypto: watching,
      header: ciphertext.subarray(0, 56),
      ciphertextLength: ciphertext.length,
    });
    assert.is(resumed.refused?.refused, 'image-header');
  }
  assert.is(opened, 0);
  decrypt(ciphertext, 16400, { crypto: watching });
  assert.is(opened, 2);
});

test('INS-09: more bytes than the signed length are refused before they are decrypted', () => {
  const ciphertext = encrypt(bytesOf(100), 100);
  const longer = new Uint8Array(ciphertext.length + 1);
  longer.set(ciphertext);
  const whole = decrypt(longer, longer.length, { ciphertextLength: ciphertext.length });
  assert.is(whole.refused?.refused, 'image-length');
  assert.is(whole.refused?.row, 'INS-09');
  assert.is(whole.plaintext.length, 0);
  const bytewise = decrypt(longer, 1, { ciphertextLength: ciphertext.length });
  assert.is(bytewise.refused?.refused, 'image-length');
  assert.equal(bytewise.plaintext, bytesOf(100));
});

test('VIM-09: a stream that ends early is refused, wherever it ends', () => {
  const ciphertext = encrypt(bytesOf(16384 + 50), 50_000);
  const total = ciphertext.length;
  for (const length of [0, 1, 55, 56, 57, 16455, 16456, 16457, total - 17, total - 1]) {
    const outcome = decrypt(ciphertext.subarray(0, length), 5_000, { ciphertextLength: total });
    assert.is(outcome.refused?.refused, 'image-truncated');
    assert.is(outcome.plaintext.length, length >= 16456 ? 16384 : 0);
  }
});

test('after an error nothing more is handed out, and the error stays', () => {
  const ciphertext = encrypt(bytesOf(3 * 16384), 50_000);
  const tampered = ciphertext.slice();
  tampered[chunkOffset(1) + 5]! ^= 1;
  const { onPlaintext, plaintext } = receiver();
  const decryptor = new CobblestoneDecryptor({
    crypto,
    contentKey,
    context,
    ciphertextLength: ciphertext.length,
    onPlaintext,
  });
  const refused = decryptor.write(tampered.subarray(0, chunkOffset(2)));
  assert.is(refused?.refused, 'image-chunk');
  assert.is(decryptor.write(ciphertext.subarray(chunkOffset(2))), refused);
  assert.is(decryptor.write(new Uint8Array(0)), refused);
  assert.is(decryptor.finish(), refused);
  assert.is(plaintext().length, 16384);
  assert.throws(() => decryptor.write(new Uint8Array(1)), /finished/);
});

test('chunk numbers above 32 bits change the right bytes of the nonce', () => {
  const nonces: string[] = [];
  const watching = {
    ...crypto,
    aeadOpen: (_key: Uint8Array, nonce: Uint8Array) => {
      nonces.push(Buffer.from(nonce).toString('hex'));
      return true;
    },
  };
  const header = encrypt(new Uint8Array(0), 1).subarray(0, 56);
  const chunk = 2 ** 32 + 258;
  for (const resumeAtChunk of [0, chunk]) {
    decrypt(new Uint8Array(16400), 16400, {
      crypto: watching,
      header,
      resumeAtChunk,
      ciphertextLength: chunkOffset(chunk + 1) + 16,
      onPlaintext: () => undefined,
    });
  }
  const difference = BigInt(`0x${nonces[0]}`) ^ BigInt(`0x${nonces[1]}`);
  assert.is(difference, BigInt(chunk));
});

test('the context is the deterministic CBOR of name, release counter and digest', () => {
  const expected = `836c6272616b65732d322e62696e025820${'09'.repeat(32)}`;
  assert.is(Buffer.from(context).toString('hex'), expected);
});

test('misuse of the encryptor is refused', () => {
  const salt = new Uint8Array(24);
  const create = (options: object) => () =>
    new CobblestoneEncryptor({ crypto, contentKey, context, salt, ...options });
  assert.throws(create({ contentKey: new Uint8Array(16) }), /contentKey: expected 32/);
  assert.throws(create({ salt: new Uint8Array(23) }), /salt: expected 24/);
  const encryptor = create({})();
  encryptor.finish();
  assert.throws(() => encryptor.update(new Uint8Array(1)), /finished/);
  assert.throws(() => encryptor.finish(), /finished/);
});

test.run();
