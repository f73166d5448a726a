/** The crypto provider over the host's native functions. */
import type { Crypto, DigestAlgorithm, SignatureAlgorithm } from '../types.ts';
import type { Native } from './native.ts';

const digestNumbers: Readonly<Record<DigestAlgorithm, number>> = { 'SHA-256': 0, 'SHA-512': 1 };
const parameterSets: Readonly<Record<SignatureAlgorithm, number>> = {
  ESP256: 256,
  ESP384: 384,
  'ML-DSA-44': 44,
  'ML-DSA-65': 65,
  'ML-DSA-87': 87,
  'SLH-DSA-SHA2-128s': 128,
};
const hybridCiphertextBytes = 1153;
const noContext = new Uint8Array(0);

export function createNativeCrypto(native: Native): Crypto {
  return {
    digest: (algorithm, bytes) => native.digest(digestNumbers[algorithm], bytes),
    createDigest: (algorithm) => native.createDigest(digestNumbers[algorithm]),
    hmac: (algorithm, key, message) => native.hmac(digestNumbers[algorithm], key, message),
    verify: (algorithm, publicKey, message, signature, context = noContext) =>
      native.verify(parameterSets[algorithm], publicKey, message, signature, context),
    sign: (_algorithm, privateKey, message) => native.sign(privateKey, message),
    aeadOpen: native.aeadOpen,
    aeadSeal: native.aeadSeal,
    decapsulate: native.decapsulate,
    encapsulate(publicKey) {
      const both = native.encapsulate(publicKey);
      return (
        both && {
          ciphertext: both.slice(0, hybridCiphertextBytes),
          sharedSecret: both.slice(hybridCiphertextBytes),
        }
      );
    },
  };
}
