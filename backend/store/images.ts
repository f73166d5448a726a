/** Queries of images and what goes with them: content keys, key objects, assignments. */
import { query } from './database.ts';

export interface ImageRow {
  readonly filename: string;
  /** Digests and length of the ciphertext. */
  readonly sha256: Uint8Array;
  readonly sha512: Uint8Array;
  readonly length: number;
}

export interface AssignmentRow {
  readonly ecu_id: string;
  /** CBOR of the Image repository's `target`. */
  readonly target: Uint8Array;
  readonly key_object_sha256: Uint8Array;
  readonly key_object_length: number;
  readonly install_step: number;
  /** Unix seconds; equal for all of one request. */
  readonly assigned: number;
}

/** Numbers as in the signed `bundlePolicy`. */
export interface BundlePolicyRow {
  readonly on_failure: number;
  readonly attempts: number;
}

export const imageByDigest = query<
  [filename: string, sha256: Uint8Array, sha512: Uint8Array],
  ImageRow
>(
  `SELECT filename, sha256, sha512, length FROM images
   WHERE filename = ? AND (sha256 = ? OR sha512 = ?)`,
);

export const imageBySha256 = query<[sha256: Uint8Array], ImageRow>(
  'SELECT filename, sha256, sha512, length FROM images WHERE sha256 = ? LIMIT 1',
);

/** The same upload again changes nothing. */
export const insertImage = query<
  [filename: string, sha256: Uint8Array, sha512: Uint8Array, length: number, uploaded: number]
>(
  `INSERT INTO images (filename, sha256, sha512, length, uploaded) VALUES (?, ?, ?, ?, ?)
   ON CONFLICT DO NOTHING`,
);

export const countImages = query<[], { readonly count: number }>(
  'SELECT count(*) AS count FROM images',
);

export const contentKeyOf = query<
  [filename: string, ciphertextSha256: Uint8Array],
  { readonly sealed: Uint8Array }
>('SELECT sealed FROM content_keys WHERE filename = ? AND ciphertext_sha256 = ?');

export const storeContentKey = query<
  [filename: string, ciphertextSha256: Uint8Array, sealed: Uint8Array]
>(
  `INSERT INTO content_keys (filename, ciphertext_sha256, sealed) VALUES (?, ?, ?)
   ON CONFLICT (filename, ciphertext_sha256) DO UPDATE SET sealed = excluded.sealed`,
);

export const keyObjectBySha256 = query<
  [vehicleId: string, sha256: Uint8Array],
  { readonly bytes: Uint8Array }
>('SELECT bytes FROM key_objects WHERE vehicle_id = ? AND sha256 = ?');

export const insertKeyObject = query<[vehicleId: string, sha256: Uint8Array, bytes: Uint8Array]>(
  'INSERT INTO key_objects (vehicle_id, sha256, bytes) VALUES (?, ?, ?)',
);

export const assignmentsOfVehicle = query<[vehicleId: string], AssignmentRow>(
  `SELECT ecu_id, target, key_object_sha256, key_object_length, install_step, assigned
   FROM assignments WHERE vehicle_id = ? ORDER BY ecu_id`,
);

/** One row an ECU: a new assignment takes the place of the old one. */
export const storeAssignment = query<
  [
    ecuId: string,
    vehicleId: string,
    target: Uint8Array,
    keyObjectSha256: Uint8Array,
    keyObjectLength: number,
    installStep: number,
    assigned: number,
  ]
>(
  `INSERT INTO assignments
     (ecu_id, vehicle_id, target, key_object_sha256, key_object_length, install_step, assigned)
   VALUES (?, ?, ?, ?, ?, ?, ?)
   ON CONFLICT (ecu_id) DO UPDATE SET target = excluded.target,
     key_object_sha256 = excluded.key_object_sha256,
     key_object_length = excluded.key_object_length, install_step = excluded.install_step,
     assigned = excluded.assigned`,
);

export const bundlePolicyOf = query<[vehicleId: string], BundlePolicyRow>(
  'SELECT on_failure, attempts FROM bundle_policies WHERE vehicle_id = ?',
);

export const storeBundlePolicy = query<[vehicleId: string, onFailure: number, attempts: number]>(
  `INSERT INTO bundle_policies (vehicle_id, on_failure, attempts) VALUES (?, ?, ?)
   ON CONFLICT (vehicle_id) DO UPDATE SET on_failure = excluded.on_failure,
     attempts = excluded.attempts`,
);

/** Takes an ECU's assignment away; its key object stays for a download under way. */
export const deleteAssignment = query<[ecuId: string]>('DELETE FROM assignments WHERE ecu_id = ?');

export const storeInstallStep = query<[installStep: number, ecuId: string]>(
  'UPDATE assignments SET install_step = ? WHERE ecu_id = ?',
);

/** Remembers what an ECU was assigned until its vehicle's next manifest (DBP-12). */
export const insertUnconfirmedImage = query<
  [ecuId: string, vehicleId: string, target: Uint8Array, ecuId: string]
>(
  `INSERT INTO unconfirmed_images (ecu_id, vehicle_id, target, position) VALUES (?, ?, ?,
     (SELECT coalesce(max(position), 0) + 1 FROM unconfirmed_images WHERE ecu_id = ?))`,
);

export const unconfirmedImagesOf = query<
  [vehicleId: string],
  { readonly ecu_id: string; readonly target: Uint8Array }
>('SELECT ecu_id, target FROM unconfirmed_images WHERE vehicle_id = ? ORDER BY ecu_id, position');

export const forgetUnconfirmedImages = query<[vehicleId: string]>(
  'DELETE FROM unconfirmed_images WHERE vehicle_id = ?',
);
