/** Vehicles that no longer send manifests: all that a drop-request attack lets the Director see. */
import { refuse } from '../../agent/codes.ts';
import type { Services } from '../services.ts';
import { lastLogOfCode } from '../store/log.ts';
import { vehiclesSilentSince } from '../store/manifests.ts';
import { recordAnomaly } from './log.ts';

/** Records, once each time, the vehicles whose last manifest is older than `lifetimes.silence`. */
export function recordSilentVehicles(services: Services): void {
  const { database, lifetimes } = services;
  const since = services.now() - lifetimes.silence;
  database.transaction(() => {
    for (const { vehicle_id: vehicleId, last } of database.all(vehiclesSilentSince, since)) {
      const known = database.one(lastLogOfCode, vehicleId, 'vehicle-silent');
      if (known !== undefined && known.recorded > last) continue;
      const detail = `no manifest since ${new Date(last * 1000).toISOString()}`;
      // DIR-08: what is not there cannot be checked; that it is not there is noticed
      recordAnomaly(services, vehicleId, refuse('vehicle-silent', detail));
    }
  });
}
