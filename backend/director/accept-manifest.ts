/**
 * Taking a vehicle version manifest: whole or not at all (Uptane §5.3.2.1). What it says is stored,
 * logged and acted upon in one transaction; a dropped one leaves an anomaly (DIR-07, DBP-09).
 */
import { type Code, codes, isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import type { ManifestAnswer } from '../../agent/metadata/device-messages.ts';
import { historyEntries } from '../http/messages.ts';
import type { Services } from '../services.ts';
import { forgetUnconfirmedImages } from '../store/images.ts';
import {
  absenceOfEcu,
  forgetAbsence,
  insertDetection,
  insertManifest,
  storeAbsence,
  storeReport,
  trimManifests,
} from '../store/manifests.ts';
import { recordAnomaly, recordDetection } from './log.ts';
import { type CheckedManifest, checkManifest } from './manifest-checks.ts';
import { freshenMetadata, latestMetadata } from './metadata.ts';
import { noticeMixedBundle } from './mixed-bundle.ts';
import { recoverFromRestore, withdrawOlderAssignments } from './recovery.ts';
import { isUpdateAvailable } from './updates.ts';

/**
 * Takes a manifest and answers whether there is an update. A refusal leaves nothing but an anomaly.
 * @param body encoded COSE_Sign as received
 * @returns codes of `checkManifest`, `report-replayed`
 */
export function acceptManifest(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
): ManifestAnswer | Refusal {
  const checked = checkManifest(services, vehicleId, body);
  const refused = isRefusal(checked) ? checked : take(services, vehicleId, body, checked);
  if (refused !== undefined) {
    services.database.transaction(() => recordAnomaly(services, vehicleId, refused));
    return refused;
  }
  freshenMetadata(services, vehicleId);
  return {
    accepted: true,
    updateAvailable: isUpdateAvailable(services, vehicleId),
    timestampVersion: latestMetadata(services, vehicleId, 'timestamp').version,
  };
}

function take(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
  checked: CheckedManifest,
): Refusal | undefined {
  return services.database.transaction(() => {
    const refused = store(services, vehicleId, body, checked);
    if (refused !== undefined) return refused;
    const reports = checked.reports.map(({ report }) => report);
    recoverFromRestore(services, vehicleId, checked.primaryEcuId, reports);
    withdrawOlderAssignments(services, vehicleId, reports);
    // What was assigned since the last manifest is installed or not: this one says.
    services.database.run(forgetUnconfirmedImages, vehicleId);
    noticeMixedBundle(services, vehicleId, reports);
    return undefined;
  });
}

/** HRD-17: counters are compared in the transaction that stores them, so no replay slips between. */
function store(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
  { reports, absent }: CheckedManifest,
): Refusal | undefined {
  const { database } = services;
  const inserted = database.one(insertManifest, vehicleId, services.now(), body);
  const id = inserted!.id;
  let position = 0;
  for (const { report, bytes } of reports) {
    const { ecuId, counter } = report;
    const stored = database.run(storeReport, ecuId, counter, bytes) === 1;
    // DIR-12, HRD-17: the counter was never used before
    if (!stored) return refuse('report-replayed', `${ecuId}: counter ${counter}`);
    for (const found of report.detections) {
      const { code, row, attack } = found;
      database.run(insertDetection, id, position, ecuId, code, row, attack ?? null);
      recordDetection(services, vehicleId, ecuId, found);
      position += 1;
    }
    database.run(forgetAbsence, ecuId);
  }
  for (const { ecuId, code } of absent) {
    const known = Object.hasOwn(codes, code) ? codes[code as Code] : undefined;
    const found = { code, row: known?.row ?? 'DIR-08', attack: known?.attack };
    database.run(insertDetection, id, position, ecuId, code, found.row, found.attack ?? null);
    // Said again in every manifest; recorded when it begins.
    if (database.one(absenceOfEcu, ecuId)?.code !== code) {
      recordDetection(services, vehicleId, ecuId, found);
    }
    database.run(storeAbsence, ecuId, code, services.now());
    position += 1;
  }
  database.run(trimManifests, vehicleId, vehicleId, historyEntries);
  return undefined;
}
