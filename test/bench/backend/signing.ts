/** Signatures for a fleet: Merkle batches against one native composite signature each. */
import { randomBytes } from 'node:crypto';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { signBatch } from '../../../agent/crypto/sign-batch.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { verifyEnvelope } from '../../../agent/crypto/verify-envelope.ts';
import { hashAlgorithms, roles } from '../../../agent/metadata/common.ts';
import { timestamp } from '../../../agent/metadata/timestamp.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { median, type Result } from '../measure.ts';

const vehicles = 10_000;
const plainSignatures = 100;
const verified = 200;
/** The first ones run before the code is compiled for good. */
const rounds = 7;
const now = 1_790_000_000;
const expires = now + 86_400;

export function benchSigning(): Result[] {
  const crypto = createNodeCrypto();
  const pair = generateKeyPair('MLDSA65-ECDSA-P256-SHA512');
  const signers = [signerOf(pair)];
  const sha256 = new Uint8Array(randomBytes(32));
  const payloads = Array.from({ length: vehicles }, (_, i) =>
    encode(timestamp, {
      ...{ type: roles.timestamp, formatVersion: 1, version: 7, expires },
      vehicleId: `vehicle-${i}`,
      snapshot: {
        version: 7,
        length: 5_000,
        hashes: [{ key: hashAlgorithms['SHA-256'], value: sha256 }],
      },
    } as never),
  );
  const batchRates: number[] = [];
  const plainRates: number[] = [];
  let signed: Uint8Array[] = [];
  // Side by side, since the machine is not the same from one minute to the next.
  for (let round = 0; round < rounds; round++) {
    let started = performance.now();
    for (let i = 0; i < plainSignatures; i++) {
      signEnvelope(crypto, signers, 'metadata', payloads[i]!);
    }
    plainRates.push(plainSignatures / ((performance.now() - started) / 1_000));
    started = performance.now();
    const salts = randomBytes(16 * vehicles);
    const documents = payloads.map((payload, i) => ({
      payload,
      salt: salts.subarray(i * 16, i * 16 + 16),
    }));
    const options = { role: roles.timestamp, batchId: randomBytes(16), expires };
    signed = signBatch(crypto, signers, documents, options);
    batchRates.push(vehicles / ((performance.now() - started) / 1_000));
  }
  const step = Math.floor(vehicles / verified);
  const authority = { keys: [pair.key], threshold: 1 };
  for (let i = 0; i < vehicles; i += step) {
    const envelope = decodeEnvelope(signed[i]!, signed[i]!.length);
    if (isRefusal(envelope)) throw new Error(envelope.detail);
    const options = { domain: 'metadata', role: roles.timestamp, now } as const;
    const refused = verifyEnvelope(crypto, envelope, authority, options);
    if (refused !== undefined) throw new Error(`vehicle ${i}: ${refused.refused}`);
  }
  const batchRate = median(batchRates);
  const plainRate = median(plainRates);
  const bytes = signed[0]!.length - payloads[0]!.length;
  return [
    {
      name: 'manifests signed, one signature each',
      value: plainRate,
      unit: '/s',
      note: 'native ML-DSA-65 + P-256',
    },
    {
      name: 'manifests signed by Merkle batch',
      value: batchRate,
      unit: '/s',
      note: `${(batchRate / plainRate).toFixed(0)}x; ${vehicles} a batch, ${verified} of them verified; ${bytes} B of signature and proof`,
    },
    {
      name: 'signatures per manifest',
      value: 1 / vehicles,
      unit: '',
      note: `1 for ${vehicles}`,
    },
  ];
}
