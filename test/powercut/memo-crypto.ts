/**
 * Node's crypto, with what was computed before remembered: the same records, signatures and wrapped
 * keys are met at every point, and the result does not change.
 */
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import type { Crypto } from '../../hal/types.ts';

const plain = createNodeCrypto();
/** Torn records are met once: what is remembered is bounded. */
const maxRemembered = 20_000;
/** Longer inputs are images: hashing them costs less than keeping them. */
const maxDigestedBytes = 8_192;

/** A key that no other inputs have. */
function keyOf(...parts: readonly Uint8Array[]): string {
  let key = '';
  for (const part of parts) {
    const { buffer, byteOffset, length } = part;
    key += `${length} ${Buffer.from(buffer, byteOffset, length).toString('latin1')}`;
  }
  return key;
}

class Memory<T> {
  private readonly known = new Map<string, T>();

  get(key: string, compute: () => T): T {
    const found = this.known.get(key);
    if (found !== undefined) return found;
    const result = compute();
    if (this.known.size >= maxRemembered) this.known.clear();
    this.known.set(key, result);
    return result;
  }
}

const noContext = new Uint8Array(0);
const digests = new Memory<Uint8Array>();
const codes = new Memory<Uint8Array>();
const signatures = new Memory<Uint8Array>();
const verified = new Memory<boolean>();
const secrets = new Memory<{ readonly secret: Uint8Array | undefined }>();

export const crypto: Crypto = {
  ...plain,
  digest(algorithm, bytes) {
    if (bytes.length > maxDigestedBytes) return plain.digest(algorithm, bytes);
    return digests.get(algorithm + keyOf(bytes), () => plain.digest(algorithm, bytes)).slice();
  },
  hmac(algorithm, key, message) {
    const name = algorithm + keyOf(key, message);
    return codes.get(name, () => plain.hmac(algorithm, key, message)).slice();
  },
  verify(algorithm, publicKey, message, signature, context) {
    const name = algorithm + keyOf(publicKey, message, signature, context ?? noContext);
    return verified.get(name, () =>
      plain.verify(algorithm, publicKey, message, signature, context),
    );
  },
  sign(algorithm, privateKey, message) {
    const name = keyOf(privateKey, message);
    return signatures.get(name, () => plain.sign(algorithm, privateKey, message)).slice();
  },
  decapsulate(privateKey, ciphertext) {
    const name = keyOf(privateKey, ciphertext);
    const found = secrets.get(name, () => ({ secret: plain.decapsulate(privateKey, ciphertext) }));
    return found.secret?.slice();
  },
};
