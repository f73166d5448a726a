/**
 * Raw keys as OpenSSL's key objects: fixed DER prefixes (RFC 5480, RFC 5915, RFC 9881, RFC 9909,
 * RFC 9935) before the raw bytes. Malformed keys throw; callers turn that into their own answer.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';

/** Public keys: SubjectPublicKeyInfo up to the raw key, and the raw key's length in bytes. */
const publicFormats = {
  ESP256: ['3059301306072a8648ce3d020106082a8648ce3d030107034200', 65],
  ESP384: ['3076301006072a8648ce3d020106052b81040022036200', 97],
  'ML-DSA-44': ['30820532300b06096086480165030403110382052100', 1312],
  'ML-DSA-65': ['308207b2300b0609608648016503040312038207a100', 1952],
  'ML-DSA-87': ['30820a32300b060960864801650304031303820a2100', 2592],
  'SLH-DSA-SHA2-128s': ['3030300b0609608648016503040314032100', 32],
  'ML-KEM-768': ['308204b2300b0609608648016503040402038204a100', 1184],
} as const;

/** Private keys: PKCS#8 up to the raw secret (scalar, seed, or SLH-DSA's key), and its length. */
const privateFormats = {
  ESP256: ['3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420', 32],
  'ML-DSA-44': ['3034020100300b060960864801650304031104228020', 32],
  'ML-DSA-65': ['3034020100300b060960864801650304031204228020', 32],
  'ML-DSA-87': ['3034020100300b060960864801650304031304228020', 32],
  'SLH-DSA-SHA2-128s': ['3052020100300b06096086480165030403140440', 64],
  'ML-KEM-768': ['3054020100300b060960864801650304040204428040', 64],
} as const;

export type PublicFormat = keyof typeof publicFormats;
export type PrivateFormat = keyof typeof privateFormats;

function assemble(prefix: string, length: number, raw: Uint8Array): Buffer {
  if (raw.length !== length) throw new RangeError(`key: ${raw.length} bytes, ${length} expected`);
  return Buffer.concat([Buffer.from(prefix, 'hex'), raw]);
}

/** Imports a raw public key; a point off its curve throws. */
export function importPublicKey(format: PublicFormat, raw: Uint8Array): KeyObject {
  const [prefix, length] = publicFormats[format];
  const elliptic = format === 'ESP256' || format === 'ESP384';
  // OpenSSL would also take the hybrid form of a point (0x06, 0x07), a second encoding of one key.
  if (elliptic && raw[0] !== 4) throw new RangeError('key: not an uncompressed point');
  return createPublicKey({ key: assemble(prefix, length, raw), format: 'der', type: 'spki' });
}

/** Imports a raw private key. */
export function importPrivateKey(format: PrivateFormat, raw: Uint8Array): KeyObject {
  const [prefix, length] = privateFormats[format];
  const der = assemble(prefix, length, raw);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return key;
}

/** The raw public key that belongs to a key object. */
export function exportPublicKey(format: PublicFormat, key: KeyObject): Uint8Array {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const der = publicKey.export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(der.length - publicFormats[format][1]));
}
