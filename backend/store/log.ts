/** Queries of the Director's log: entries are inserted and read, nothing else (DBP-09). */
import { query } from './database.ts';

/** `detection`: what a verified report says; `anomaly`: what the Director found or refused. */
export type LogKind = 'decision' | 'detection' | 'anomaly';

export interface LogRow {
  readonly id: number;
  /** Unix seconds. */
  readonly recorded: number;
  readonly kind: LogKind;
  readonly vehicle_id: string;
  readonly ecu_id: string;
  readonly code: string;
  readonly row: string;
  readonly attack: string | null;
  readonly detail: string;
}

export const insertLogEntry = query<
  [
    recorded: number,
    kind: LogKind,
    vehicleId: string,
    ecuId: string,
    code: string,
    row: string,
    attack: string | null,
    detail: string,
  ]
>(
  `INSERT INTO director_log (recorded, kind, vehicle_id, ecu_id, code, row, attack, detail)
   VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
);

const columns = 'id, recorded, kind, vehicle_id, ecu_id, code, row, attack, detail';

/** Entries after an id, oldest first. */
export const logAfter = query<[id: number, limit: number], LogRow>(
  `SELECT ${columns} FROM director_log WHERE id > ? ORDER BY id LIMIT ?`,
);

export const logOfVehicleAfter = query<[vehicleId: string, id: number, limit: number], LogRow>(
  `SELECT ${columns} FROM director_log WHERE vehicle_id = ? AND id > ? ORDER BY id LIMIT ?`,
);

/** Newest first. */
export const lastAnomalies = query<[limit: number], LogRow>(
  `SELECT ${columns} FROM director_log WHERE kind = 'anomaly' ORDER BY id DESC LIMIT ?`,
);

export const countAnomalies = query<[], { readonly count: number }>(
  `SELECT count(*) AS count FROM director_log WHERE kind = 'anomaly'`,
);

/** How often a code was recorded since a time, counted no further than `limit`. */
export const countCodeSince = query<
  [code: string, since: number, limit: number],
  { readonly count: number }
>(
  `SELECT count(*) AS count FROM (SELECT 1 FROM director_log
   WHERE code = ? AND recorded >= ? LIMIT ?) AS entries`,
);

/** The same for one vehicle. */
export const countVehicleCodeSince = query<
  [vehicleId: string, code: string, since: number, limit: number],
  { readonly count: number }
>(
  `SELECT count(*) AS count FROM (SELECT 1 FROM director_log
   WHERE vehicle_id = ? AND code = ? AND recorded >= ? LIMIT ?) AS entries`,
);

/** The newest entry of a vehicle with this code. */
export const lastLogOfCode = query<[vehicleId: string, code: string], LogRow>(
  `SELECT ${columns} FROM director_log WHERE vehicle_id = ? AND code = ? ORDER BY id DESC LIMIT 1`,
);
