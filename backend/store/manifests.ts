/** Queries of what vehicles report: manifests, detections, each ECU's last report. */
import { query } from './database.ts';

export interface EcuReportRow {
  readonly ecu_id: string;
  readonly counter: number;
  /** CBOR of the verified `report` payload. */
  readonly report: Uint8Array;
}

export interface ManifestRow {
  readonly id: number;
  /** Unix seconds. */
  readonly received: number;
}

export interface DetectionRow {
  readonly ecu_id: string;
  readonly code: string;
  readonly row: string;
  readonly attack: string | null;
}

export interface AbsenceRow {
  readonly code: string;
  /** Unix seconds of the first of the manifests in a row that said so. */
  readonly since: number;
}

export const reportOfEcu = query<[ecuId: string], EcuReportRow>(
  'SELECT ecu_id, counter, report FROM ecu_reports WHERE ecu_id = ?',
);

/** Changes no row when the counter did not rise (HRD-17). */
export const storeReport = query<[ecuId: string, counter: number, report: Uint8Array]>(
  `INSERT INTO ecu_reports (ecu_id, counter, report) VALUES (?, ?, ?)
   ON CONFLICT (ecu_id) DO UPDATE SET counter = excluded.counter, report = excluded.report
   WHERE ecu_reports.counter < excluded.counter`,
);

export const absenceOfEcu = query<[ecuId: string], AbsenceRow>(
  'SELECT code, since FROM ecu_absences WHERE ecu_id = ?',
);

/** The same statement again leaves `since` as it was. */
export const storeAbsence = query<[ecuId: string, code: string, since: number]>(
  `INSERT INTO ecu_absences (ecu_id, code, since) VALUES (?, ?, ?)
   ON CONFLICT (ecu_id) DO UPDATE SET code = excluded.code`,
);

export const forgetAbsence = query<[ecuId: string]>('DELETE FROM ecu_absences WHERE ecu_id = ?');

export const insertManifest = query<
  [vehicleId: string, received: number, bytes: Uint8Array],
  { readonly id: number }
>('INSERT INTO manifests (vehicle_id, received, bytes) VALUES (?, ?, ?) RETURNING id');

export const insertDetection = query<
  [
    manifestId: number,
    position: number,
    ecuId: string,
    code: string,
    row: string,
    attack: string | null,
  ]
>(
  `INSERT INTO detections (manifest_id, position, ecu_id, code, row, attack)
   VALUES (?, ?, ?, ?, ?, ?)`,
);

/** The last manifests of a vehicle, newest first. */
export const lastManifests = query<[vehicleId: string, limit: number], ManifestRow>(
  'SELECT id, received FROM manifests WHERE vehicle_id = ? ORDER BY id DESC LIMIT ?',
);

export const detectionsOfManifest = query<[manifestId: number], DetectionRow>(
  `SELECT ecu_id, code, row, attack FROM detections WHERE manifest_id = ? ORDER BY position`,
);

/** Keeps the newest manifests of a vehicle; their detections go with the others. */
export const trimManifests = query<[vehicleId: string, vehicleId: string, keep: number]>(
  `DELETE FROM manifests WHERE vehicle_id = ? AND id <= (
     SELECT id FROM manifests WHERE vehicle_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`,
);

/** Vehicles in the order of their ids, with the time of the last manifest, or of the registration. */
export const vehiclesLastHeard = query<
  [after: string, count: number],
  { readonly vehicle_id: string; readonly last: number }
>(
  `SELECT v.vehicle_id, coalesce(
     (SELECT m.received FROM manifests m WHERE m.vehicle_id = v.vehicle_id ORDER BY id DESC LIMIT 1),
     v.registered) AS last
   FROM vehicles v WHERE v.vehicle_id > ? ORDER BY v.vehicle_id LIMIT ?`,
);

/** Counts the manifests in a row that show the same mixture. */
export const noteMixedBundle = query<
  [vehicleId: string, detail: string],
  { readonly manifests: number }
>(
  `INSERT INTO mixed_bundles (vehicle_id, detail, manifests) VALUES (?, ?, 1)
   ON CONFLICT (vehicle_id) DO UPDATE SET
     manifests = CASE WHEN mixed_bundles.detail = excluded.detail
       THEN mixed_bundles.manifests + 1 ELSE 1 END,
     detail = excluded.detail
   RETURNING manifests`,
);

export const forgetMixedBundle = query<[vehicleId: string]>(
  'DELETE FROM mixed_bundles WHERE vehicle_id = ?',
);
