/** Thresholds, key selection and domains of envelopes with plain signatures. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AlgorithmName, algorithms } from '../../../agent/codec/cose-key.ts';
import {
  type Domain,
  decodeEnvelope,
  domains,
  type Envelope,
  encodeEnvelope,
  hashSha256,
  type Signature,
  signatureHeader,
  signatureStructure,
} from '../../../agent/codec/cose-sign.ts';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import {
  type Signer,
  type SignOptions,
  signEnvelope,
} from '../../../agent/crypto/sign-envelope.ts';
import { type EnvelopeOptions, verifyEnvelope } from '../../../agent/crypto/verify-envelope.ts';
import { maxSignaturesPerFile } from '../../../agent/limits.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { providers } from './providers.ts';

const payload = new Uint8Array([0xa1, 1, 2]);
const signerFor = (algorithm: AlgorithmName) => signerOf(generateKeyPair(algorithm));
const [first, second, third] = [signerFor('ESP256'), signerFor('ESP256'), signerFor('ESP256')];
const composite = signerFor('MLDSA65-ECDSA-P256-SHA512');
const tiny = signerFor('SLH-DSA-SHA2-128s');
const lattice = signerFor('ML-DSA-65');

for (const { name, crypto } of providers) {
  const test = suite(`envelope, ${name}`);

  const open = (bytes: Uint8Array): Envelope => {
    const envelope = decodeEnvelope(bytes, 131_072);
    if (isRefusal(envelope)) throw new Error(`${envelope.refused}: ${envelope.detail}`);
    return envelope;
  };
  const signed = (signers: readonly Signer[], options?: SignOptions, domain: Domain = 'metadata') =>
    open(signEnvelope(crypto, signers, domain, payload, options));
  const codeOf = (
    envelope: Envelope,
    signers: readonly Signer[],
    threshold: number,
    options: Partial<EnvelopeOptions> = {},
  ) => {
    const authority = { keys: signers.map(({ key }) => key), threshold };
    return verifyEnvelope(crypto, envelope, authority, { domain: 'metadata', ...options })?.refused;
  };
  /** A signature with a header of the test's choosing, rightly made over that header. */
  const entry = (signer: Signer, header: Partial<Signature['header']>): Signature => {
    const whole = {
      algorithm: algorithms[signer.key.algorithm],
      keyId: keyId(crypto, signer.key),
      ...header,
    };
    const protectedBytes = encode(signatureHeader, whole);
    const signature = signer.sign(signatureStructure('metadata', protectedBytes, payload));
    return { header: whole, protectedBytes, signature };
  };
  const envelopeOf = (...signatures: readonly Signature[]): Envelope =>
    open(encodeEnvelope({ payload, signatures }));

  test('every algorithm of a profile signs and verifies', () => {
    for (const signer of [first, lattice, composite, tiny]) {
      assert.is(codeOf(signed([signer]), [signer], 1), undefined, signer.key.algorithm);
      const altered = { ...signed([signer]), payload: new Uint8Array([0xa1, 1, 3]) };
      assert.is(codeOf(altered, [signer], 1), 'signature-invalid', signer.key.algorithm);
    }
  });

  test('MET-03: an envelope without signatures is unsigned', () => {
    assert.is(codeOf(envelopeOf(), [first], 1), 'signature-missing');
  });

  test('HRD-06: a threshold below 1 or above the number of keys is refused', () => {
    const envelope = signed([first, second]);
    for (const threshold of [0, -1, 0.5, 3, Number.NaN]) {
      assert.is(codeOf(envelope, [first, second], threshold), 'root-threshold', `${threshold}`);
    }
    assert.is(codeOf(envelope, [], 1), 'root-threshold');
    assert.is(codeOf(envelope, [], 0), 'root-threshold');
    // HRD-07: a key listed twice is one key, so a threshold of 2 is out of its reach
    assert.is(codeOf(envelope, [first, first], 2), 'root-threshold');
  });

  test('the threshold is reached by enough distinct keys and not by fewer', () => {
    const keys = [first, second, third];
    assert.is(codeOf(signed([first, third]), keys, 2), undefined);
    assert.is(codeOf(signed(keys), keys, 3), undefined);
    assert.is(codeOf(signed([first, third]), keys, 3), 'signature-threshold');
  });

  test('HRD-07: repeated signatures of one key count once', () => {
    const twice = envelopeOf(...signed([first]).signatures, ...signed([first]).signatures);
    assert.is(twice.signatures.length, 2);
    assert.is(codeOf(twice, [first, second], 2), 'signature-threshold');
    assert.is(codeOf(twice, [first, second], 1), undefined);
  });

  test('HRD-07: a bad entry of a key does not spoil its good one', () => {
    const bad = { ...entry(first, {}), signature: new Uint8Array(64) };
    assert.is(codeOf(envelopeOf(bad, entry(first, {})), [first], 1), undefined);
    assert.is(codeOf(envelopeOf(entry(first, {}), bad), [first], 1), undefined);
    assert.is(codeOf(envelopeOf(bad), [first], 1), 'signature-invalid');
  });

  test('signatures of unknown keys are ignored', () => {
    assert.is(codeOf(signed([third, first]), [first, second], 1), undefined);
    assert.is(codeOf(signed([third]), [first, second], 1), 'signature-threshold');
  });

  test('MET-02: a key id names one key: the signature of another key fails under it', () => {
    const forged = entry({ key: first.key, sign: (bytes) => third.sign(bytes) }, {});
    assert.is(codeOf(envelopeOf(forged), [first, third], 1), 'signature-invalid');
  });

  test("MET-02: a header that claims another algorithm than the key's is refused", () => {
    const claimed = entry(first, { algorithm: algorithms['ML-DSA-65'] });
    assert.is(codeOf(envelopeOf(claimed), [first], 1), 'signature-algorithm');
    const half = entry(composite, { algorithm: algorithms.ESP256 });
    assert.is(codeOf(envelopeOf(half), [composite], 1), 'signature-algorithm');
  });

  test('HRD-18: a composite signature without one half is refused as such', () => {
    const whole = entry(composite, {});
    const other = signed([first]).signatures[0]!;
    for (const signature of [whole.signature.subarray(0, 3309), whole.signature.subarray(3309)]) {
      const half = { ...whole, signature };
      assert.is(codeOf(envelopeOf(half), [composite], 1), 'signature-half');
      // HRD-18: halves add nothing to a threshold, and the reason is named
      assert.is(codeOf(envelopeOf(other, half), [composite, first], 2), 'signature-half');
      assert.is(codeOf(envelopeOf(half, half), [composite, first], 2), 'signature-half');
      // Enough whole signatures of other keys are enough.
      assert.is(codeOf(envelopeOf(other, half), [composite, first], 1), undefined);
    }
  });

  test('HRD-19: the payload hash is demanded, forbidden and compared', () => {
    const [withHash, without] = [signed([first], { payloadHash: true }), signed([first])];
    const check = (envelope: Envelope, payloadHash?: 'required' | 'forbidden') =>
      codeOf(envelope, [first], 1, payloadHash ? { payloadHash } : {});
    assert.is(check(withHash, 'required'), undefined);
    assert.is(check(without, 'required'), 'payload-hash-mismatch');
    assert.is(check(without, 'forbidden'), undefined);
    assert.is(check(withHash, 'forbidden'), 'payload-hash-mismatch');
    assert.is(check(withHash), undefined);
    const digest = crypto.digest('SHA-256', new Uint8Array([1]));
    const wrong = envelopeOf(entry(first, { payloadHash: [hashSha256, digest] }));
    assert.is(check(wrong, 'required'), 'payload-hash-mismatch');
    assert.is(check(wrong), 'payload-hash-mismatch');
  });

  test('a signature made for one kind of document is none for another', () => {
    const kinds = Object.keys(domains) as Domain[];
    for (const made of kinds) {
      const envelope = signed([first], {}, made);
      for (const checked of kinds) {
        const expected = made === checked ? undefined : 'signature-invalid';
        assert.is(codeOf(envelope, [first], 1, { domain: checked }), expected);
      }
    }
  });

  test('a change of the protected header after signing is seen', () => {
    const made = entry(first, {});
    const digest = crypto.digest('SHA-256', payload);
    const header = { ...made.header, payloadHash: [hashSha256, digest] as const };
    const changed = { ...made, header, protectedBytes: encode(signatureHeader, header) };
    assert.is(codeOf(envelopeOf(changed), [first], 1), 'signature-invalid');
  });

  test('an envelope survives decoding and encoding byte for byte', () => {
    const bytes = signEnvelope(crypto, [first, composite], 'report', payload, {
      payloadHash: true,
    });
    assert.equal(encodeEnvelope(open(bytes)), bytes);
  });

  test('HRD-13: the number of signatures is bounded', () => {
    const one = signed([first]).signatures[0]!;
    const many = (count: number) =>
      decodeEnvelope(signManually(Array.from({ length: count }, () => one)), 131_072);
    assert.not.ok(isRefusal(many(maxSignaturesPerFile)));
    const refused = many(maxSignaturesPerFile + 1);
    assert.is(isRefusal(refused) && refused.refused, 'cbor-too-large');
  });

  test.run();
}

/** An envelope of any number of signatures, past what the encoder takes. */
function signManually(signatures: readonly Signature[]): Uint8Array {
  const template = encodeEnvelope({ payload, signatures: [] });
  const entries = signatures.map((signature) => {
    const one = encodeEnvelope({ payload, signatures: [signature] });
    return one.subarray(template.length);
  });
  const head = template.slice();
  head[head.length - 1] = 0x80 + signatures.length;
  return new Uint8Array(Buffer.concat([head, ...entries]));
}
