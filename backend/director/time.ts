/** Time attestation: the Director's clock, bound to the nonces of the ECUs that ask (HRD-03). */
import { encode } from '../../agent/codec/schema.ts';
import { type TimeAttestation, timeAttestation } from '../../agent/metadata/time.ts';
import type { Services } from '../services.ts';

/**
 * Signs the current time over the asking ECUs' nonces.
 * @returns the encoded COSE_Sign; rejects with `SignerUnavailable`
 */
export function attestTime(services: Services, nonces: TimeAttestation[0]): Promise<Uint8Array> {
  const payload = encode(timeAttestation, [nonces, services.now()] as const);
  return services.keys.sign('director-time', 'time', payload);
}
