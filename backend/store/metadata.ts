/** Queries of signed metadata: Roots of both repositories, Director's per vehicle, Images'. */
import type { RepositoryName } from '../../agent/metadata/common.ts';
import { query } from './database.ts';

export type DirectorRole = 'targets' | 'snapshot' | 'timestamp';

export interface MetadataRow {
  readonly version: number;
  /** Unix seconds. */
  readonly expires: number;
  /** Version of the repository's Root when it was stored. */
  readonly root_version: number;
  /** The signed file. */
  readonly bytes: Uint8Array;
}

export interface RootRow {
  readonly version: number;
  readonly bytes: Uint8Array;
}

export const latestRoot = query<[repository: string], RootRow>(
  'SELECT version, bytes FROM roots WHERE repository = ? ORDER BY version DESC LIMIT 1',
);

export const rootByVersion = query<[repository: string, version: number], RootRow>(
  'SELECT version, bytes FROM roots WHERE repository = ? AND version = ?',
);

/** The version of the newest Root of a repository. */
export interface RootVersion {
  readonly repository: RepositoryName;
  readonly version: number;
}

export const rootVersions = query<[], RootVersion>(
  'SELECT repository, max(version) AS version FROM roots GROUP BY repository',
);

export const insertRoot = query<[repository: string, version: number, bytes: Uint8Array]>(
  'INSERT INTO roots (repository, version, bytes) VALUES (?, ?, ?)',
);

export const latestDirectorMetadata = query<[vehicleId: string, role: DirectorRole], MetadataRow>(
  `SELECT version, expires, root_version, bytes FROM director_metadata
   WHERE vehicle_id = ? AND role = ? ORDER BY version DESC LIMIT 1`,
);

export const directorMetadataByVersion = query<
  [vehicleId: string, role: DirectorRole, version: number],
  MetadataRow
>(
  `SELECT version, expires, root_version, bytes FROM director_metadata
   WHERE vehicle_id = ? AND role = ? AND version = ?`,
);

/** DIR-04: where the automated Director writes what it generates. */
export const insertDirectorMetadata = query<
  [
    vehicleId: string,
    role: DirectorRole,
    version: number,
    expires: number,
    rootVersion: number,
    bytes: Uint8Array,
  ]
>(
  `INSERT INTO director_metadata (vehicle_id, role, version, expires, root_version, bytes)
   VALUES (?, ?, ?, ?, ?, ?)`,
);

/** Removes versions up to `version` (DBP-10). */
export const trimDirectorMetadata = query<[vehicleId: string, role: DirectorRole, version: number]>(
  'DELETE FROM director_metadata WHERE vehicle_id = ? AND role = ? AND version <= ?',
);

export const latestImageMetadata = query<[role: string], MetadataRow>(
  `SELECT version, expires, root_version, bytes FROM image_metadata
   WHERE role = ? ORDER BY version DESC LIMIT 1`,
);

export const imageMetadataByVersion = query<[role: string, version: number], MetadataRow>(
  'SELECT version, expires, root_version, bytes FROM image_metadata WHERE role = ? AND version = ?',
);

export const insertImageMetadata = query<
  [role: string, version: number, expires: number, rootVersion: number, bytes: Uint8Array]
>(
  'INSERT INTO image_metadata (role, version, expires, root_version, bytes) VALUES (?, ?, ?, ?, ?)',
);

export const imageMetadataVersions = query<[], { readonly role: string; readonly version: number }>(
  'SELECT role, max(version) AS version FROM image_metadata GROUP BY role ORDER BY role',
);

/** The Targets version that a vehicle has to hold before anything is assigned to it again. */
export const recoveryOf = query<[vehicleId: string], { readonly targets_version: number }>(
  'SELECT targets_version FROM recoveries WHERE vehicle_id = ?',
);

export const storeRecovery = query<[vehicleId: string, targetsVersion: number]>(
  `INSERT INTO recoveries (vehicle_id, targets_version) VALUES (?, ?)
   ON CONFLICT (vehicle_id) DO UPDATE SET targets_version = excluded.targets_version`,
);

export const endRecovery = query<[vehicleId: string, heldTargetsVersion: number]>(
  'DELETE FROM recoveries WHERE vehicle_id = ? AND targets_version <= ?',
);

export const latestOfflineSnapshot = query<[], RootRow>(
  'SELECT version, bytes FROM offline_snapshots ORDER BY version DESC LIMIT 1',
);

export const insertOfflineSnapshot = query<[version: number, bytes: Uint8Array]>(
  'INSERT INTO offline_snapshots (version, bytes) VALUES (?, ?)',
);
