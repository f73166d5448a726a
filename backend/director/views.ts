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

async function statusOf(services: Services, row: VehicleRow) {
  const lastManifest = (await services.database.one(lastManifests, row.vehicle_id, 1))?.received;
  return {
    vehicleId: row.vehicle_id,
    primaryEcuId: row.primary_ecu_id,
    registered: row.registered,
    ...(lastManifest !== undefined && { lastManifest }),
    timestampVersion: (await latestMetadata(services, row.vehicle_id, 'timestamp')).version,
    updateAvailable: await isUpdateAvailable(services, row.vehicle_id),
  };
}

/** One page of vehicles, those after vehicle id `after`. */
export async function listVehicles(
  services: Services,
  after: string,
): Promise<readonly VehicleSummary[]> {
  const page: VehicleSummary[] = [];
  for (const row of await services.database.all(vehiclesAfter, after, vehiclesPerPage)) {
    const ecus = (await ecusOf(services, row.vehicle_id)).length;
    page.push({ ...(await statusOf(services, row)), ecus });
  }
  return page;
}

/** A vehicle with all its ECUs. Code `vehicle-unknown`. */
export async function viewVehicle(
  services: Services,
  vehicleId: string,
): Promise<VehicleView | Refusal> {
  const row = await findVehicle(services, vehicleId);
  if (isRefusal(row)) return row;
  const assigned = new Map(
    (await assignedTargets(services, vehicleId)).map((target) => [
      target.assignment!.ecuId,
      target,
    ]),
  );
  const ecus: EcuView[] = [];
  for (const ecu of await ecusOf(services, vehicleId)) {
    ecus.push(await viewEcu(services, ecu, assigned.get(ecu.ecuId)));
  }
  return { ...(await statusOf(services, row)), ecus };
}

async function viewEcu(
  services: Services,
  ecu: EcuDescription,
  target: Target | undefined,
): Promise<EcuView> {
  const report = await lastReport(services, ecu.ecuId);
  const absence = await services.database.one(absenceOfEcu, ecu.ecuId);
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
export async function viewManifests(
  services: Services,
  vehicleId: string,
): Promise<readonly ManifestRecord[] | Refusal> {
  const vehicle = await findVehicle(services, vehicleId);
  if (isRefusal(vehicle)) return vehicle;
  const { database } = services;
  const records: ManifestRecord[] = [];
  for (const { id, received } of await database.all(lastManifests, vehicleId, historyEntries)) {
    const rows = await database.all(detectionsOfManifest, id);
    const detections = rows.map(({ ecu_id: ecuId, code, row, attack }) => ({
      ecuId,
      code,
      row,
      ...(attack !== null && { attack }),
    }));
    records.push({ received, detections });
  }
  return records.reverse();
}

/** The last anomalies, oldest first. */
export async function viewAnomalies(services: Services): Promise<readonly Anomaly[]> {
  const rows = await services.database.all(lastAnomalies, historyEntries);
  return [...rows].reverse().map(({ recorded, vehicle_id: vehicleId, code, row, detail }) => ({
    received: recorded,
    vehicleId,
    code,
    row,
    ...(detail !== '' && { detail }),
  }));
}

/** One page of the log after an id, oldest first, of one vehicle or of all. */
export async function viewLog(
  services: Services,
  after: number,
  vehicleId: string | undefined,
): Promise<readonly LogEntry[]> {
  return (await readLog(services, after, logEntriesPerPage, vehicleId)).map(viewLogRow);
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
