/** Rules for the keys that one file lists together (ROOT-02, HRD-18). */
import { type PublicKey, publicKeyBytes } from '../codec/cose-key.ts';
import { sameBytes } from '../codec/reader.ts';
import { type Refusal, refuse } from '../codes.ts';
import { mlDsaPublicKeyBytes } from './composite.ts';

/** The keys of single algorithms inside a key: a composite's two halves, else the key itself. */
function componentsOf(key: PublicKey): readonly Uint8Array[] {
  return key.algorithm === 'MLDSA65-ECDSA-P256-SHA512'
    ? [key.bytes.subarray(0, mlDsaPublicKeyBytes), key.bytes.subarray(mlDsaPublicKeyBytes)]
    : [key.bytes];
}

/**
 * Refuses a list in which two keys share key material: a key listed twice, and a half of a
 * composite key that stands alone or in another composite, where it could sign without its twin.
 * @returns undefined when all are distinct; codes `key-duplicate`, `key-malformed`
 */
export function refuseSharedKeys(keys: readonly PublicKey[]): Refusal | undefined {
  const seen: Uint8Array[] = [];
  for (const key of keys) {
    if (key.bytes.length !== publicKeyBytes[key.algorithm]) {
      return refuse('key-malformed', `${key.bytes.length} bytes do not fit ${key.algorithm}`);
    }
    for (const component of componentsOf(key)) {
      // ROOT-02: every key is listed once; HRD-18: component keys are never listed alone
      if (seen.some((other) => sameBytes(other, component))) {
        return refuse('key-duplicate', `a ${key.algorithm} key shares bytes with another key`);
      }
      seen.push(component);
    }
  }
  return undefined;
}
