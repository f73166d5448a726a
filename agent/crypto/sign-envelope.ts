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
  const digest = options.payloadHash ? crypto.digest('SHA-256', payload) : undefined;
  const signatures = signers.map((signer) => {
    const header = {
      algorithm: algorithms[signer.key.algorithm],
      keyId: keyId(crypto, signer.key),
      ...(digest && { payloadHash: [hashSha256, digest] as const }),
    };
    const protectedBytes = encode(signatureHeader, header);
    const signature = signer.sign(signatureStructure(domain, protectedBytes, payload));
    return { header, protectedBytes, signature };
  });
  return encodeEnvelope({ payload, signatures });
}
