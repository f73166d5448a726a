/**
 * ES256 signatures of ECUs, verified by OpenSSL. Making a key object costs about as much as half a
 * verification, and ECUs come back with the same key: the last ones are kept.
 */
import { type KeyObject, verify } from 'node:crypto';
import { importPublicKey } from '../../hal/node/key-format.ts';

/** What an ECU claims to have signed. All three are bytes as received. */
export interface SignatureClaim {
  /** Uncompressed point, 65 bytes. */
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  /** r ‖ s, 64 bytes. */
  readonly signature: Uint8Array;
}

export const publicKeyBytes = 65;
export const signatureBytes = 64;
/** Key objects that are kept; about 2 KB each. */
const maxKeys = 16_384;

export class EcuVerifier {
  /** By the raw key, in the order of their first use; undefined for what is no point. */
  private readonly keys = new Map<string, KeyObject | undefined>();

  verify({ publicKey, message, signature }: SignatureClaim): boolean {
    const key = this.keyOf(publicKey);
    if (key === undefined || signature.length !== signatureBytes) return false;
    return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
  }

  private keyOf(raw: Uint8Array): KeyObject | undefined {
    const name = Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('latin1');
    const known = this.keys.get(name);
    if (known !== undefined || this.keys.has(name)) return known;
    if (this.keys.size >= maxKeys) this.keys.delete(this.keys.keys().next().value!);
    let key: KeyObject | undefined;
    try {
      key = importPublicKey('ESP256', raw);
    } catch {
      // The import throws for what is no point on the curve.
      key = undefined;
    }
    this.keys.set(name, key);
    return key;
  }
}
