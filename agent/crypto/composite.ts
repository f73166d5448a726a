/**
 * Composite signature ML-DSA-65 + ECDSA P-256 (draft-ietf-lamps-pq-composite-sigs,
 * id-MLDSA65-ECDSA-P256-SHA512): one key, one signature, valid only when both halves are (HRD-18).
 *
 * M' = "CompositeAlgorithmSignatures2025" | Label | len(ctx) | ctx | SHA-512(M)
 * public key = ML-DSA-65 (1,952 B) | uncompressed P-256 point (65 B)
 * signature  = ML-DSA-65 over M' with context Label (3,309 B) | DER ECDSA with SHA-256 over M'
 *
 * Not strongly unforgeable: the ECDSA half is malleable, so signature bytes are never an identifier.
 */
import type { Crypto } from '../../hal/types.ts';
import { asciiBytes } from '../codec/cose-sign.ts';
import { ecdsaFromDer } from './ecdsa-der.ts';

export const mlDsaPublicKeyBytes = 1952;
export const mlDsaSignatureBytes = 3309;
export const compositePublicKeyBytes = mlDsaPublicKeyBytes + 65;

const prefix = asciiBytes('CompositeAlgorithmSignatures2025');
/** Names the pair of algorithms; also the ML-DSA context of the first half. */
export const compositeLabel = asciiBytes('COMPSIG-MLDSA65-ECDSA-P256-SHA512');

const noContext = new Uint8Array(0);

/** What is signed; large ones in pieces, which are hashed one after the other. */
export type Message = Uint8Array | readonly Uint8Array[];

/**
 * M', what both halves sign.
 * @param context application context, 0 to 255 bytes
 */
export function compositeMessage(
  crypto: Crypto,
  message: Message,
  context: Uint8Array = noContext,
): Uint8Array {
  if (context.length > 255) throw new RangeError(`context: ${context.length} bytes, at most 255`);
  const digest = digestOf(crypto, message);
  const afterLabel = prefix.length + compositeLabel.length;
  const result = new Uint8Array(afterLabel + 1 + context.length + digest.length);
  result.set(prefix, 0);
  result.set(compositeLabel, prefix.length);
  result[afterLabel] = context.length;
  result.set(context, afterLabel + 1);
  result.set(digest, afterLabel + 1 + context.length);
  return result;
}

function digestOf(crypto: Crypto, message: Message): Uint8Array {
  if (message instanceof Uint8Array) return crypto.digest('SHA-512', message);
  const digest = crypto.createDigest('SHA-512');
  for (const piece of message) digest.update(piece);
  return digest.finish();
}

/** True when both halves of the signature are valid. */
export function verifyComposite(
  crypto: Crypto,
  publicKey: Uint8Array,
  message: Message,
  signature: Uint8Array,
  context: Uint8Array = noContext,
): boolean {
  if (publicKey.length !== compositePublicKeyBytes || context.length > 255) return false;
  if (signature.length <= mlDsaSignatureBytes) return false;
  const ecdsa = ecdsaFromDer(signature.subarray(mlDsaSignatureBytes));
  if (ecdsa === undefined) return false;
  const signed = compositeMessage(crypto, message, context);
  return (
    crypto.verify('ESP256', publicKey.subarray(mlDsaPublicKeyBytes), signed, ecdsa) &&
    crypto.verify(
      'ML-DSA-65',
      publicKey.subarray(0, mlDsaPublicKeyBytes),
      signed,
      signature.subarray(0, mlDsaSignatureBytes),
      compositeLabel,
    )
  );
}

/** True when `signature` has the form of one half alone: the other was stripped. */
export function isCompositeHalf(signature: Uint8Array): boolean {
  return (
    signature.length === mlDsaSignatureBytes ||
    signature.length === 64 ||
    ecdsaFromDer(signature) !== undefined
  );
}

/** True when `message` is a composite's M', which no single algorithm may sign or verify. */
export function isCompositeMessage(message: Uint8Array): boolean {
  if (message.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) {
    if (message[i] !== prefix[i]) return false;
  }
  return true;
}
