/**
 * Keys whose P-256 private half is in a token (`Token`) and whose rest is in a key file: of a
 * composite key the ML-DSA half, until tokens have CKM_ML_DSA (PKCS#11 3.2). To sign in such a key's
 * name takes both.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  type AlgorithmName,
  type PublicKey,
  publicKeyBytes,
} from '../../../agent/codec/cose-key.ts';
import { sameBytes } from '../../../agent/codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { compositeMessage } from '../../../agent/crypto/composite.ts';
import {
  generateKeyPair,
  joinComposite,
  type KeyPair,
  keyPairOf,
  latticeHalf,
} from '../../../hal/node/signing.ts';
import type { Crypto } from '../../../hal/types.ts';
import { isTokenKey, pointOf, type TokenKey, tokenSecretBytes } from '../key-file.ts';
import { type OnlineSigner, SignerUnavailable } from '../online-keys.ts';
import type { Token } from './token.ts';

/** Algorithms of keys that a token can hold, wholly or in part. */
export type TokenAlgorithm = 'ESP256' | 'MLDSA65-ECDSA-P256-SHA512';

function isTokenAlgorithm(algorithm: AlgorithmName): algorithm is TokenAlgorithm {
  return algorithm === 'ESP256' || algorithm === 'MLDSA65-ECDSA-P256-SHA512';
}

/**
 * Makes a key: in this process, or with its P-256 half in the token where there is one and keys of
 * that algorithm have such a half. Codes of `makeTokenKey`.
 */
export async function makeOnlineKey(
  token: Token | undefined,
  algorithm: AlgorithmName,
  name: string,
): Promise<KeyPair | TokenKey | Refusal> {
  if (token === undefined || !isTokenAlgorithm(algorithm)) return generateKeyPair(algorithm);
  return await makeTokenKey(token, algorithm, name);
}

/** Destroys what of a key is in the token. Codes of `Token.open`. */
export async function destroyTokenKey(
  token: Token | undefined,
  key: KeyPair | TokenKey,
): Promise<Refusal | undefined> {
  return isTokenKey(key) ? await token?.destroy(key.tokenKey) : undefined;
}

/**
 * Makes a key, its P-256 half in the token.
 * @param name what the token's list of keys calls it
 * @returns codes of `Token.open`, and `key-file-invalid`: the token did not make what it was told
 */
export async function makeTokenKey(
  token: Token,
  algorithm: TokenAlgorithm,
  name: string,
): Promise<TokenKey | Refusal> {
  const tokenKey = await token.generate(`ota ${name}`);
  if (isRefusal(tokenKey)) return tokenKey;
  const made = await token.key(tokenKey);
  if (isRefusal(made)) return made;
  const secret = new Uint8Array(randomBytes(tokenSecretBytes));
  const key = { algorithm, bytes: publicBytes(algorithm, secret, made.point) };
  const unguarded = made.guarded ? undefined : await giveUp(token, tokenKey);
  return unguarded ?? { key, secret, tokenKey };
}

async function giveUp(token: Token, tokenKey: Uint8Array): Promise<Refusal> {
  await token.destroy(tokenKey);
  return refuse('key-file-invalid', 'the token makes keys that it would give away: not this one');
}

function publicBytes(algorithm: TokenAlgorithm, secret: Uint8Array, point: Uint8Array): Uint8Array {
  if (algorithm === 'ESP256') return point;
  const bytes = new Uint8Array(publicKeyBytes[algorithm]);
  bytes.set(keyPairOf('ML-DSA-65', secret).key.bytes, 0);
  bytes.set(point, publicKeyBytes['ML-DSA-65']);
  return bytes;
}

/**
 * A signer of a key in the token; the signature has its algorithm's raw form.
 * @returns codes of `Token.key`, and `key-file-invalid`: another key is under that CKA_ID, or one
 *   that the token would give away
 */
export async function tokenSigner(
  crypto: Crypto,
  token: Token,
  held: TokenKey,
): Promise<OnlineSigner | Refusal> {
  const { key, secret } = held;
  const found = await checkTokenKey(token, held);
  if (isRefusal(found)) return found;
  if (key.algorithm !== 'MLDSA65-ECDSA-P256-SHA512') {
    return { key, sign: (message) => signElliptic(crypto, token, held, message) };
  }
  const signLattice = latticeHalf(secret);
  return {
    key,
    async sign(message) {
      const signed = compositeMessage(crypto, message);
      const elliptic = signElliptic(crypto, token, held, signed);
      // Made here while the token works.
      const lattice = signLattice(signed);
      return joinComposite(lattice, await elliptic);
    },
  };
}

async function checkTokenKey(token: Token, held: TokenKey): Promise<Refusal | undefined> {
  const found = await token.key(held.tokenKey);
  if (isRefusal(found)) return found;
  if (!sameBytes(found.point, pointIn(held.key))) {
    return refuse('key-file-invalid', 'the token has another key under the CKA_ID of this file');
  }
  if (found.guarded) return undefined;
  return refuse('key-file-invalid', 'the token would give this key away (CKA_EXTRACTABLE)');
}

/** What a faulty token signs is not published: no vehicle would take it. */
async function signElliptic(
  crypto: Crypto,
  token: Token,
  { key, tokenKey }: TokenKey,
  message: Uint8Array,
): Promise<Uint8Array> {
  const signature = await token.sign(tokenKey, createHash('sha256').update(message).digest());
  if (!crypto.verify('ESP256', pointIn(key), message, signature)) {
    token.close();
    throw new SignerUnavailable('the token made a signature that is not one of this key');
  }
  return signature;
}

function pointIn(key: PublicKey): Uint8Array {
  const point = pointOf(key);
  if (point === undefined) throw new TypeError(`${key.algorithm}: has no half for a token`);
  return point;
}
