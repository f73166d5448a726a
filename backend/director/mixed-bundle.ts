/**
 * A bundle of which some ECUs run their image and others do not, as manifests show it: a partial
 * bundle installation (Uptane §4.3.2), or an ECU that failed. One such manifest may come in the
 * middle of an installation; the second in a row that shows the same is an anomaly.
 */
import { refuse } from '../../agent/codes.ts';
import type { Report } from '../../agent/metadata/report.ts';
import type { Services } from '../services.ts';
import { assignmentsOfVehicle } from '../store/images.ts';
import { forgetMixedBundle, noteMixedBundle } from '../store/manifests.ts';
import { recordAnomaly } from './log.ts';
import { isInstalled } from './updates.ts';
import { storedTarget } from './vehicle-images.ts';

/** Manifests in a row that have to show the same mixture. */
const manifestsOfAnomaly = 2;

/** Compares a manifest's reports with what was assigned; inside the transaction that stores it. */
export async function noticeMixedBundle(
  services: Services,
  vehicleId: string,
  reports: readonly Report[],
): Promise<void> {
  const { database } = services;
  const bundles = new Map<number, { readonly done: string[]; readonly left: string[] }>();
  for (const row of await database.all(assignmentsOfVehicle, vehicleId)) {
    // What one request assigned is one bundle.
    const bundle = bundles.get(row.assigned) ?? { done: [], left: [] };
    bundles.set(row.assigned, bundle);
    const target = storedTarget(row.target);
    const report = reports.find(({ ecuId }) => ecuId === row.ecu_id);
    const list = isInstalled(target, report?.installed) ? bundle.done : bundle.left;
    list.push(`${row.ecu_id} ${target.filename}`);
  }
  const mixed = [...bundles.values()].find(({ done, left }) => done.length > 0 && left.length > 0);
  if (mixed === undefined) {
    await database.run(forgetMixedBundle, vehicleId);
    return;
  }
  const detail = `installed: ${mixed.done.join(', ')}; not installed: ${mixed.left.join(', ')}`;
  const { manifests } = (await database.one(noteMixedBundle, vehicleId, detail))!;
  // DBP-12: the next bundle is judged against this mixture; the operator learns of it
  if (manifests === manifestsOfAnomaly) {
    await recordAnomaly(services, vehicleId, refuse('bundle-mixed', detail));
  }
}
