/** What operators are shown of vehicles: inventory, reports, assignments, history. */
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import type { EcuDescription } from '../../agent/metadata/device-messages.ts';
import type { Target } from '../../agent/metadata/targets.ts';
import {
  type Anomaly,
  type EcuView,
  historyEntries,
  type LogEntry,
  logEntriesPerPage,
  logKinds,
  type ManifestRecord,
  type VehicleSummary,
  type VehicleView,
  vehiclesPerPage,
} from '../http/messages.ts';
import type { Services } from '../services.ts';
import { type VehicleRow, vehiclesAfter } from '../store/inventory.ts';
import { type LogRow, lastAnomalies } from '../store/log.ts';
import { absenceOfEcu, detectionsOfManifest, lastManifests } from '../store/manifests.ts';
import { ecusOf, findVehicle } from './inventory.ts';
import { readLog } from './log.ts';
import { assignedTargets, latestMetadata } from './metadata.ts';
import { isUpdateAvailable, lastReport } from './updates.ts';

function statusOf(services: Services, row: VehicleRow) {
  const lastManifest = services.database.one(lastManifests, row.vehicle_id, 1)?.received;
  return {
    vehicleId: row.vehicle_id,
    primaryEcuId: row.primary_ecu_id,
    registered: row.registered,
    ...(lastManifest !== undefined && { lastManifest }),
    timestampVersion: latestMetadata(services, row.vehicle_id, 'timestamp').version,
    updateAvailable: isUpdateAvailable(services, row.vehicle_id),
  };
}

/** One page of vehicles, those after vehicle id `after`. */
export function listVehicles(services: Services, after: string): readonly VehicleSummary[] {
  return services.database.all(vehiclesAfter, after, vehiclesPerPage).map((row) => ({
    ...statusOf(services, row),
    ecus: ecusOf(services, row.vehicle_id).length,
  }));
}

/** A vehicle with all its ECUs. Code `vehicle-unknown`. */
export function viewVehicle(services: Services, vehicleId: string): VehicleView | Refusal {
  const row = findVehicle(services, vehicleId);
  if (isRefusal(row)) return row;
  const assigned = new Map(
    assignedTargets(services, vehicleId).map((target) => [target.assignment!.ecuId, target]),
  );
  const ecus = ecusOf(services, vehicleId);
  return {
    ...statusOf(services, row),
    ecus: ecus.map((ecu) => viewEcu(services, ecu, assigned.get(ecu.ecuId))),
  };
}

function viewEcu(services: Services, ecu: EcuDescription, target: Target | undefined): EcuView {
  const report = lastReport(services, ecu.ecuId);
  const absence = services.database.one(absenceOfEcu, ecu.ecuId);
  return {
    ...ecu,
    // INV-07: the key's identifier in the form of MET-02
    signingKeyId: keyId(services.crypto, ecu.signingKey),
    ...(report && { installed: report.installed }),
    detections: report?.detections ?? [],
    ...(target && {
      assigned: {
        filename: target.filename,
        releaseCounter: target.mustMatch.releaseCounter,
        plaintextLength: target.mustMatch.plaintextLength,
        plaintextSha256: target.mustMatch.plaintextSha256,
      },
    }),
    ...(absence && { absent: absence }),
  };
}

/** The last accepted manifests of a vehicle, oldest first. Code `vehicle-unknown`. */
export function viewManifests(
  services: Services,
  vehicleId: string,
): readonly ManifestRecord[] | Refusal {
  const vehicle = findVehicle(services, vehicleId);
  if (isRefusal(vehicle)) return vehicle;
  const rows = services.database.all(lastManifests, vehicleId, historyEntries);
  return [...rows].reverse().map(({ id, received }) => ({
    received,
    detections: services.database
      .all(detectionsOfManifest, id)
      .map(({ ecu_id: ecuId, code, row, attack }) => ({
        ecuId,
        code,
        row,
        ...(attack !== null && { attack }),
      })),
  }));
}

/** The last anomalies, oldest first. */
export function viewAnomalies(services: Services): readonly Anomaly[] {
  const rows = services.database.all(lastAnomalies, historyEntries);
  return [...rows].reverse().map(({ recorded, vehicle_id: vehicleId, code, row, detail }) => ({
    received: recorded,
    vehicleId,
    code,
    row,
    ...(detail !== '' && { detail }),
  }));
}

/** One page of the log after an id, oldest first, of one vehicle or of all. */
export function viewLog(
  services: Services,
  after: number,
  vehicleId: string | undefined,
): readonly LogEntry[] {
  return readLog(services, after, logEntriesPerPage, vehicleId).map(viewLogRow);
}

function viewLogRow({ id, recorded, kind, code, row, attack, detail, ...about }: LogRow): LogEntry {
  const { vehicle_id: vehicleId, ecu_id: ecuId } = about;
  return {
    id,
    recorded,
    kind: logKinds[kind],
    ...(vehicleId !== '' && { vehicleId }),
    ...(ecuId !== '' && { ecuId }),
    code,
    row,
    ...(attack !== null && { attack }),
    ...(detail !== '' && { detail }),
  };
}
