/**
 * Serves another vehicle's Director metadata, properly signed by the same Director: an "up to
 * date" that was never meant for this vehicle (HRD-01).
 */
import { encode } from '../../../agent/codec/schema.ts';
import { ecuRoles, registration, verifications } from '../../../agent/metadata/device-messages.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import type { Attack } from './attack.ts';

const otherVehicle = 'another-vehicle';
/** As many as the attacked vehicle may have, so that no version number gives the replay away. */
const refreshes = 4;

export function crossVehicleReplay(): Attack {
  let directorUrl = '';
  let own = '';
  return {
    name: 'cross-vehicle-replay',
    position: 'outside the vehicle, in the middle, owner of another vehicle',
    async prepare(battlefield) {
      const { operator, vehicleId, healthyCycles } = battlefield;
      const answer = await operator.ota('vehicle', 'token', '--vehicle', otherVehicle, '--json');
      const { token } = JSON.parse(answer) as { token: string };
      await register(battlefield.directorUrl, token);
      for (let i = 0; i < refreshes; i++) {
        await operator.ota('metadata', 'refresh', '--vehicle', otherVehicle);
      }
      await healthyCycles(1);
      directorUrl = battlefield.directorUrl;
      own = `/metadata/${vehicleId}/`;
    },
    async intercept({ path }) {
      if (own === '' || !path.startsWith(own) || path.endsWith('.root.cbor')) return undefined;
      const other = `${directorUrl}/metadata/${otherVehicle}/${path.slice(own.length)}`;
      const answer = await fetch(other);
      const body = new Uint8Array(await answer.arrayBuffer());
      return { status: answer.status, headers: { 'content-type': 'application/cbor' }, body };
    },
  };
}

async function register(directorUrl: string, token: string): Promise<void> {
  const ecuId = 'another-primary';
  const body = encode(registration, {
    token,
    vehicleId: otherVehicle,
    primaryEcuId: ecuId,
    ecus: [
      {
        ecuId,
        hardwareId: 'emulated-gateway',
        role: ecuRoles.primary,
        verification: verifications.full,
        signingKey: generateKeyPair('ESP256').key,
        wrappingKey: generateKeyPair('MLKEM768-P256').key,
      },
    ],
  });
  const headers = { 'content-type': 'application/cbor' };
  const answer = await fetch(`${directorUrl}/register`, {
    method: 'POST',
    headers,
    body: Buffer.from(body),
  });
  if (!answer.ok) throw new Error(`the attacker's vehicle was not registered: ${answer.status}`);
}
