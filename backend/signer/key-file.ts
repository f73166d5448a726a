/**
 * Key pairs at rest: one file a key, its secret sealed under a passphrase.
 *
 * {1: format, 2: COSE_Key, 3: scrypt {1: N, 2: r, 3: p, 4: salt}, 4: nonce, 5: sealed secret,
 *  6: CKA_ID, in format 2 only}
 * sealed secret = AES-256-GCM(scrypt(passphrase), nonce, AAD = deterministic CBOR of fields 1–3, 6),
 * so that neither the public key nor the parameters can be exchanged. scrypt: RFC 7914.
 *
 * Format 2 belongs to a key whose P-256 private half is in a PKCS#11 token under that CKA_ID. Sealed
 * here is what the token cannot hold: of a composite key the ML-DSA seed; of a P-256 key 32 random
 * bytes, from which keys are derived that processes with the same files share.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { coseKey, type PublicKey } from '../../agent/codec/cose-key.ts';
import {
  bytes,
  decode,
  encode,
  field,
  integer,
  named,
  optional,
  record,
} from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { mlDsaPublicKeyBytes } from '../../agent/crypto/composite.ts';
import { type KeyPair, secretBytes } from '../../hal/node/signing.ts';
import { readSmallFile, writeDurableFile } from './durable-file.ts';

/** A composite key file is about 2.3 KB, an ML-DSA-87 one 2.9 KB. */
const maxKeyFileBytes = 8_192;
const saltBytes = 16;
const nonceBytes = 12;
const tagBytes = 16;

/** RFC 7914 cost of new files: 32 MiB of memory and about 0.1 s a key. */
const defaultCost = 32_768;
const defaultBlockSize = 8;
/**
 * Bounds on the parameters of a file, which may come from anybody: scrypt takes 128·N·r bytes and
 * time in proportion to N·r·p.
 */
const maxScryptBytes = 134_217_728;
/** Below 8, RFC 7914 §2 bounds N further: such parameters are of no use and are refused. */
const minBlockSize = 8;
const maxBlockSize = 16;
const maxParallelization = 4;
const minCost = 2;
const maxCost = 1_048_576;

const derivation = record({
  cost: field(1, integer(minCost, maxCost)),
  blockSize: field(2, integer(minBlockSize, maxBlockSize)),
  parallelization: field(3, integer(1, maxParallelization)),
  salt: field(4, bytes(saltBytes)),
});
type Derivation = ReturnType<typeof derivation.read>;

/** Of format 2: the length of what is sealed, and of the CKA_ID. */
export const tokenSecretBytes = 32;
const maxTokenKeyIdBytes = 64;

const head = {
  format: field(1, named({ 1: 1, 2: 2 })),
  key: field(2, coseKey),
  derivation: field(3, derivation),
  tokenKey: optional(6, bytes(1, maxTokenKeyIdBytes)),
};
const associatedData = record(head);

/** The file's schema, for tools that show what a file holds; the secret stays sealed. */
export const keyFile = record({
  ...head,
  nonce: field(4, bytes(nonceBytes)),
  sealed: field(5, bytes(tagBytes + 1, tagBytes + 128)),
});

/** A key whose P-256 private half is in a token; `key` is the whole public key. */
export interface TokenKey {
  readonly key: PublicKey;
  /** 32 bytes that are not in the token: see above. */
  readonly secret: Uint8Array;
  /** The CKA_ID of the P-256 key. */
  readonly tokenKey: Uint8Array;
}

export function isTokenKey(key: KeyPair | TokenKey): key is TokenKey {
  return 'tokenKey' in key;
}

export interface KeyFileOptions {
  /** scrypt's N, a power of two. Only tests, which write keys of no worth, lower it. */
  readonly cost?: number;
}

/**
 * Writes a key pair to `path`, mode 0600, replacing the file in one step. An empty passphrase is a
 * bug of the caller and throws.
 */
export function writeKeyFile(
  path: string,
  pair: KeyPair | TokenKey,
  passphrase: string,
  options: KeyFileOptions = {},
): void {
  if (passphrase.length === 0) throw new RangeError('passphrase: must not be empty');
  const parameters = {
    cost: options.cost ?? defaultCost,
    blockSize: defaultBlockSize,
    parallelization: 1,
    salt: new Uint8Array(randomBytes(saltBytes)),
  };
  const format = isTokenKey(pair) ? 2 : 1;
  const inToken = isTokenKey(pair) && { tokenKey: pair.tokenKey };
  const fields = { format, key: pair.key, derivation: parameters, ...inToken } as const;
  const nonce = new Uint8Array(randomBytes(nonceBytes));
  const sealingKey = derive(passphrase, parameters);
  const cipher = createCipheriv('aes-256-gcm', sealingKey, nonce);
  cipher.setAAD(encode(associatedData, fields));
  const sealed = Buffer.concat([cipher.update(pair.secret), cipher.final(), cipher.getAuthTag()]);
  sealingKey.fill(0);
  const content = encode(keyFile, { ...fields, nonce, sealed: new Uint8Array(sealed) });
  writeDurableFile(path, content, 0o600);
}

/**
 * Opens the file of a key that is wholly in it. Codes of `readOnlineKeyFile`, and
 * `key-file-invalid` for one that is not.
 */
export function readKeyFile(path: string, passphrase: string): KeyPair | Refusal {
  const opened = readOnlineKeyFile(path, passphrase);
  if (isRefusal(opened) || !isTokenKey(opened)) return opened;
  return refuse('key-file-invalid', `${path}: half of this key is in a token`);
}

/**
 * Opens a key file. Codes `file-unreadable`, `key-file-invalid` (not a key file, or parameters out
 * of bounds: refused before any memory is taken), `passphrase-wrong` (or an altered file: sealed
 * data cannot tell the two apart).
 */
export function readOnlineKeyFile(path: string, passphrase: string): KeyPair | TokenKey | Refusal {
  const content = decodeKeyFile(path);
  if (isRefusal(content)) return content;
  const { key, nonce, sealed, tokenKey } = content;
  const length = tokenKey === undefined ? secretBytes[key.algorithm] : tokenSecretBytes;
  if (sealed.length !== length + tagBytes) return invalid(path);
  const sealingKey = derive(passphrase, content.derivation);
  const decipher = createDecipheriv('aes-256-gcm', sealingKey, nonce, { authTagLength: tagBytes });
  sealingKey.fill(0);
  const { format, derivation } = content;
  const inToken = tokenKey && { tokenKey };
  decipher.setAAD(encode(associatedData, { format, key, derivation, ...inToken }));
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  try {
    const opened = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
    decipher.final();
    return { key, secret: new Uint8Array(opened), ...inToken };
  } catch {
    return refuse('passphrase-wrong', `${path}: wrong passphrase, or the file was altered`);
  }
}

/**
 * The public key that a key file names, without the passphrase: for finding the right file. It is
 * authentic only once `readKeyFile` has opened the file. Codes `file-unreadable`,
 * `key-file-invalid`.
 */
export function readKeyFilePublicKey(path: string): PublicKey | Refusal {
  const content = decodeKeyFile(path);
  return isRefusal(content) ? content : content.key;
}

/** The CKA_ID in a key file, as unauthentic as its public key; undefined: it is no token's. */
export function readKeyFileTokenKey(path: string): Uint8Array | undefined {
  const content = decodeKeyFile(path);
  return isRefusal(content) ? undefined : content.tokenKey;
}

function decodeKeyFile(path: string): ReturnType<typeof keyFile.read> | Refusal {
  const content = readSmallFile(path, maxKeyFileBytes);
  if (isRefusal(content)) return content;
  const decoded = decode(keyFile, content, maxKeyFileBytes);
  if (isRefusal(decoded) || !affordable(decoded.derivation)) return invalid(path);
  const { format, tokenKey, key } = decoded;
  if ((format === 2) !== (tokenKey !== undefined)) return invalid(path);
  return tokenKey === undefined || pointOf(key) !== undefined ? decoded : invalid(path);
}

/** The P-256 point of a public key that has one, 65 bytes: what a token can hold the key of. */
export function pointOf({ algorithm, bytes }: PublicKey): Uint8Array | undefined {
  if (algorithm === 'ESP256') return bytes;
  return algorithm === 'MLDSA65-ECDSA-P256-SHA512'
    ? bytes.subarray(mlDsaPublicKeyBytes)
    : undefined;
}

function affordable({ cost, blockSize }: Derivation): boolean {
  const powerOfTwo = Number.isInteger(Math.log2(cost));
  return powerOfTwo && 128 * cost * blockSize <= maxScryptBytes;
}

function invalid(path: string): Refusal {
  return refuse('key-file-invalid', `${path}: not a key file of this format`);
}

function derive(passphrase: string, parameters: Derivation): Buffer {
  const { cost, blockSize, parallelization, salt } = parameters;
  // One passphrase typed on two keyboards must be one key: NFKC, as RFC 8265 advises.
  return scryptSync(passphrase.normalize('NFKC'), salt, 32, {
    N: cost,
    r: blockSize,
    p: parallelization,
    maxmem: 2 * maxScryptBytes,
  });
}
