/** Vehicles that no longer send manifests: all that a drop-request attack lets the Director see. */
import { refuse } from '../../agent/codes.ts';
import type { Services } from '../services.ts';
import { lastLogOfCode } from '../store/log.ts';
import { vehiclesLastHeard } from '../store/manifests.ts';
import { inTurn } from '../transactions.ts';
import { recordAnomaly } from './log.ts';

/** Vehicles of one look: so few that nobody who asks meanwhile waits for it. */
export const vehiclesPerLook = 1_000;

/**
 * Records, once each time, the vehicles whose last manifest is older than `lifetimes.silence`, among
 * those that follow `after` in the order of their ids.
 * @returns where the next look begins: empty after the last vehicle
 */
export function recordSilentVehicles(services: Services, after: string): Promise<string> {
  const since = services.now() - services.lifetimes.silence;
  return inTurn(services, 'silence', async (within) => {
    const { database } = within;
    const heard = await database.all(vehiclesLastHeard, after, vehiclesPerLook);
    for (const { vehicle_id: vehicleId, last } of heard) {
      if (last >= since) continue;
      const known = await database.one(lastLogOfCode, vehicleId, 'vehicle-silent');
      if (known !== undefined && known.recorded > last) continue;
      const detail = `no manifest since ${new Date(last * 1000).toISOString()}`;
      // DIR-08: what is not there cannot be checked; that it is not there is noticed
      await recordAnomaly(within, vehicleId, refuse('vehicle-silent', detail));
    }
    return heard.length < vehiclesPerLook ? '' : heard.at(-1)!.vehicle_id;
  });
}
