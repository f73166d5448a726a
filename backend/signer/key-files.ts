/**
 * The online keys in `<keys folder>/online`: each is wholly in its file, or half in the token that
 * the configuration names. One may be replaced by one of the other kind at any time (`ota root
 * rotate-key`).
 */
import { join } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import type { KeyPair } from '../../hal/node/signing.ts';
import type { Crypto } from '../../hal/types.ts';
import { isTokenKey, readOnlineKeyFile, type TokenKey } from './key-file.ts';
import { onlineSignerOf, unwrapperOf } from './key-pairs.ts';
import {
  type KeyProvider,
  type OnlineKeyName,
  type OnlineSigner,
  wrappingKeyName,
} from './online-keys.ts';
import type { Token } from './pkcs11/token.ts';
import { tokenSigner } from './pkcs11/token-keys.ts';

/** Where the server finds its keys, and what opens them. */
export interface KeyFiles {
  readonly folder: string;
  readonly passphrase: string;
  /** Has halves of keys; without one, such keys are refused. */
  readonly token?: Token | undefined;
}

/** Codes of `readOnlineKeyFile` and `tokenSigner`. */
export function keyFileProvider(crypto: Crypto, files: KeyFiles): KeyProvider {
  const read = (name: OnlineKeyName) =>
    readOnlineKeyFile(join(files.folder, 'online', `${name}.key`), files.passphrase);
  return {
    async signer(name) {
      const key = read(name);
      return isRefusal(key) ? key : await signerOfFile(crypto, files, name, key);
    },
    async wrapping() {
      const key = read(wrappingKeyName);
      if (isRefusal(key)) return key;
      if (!isTokenKey(key)) return unwrapperOf(crypto, key);
      return refuse('key-file-invalid', `${wrappingKeyName}: no token can unwrap by it`);
    },
  };
}

/** The signer of an opened key file. */
export async function signerOfFile(
  crypto: Crypto,
  { token }: KeyFiles,
  name: string,
  key: KeyPair | TokenKey,
): Promise<OnlineSigner | Refusal> {
  if (!isTokenKey(key)) return onlineSignerOf(name, key);
  if (token === undefined) {
    const advice = 'half of this key is in a PKCS#11 token: set OTA_PKCS11_MODULE';
    return refuse('configuration-invalid', `${name}: ${advice}`);
  }
  const signer = await tokenSigner(crypto, token, key);
  return isRefusal(signer) ? refuse(signer.refused, `${name}: ${signer.detail}`) : signer;
}
