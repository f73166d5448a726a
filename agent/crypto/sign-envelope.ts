/** Makes signed envelopes: COSE_Sign with plain signatures (docs/POUF.md §3). */
import type { Crypto } from '../../hal/types.ts';
import { algorithms, type PublicKey } from '../codec/cose-key.ts';
import {
  type Domain,
  encodeEnvelope,
  hashSha256,
  signatureHeader,
  signatureStructure,
} from '../codec/cose-sign.ts';
import { encode } from '../codec/schema.ts';
import { keyId } from './key-id.ts';

/** Whoever holds a private key: a file, an ECU's key store, a signing service. */
export interface Signer {
  readonly key: PublicKey;
  /** Signs the bytes of a Sig_structure; the signature has its algorithm's raw form. */
  sign(message: Uint8Array): Uint8Array;
}

export interface SignOptions {
  /** HRD-19: name the payload's SHA-256 in the protected header (reports and manifests). */
  readonly payloadHash?: boolean;
}

/** What waits for its signatures, which may come from elsewhere and take their time. */
export interface Unsigned<T> {
  /** What each key has to sign, in the order of the keys. */
  readonly messages: readonly Uint8Array[];
  /** Puts the signatures in, in the same order. */
  finish(signatures: readonly Uint8Array[]): T;
}

/**
 * Prepares `payload` for the signatures of these keys.
 * @param payload encoded document, at least 1 byte
 * @returns what to sign; finished, the encoded COSE_Sign
 */
export function prepareEnvelope(
  crypto: Crypto,
  keys: readonly PublicKey[],
  domain: Domain,
  payload: Uint8Array,
  options: SignOptions = {},
): Unsigned<Uint8Array> {
  const digest = options.payloadHash ? crypto.digest('SHA-256', payload) : undefined;
  const heads = keys.map((key) => {
    const header = {
      algorithm: algorithms[key.algorithm],
      keyId: keyId(crypto, key),
      ...(digest && { payloadHash: [hashSha256, digest] as const }),
    };
    return { header, protectedBytes: encode(signatureHeader, header) };
  });
  return {
    messages: heads.map(({ protectedBytes }) => {
      return signatureStructure(domain, protectedBytes, payload);
    }),
    finish(made) {
      const signatures = heads.map((head, i) => ({ ...head, signature: made[i]! }));
      return encodeEnvelope({ payload, signatures });
    },
  };
}

/**
 * Signs `payload` by every signer.
 * @param payload encoded document, at least 1 byte
 * @returns the encoded COSE_Sign
 */
export function signEnvelope(
  crypto: Crypto,
  signers: readonly Signer[],
  domain: Domain,
  payload: Uint8Array,
  options: SignOptions = {},
): Uint8Array {
  const keys = signers.map(({ key }) => key);
  return finishWith(signers, prepareEnvelope(crypto, keys, domain, payload, options));
}

/** Has each signer sign its message. */
export function finishWith<T>(signers: readonly Signer[], unsigned: Unsigned<T>): T {
  return unsigned.finish(signers.map((signer, i) => signer.sign(unsigned.messages[i]!)));
}
