/** One signature by one trusted key. The algorithm is the key's; a message never chooses it. */
import type { Crypto } from '../../hal/types.ts';
import type { PublicKey } from '../codec/cose-key.ts';
import { joinPieces } from '../codec/cose-sign.ts';
import { type Refusal, refuse } from '../codes.ts';
import { isCompositeHalf, isCompositeMessage, type Message, verifyComposite } from './composite.ts';

const noContext = new Uint8Array(0);

/**
 * Checks a signature over `message`.
 * @param context FIPS 204/205 or composite context string; must be empty for ESP256
 * @returns undefined when it is valid; codes `signature-half`, `signature-invalid`,
 *   `signature-algorithm` (the key is not a signature key)
 */
export function verifySignature(
  crypto: Crypto,
  key: PublicKey,
  message: Message,
  signature: Uint8Array,
  context: Uint8Array = noContext,
): Refusal | undefined {
  if (key.algorithm === 'MLKEM768-P256') {
    return refuse('signature-algorithm', 'a key encapsulation key signs nothing');
  }
  if (key.algorithm === 'MLDSA65-ECDSA-P256-SHA512') {
    if (verifyComposite(crypto, key.bytes, message, signature, context)) return undefined;
    // HRD-18: one half is never a signature
    return isCompositeHalf(signature)
      ? refuse('signature-half', `${signature.length} bytes hold one half of a composite signature`)
      : refuse('signature-invalid', key.algorithm);
  }
  const whole = message instanceof Uint8Array ? message : joinPieces(message);
  // A half cut out of a composite signature must never pass as a signature of its own.
  if (isCompositeMessage(whole)) {
    return refuse('signature-invalid', 'message of a composite signature');
  }
  return crypto.verify(key.algorithm, key.bytes, whole, signature, context)
    ? undefined
    : refuse('signature-invalid', key.algorithm);
}
