/**
 * Who may update a Secondary: the holder of the Primary's signing key, which the Secondary has from
 * its provisioning. The proof is a signature over vehicle, ECU, session and both challenges
 * (docs/POUF.md §4.1), in the domain `ota-uds-access-v1`, so that it is none of anything else.
 */
import type { Crypto } from '../../hal/types.ts';
import { algorithms, type PublicKey } from '../codec/cose-key.ts';
import { signatureHeader, signatureStructure } from '../codec/cose-sign.ts';
import { encode } from '../codec/schema.ts';
import { keyId } from '../crypto/key-id.ts';
import type { Signer } from '../crypto/sign-envelope.ts';
import { verifySignature } from '../crypto/verify-signature.ts';
import { accessStatement } from '../metadata/vehicle-messages.ts';

/** What the proof is bound to. */
export interface AccessClaim {
  readonly vehicleId: string;
  /** The Secondary's own ECU id. */
  readonly ecuId: string;
  /** The active diagnostic session. */
  readonly session: number;
  readonly serverChallenge: Uint8Array;
  readonly clientChallenge: Uint8Array;
}

/** The proof for `claim` by `signer`: r‖s of ESP256. */
export function proveAccess(crypto: Crypto, signer: Signer, claim: AccessClaim): Uint8Array {
  return signer.sign(signedBytes(crypto, signer.key, claim));
}

/** True when `proof` was made for `claim` by the holder of `key`. */
export function verifyAccess(
  crypto: Crypto,
  key: PublicKey,
  claim: AccessClaim,
  proof: Uint8Array,
): boolean {
  return verifySignature(crypto, key, signedBytes(crypto, key, claim), proof) === undefined;
}

function signedBytes(crypto: Crypto, key: PublicKey, claim: AccessClaim): Uint8Array {
  const header = { algorithm: algorithms[key.algorithm], keyId: keyId(crypto, key) };
  const { vehicleId, ecuId, session, serverChallenge, clientChallenge } = claim;
  const statement = [vehicleId, ecuId, session, serverChallenge, clientChallenge] as const;
  return signatureStructure(
    'access',
    encode(signatureHeader, header),
    encode(accessStatement, statement),
  );
}
