/**
 * One in-memory repository with real keys, signing what is asked for when it is asked for. Its
 * metadata are plain mutable objects: a test changes a field, and the next fetch serves it signed.
 */

import { encode, type Schema } from '../../agent/codec/schema.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import {
  hashAlgorithms,
  type ProfileName,
  profiles,
  type RepositoryName,
  roles,
} from '../../agent/metadata/common.ts';
import { type Root, root as rootSchema } from '../../agent/metadata/root.ts';
import { type Snapshot, snapshot as snapshotSchema } from '../../agent/metadata/snapshot.ts';
import {
  type DelegatedRole,
  type Delegation,
  type Targets,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import { type Timestamp, timestamp as timestampSchema } from '../../agent/metadata/timestamp.ts';
import { profileAlgorithms } from '../../agent/verify/authority.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../hal/node/signing.ts';
import type { Crypto } from '../../hal/types.ts';

export const crypto: Crypto = createNodeCrypto();

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type OnlineRole = 'root' | 'timestamp' | 'snapshot' | 'targets' | 'time';
type TopRole = OnlineRole | 'offline-snapshot' | 'offline-targets';
const onlineRoles: readonly OnlineRole[] = ['root', 'timestamp', 'snapshot', 'targets', 'time'];

/** A delegated role: its file, and who signs it. */
export interface SimulatedRole {
  targets: Mutable<Targets>;
  signers: Signer[];
}

export function newSigner(profile: ProfileName): Signer {
  const algorithm = profile === 'ml-dsa' ? 'ML-DSA-65' : profileAlgorithms[profile][0]!;
  return signerOf(generateKeyPair(algorithm));
}

export class SimulatedRepository {
  readonly name: RepositoryName;
  readonly profile: ProfileName;
  /** Who signs each role now; `rotate` and `publishRoot` make Root say so too. */
  readonly signers: Record<TopRole, Signer[]>;
  readonly thresholds: Record<TopRole, number> = {
    root: 1,
    timestamp: 1,
    snapshot: 1,
    targets: 1,
    time: 1,
    'offline-snapshot': 1,
    'offline-targets': 1,
  };
  root: Mutable<Root>;
  timestamp: Mutable<Omit<Timestamp, 'snapshot'>>;
  snapshot: Mutable<Omit<Snapshot, 'versions'>>;
  targets: Mutable<Targets>;
  readonly delegated: Record<string, SimulatedRole> = {};
  /** Versions that the Snapshot lists instead of the real ones; undefined: not listed. */
  readonly listedVersions: Record<string, number | undefined> = {};
  /** Served instead of the real file; undefined: not available. */
  readonly overrides: Record<string, Uint8Array | undefined> = {};
  readonly publishedRoots: Uint8Array[] = [];
  private readonly signed: Record<string, { payload: Uint8Array; by: Signer[]; file: Uint8Array }> =
    {};

  constructor(name: RepositoryName, profile: ProfileName, expires: number, vehicleId?: string) {
    this.name = name;
    this.profile = profile;
    const one = () => [newSigner(profile)];
    this.signers = {
      root: one(),
      timestamp: one(),
      snapshot: one(),
      targets: one(),
      time: one(),
      'offline-snapshot': one(),
      'offline-targets': one(),
    };
    const common = { formatVersion: 1, version: 1, expires } as const;
    const vehicle = vehicleId === undefined ? {} : { vehicleId };
    this.root = { type: roles.root, ...common, keys: [], roles: [] };
    this.timestamp = { type: roles.timestamp, ...common, ...vehicle };
    this.snapshot = { type: roles.snapshot, ...common, ...vehicle };
    this.targets = { type: roles.targets, ...common, ...vehicle, targets: [] };
    this.refreshKeyTable();
    this.publishedRoots.push(this.sign('1.root', rootSchema, this.root, this.signers.root));
  }

  /** Writes the present signers and thresholds into Root's key table; does not publish it. */
  refreshKeyTable(): void {
    // OFF-01: the roles of offline updates are the Director's
    const topRoles: readonly TopRole[] =
      this.name === 'director'
        ? [...onlineRoles, 'offline-snapshot', 'offline-targets']
        : onlineRoles;
    const all = topRoles.flatMap((role) => this.signers[role].map((signer) => signer.key));
    this.root.keys = all.filter((key, i) => all.indexOf(key) === i);
    this.root.roles = topRoles.map((role) => ({
      role: roles[role],
      profile: profiles[this.profile],
      keyIds: this.signers[role].map(({ key }) => keyId(crypto, key)),
      threshold: this.thresholds[role],
    }));
  }

  /** Publishes Root as its next version, signed by `signers` (default: the present root keys). */
  publishRoot(signers: Signer[] = this.signers.root): Uint8Array {
    this.root.version += 1;
    const file = this.sign(`${this.root.version}.root`, rootSchema, this.root, signers);
    this.publishedRoots.push(file);
    return file;
  }

  /** Replaces keys of roles and publishes the one Root that says so, signed by old and new keys. */
  rotate(...roles: readonly TopRole[]): void {
    const signers = roles.includes('root') ? this.signers.root.slice() : [];
    for (const role of roles) this.signers[role] = [newSigner(this.profile)];
    this.refreshKeyTable();
    this.publishRoot(signers.concat(this.signers.root));
  }

  /** Raises the versions of Targets, Snapshot and Timestamp: a usual release. */
  release(): void {
    this.targets.version += 1;
    this.snapshot.version += 1;
    this.timestamp.version += 1;
  }

  expire(role: 'root' | 'timestamp' | 'snapshot' | 'targets', now: number): void {
    this[role].expires = now;
  }

  /** Adds a delegation, the delegated roles with fresh keys where they do not exist yet. */
  delegate(
    names: readonly string[],
    delegation: Partial<Omit<Delegation, 'roles'>> = {},
    from: Mutable<Targets> = this.targets,
  ): void {
    const added = names.map((name) => {
      this.delegated[name] ??= {
        targets: {
          type: roles.targets,
          formatVersion: 1,
          version: 1,
          expires: this.targets.expires,
          targets: [],
        },
        signers: [newSigner(this.profile)],
      };
      return this.delegated[name].signers;
    });
    const list: DelegatedRole[] = names.map((name, i) => ({
      name,
      keyIds: added[i]!.map(({ key }) => keyId(crypto, key)),
      threshold: 1,
    }));
    const before = from.delegations ?? { keys: [], delegations: [] };
    const keys = added.flat().map(({ key }) => key);
    const fresh = keys.filter((key, i) => keys.indexOf(key) === i && before.keys.indexOf(key) < 0);
    from.delegations = {
      keys: before.keys.concat(fresh),
      delegations: before.delegations.concat({
        paths: ['*'],
        terminating: false,
        minimumRoles: names.length,
        ...delegation,
        roles: list,
      }),
    };
  }

  /** The file of that name, signed; undefined when there is none. */
  fetch(name: string): Uint8Array | undefined {
    if (name in this.overrides) return this.overrides[name];
    if (name === 'timestamp.cbor') return this.timestampFile();
    if (name === 'targets.cbor') return this.targetsFile();
    const dot = name.indexOf('.');
    const version = Number(name.slice(0, dot));
    const role = name.slice(dot + 1, -'.cbor'.length);
    if (role === 'root') return this.publishedRoots[version - 1];
    if (role === 'snapshot') return this.snapshotFile();
    if (role === 'targets') return this.targetsFile();
    return this.delegatedFile(role);
  }

  timestampFile(): Uint8Array {
    const snapshot = this.snapshotFile();
    const value: Timestamp = {
      ...this.timestamp,
      snapshot: {
        version: this.snapshot.version,
        length: snapshot.length,
        hashes: [{ key: hashAlgorithms['SHA-256'], value: crypto.digest('SHA-256', snapshot) }],
      },
    };
    return this.sign('timestamp', timestampSchema, value, this.signers.timestamp);
  }

  snapshotFile(): Uint8Array {
    const versions: Record<string, number | undefined> = { targets: this.targets.version };
    for (const name of Object.keys(this.delegated)) {
      versions[name] = this.delegated[name]!.targets.version;
    }
    Object.assign(versions, this.listedVersions);
    const listed = Object.keys(versions).filter((name) => versions[name] !== undefined);
    const value: Snapshot = {
      ...this.snapshot,
      versions: listed.map((name) => ({ key: name, value: versions[name]! })),
    };
    return this.sign('snapshot', snapshotSchema, value, this.signers.snapshot);
  }

  targetsFile(): Uint8Array {
    return this.sign('targets', targetsSchema, this.targets, this.signers.targets);
  }

  private delegatedFile(name: string): Uint8Array | undefined {
    const role = this.delegated[name];
    if (role === undefined) return undefined;
    return this.sign(`role ${name}`, targetsSchema, role.targets, role.signers);
  }

  /** Signs once for the same content: a Timestamp must find the Snapshot that it hashed. */
  private sign<T>(slot: string, schema: Schema<T>, value: T, by: Signer[]): Uint8Array {
    const payload = encode(schema, value);
    const last = this.signed[slot];
    const same = last !== undefined && Buffer.compare(last.payload, payload) === 0;
    if (same && last.by.length === by.length && last.by.every((one, i) => one === by[i])) {
      return last.file;
    }
    const file = signEnvelope(crypto, by, 'metadata', payload);
    this.signed[slot] = { payload, by: by.slice(), file };
    return file;
  }
}
