/** Composite ML-DSA-65 + P-256: the draft's vectors, and every way to take the pair apart. */
import { sign as nativeSign } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PublicKey } from '../../../agent/codec/cose-key.ts';
import {
  compositeLabel,
  compositeMessage,
  mlDsaSignatureBytes,
  verifyComposite,
} from '../../../agent/crypto/composite.ts';
import { ecdsaFromDer, ecdsaToDer } from '../../../agent/crypto/ecdsa-der.ts';
import { verifySignature } from '../../../agent/crypto/verify-signature.ts';
import { importPrivateKey } from '../../../hal/node/key-format.ts';
import { generateKeyPair, keyPairOf, signerOf } from '../../../hal/node/signing.ts';
import { fromBase64, loadVectors } from '../../vectors.ts';
import { providers } from './providers.ts';

interface Vectors {
  readonly m: string;
  readonly ctx: string;
  readonly tests: readonly {
    readonly pk: string;
    readonly sk: string;
    readonly s: string;
    readonly sWithContext: string;
  }[];
}
const file = loadVectors<Vectors>('lamps_mldsa65_ecdsa_p256_sha512.json', 2);

const algorithm = 'MLDSA65-ECDSA-P256-SHA512';
const message: Uint8Array = new Uint8Array([1, 2, 3]);
const none = new Uint8Array(0);
const pair = generateKeyPair(algorithm);
const signature = signerOf(pair).sign(message);
const lattice = signature.subarray(0, mlDsaSignatureBytes);
const elliptic = signature.subarray(mlDsaSignatureBytes);

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** The two halves made by hand, so that each rule can be broken alone. */
function signHalves(signed: Uint8Array, context: Uint8Array): Uint8Array {
  const latticeKey = importPrivateKey('ML-DSA-65', pair.secret.subarray(0, 32));
  const key = importPrivateKey('ESP256', pair.secret.subarray(32));
  return concat(
    nativeSign(null, signed, { key: latticeKey, context }),
    nativeSign('sha256', signed, { key, dsaEncoding: 'der' }),
  );
}

for (const { name, crypto } of providers) {
  const test = suite(`composite signature, ${name}`);
  const codeOf = (key: PublicKey, bytes: Uint8Array, signed: Uint8Array = message) =>
    verifySignature(crypto, key, signed, bytes)?.refused;

  if (file !== undefined) {
    test("verifies the draft's signatures without and with a context", () => {
      const [m, ctx] = [fromBase64(file.m), fromBase64(file.ctx)];
      assert.is(file.tests.length, 1);
      const one = file.tests[0]!;
      const [pk, s, withContext] = [one.pk, one.s, one.sWithContext].map(fromBase64) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      assert.is(verifyComposite(crypto, pk, m, s), true);
      assert.is(verifyComposite(crypto, pk, m, withContext, ctx), true);
      assert.is(verifyComposite(crypto, pk, m, s, ctx), false);
      assert.is(verifyComposite(crypto, pk, m, withContext), false);
      assert.is(verifyComposite(crypto, pk, m.subarray(1), s), false);
      const key = { algorithm, bytes: pk } as const;
      assert.is(verifySignature(crypto, key, m, s), undefined);
      assert.is(verifySignature(crypto, key, m, withContext, ctx), undefined);
      for (const stripped of [s.subarray(0, 3309), s.subarray(3309)]) {
        assert.is(codeOf(key, stripped, m), 'signature-half');
      }
      assert.is(codeOf(key, concat(s.subarray(3309), s.subarray(0, 3309)), m), 'signature-invalid');
      // The halves of two signatures by one key over other contexts do not mix either.
      const mixed = concat(s.subarray(0, 3309), withContext.subarray(3309));
      assert.is(codeOf(key, mixed, m), 'signature-invalid');
    });
  }

  test('verifies its own signature and no other message', () => {
    assert.is(codeOf(pair.key, signature), undefined);
    assert.is(codeOf(pair.key, signature, new Uint8Array([1, 2])), 'signature-invalid');
  });

  test('HRD-18: one half alone is refused as a half, in every form', () => {
    assert.is(codeOf(pair.key, lattice), 'signature-half');
    assert.is(codeOf(pair.key, elliptic), 'signature-half');
    assert.is(codeOf(pair.key, ecdsaFromDer(elliptic)!), 'signature-half');
  });

  test('HRD-18: swapped, foreign and broken halves are refused', () => {
    const other = signerOf(generateKeyPair(algorithm)).sign(message);
    const broken = [0, 3308, 3309, 3320, signature.length - 1].map((at) => {
      const copy = signature.slice();
      copy[at] = copy[at]! ^ 1;
      return copy;
    });
    for (const bytes of [
      concat(elliptic, lattice),
      concat(lattice, other.subarray(mlDsaSignatureBytes)),
      concat(other.subarray(0, mlDsaSignatureBytes), elliptic),
      concat(lattice, lattice),
      concat(signature, none, new Uint8Array(1)),
      concat(lattice, ecdsaFromDer(elliptic)!),
      ...broken,
      none,
    ]) {
      assert.is(codeOf(pair.key, bytes), 'signature-invalid');
    }
  });

  test('the label is bound in the message and in the ML-DSA context', () => {
    const signed = compositeMessage(crypto, message);
    assert.is(codeOf(pair.key, signHalves(signed, compositeLabel)), undefined);
    // An ML-DSA half with an empty context would be a valid signature of the ML-DSA key alone.
    assert.is(codeOf(pair.key, signHalves(signed, none)), 'signature-invalid');
    const stale = Buffer.from('COMPSIG-MLDSA65-P256-SHA512');
    assert.is(codeOf(pair.key, signHalves(signed, stale)), 'signature-invalid');
    const digest = crypto.digest('SHA-512', message);
    const prefix = Buffer.from('CompositeAlgorithmSignatures2025');
    const wrong = concat(prefix, stale, new Uint8Array(1), digest);
    assert.is(codeOf(pair.key, signHalves(wrong, stale)), 'signature-invalid');
    assert.is(codeOf(pair.key, signHalves(wrong, compositeLabel)), 'signature-invalid');
    assert.is(codeOf(pair.key, signHalves(message, compositeLabel)), 'signature-invalid');
  });

  test('a half cut out verifies under no key of its own', () => {
    const signed = compositeMessage(crypto, message);
    const ellipticKey = { algorithm: 'ESP256', bytes: pair.key.bytes.subarray(1952) } as const;
    const latticeKey = { algorithm: 'ML-DSA-65', bytes: pair.key.bytes.subarray(0, 1952) } as const;
    // The ECDSA half is right as such; only the guard on the prefix refuses it.
    const raw = ecdsaFromDer(elliptic)!;
    assert.is(crypto.verify('ESP256', ellipticKey.bytes, signed, raw), true);
    assert.is(codeOf(ellipticKey, raw, signed), 'signature-invalid');
    assert.is(codeOf(latticeKey, lattice, signed), 'signature-invalid');
  });

  test('public keys of other lengths and off the curve verify nothing', () => {
    const offCurve = pair.key.bytes.slice();
    offCurve[2016] = offCurve[2016]! ^ 1;
    for (const bytes of [
      none,
      pair.key.bytes.subarray(1),
      concat(pair.key.bytes, new Uint8Array(1)),
      offCurve,
    ]) {
      assert.is(codeOf({ algorithm, bytes }, signature), 'signature-invalid');
    }
  });

  test('contexts are limited to 255 bytes', () => {
    const verify = (length: number) =>
      verifyComposite(crypto, pair.key.bytes, message, signature, new Uint8Array(length));
    assert.is(verify(255), false);
    assert.is(verify(256), false);
    assert.is(
      compositeMessage(crypto, message, new Uint8Array(255)).length,
      32 + 33 + 1 + 255 + 64,
    );
    assert.throws(() => compositeMessage(crypto, message, new Uint8Array(256)), /context/);
  });

  test('a key encapsulation key signs nothing', () => {
    const { key } = generateKeyPair('MLKEM768-P256');
    assert.is(codeOf(key, signature), 'signature-algorithm');
  });

  test.run();
}

const keys = suite('composite keys');

if (file !== undefined) {
  keys("the draft's private key gives its public key and signs", () => {
    const secret = fromBase64(file.tests[0]!.sk);
    // seed (32) | ECPrivateKey: 30 31 02 01 01 04 20 scalar (32) …
    const imported = keyPairOf(
      algorithm,
      concat(secret.subarray(0, 32), secret.subarray(32 + 7, 32 + 39)),
    );
    assert.equal(imported.key.bytes, fromBase64(file.tests[0]!.pk));
    const signed = signerOf(imported).sign(message);
    for (const { crypto } of providers) {
      assert.is(verifySignature(crypto, imported.key, message, signed), undefined);
    }
  });
}

keys.run();

const der = suite('ECDSA signatures in DER');

function scalar(...last: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes.set(last, 32 - last.length);
  return bytes;
}

der('every pair survives both conversions', () => {
  const extremes = [
    scalar(1),
    scalar(127),
    scalar(128),
    scalar(1, 0),
    new Uint8Array(32).fill(255),
  ];
  for (const r of extremes) {
    for (const s of extremes) {
      const raw = concat(r, s);
      assert.equal(ecdsaFromDer(ecdsaToDer(raw)), raw);
    }
  }
});

der('malformed encodings are refused', () => {
  const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
  assert.equal(ecdsaFromDer(hex('30 06 02 01 01 02 01 02')), concat(scalar(1), scalar(2)));
  for (const text of [
    '',
    '30 00',
    '31 06 02 01 01 02 01 02', // not a SEQUENCE
    '30 06 03 01 01 02 01 02', // not an INTEGER
    '30 06 02 01 01 03 01 02',
    '30 07 02 01 01 02 01 02', // length one too many
    '30 05 02 01 01 02 01 02', // length one too few
    '30 06 02 01 01 02 01 02 00', // bytes after the signature
    '30 07 02 01 01 02 01 02 00', // bytes inside, after s
    '30 81 06 02 01 01 02 01 02', // long form of a short length
    '30 07 02 02 00 01 02 01 02', // leading zero
    '30 06 02 01 00 02 01 02', // r = 0
    '30 06 02 01 01 02 01 00', // s = 0
    '30 06 02 01 81 02 01 02', // negative
    '30 05 02 00 02 01 02', // empty integer
    '30 06 02 01 01 02 01', // cut off
    `30 26 02 21 01 ${'00'.repeat(32)} 02 01 01`, // above 256 bits
    `30 80 02 01 01 02 01 02 00 00`, // indefinite length
  ]) {
    assert.is(ecdsaFromDer(hex(text)), undefined, text);
  }
});

der('each truncation of a signature is refused', () => {
  for (let length = 0; length < elliptic.length; length++) {
    assert.is(ecdsaFromDer(elliptic.subarray(0, length)), undefined);
  }
});

der.run();
