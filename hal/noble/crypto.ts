/**
 * The crypto provider in pure TypeScript on the noble libraries, for any tier-1 runtime.
 * Table-based AES and BigInt arithmetic are not constant time: prefer a native provider for secrets.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { p256, p384 } from '@noble/curves/nist.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { ml_kem768_p256 } from '@noble/post-quantum/hybrid.js';
import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js';
import { slh_dsa_sha2_128s } from '@noble/post-quantum/slh-dsa.js';
import type { Crypto, Digest, DigestAlgorithm, Random, SignatureAlgorithm } from '../types.ts';

const digests = { 'SHA-256': sha256, 'SHA-512': sha512 } as const;
const gcmTagBytes = 16;
/** Randomness of one encapsulation: 32 bytes for ML-KEM, 4 candidates of the ECDH scalar. */
const encapsulationRandomBytes = 32 + 4 * 32;
const uncompressedPoint = 4;
const noContext = new Uint8Array(0);

const latticeAndHash = {
  'ML-DSA-44': ml_dsa44,
  'ML-DSA-65': ml_dsa65,
  'ML-DSA-87': ml_dsa87,
  'SLH-DSA-SHA2-128s': slh_dsa_sha2_128s,
} as const;

/** Makes the provider; `random` serves encapsulation only. */
export function createNobleCrypto(random: Random): Crypto {
  return {
    digest: (algorithm, bytes) => digests[algorithm](bytes),
    createDigest,
    hmac: (algorithm, key, message) => hmac(digests[algorithm], key, message),
    verify,
    sign: (_algorithm, privateKey, message) => p256.sign(message, privateKey, { lowS: false }),
    aeadOpen,
    aeadSeal: (key, nonce, additionalData, plaintext) =>
      gcm(key256(key), nonce, additionalData).encrypt(plaintext),
    decapsulate,
    encapsulate: (publicKey) => encapsulate(random, publicKey),
  };
}

function createDigest(algorithm: DigestAlgorithm): Digest {
  const state = digests[algorithm].create();
  return {
    update(bytes) {
      state.update(bytes);
    },
    finish: () => state.digest(),
  };
}

function verify(
  algorithm: SignatureAlgorithm,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  context: Uint8Array = noContext,
): boolean {
  // noble throws for some malformed keys and signatures and answers false for others.
  try {
    if (algorithm === 'ESP256' || algorithm === 'ESP384') {
      const curve = algorithm === 'ESP256' ? p256 : p384;
      if (context.length > 0 || publicKey[0] !== uncompressedPoint) return false;
      return curve.verify(signature, message, publicKey, { lowS: false });
    }
    return latticeAndHash[algorithm].verify(signature, message, publicKey, { context });
  } catch {
    return false;
  }
}

/** noble takes the AES variant from the key's length; only AES-256 is meant here. */
function key256(key: Uint8Array): Uint8Array {
  if (key.length !== 32) throw new RangeError(`key: ${key.length} bytes, 32 expected`);
  return key;
}

function aeadOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  ciphertextAndTag: Uint8Array,
  out: Uint8Array,
): boolean {
  const length = ciphertextAndTag.length - gcmTagBytes;
  if (length < 0) return false;
  if (out.length !== length) {
    throw new RangeError(`out: expected ${length} bytes, got ${out.length}`);
  }
  const cipher = gcm(key256(key), nonce, additionalData);
  let plaintext: Uint8Array;
  try {
    // noble checks the tag before it decrypts.
    plaintext = cipher.decrypt(ciphertextAndTag);
  } catch {
    return false;
  }
  out.set(plaintext);
  plaintext.fill(0);
  return true;
}

function decapsulate(privateKey: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
  if (privateKey.length !== 32) {
    throw new RangeError(`privateKey: ${privateKey.length} bytes, 32 expected`);
  }
  try {
    return ml_kem768_p256.decapsulate(ciphertext, privateKey);
  } catch {
    return undefined;
  }
}

function encapsulate(
  random: Random,
  publicKey: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array } | undefined {
  const seed = random.bytes(encapsulationRandomBytes);
  try {
    const { cipherText, sharedSecret } = ml_kem768_p256.encapsulate(publicKey, seed);
    return { ciphertext: cipherText, sharedSecret };
  } catch {
    return undefined;
  } finally {
    seed.fill(0);
  }
}
