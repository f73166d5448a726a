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
import { isAwaitedVehicle } from '../store/restores.ts';
import type { WithinTransaction } from '../transactions.ts';

/** Older versions stay for vehicles in the middle of a download, then go (DBP-10). */
const keptVersions = 16;

/** What each ECU of a vehicle shall run, with the key object made for it, in order of ECU id. */
export async function assignedTargets(
  services: Services,
  vehicleId: string,
): Promise<readonly Target[]> {
  return (await services.database.all(assignmentsOfVehicle, vehicleId)).map((row) => {
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
async function policyOf(services: Services, vehicleId: string): Promise<BundlePolicy | undefined> {
  const row = await services.database.one(bundlePolicyOf, vehicleId);
  if (row === undefined) return undefined;
  // Stored from a decoded request; the encoder throws should the row hold anything else.
  return { onFailure: row.on_failure, attempts: row.attempts } as BundlePolicy;
}

/** The newest file of a role; every registered vehicle has one of each. */
export async function latestMetadata(
  services: Services,
  vehicleId: string,
  role: DirectorRole,
): Promise<MetadataRow> {
  const row = await services.database.one(latestDirectorMetadata, vehicleId, role);
  if (row === undefined) throw new Error(`vehicle ${vehicleId} has no ${role}`);
  return row;
}

/** Versions that the vehicle holds already, whatever this store remembers. */
export type Floors = Partial<Readonly<Record<DirectorRole, number>>>;

/** What has to be made anew for a vehicle: the role `from` and every role after it. */
export interface Issue {
  readonly vehicleId: string;
  /** Targets → Snapshot → Timestamp. */
  readonly from: DirectorRole;
  readonly floors?: Floors;
}

/**
 * Makes and signs the role `from` and every role after it (Targets → Snapshot → Timestamp), above
 * the last versions and above `floors`, at once. The vehicle is locked (`changeVehicle`).
 */
export function issueMetadata(
  services: WithinTransaction,
  vehicleId: string,
  from: DirectorRole,
  floors: Floors = {},
): Promise<void> {
  return issueTogether(services, [{ vehicleId, from, floors }]);
}

/**
 * Makes and signs metadata of several vehicles, each of them named once: one signature a role, by a
 * Merkle batch, where there is more than one file. The vehicles are locked (`changeVehicles`).
 */
export async function issueTogether(
  services: WithinTransaction,
  issues: readonly Issue[],
): Promise<void> {
  // Another process may have published a Root: versions are made under the newest, by its keys.
  await services.roots.follow(services.database);
  const withTargets = issues.filter(({ from }) => from === 'targets');
  const withSnapshot = issues.filter(({ from }) => from !== 'timestamp');
  await issueRole(services, 'targets', withTargets, targetsPayload);
  await issueRole(services, 'snapshot', withSnapshot, snapshotPayload);
  // Last: it names the hash of the signed Snapshot.
  await issueRole(services, 'timestamp', issues, timestampPayload);
  services.database.afterCommit(() => {
    for (const { vehicleId } of issues) {
      // What memory holds is older from now on.
      services.memory.forget(`/metadata/${vehicleId}/timestamp.cbor`);
      services.memory.forget(`/manifest/${vehicleId}`);
    }
  });
}

/** The first role that is past half of its life, or was made under an older Root. */
export async function staleRole(
  services: Services,
  vehicleId: string,
): Promise<DirectorRole | undefined> {
  const { lifetimes, roots, database } = services;
  if (await isAwaited(services, vehicleId)) return undefined;
  await roots.follow(database);
  // Keys, or time keys, may differ under a newer Root.
  const rootVersion = services.roots.latest('director').version;
  for (const role of ['targets', 'snapshot', 'timestamp'] as const) {
    const row = await latestMetadata(services, vehicleId, role);
    const old = row.expires - services.now() < lifetimes[role] / 2;
    if (old || row.root_version !== rootVersion) return role;
  }
  return undefined;
}

/** MET-07: after a restore, what the vehicle holds is learnt before anything is signed for it. */
export async function isAwaited(services: Services, vehicleId: string): Promise<boolean> {
  if (services.restored === 0) return false;
  return (await services.database.one(isAwaitedVehicle, vehicleId)) !== undefined;
}

interface Common {
  readonly formatVersion: 1;
  readonly version: number;
  readonly expires: number;
  readonly vehicleId: string;
}

type PayloadOf = (common: Common) => Promise<Uint8Array>;

/** Signs and stores the next version of a role of each vehicle, of which there may be none. */
async function issueRole(
  services: WithinTransaction,
  role: DirectorRole,
  issues: readonly Issue[],
  payloads: (services: Services) => PayloadOf,
): Promise<void> {
  // A Timestamp alone needs nothing prepared for the roles before it.
  if (issues.length === 0) return;
  const { database, keys, lifetimes } = services;
  const expires = services.now() + lifetimes[role];
  const rootVersion = services.roots.latest('director').version;
  const payloadOf = payloads(services);
  const next: Common[] = [];
  const documents: Uint8Array[] = [];
  for (const { vehicleId, floors } of issues) {
    const previous = (await database.one(latestDirectorMetadata, vehicleId, role))?.version ?? 0;
    const version = Math.max(previous, floors?.[role] ?? 0) + 1;
    const common = { formatVersion: 1, version, expires, vehicleId } as const;
    next.push(common);
    documents.push(await payloadOf(common));
  }
  const signed = await keys.signTogether(`director-${role}`, roles[role], expires, documents);
  for (const [i, { vehicleId, version }] of next.entries()) {
    const row = [vehicleId, role, version, expires, rootVersion, signed[i]!] as const;
    await database.run(insertDirectorMetadata, ...row);
    await database.run(trimDirectorMetadata, vehicleId, role, version - keptVersions);
  }
}

function targetsPayload(services: Services): PayloadOf {
  // TIM-06: partial verifiers learn the time keys from Targets
  const timeKeys = roleAuthority(services.crypto, services.roots.latest('director'), 'time');
  if (isRefusal(timeKeys)) throw new Error(`Director Root: ${timeKeys.detail}`);
  const { keys, threshold } = timeKeys;
  return async (common) => {
    const targets = await assignedTargets(services, common.vehicleId);
    const policy = await policyOf(services, common.vehicleId);
    return encode(targetsSchema, {
      type: roles.targets,
      ...common,
      targets,
      timeKeys: { keys, threshold },
      ...(policy && { bundlePolicy: policy }),
    });
  };
}

function snapshotPayload(services: Services): PayloadOf {
  return async (common) => {
    const { version } = await latestMetadata(services, common.vehicleId, 'targets');
    return encode(snapshotSchema, {
      type: roles.snapshot,
      ...common,
      // SNP-01: the Director has one Targets file
      versions: [{ key: 'targets', value: version }],
    });
  };
}

function timestampPayload(services: Services): PayloadOf {
  return async (common) => {
    const { version, bytes } = await latestMetadata(services, common.vehicleId, 'snapshot');
    const sha256 = services.crypto.digest('SHA-256', bytes);
    return encode(timestampSchema, {
      type: roles.timestamp,
      ...common,
      // TSM-01, TSM-02: version and hash of the latest Snapshot; its length bounds the download
      snapshot: {
        version,
        length: bytes.length,
        hashes: [{ key: hashAlgorithms['SHA-256'], value: sha256 }],
      },
    });
  };
}
