/** Takes every signature off the Director's Timestamp (CTS-02). */
import { decodeEnvelope, encodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { maxTimestampBytes } from '../../../agent/limits.ts';
import type { Attack } from './attack.ts';

export function unsigned(): Attack {
  return {
    name: 'unsigned',
    position: 'outside the vehicle, in the middle',
    async intercept({ repository, path, forward }) {
      if (repository !== 'director' || !path.endsWith('/timestamp.cbor')) return undefined;
      const answer = await forward();
      const envelope = decodeEnvelope(answer.body, maxTimestampBytes);
      if (isRefusal(envelope)) return undefined;
      return { ...answer, body: encodeEnvelope({ ...envelope, signatures: [] }) };
    },
  };
}
