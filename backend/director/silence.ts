/** Vehicles that no longer send manifests: all that a drop-request attack lets the Director see. */
import { refuse } from '../../agent/codes.ts';
import type { Services } from '../services.ts';
import { lastLogOfCode } from '../store/log.ts';
import { vehiclesSilentSince } from '../store/manifests.ts';
import { inTurn } from '../transactions.ts';
import { recordAnomaly } from './log.ts';

/** Records, once each time, the vehicles whose last manifest is older than `lifetimes.silence`. */
export function recordSilentVehicles(services: Services): Promise<void> {
  const since = services.now() - services.lifetimes.silence;
  return inTurn(services, 'silence', async (within) => {
    const { database } = within;
    for (const { vehicle_id: vehicleId, last } of await database.all(vehiclesSilentSince, since)) {
      const known = await database.one(lastLogOfCode, vehicleId, 'vehicle-silent');
      if (known !== undefined && known.recorded > last) continue;
      const detail = `no manifest since ${new Date(last * 1000).toISOString()}`;
      // DIR-08: what is not there cannot be checked; that it is not there is noticed
      await recordAnomaly(within, vehicleId, refuse('vehicle-silent', detail));
    }
  });
}
