/**
 * Key identifiers: COSE Key Thumbprints (RFC 9679) with SHA-256, computed by every reader from the
 * key itself, so that no message can state a wrong one (MET-02).
 */
import type { Crypto } from '../../hal/types.ts';
import { coseKey, type PublicKey } from '../codec/cose-key.ts';
import { encode } from '../codec/schema.ts';
import { Writer } from '../codec/writer.ts';

/**
 * The identifier of a public key, 32 bytes: the one of the key's own encoding, if that is not COSE.
 *
 * AKP keys are hashed over {kty, alg, pub} (RFC 9964). EC2 keys are hashed over {kty, crv, x, y}:
 * RFC 9679 leaves `alg` out there, which is safe because ESP256 is the only algorithm with EC2 keys.
 */
export function keyId(crypto: Crypto, key: PublicKey): Uint8Array {
  if (key.id !== undefined) return key.id;
  return crypto.digest(
    'SHA-256',
    key.algorithm === 'ESP256' ? ellipticThumbprint(key.bytes) : encode(coseKey, key),
  );
}

function ellipticThumbprint(point: Uint8Array): Uint8Array {
  if (point.length !== 65) throw new RangeError(`key: ${point.length} bytes do not fit ESP256`);
  const writer = new Writer();
  writer.map(4);
  writer.integer(1);
  writer.integer(2);
  writer.integer(-1);
  writer.integer(1);
  writer.integer(-2);
  writer.byteString(point.subarray(1, 33));
  writer.integer(-3);
  writer.byteString(point.subarray(33, 65));
  return writer.finish();
}
