/** Envelopes whose signatures cover a Merkle batch: same keys, another form, never mixed up. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Domain,
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  hashSha256,
  merkleRoot,
  type Signature,
  signatureHeader,
} from '../../../agent/codec/cose-sign.ts';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { signBatch } from '../../../agent/crypto/sign-batch.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { verifyEnvelope } from '../../../agent/crypto/verify-envelope.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { providers, random } from './providers.ts';

const now = 1_800_000_000;
const batch = { role: roles.targets, batchId: new Uint8Array(16).fill(9), expires: now + 60 };
const documents = Array.from({ length: 5 }, (_, i) => ({
  payload: new Uint8Array([0xa1, 1, i]),
  salt: random.bytes(16),
}));

for (const { name, crypto } of providers) {
  const test = suite(`Merkle envelope, ${name}`);
  const [signer, second] = [
    signerOf(generateKeyPair('ESP256')),
    signerOf(generateKeyPair('ESP256')),
  ];
  const composite = signerOf(generateKeyPair('MLDSA65-ECDSA-P256-SHA512'));

  const open = (bytes: Uint8Array): Envelope => {
    const envelope = decodeEnvelope(bytes, 65_536);
    if (isRefusal(envelope)) throw new Error(`${envelope.refused}: ${envelope.detail}`);
    return envelope;
  };
  const envelopes = signBatch(crypto, [signer], documents, batch).map(open);
  const envelope = envelopes[2]!;
  const check = (
    one: Envelope,
    options: { domain?: Domain; role?: number; now?: number } = { role: roles.targets, now },
    signers = [signer],
    threshold = signers.length,
  ) =>
    verifyEnvelope(
      crypto,
      one,
      { keys: signers.map(({ key }) => key), threshold },
      { domain: 'metadata', ...options },
    )?.refused;
  const withSignature = (one: Envelope, change: Partial<Signature>): Envelope => ({
    ...one,
    signatures: [{ ...one.signatures[0]!, ...change }],
  });
  type Proof = NonNullable<Signature['proof']>;
  const withProof = (change: (proof: Proof) => Proof): Envelope =>
    withSignature(envelope, { proof: change(envelope.signatures[0]!.proof!) });

  test('every document of a batch verifies by one signature', () => {
    for (const one of envelopes) assert.is(check(one), undefined);
    const signatures = envelopes.map((one) => Buffer.from(one.signatures[0]!.signature));
    for (const signature of signatures) assert.equal(signature, signatures[0]);
  });

  test('a batch of one document and a batch by two keys verify', () => {
    const single = signBatch(crypto, [signer], documents.slice(0, 1), batch).map(open);
    assert.is(check(single[0]!), undefined);
    const options = { role: roles.targets, now };
    const double = signBatch(crypto, [signer, composite], documents, batch).map(open);
    for (const one of double) {
      assert.is(check(one, options, [signer, composite]), undefined);
      assert.is(check(one, options, [signer, composite, second]), 'signature-threshold');
    }
  });

  test('HRD-07: a plain and a Merkle signature of one key are one vote', () => {
    const { payload } = documents[2]!;
    const plain = open(signEnvelope(crypto, [signer], 'metadata', payload));
    const both = { payload, signatures: [...plain.signatures, ...envelope.signatures] };
    const options = { role: roles.targets, now };
    assert.is(check(both, options, [signer, second], 2), 'signature-threshold');
    assert.is(check(both, options, [signer, second], 1), undefined);
  });

  test('a document outside the batch, or with the proof of another, is refused', () => {
    assert.is(check({ ...envelope, payload: new Uint8Array([0xa0]) }), 'merkle-proof-invalid');
    const swapped = withSignature(envelope, { proof: envelopes[3]!.signatures[0]!.proof! });
    assert.is(check(swapped), 'merkle-proof-invalid');
  });

  test('salt, index and path are bound', () => {
    assert.is(
      check(withProof(([, ...rest]) => [new Uint8Array(16), ...rest])),
      'merkle-proof-invalid',
    );
    for (const index of [0, 1, 3, 5, 6, Number.MAX_SAFE_INTEGER]) {
      assert.is(
        check(withProof(([salt, , path, root]) => [salt, index, path, root])),
        'merkle-proof-invalid',
      );
    }
    assert.is(
      check(withProof(([salt, index, path, root]) => [salt, index, path.slice(1), root])),
      'merkle-proof-invalid',
    );
    assert.is(
      check(withProof(([salt, index, path, root]) => [salt, index, [...path, path[0]!], root])),
      'merkle-proof-invalid',
    );
  });

  test('CTG-05: an expired batch is refused, also in its last second', () => {
    const at = (seconds: number) => check(envelope, { role: roles.targets, now: seconds });
    assert.is(at(batch.expires - 1), undefined);
    assert.is(at(batch.expires), 'metadata-expired');
    assert.is(at(batch.expires + 1), 'metadata-expired');
  });

  test('a batch of another role is refused', () => {
    assert.is(check(envelope, { role: roles.snapshot, now }), 'merkle-proof-invalid');
  });

  test('without a role, a time, or for another kind of document there is no Merkle form', () => {
    assert.is(check(envelope, { role: roles.targets }), 'merkle-proof-invalid');
    assert.is(check(envelope, { now }), 'merkle-proof-invalid');
    for (const domain of ['time', 'report', 'manifest', 'merkleRoot'] as const) {
      assert.is(check(envelope, { domain, role: roles.targets, now }), 'merkle-proof-invalid');
    }
  });

  test('a root object that was changed after signing is refused', () => {
    const rewritten = (change: object) =>
      withProof(([salt, index, path, rootBytes]) => {
        const root = decode(merkleRoot, rootBytes, rootBytes.length);
        if (isRefusal(root)) throw new Error(root.detail);
        return [salt, index, path, encode(merkleRoot, { ...root, ...change })];
      });
    assert.is(check(rewritten({ expires: now + 1_000_000 })), 'signature-invalid');
    assert.is(check(rewritten({ batchId: new Uint8Array(16) })), 'signature-invalid');
    assert.is(check(rewritten({ treeSize: 3 })), 'merkle-proof-invalid');
    assert.is(check(rewritten({})), undefined);
    const cut = withProof(([salt, index, path, root]) => [salt, index, path, root.subarray(1)]);
    assert.is(check(cut), 'merkle-proof-invalid');
    const long = withProof(([salt, index, path, root]) => [
      salt,
      index,
      path,
      new Uint8Array([...root, 0]),
    ]);
    assert.is(check(long), 'merkle-proof-invalid');
  });

  test('a signature of Merkle form never verifies as a plain one', () => {
    const made = envelope.signatures[0]!;
    // Proof dropped, marking kept: a form of its own that is refused.
    const { proof: _, ...bare } = made;
    assert.is(check({ ...envelope, signatures: [bare] }), 'merkle-proof-invalid');
    // Marking dropped as well: the bytes that were signed are others.
    const { merkle: __, ...header } = made.header;
    const protectedBytes = encode(signatureHeader, header);
    const plain = { header, protectedBytes, signature: made.signature };
    assert.is(check({ ...envelope, signatures: [plain] }), 'signature-invalid');
    // Offered as the signature of the root object itself, taken for a document.
    const root = { payload: made.proof![3], signatures: [bare] };
    assert.is(check(root), 'merkle-proof-invalid');
    assert.is(check({ ...root, signatures: [plain] }), 'signature-invalid');
  });

  test('a plain signature never verifies as one of Merkle form', () => {
    const { payload } = documents[2]!;
    const plain = open(signEnvelope(crypto, [signer], 'metadata', payload));
    const proof = envelope.signatures[0]!.proof!;
    assert.is(check(withSignature(plain, { proof })), 'merkle-proof-invalid');
    const { header, protectedBytes } = envelope.signatures[0]!;
    assert.is(check(withSignature(plain, { header, protectedBytes, proof })), 'signature-invalid');
    // A root object signed as a document is no signed root object.
    const signedRoot = open(signEnvelope(crypto, [signer], 'metadata', proof[3])).signatures[0]!;
    const { signature } = signedRoot;
    assert.is(check(withSignature(envelope, { signature })), 'signature-invalid');
  });

  test('HRD-19: a payload hash in a batch header is compared with each document', () => {
    const digest = crypto.digest('SHA-256', new Uint8Array([1]));
    const header = {
      ...envelope.signatures[0]!.header,
      payloadHash: [hashSha256, digest] as const,
    };
    const protectedBytes = encode(signatureHeader, header);
    assert.is(check(withSignature(envelope, { header, protectedBytes })), 'payload-hash-mismatch');
  });

  test('HRD-18: a half of a composite signature over a batch is refused as such', () => {
    const [one] = signBatch(crypto, [composite], documents, batch).map(open);
    const { signature } = one!.signatures[0]!;
    const options = { role: roles.targets, now };
    for (const half of [signature.subarray(0, 3309), signature.subarray(3309)]) {
      const stripped = withSignature(one!, { signature: half });
      assert.is(check(stripped, options, [composite]), 'signature-half');
    }
  });

  test('documents of many lengths, in more buffers than one, are each their own', () => {
    const many = Array.from({ length: 40 }, (_, i) => ({
      payload: new Uint8Array([0xa1, 1, ...new Uint8Array(i * 97).fill(i)]),
      salt: random.bytes(16),
    }));
    const files = signBatch(crypto, [signer], many, batch);
    files[7]!.fill(0);
    files.forEach((bytes, i) => {
      if (i === 7) return;
      const one = open(bytes);
      assert.equal(one.payload, many[i]!.payload);
      assert.is(check(one), undefined, `document ${i}`);
      assert.equal(encodeEnvelope(one), bytes);
    });
  });

  test('an envelope of Merkle form survives decoding and encoding byte for byte', () => {
    const [bytes] = signBatch(crypto, [signer], documents, batch);
    assert.equal(encodeEnvelope(open(bytes!)), bytes);
  });

  test.run();
}
