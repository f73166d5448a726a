/** Strips the ML-DSA half of every composite signature and leaves the ECDSA one (HRD-18). */
import { decodeEnvelope, encodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { maxTimestampBytes } from '../../../agent/limits.ts';
import type { Attack } from './attack.ts';

const mlDsa65SignatureBytes = 3_309;

export function halfSignature(): Attack {
  return {
    name: 'half-signature',
    position: 'outside the vehicle, with a quantum computer or a broken lattice: one half forged',
    async intercept({ repository, path, forward }) {
      if (repository !== 'director' || !path.endsWith('/timestamp.cbor')) return undefined;
      const answer = await forward();
      const envelope = decodeEnvelope(answer.body, maxTimestampBytes);
      if (isRefusal(envelope)) return undefined;
      const signatures = envelope.signatures.map((one) => ({
        ...one,
        signature: one.signature.subarray(mlDsa65SignatureBytes),
      }));
      return { ...answer, body: encodeEnvelope({ ...envelope, signatures }) };
    },
  };
}
