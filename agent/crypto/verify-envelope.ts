/**
 * Signatures of an envelope against an authority: who may sign, and how many must (ROOT-03).
 * The payload is not decoded here; that follows once this has returned undefined.
 */
import type { Crypto } from '../../hal/types.ts';
import { algorithms, type PublicKey } from '../codec/cose-key.ts';
import {
  type Domain,
  type Envelope,
  noAlgorithm,
  type Signature,
  signaturePieces,
} from '../codec/cose-sign.ts';
import { sameBytes } from '../codec/reader.ts';
import { type Refusal, refuse } from '../codes.ts';
import { keyId } from './key-id.ts';
import { verifyMerkleSignature } from './merkle.ts';
import { verifySignature } from './verify-signature.ts';

/** The keys of one role under the verifier's own profile, and how many of them must sign. */
export interface Authority {
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

export interface EnvelopeOptions {
  /** What kind of document this is; a signature made for another kind never verifies. */
  readonly domain: Domain;
  /** Number of the role type; without it, signatures of Merkle form are refused. */
  readonly role?: number;
  /** Unix seconds; without it, signatures of Merkle form are refused. */
  readonly now?: number;
  /** HRD-19: the protected header must or must not name the payload's hash. */
  readonly payloadHash?: 'required' | 'forbidden';
}

/**
 * Checks that enough distinct keys of the authority signed the envelope's payload.
 * @returns undefined when they did; codes `root-threshold` (the authority itself is unusable),
 *   `signature-missing`, `signature-half`, `signature-algorithm`, `signature-invalid`,
 *   `signature-threshold`, `merkle-proof-invalid`, `metadata-expired` (a Merkle batch),
 *   `payload-hash-mismatch`
 */
export function verifyEnvelope(
  crypto: Crypto,
  envelope: Envelope,
  authority: Authority,
  options: EnvelopeOptions,
): Refusal | undefined {
  const keys = distinctKeys(authority.keys);
  // HRD-06: a threshold below 1 or above the number of keys is no threshold
  if (!(authority.threshold >= 1 && authority.threshold <= keys.length)) {
    return refuse('root-threshold', `threshold ${authority.threshold} of ${keys.length} keys`);
  }
  // MET-03: a file is a payload with its signatures
  if (envelope.signatures.length === 0) return refuse('signature-missing', 'no signature');

  const keyIds = keys.map((key) => keyId(crypto, key));
  const counted = keys.map(() => false);
  let count = 0;
  let first: Refusal | undefined;
  let half: Refusal | undefined;
  for (const signature of envelope.signatures) {
    const index = indexOfKey(keyIds, signature.header.keyId);
    // Unknown key ids are ignored: during a rotation, and for other profiles, there are some.
    // HRD-07: a further signature of a counted key adds nothing
    if (index < 0 || counted[index]) continue;
    const refusal = verifyEntry(crypto, keys[index]!, envelope.payload, signature, options);
    if (refusal === undefined) {
      counted[index] = true;
      count += 1;
    } else {
      if (first === undefined) first = refusal;
      if (half === undefined && refusal.refused === 'signature-half') half = refusal;
    }
  }
  if (count >= authority.threshold) return undefined;
  const missed = `${count} of ${authority.threshold} signatures`;
  return half ?? first ?? refuse('signature-threshold', missed);
}

/** One key listed twice is still one key (HRD-07). */
function distinctKeys(keys: readonly PublicKey[]): readonly PublicKey[] {
  const distinct: PublicKey[] = [];
  for (const key of keys) {
    if (!distinct.some((other) => sameBytes(other.bytes, key.bytes))) distinct.push(key);
  }
  return distinct;
}

function indexOfKey(keyIds: readonly Uint8Array[], wanted: Uint8Array): number {
  for (let i = 0; i < keyIds.length; i++) {
    if (sameBytes(keyIds[i]!, wanted)) return i;
  }
  return -1;
}

function verifyEntry(
  crypto: Crypto,
  key: PublicKey,
  payload: Uint8Array,
  signature: Signature,
  options: EnvelopeOptions,
): Refusal | undefined {
  const { header } = signature;
  // MET-02: the key fixes the algorithm; a header that claims another one is refused
  if (header.algorithm !== noAlgorithm && header.algorithm !== algorithms[key.algorithm]) {
    return refuse('signature-algorithm', `${header.algorithm} claimed for a ${key.algorithm} key`);
  }
  const hashRefusal = verifyPayloadHash(crypto, payload, signature, options);
  if (hashRefusal !== undefined) return hashRefusal;
  if (header.merkle === undefined) {
    if (signature.proof !== undefined) {
      return refuse('merkle-proof-invalid', 'a plain signature with an inclusion proof');
    }
    const signed =
      signature.signedBytes ?? signaturePieces(options.domain, signature.protectedBytes, payload);
    return verifySignature(crypto, key, signed, signature.signature);
  }
  const { role, now } = options;
  if (options.domain !== 'metadata' || role === undefined || now === undefined) {
    return refuse('merkle-proof-invalid', 'no Merkle signature is allowed here');
  }
  return verifyMerkleSignature(crypto, key, signature, payload, { role, now });
}

/** HRD-19: the hash of the payload that reports and manifests carry in each signature's header. */
function verifyPayloadHash(
  crypto: Crypto,
  payload: Uint8Array,
  signature: Signature,
  options: EnvelopeOptions,
): Refusal | undefined {
  const stated = signature.header.payloadHash;
  if (stated === undefined) {
    return options.payloadHash === 'required'
      ? refuse('payload-hash-mismatch', 'the header names no payload hash')
      : undefined;
  }
  if (options.payloadHash === 'forbidden') {
    return refuse('payload-hash-mismatch', 'the header names a payload hash');
  }
  return sameBytes(stated[1], crypto.digest('SHA-256', payload))
    ? undefined
    : refuse('payload-hash-mismatch', 'the payload has another hash than its header says');
}
