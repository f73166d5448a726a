/** Time request and attestation (Uptane §5.4.2.2): nonce-bound, so none can be replayed. */
import { array, bytes, type Infer, tuple } from '../codec/schema.ts';
import { maxNoncesPerTimeRequest, nonceBytes } from '../limits.ts';
import { unixSeconds } from './common.ts';

export const nonces = array(bytes(nonceBytes), 1, maxNoncesPerTimeRequest);

/** Body of `POST /time`. */
export const timeRequest = nonces;

/** Payload of the attestation: `[nonces of the asking ECUs, unix seconds]`. */
export const timeAttestation = tuple(nonces, unixSeconds);

export type TimeAttestation = Infer<typeof timeAttestation>;
