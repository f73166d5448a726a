/** Key pairs and signers of the operator, the backend and provisioning, on Node's own crypto. */
import {
  createECDH,
  generateKeyPairSync,
  type KeyObject,
  sign as nativeSign,
  randomBytes,
} from 'node:crypto';
import { type AlgorithmName, type PublicKey, publicKeyBytes } from '../../agent/codec/cose-key.ts';
import { compositeLabel, compositeMessage } from '../../agent/crypto/composite.ts';
import { ecdsaToDer } from '../../agent/crypto/ecdsa-der.ts';
import type { Signer } from '../../agent/crypto/sign-envelope.ts';
import { createNodeCrypto } from './crypto.ts';
import { hybridPublicKey } from './hybrid-kem.ts';
import { exportPublicKey, importPrivateKey } from './key-format.ts';

/**
 * A private key with its public half. `secret`: ESP256 scalar (32 B); ML-DSA seed (32 B);
 * composite ML-DSA seed ‖ P-256 scalar (64 B); SLH-DSA private key (64 B, FIPS 205);
 * MLKEM768-P256 seed (32 B).
 */
export interface KeyPair {
  readonly key: PublicKey;
  readonly secret: Uint8Array;
}

/** Lengths of the secrets in bytes. */
export const secretBytes: Readonly<Record<AlgorithmName, number>> = {
  ESP256: 32,
  'ML-DSA-44': 32,
  'ML-DSA-65': 32,
  'ML-DSA-87': 32,
  'MLDSA65-ECDSA-P256-SHA512': 64,
  'SLH-DSA-SHA2-128s': 64,
  'MLKEM768-P256': 32,
};

const crypto = createNodeCrypto();

/** Makes a fresh key pair; both halves of a composite are fresh too. */
export function generateKeyPair(algorithm: AlgorithmName): KeyPair {
  return keyPairOf(algorithm, freshSecret(algorithm));
}

/** The key pair of a stored secret; a secret that is none of this algorithm's throws. */
export function keyPairOf(algorithm: AlgorithmName, secret: Uint8Array): KeyPair {
  if (secret.length !== secretBytes[algorithm]) {
    throw new RangeError(`secret: ${secret.length} bytes do not fit ${algorithm}`);
  }
  return { key: { algorithm, bytes: publicBytes(algorithm, secret) }, secret };
}

function freshSecret(algorithm: AlgorithmName): Uint8Array {
  switch (algorithm) {
    case 'ESP256':
      return freshScalar();
    case 'MLDSA65-ECDSA-P256-SHA512':
      return new Uint8Array(Buffer.concat([randomBytes(32), freshScalar()]));
    case 'SLH-DSA-SHA2-128s':
      return freshSlhDsaSecret();
    default:
      return new Uint8Array(randomBytes(32));
  }
}

function freshScalar(): Uint8Array {
  const ecdh = createECDH('prime256v1');
  ecdh.generateKeys();
  const scalar = ecdh.getPrivateKey();
  const padded = new Uint8Array(32);
  padded.set(scalar, 32 - scalar.length);
  return padded;
}

function freshSlhDsaSecret(): Uint8Array {
  const { privateKey } = generateKeyPairSync('slh-dsa-sha2-128s');
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  return new Uint8Array(der.subarray(der.length - 64));
}

function publicBytes(algorithm: AlgorithmName, secret: Uint8Array): Uint8Array {
  if (algorithm === 'MLKEM768-P256') return hybridPublicKey(secret);
  if (algorithm !== 'MLDSA65-ECDSA-P256-SHA512') {
    return exportPublicKey(algorithm, importPrivateKey(algorithm, secret));
  }
  const bytes = new Uint8Array(publicKeyBytes[algorithm]);
  bytes.set(publicBytes('ML-DSA-65', secret.subarray(0, 32)), 0);
  bytes.set(publicBytes('ESP256', secret.subarray(32)), publicKeyBytes['ML-DSA-65']);
  return bytes;
}

/** A signer that holds the private key in this process. */
export function signerOf(pair: KeyPair): Signer {
  const { key, secret } = pair;
  if (key.algorithm === 'MLKEM768-P256') throw new TypeError('pair: not a signature key');
  if (key.algorithm === 'MLDSA65-ECDSA-P256-SHA512') return compositeSigner(key, secret);
  const privateKey = importPrivateKey(key.algorithm, secret);
  const elliptic = key.algorithm === 'ESP256';
  return {
    key,
    sign: (message) =>
      elliptic ? signElliptic(privateKey, message) : signRaw(privateKey, message),
  };
}

function compositeSigner(key: PublicKey, secret: Uint8Array): Signer {
  const signLattice = latticeHalf(secret.subarray(0, 32));
  const ellipticKey = importPrivateKey('ESP256', secret.subarray(32));
  return {
    key,
    sign(message) {
      const signed = compositeMessage(crypto, message);
      return joinComposite(signLattice(signed), signElliptic(ellipticKey, signed));
    },
  };
}

/**
 * The ML-DSA half of a composite key.
 * @param seed 32 bytes
 * @returns signs M' (`compositeMessage`)
 */
export function latticeHalf(seed: Uint8Array): (signed: Uint8Array) => Uint8Array {
  const key = importPrivateKey('ML-DSA-65', seed);
  return (signed) => signRaw(key, signed, compositeLabel);
}

/** A composite signature of its halves over the same M'; the second is r | s, 64 bytes. */
export function joinComposite(lattice: Uint8Array, elliptic: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([lattice, ecdsaToDer(elliptic)]));
}

function signElliptic(key: KeyObject, message: Uint8Array): Uint8Array {
  return new Uint8Array(nativeSign('sha256', message, { key, dsaEncoding: 'ieee-p1363' }));
}

function signRaw(key: KeyObject, message: Uint8Array, context?: Uint8Array): Uint8Array {
  return new Uint8Array(nativeSign(null, message, context ? { key, context } : { key }));
}
