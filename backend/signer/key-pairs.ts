/** Online keys whose private half is in this process. */
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { unwrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { type KeyPair, signerOf } from '../../hal/node/signing.ts';
import type { Crypto } from '../../hal/types.ts';
import {
  type KeyProvider,
  type OnlineKeyName,
  type OnlineSigner,
  type Unwrapper,
  wrappingKeyName,
} from './online-keys.ts';

/** Gives the key pair of a name. */
export type KeySource = (name: OnlineKeyName) => KeyPair | Refusal;

/** Signs and unwraps by key pairs. Codes: the source's, and `key-file-invalid` for another kind. */
export function keyPairProvider(crypto: Crypto, source: KeySource): KeyProvider {
  return {
    async signer(name) {
      const pair = source(name);
      return isRefusal(pair) ? pair : onlineSignerOf(name, pair);
    },
    async wrapping() {
      const pair = source(wrappingKeyName);
      return isRefusal(pair) ? pair : unwrapperOf(crypto, pair);
    },
  };
}

/** Code `key-file-invalid`: no signature key. */
export function onlineSignerOf(name: string, pair: KeyPair): OnlineSigner | Refusal {
  if (pair.key.algorithm === 'MLKEM768-P256') {
    return refuse('key-file-invalid', `${name}: not a signature key`);
  }
  const { key, sign } = signerOf(pair);
  return { key, sign: async (message) => sign(message) };
}

/** Code `key-file-invalid`: no wrapping key. */
export function unwrapperOf(crypto: Crypto, { key, secret }: KeyPair): Unwrapper | Refusal {
  if (key.algorithm !== 'MLKEM768-P256') {
    return refuse('key-file-invalid', `${wrappingKeyName}: not a wrapping key`);
  }
  return { key, unwrap: (sealed, context) => unwrapContentKey(crypto, secret, sealed, context) };
}
