/** Queries of the inventory: vehicles, ECUs, their keys, enrolment tokens (INV-01 … INV-09). */
import { lockingQuery, query } from './database.ts';

export interface VehicleRow {
  readonly vehicle_id: string;
  readonly primary_ecu_id: string;
  /** Unix seconds. */
  readonly registered: number;
  /** Whose quota its requests count against. */
  readonly fleet: string;
}

export interface EcuRow {
  readonly ecu_id: string;
  /** INV-04: the vehicle it belongs to. */
  readonly vehicle_id: string;
  /** CBOR of `ecuDescription`. */
  readonly description: Uint8Array;
}

export interface TokenRow {
  /** The one vehicle that the token enrols; null for any. */
  readonly vehicle_id: string | null;
  readonly consumed: number | null;
  readonly fleet: string;
}

export const vehicleById = query<[vehicleId: string], VehicleRow>(
  'SELECT vehicle_id, primary_ecu_id, registered, fleet FROM vehicles WHERE vehicle_id = ?',
);

/** Until the transaction ends, no other one changes what is kept of this vehicle. */
export const lockVehicle = lockingQuery<[vehicleId: string], { readonly vehicle_id: string }>(
  'SELECT vehicle_id FROM vehicles WHERE vehicle_id = ?',
);

export const vehiclesAfter = query<[vehicleId: string, limit: number], VehicleRow>(
  `SELECT vehicle_id, primary_ecu_id, registered, fleet FROM vehicles
   WHERE vehicle_id > ? ORDER BY vehicle_id LIMIT ?`,
);

export const insertVehicle = query<
  [vehicleId: string, primaryEcuId: string, registered: number, fleet: string]
>('INSERT INTO vehicles (vehicle_id, primary_ecu_id, registered, fleet) VALUES (?, ?, ?, ?)');

export const ecuById = query<[ecuId: string], EcuRow>(
  'SELECT ecu_id, vehicle_id, description FROM ecus WHERE ecu_id = ?',
);

export const ecusOfVehicle = query<[vehicleId: string], EcuRow>(
  `SELECT ecu_id, vehicle_id, description FROM ecus WHERE vehicle_id = ? ORDER BY position`,
);

export const insertEcu = query<
  [ecuId: string, vehicleId: string, position: number, description: Uint8Array]
>('INSERT INTO ecus (ecu_id, vehicle_id, position, description) VALUES (?, ?, ?, ?)');

export const ecuByKeyId = query<[keyId: Uint8Array], { readonly ecu_id: string }>(
  'SELECT ecu_id FROM ecu_keys WHERE key_id = ?',
);

/** INV-06: only public keys ever come here; no message of the backend carries another. */
export const insertEcuKey = query<[keyId: Uint8Array, ecuId: string]>(
  'INSERT INTO ecu_keys (key_id, ecu_id) VALUES (?, ?)',
);

export const tokenByHash = query<[tokenSha256: Uint8Array], TokenRow>(
  'SELECT vehicle_id, consumed, fleet FROM enrolment_tokens WHERE token_sha256 = ?',
);

export const insertToken = query<
  [tokenSha256: Uint8Array, vehicleId: string | null, created: number, fleet: string]
>('INSERT INTO enrolment_tokens (token_sha256, vehicle_id, created, fleet) VALUES (?, ?, ?, ?)');

/** Changes one row the first time and none ever after. */
export const consumeToken = query<[consumed: number, tokenSha256: Uint8Array]>(
  'UPDATE enrolment_tokens SET consumed = ? WHERE token_sha256 = ? AND consumed IS NULL',
);

export interface DeviceRow {
  /** P-256 point, 65 bytes. */
  readonly public_key: Uint8Array;
  /** Null when nothing was ever said of it. */
  readonly revoked: 0 | 1 | null;
}

export const deviceOfVehicle = query<[vehicleId: string], DeviceRow>(
  `SELECT public_key, (SELECT revoked FROM revocations
     WHERE revocations.vehicle_id = device_keys.vehicle_id ORDER BY id DESC LIMIT 1) AS revoked
   FROM device_keys WHERE vehicle_id = ? ORDER BY id DESC LIMIT 1`,
);

export const insertDeviceKey = query<[vehicleId: string, publicKey: Uint8Array]>(
  'INSERT INTO device_keys (vehicle_id, public_key) VALUES (?, ?)',
);

export const insertRevocation = query<[vehicleId: string, revoked: 0 | 1, changed: number]>(
  'INSERT INTO revocations (vehicle_id, revoked, changed) VALUES (?, ?, ?)',
);

export const inventoryCounts = query<[], { readonly vehicles: number; readonly ecus: number }>(
  'SELECT (SELECT count(*) FROM vehicles) AS vehicles, (SELECT count(*) FROM ecus) AS ecus',
);

/** What admission goes by. */
export const senderById = query<
  [vehicleId: string],
  { readonly fleet: string; readonly urgent: number }
>(
  `SELECT fleet, (SELECT count(*) FROM urgent_vehicles AS urgent
     WHERE urgent.vehicle_id = vehicles.vehicle_id) AS urgent
   FROM vehicles WHERE vehicle_id = ?`,
);

export const isUrgentVehicle = query<[vehicleId: string], { readonly vehicle_id: string }>(
  'SELECT vehicle_id FROM urgent_vehicles WHERE vehicle_id = ?',
);

export const insertUrgentVehicle = query<[vehicleId: string]>(
  'INSERT INTO urgent_vehicles (vehicle_id) VALUES (?) ON CONFLICT DO NOTHING',
);

export const forgetUrgentVehicle = query<[vehicleId: string]>(
  'DELETE FROM urgent_vehicles WHERE vehicle_id = ?',
);
