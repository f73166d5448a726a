/**
 * Wrapping of an image's content key for one ECU (docs/POUF.md §5.8):
 * MLKEM768-P256 → HKDF-SHA256 → AES-256-GCM. Each encapsulation gives a fresh key, used once.
 */
import type { Crypto } from '../../hal/types.ts';
import type { PublicKey } from '../codec/cose-key.ts';
import { asciiBytes } from '../codec/cose-sign.ts';
import { decode, encode } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxKeyObjectBytes } from '../limits.ts';
import { keyObject, type WrapContext, wrapContext, wrapSuites } from '../metadata/key-object.ts';
import { hkdfExpand, hkdfExtract } from './hkdf.ts';

const contentKeyBytes = 32;
const nonceBytes = 12;
const purpose = asciiBytes('ota-wrap-v1');
const noSalt = new Uint8Array(0);

/** AES key and nonce that one shared secret gives for one context. */
function deriveKey(
  crypto: Crypto,
  sharedSecret: Uint8Array,
  context: Uint8Array,
): { readonly key: Uint8Array; readonly nonce: Uint8Array } {
  const info = new Uint8Array(purpose.length + context.length);
  info.set(purpose, 0);
  info.set(context, purpose.length);
  const pseudorandomKey = hkdfExtract(crypto, 'SHA-256', noSalt, sharedSecret);
  const length = contentKeyBytes + nonceBytes;
  const output = hkdfExpand(crypto, 'SHA-256', pseudorandomKey, info, length);
  return { key: output.subarray(0, contentKeyBytes), nonce: output.subarray(contentKeyBytes) };
}

/**
 * Wraps a content key.
 * @param wrappingKey the ECU's MLKEM768-P256 public key
 * @param contentKey 32 bytes
 * @param context `[vehicle id, ECU id, filename, SHA-256 of the ciphertext]`
 * @returns the encoded key object; code `key-malformed` when nothing can be wrapped to that key
 */
export function wrapContentKey(
  crypto: Crypto,
  wrappingKey: PublicKey,
  contentKey: Uint8Array,
  context: WrapContext,
): Uint8Array | Refusal {
  if (contentKey.length !== contentKeyBytes) {
    throw new RangeError(`contentKey: ${contentKey.length} bytes, ${contentKeyBytes} expected`);
  }
  if (wrappingKey.algorithm !== 'MLKEM768-P256') {
    return refuse('key-malformed', `a ${wrappingKey.algorithm} key wraps no keys`);
  }
  const encapsulated = crypto.encapsulate(wrappingKey.bytes);
  if (encapsulated === undefined) return refuse('key-malformed', 'wrapping key');
  const bound = encode(wrapContext, context);
  const { key, nonce } = deriveKey(crypto, encapsulated.sharedSecret, bound);
  return encode(keyObject, {
    suite: wrapSuites['MLKEM768-P256+HKDF-SHA256+AES-256-GCM'],
    encapsulation: encapsulated.ciphertext,
    wrappedKey: crypto.aeadSeal(key, nonce, bound, contentKey),
  });
}

/**
 * Unwraps a content key. Check the key object's hash against Director Targets before (CUS-05).
 * @param privateKey the ECU's 32-byte seed
 * @param keyObjectBytes as received
 * @returns the 32-byte content key; codes `cbor-…`, `key-object-unwrap`
 */
export function unwrapContentKey(
  crypto: Crypto,
  privateKey: Uint8Array,
  keyObjectBytes: Uint8Array,
  context: WrapContext,
): Uint8Array | Refusal {
  const opened = decode(keyObject, keyObjectBytes, maxKeyObjectBytes);
  if (isRefusal(opened)) return opened;
  const sharedSecret = crypto.decapsulate(privateKey, opened.encapsulation);
  // VIM-06: opens with this ECU's key, and only for what it was wrapped for
  if (sharedSecret === undefined) return refuse('key-object-unwrap', 'malformed encapsulation');
  const bound = encode(wrapContext, context);
  const { key, nonce } = deriveKey(crypto, sharedSecret, bound);
  const contentKey = new Uint8Array(contentKeyBytes);
  // VIM-06: vehicle, ECU, filename and ciphertext are bound
  return crypto.aeadOpen(key, nonce, bound, opened.wrappedKey, contentKey)
    ? contentKey
    : refuse('key-object-unwrap', 'made for another ECU, another image, or altered');
}
