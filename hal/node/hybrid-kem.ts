/**
 * MLKEM768-P256 (draft-irtf-cfrg-concrete-hybrid-kems) on OpenSSL's ML-KEM and ECDH.
 *
 * private key = 32-byte seed; SHAKE256(seed) = ML-KEM seed (64) | candidates of the scalar (4 × 32)
 * public key  = ML-KEM-768 key (1,184) | uncompressed point (65)
 * ciphertext  = ML-KEM-768 ciphertext (1,088) | uncompressed ephemeral point (65)
 * shared      = SHA3-256(ML-KEM secret | x of the ECDH point | ephemeral point | own point | label)
 */
import { createECDH, createHash, decapsulate, encapsulate } from 'node:crypto';
import { exportPublicKey, importPrivateKey, importPublicKey } from './key-format.ts';

const mlKemPublicBytes = 1184;
const mlKemCiphertextBytes = 1088;
const pointBytes = 65;
const scalarBytes = 32;
const scalarCandidates = 4;
const label = Buffer.from('MLKEM768-P256', 'ascii');
const groupOrder = Buffer.from(
  'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
  'hex',
);

/** Splits the seed's expansion; the first candidate in 1 … n−1 is the scalar. */
function expandSeed(seed: Uint8Array): { mlKemSeed: Buffer; scalar: Buffer } {
  if (seed.length !== 32) throw new RangeError(`privateKey: ${seed.length} bytes, 32 expected`);
  const outputLength = 64 + scalarCandidates * scalarBytes;
  const expanded = createHash('shake256', { outputLength }).update(seed).digest();
  for (let i = 0; i < scalarCandidates; i++) {
    const scalar = expanded.subarray(64 + i * scalarBytes, 64 + (i + 1) * scalarBytes);
    if (scalar.compare(groupOrder) < 0 && scalar.some((byte) => byte !== 0)) {
      return { mlKemSeed: expanded.subarray(0, 64), scalar };
    }
  }
  throw new RangeError('privateKey: no scalar in the expanded seed');
}

function combine(
  mlKemSecret: Uint8Array,
  sharedX: Uint8Array,
  ephemeralPoint: Uint8Array,
  ownPoint: Uint8Array,
): Uint8Array {
  const hash = createHash('sha3-256');
  for (const part of [mlKemSecret, sharedX, ephemeralPoint, ownPoint, label]) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** The public key (1,249 bytes) of a 32-byte seed. */
export function hybridPublicKey(seed: Uint8Array): Uint8Array {
  const { mlKemSeed, scalar } = expandSeed(seed);
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(scalar);
  const mlKem = exportPublicKey('ML-KEM-768', importPrivateKey('ML-KEM-768', mlKemSeed));
  return new Uint8Array(Buffer.concat([mlKem, ecdh.getPublicKey()]));
}

/** Shared secret (32 bytes); undefined when the ciphertext is malformed. */
export function hybridDecapsulate(
  seed: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  if (ciphertext.length !== mlKemCiphertextBytes + pointBytes) return undefined;
  const point = ciphertext.subarray(mlKemCiphertextBytes);
  if (point[0] !== 4) return undefined;
  const { mlKemSeed, scalar } = expandSeed(seed);
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(scalar);
  const sharedX = computeSecret(ecdh, point);
  if (sharedX === undefined) return undefined;
  const key = importPrivateKey('ML-KEM-768', mlKemSeed);
  const mlKemSecret = decapsulate(key, ciphertext.subarray(0, mlKemCiphertextBytes));
  return combine(mlKemSecret, sharedX, point, ecdh.getPublicKey());
}

/** Fresh shared secret for a public key; undefined when that key is malformed. */
export function hybridEncapsulate(
  publicKey: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array } | undefined {
  if (publicKey.length !== mlKemPublicBytes + pointBytes) return undefined;
  const point = publicKey.subarray(mlKemPublicBytes);
  if (point[0] !== 4) return undefined;
  const ecdh = createECDH('prime256v1');
  const ephemeral = ecdh.generateKeys();
  const sharedX = computeSecret(ecdh, point);
  const mlKem = encapsulateMlKem(publicKey.subarray(0, mlKemPublicBytes));
  if (sharedX === undefined || mlKem === undefined) return undefined;
  return {
    ciphertext: new Uint8Array(Buffer.concat([mlKem.ciphertext, ephemeral])),
    sharedSecret: combine(mlKem.sharedKey, sharedX, ephemeral, point),
  };
}

/** x of the ECDH point; undefined when `point` is not on the curve. */
function computeSecret(
  ecdh: ReturnType<typeof createECDH>,
  point: Uint8Array,
): Uint8Array | undefined {
  try {
    return ecdh.computeSecret(point);
  } catch {
    return undefined;
  }
}

function encapsulateMlKem(
  raw: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly sharedKey: Uint8Array } | undefined {
  try {
    return encapsulate(importPublicKey('ML-KEM-768', raw));
  } catch {
    return undefined;
  }
}
