/** Queries of what a return from a backup leaves: its time, and who has to be heard first. */
import { maxVersionsRecovered } from '../../agent/limits.ts';
import { type Database, query } from './database.ts';

/** The last restore, in unix seconds. */
export const lastRestore = query<[], { readonly restored: number }>(
  'SELECT restored FROM restores ORDER BY id DESC LIMIT 1',
);

const insertRestore = query<[restored: number]>('INSERT INTO restores (restored) VALUES (?)');

/** Which of them were used since the backup, nobody knows. */
const spendTokens = query<[consumed: number]>(
  'UPDATE enrolment_tokens SET consumed = ? WHERE consumed IS NULL',
);

const awaitEveryVehicle = query<[]>(
  `INSERT INTO awaited_vehicles (vehicle_id) SELECT vehicle_id FROM vehicles WHERE true
   ON CONFLICT (vehicle_id) DO NOTHING`,
);

export const isAwaitedVehicle = query<[vehicleId: string], { readonly vehicle_id: string }>(
  'SELECT vehicle_id FROM awaited_vehicles WHERE vehicle_id = ?',
);

export const forgetAwaitedVehicle = query<[vehicleId: string]>(
  'DELETE FROM awaited_vehicles WHERE vehicle_id = ?',
);

/** The version above which a role of the Image repository goes on. */
export const imageVersionFloor = query<[role: string], { readonly version: number }>(
  'SELECT version FROM image_version_floors WHERE role = ?',
);

const storeImageVersionFloor = query<[role: string, version: number]>(
  `INSERT INTO image_version_floors (role, version) VALUES (?, ?)
   ON CONFLICT (role) DO UPDATE SET version = excluded.version`,
);

const onlineImageVersions = query<[], { readonly role: string; readonly version: number }>(
  `SELECT role, max(version) AS version FROM image_metadata
   WHERE role IN ('snapshot', 'timestamp') GROUP BY role ORDER BY role`,
);

/**
 * Writes into a database that came from a backup what the backend has to know of it: versions and
 * counters that were used after the backup are not in it (docs/operations.md).
 * @param now unix seconds
 */
export async function markRestored(database: Database, now: number): Promise<void> {
  await database.transaction(async (within) => {
    await within.run(insertRestore, now);
    await within.run(spendTokens, now);
    await within.run(awaitEveryVehicle);
    for (const { role, version } of await within.all(onlineImageVersions)) {
      await within.run(storeImageVersionFloor, role, version + maxVersionsRecovered);
    }
  });
}
