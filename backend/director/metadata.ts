/**
 * The Director's metadata of one vehicle: Targets (ROL-02), Snapshot and Timestamp (ROL-09, ROL-10),
 * made from its assignments and signed online. Versions only rise; every file names its vehicle (DIR-15, HRD-01, HRD-02).
 */
import { decode, encode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { hashAlgorithms, roles } from '../../agent/metadata/common.ts';
import { snapshot as snapshotSchema } from '../../agent/metadata/snapshot.ts';
import {
  type BundlePolicy,
  type Target,
  target as targetSchema,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import { timestamp as timestampSchema } from '../../agent/metadata/timestamp.ts';
import type { Services } from '../services.ts';
import { roleAuthority } from '../signer/root-trust.ts';
import { assignmentsOfVehicle, bundlePolicyOf } from '../store/images.ts';
import {
  type DirectorRole,
  insertDirectorMetadata,
  latestDirectorMetadata,
  type MetadataRow,
  trimDirectorMetadata,
} from '../store/metadata.ts';

/** Older versions stay for vehicles in the middle of a download, then go (DBP-10). */
const keptVersions = 16;

/** What each ECU of a vehicle shall run, with the key object made for it, in order of ECU id. */
export function assignedTargets(services: Services, vehicleId: string): readonly Target[] {
  return services.database.all(assignmentsOfVehicle, vehicleId).map((row) => {
    const target = decode(targetSchema, row.target, row.target.length);
    if (isRefusal(target)) throw new Error(`stored target of ${row.ecu_id}: ${target.detail}`);
    const assignment = {
      ecuId: row.ecu_id,
      keyObjectSha256: row.key_object_sha256,
      keyObjectLength: row.key_object_length,
      ...(row.install_step > 0 && { installStep: row.install_step }),
    };
    return { ...target, assignment };
  });
}

/** What becomes of the vehicle's bundle when an ECU fails; undefined: as metadata without one. */
function policyOf(services: Services, vehicleId: string): BundlePolicy | undefined {
  const row = services.database.one(bundlePolicyOf, vehicleId);
  if (row === undefined) return undefined;
  // Stored from a decoded request; the encoder throws should the row hold anything else.
  return { onFailure: row.on_failure, attempts: row.attempts } as BundlePolicy;
}

/** The newest file of a role; every registered vehicle has one of each. */
export function latestMetadata(
  services: Services,
  vehicleId: string,
  role: DirectorRole,
): MetadataRow {
  const row = services.database.one(latestDirectorMetadata, vehicleId, role);
  if (row === undefined) throw new Error(`vehicle ${vehicleId} has no ${role}`);
  return row;
}

/** Versions that the vehicle holds already, whatever this store remembers. */
export type Floors = Partial<Readonly<Record<DirectorRole, number>>>;

/**
 * Makes and signs the role `from` and every role after it (Targets → Snapshot → Timestamp), above
 * the last versions and above `floors`. To be called inside a transaction.
 */
export function issueMetadata(
  services: Services,
  vehicleId: string,
  from: DirectorRole,
  floors: Floors = {},
): void {
  if (from === 'targets') issueTargets(services, vehicleId, floors);
  if (from !== 'timestamp') issueSnapshot(services, vehicleId, floors);
  issueTimestamp(services, vehicleId, floors);
}

/**
 * Re-issues what is past half of its life or was made under an older Root (whose keys, or time keys,
 * may differ); the rest stays as it is. One transaction of its own.
 */
export function freshenMetadata(services: Services, vehicleId: string): void {
  const { lifetimes } = services;
  const rootVersion = services.roots.latest('director').version;
  const stale = (role: DirectorRole, lifetime: number): boolean => {
    const row = latestMetadata(services, vehicleId, role);
    return row.root_version !== rootVersion || row.expires - services.now() < lifetime / 2;
  };
  const from = stale('targets', lifetimes.targets)
    ? 'targets'
    : stale('snapshot', lifetimes.snapshot)
      ? 'snapshot'
      : stale('timestamp', lifetimes.timestamp)
        ? 'timestamp'
        : undefined;
  if (from === undefined) return;
  services.database.transaction(() => issueMetadata(services, vehicleId, from));
}

interface Common {
  readonly formatVersion: 1;
  readonly version: number;
  readonly expires: number;
  readonly vehicleId: string;
}

/** Signs and stores the next version of a role. */
function issue(
  services: Services,
  vehicleId: string,
  role: DirectorRole,
  floors: Floors,
  payload: (common: Common) => Uint8Array,
): void {
  const { database, keys, lifetimes } = services;
  const previous = database.one(latestDirectorMetadata, vehicleId, role)?.version ?? 0;
  const version = Math.max(previous, floors[role] ?? 0) + 1;
  const expires = services.now() + lifetimes[role];
  const encoded = payload({ formatVersion: 1, version, expires, vehicleId });
  const bytes = keys.sign(`director-${role}`, 'metadata', encoded);
  const rootVersion = services.roots.latest('director').version;
  database.run(insertDirectorMetadata, vehicleId, role, version, expires, rootVersion, bytes);
  database.run(trimDirectorMetadata, vehicleId, role, version - keptVersions);
}

function issueTargets(services: Services, vehicleId: string, floors: Floors): void {
  const targets = assignedTargets(services, vehicleId);
  const policy = policyOf(services, vehicleId);
  // TIM-06: partial verifiers learn the time keys from Targets
  const timeKeys = roleAuthority(services.crypto, services.roots.latest('director'), 'time');
  if (isRefusal(timeKeys)) throw new Error(`Director Root: ${timeKeys.detail}`);
  issue(services, vehicleId, 'targets', floors, (common) =>
    encode(targetsSchema, {
      type: roles.targets,
      ...common,
      targets,
      timeKeys: { keys: timeKeys.keys, threshold: timeKeys.threshold },
      ...(policy && { bundlePolicy: policy }),
    }),
  );
}

function issueSnapshot(services: Services, vehicleId: string, floors: Floors): void {
  const { version } = latestMetadata(services, vehicleId, 'targets');
  issue(services, vehicleId, 'snapshot', floors, (common) =>
    // SNP-01: the Director has one Targets file
    encode(snapshotSchema, {
      type: roles.snapshot,
      ...common,
      versions: [{ key: 'targets', value: version }],
    }),
  );
}

function issueTimestamp(services: Services, vehicleId: string, floors: Floors): void {
  const { version, bytes } = latestMetadata(services, vehicleId, 'snapshot');
  const sha256 = services.crypto.digest('SHA-256', bytes);
  issue(services, vehicleId, 'timestamp', floors, (common) =>
    // TSM-01, TSM-02: version and hash of the latest Snapshot; its length bounds the download
    encode(timestampSchema, {
      type: roles.timestamp,
      ...common,
      snapshot: {
        version,
        length: bytes.length,
        hashes: [{ key: hashAlgorithms['SHA-256'], value: sha256 }],
      },
    }),
  );
}
