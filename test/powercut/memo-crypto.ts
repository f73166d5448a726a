/**
 * Node's crypto, with what was computed before remembered: the same signatures and wrapped keys are
 * met at every point, and the result does not change.
 */
import { createHash } from 'node:crypto';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import type { Crypto } from '../../hal/types.ts';

const plain = createNodeCrypto();

function remembered<T>(compute: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>();
  return (key) => {
    const found = known.get(key);
    if (found !== undefined) return found;
    const result = compute(key);
    known.set(key, result);
    return result;
  };
}

function hashOf(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest('base64');
}

export const crypto: Crypto = (() => {
  let verify: () => boolean = () => false;
  let decapsulate: () => { readonly secret: Uint8Array | undefined } = () => ({
    secret: undefined,
  });
  let sign: () => Uint8Array = () => new Uint8Array(0);
  const signatures = remembered(() => sign());
  const verified = remembered(() => verify());
  const secrets = remembered(() => decapsulate());
  return {
    ...plain,
    verify(algorithm, publicKey, message, signature, context) {
      verify = () => plain.verify(algorithm, publicKey, message, signature, context);
      return verified(
        algorithm + hashOf(publicKey, message, signature, context ?? new Uint8Array(0)),
      );
    },
    sign(algorithm, privateKey, message) {
      sign = () => plain.sign(algorithm, privateKey, message);
      return signatures(hashOf(privateKey, message)).slice();
    },
    decapsulate(privateKey, ciphertext) {
      decapsulate = () => ({ secret: plain.decapsulate(privateKey, ciphertext) });
      return secrets(hashOf(privateKey, ciphertext)).secret?.slice();
    },
  };
})();
