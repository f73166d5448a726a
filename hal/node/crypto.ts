/** The crypto provider of Node ≥ 24: everything native (OpenSSL 3.5). */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hash,
  sign as nativeSign,
  verify as nativeVerify,
} from 'node:crypto';
import { asciiBytes } from '../../agent/codec/cose-sign.ts';
import type { Crypto, Digest, DigestAlgorithm, SignatureAlgorithm } from '../types.ts';
import { hybridDecapsulate, hybridEncapsulate } from './hybrid-kem.ts';
import { importPrivateKey, importPublicKey } from './key-format.ts';

const digestNames = { 'SHA-256': 'sha256', 'SHA-512': 'sha512' } as const;
const gcmTagBytes = 16;
const noContext = new Uint8Array(0);

/** A plain copy: Buffers from Node's pool would keep, and could show, neighbouring memory. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer);
}

/** Makes the provider. It holds no state and no keys. */
export function createNodeCrypto(): Crypto {
  return {
    // By way of a string of bytes: a Buffer for each short digest takes twice the time of hashing.
    digest: (algorithm, bytes) => asciiBytes(hash(digestNames[algorithm], bytes, 'binary')),
    createDigest,
    hmac: (algorithm, key, message) =>
      plain(createHmac(digestNames[algorithm], key).update(message).digest()),
    verify,
    sign: (_algorithm, privateKey, message) =>
      plain(
        nativeSign('sha256', message, {
          key: importPrivateKey('ESP256', privateKey),
          dsaEncoding: 'ieee-p1363',
        }),
      ),
    aeadOpen,
    aeadSeal,
    decapsulate: hybridDecapsulate,
    encapsulate: hybridEncapsulate,
  };
}

function createDigest(algorithm: DigestAlgorithm): Digest {
  const state = createHash(digestNames[algorithm]);
  return {
    update(bytes) {
      state.update(bytes);
    },
    finish: () => plain(state.digest()),
  };
}

function verify(
  algorithm: SignatureAlgorithm,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  context: Uint8Array = noContext,
): boolean {
  const elliptic = algorithm === 'ESP256' || algorithm === 'ESP384';
  if (elliptic && signature.length !== (algorithm === 'ESP256' ? 64 : 96)) return false;
  if (context.length > (elliptic ? 0 : 255)) return false;
  try {
    const key = importPublicKey(algorithm, publicKey);
    return elliptic
      ? nativeVerify(
          algorithm === 'ESP256' ? 'sha256' : 'sha384',
          message,
          { key, dsaEncoding: 'ieee-p1363' },
          signature,
        )
      : nativeVerify(null, message, { key, context }, signature);
  } catch {
    return false; // the key does not decode, or its point is off the curve
  }
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
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: gcmTagBytes });
  decipher.setAAD(additionalData);
  decipher.setAuthTag(ciphertextAndTag.subarray(length));
  const plaintext = decipher.update(ciphertextAndTag.subarray(0, length));
  let authentic = false;
  try {
    decipher.final();
    authentic = true;
    out.set(plaintext);
  } catch {
    authentic = false;
  }
  plaintext.fill(0);
  return authentic;
}

function aeadSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: gcmTagBytes });
  cipher.setAAD(additionalData);
  const body = cipher.update(plaintext);
  cipher.final();
  const sealed = new Uint8Array(body.length + gcmTagBytes);
  sealed.set(body, 0);
  sealed.set(cipher.getAuthTag(), body.length);
  return sealed;
}
