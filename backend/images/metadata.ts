/**
 * The Image repository's online metadata: Snapshot and Timestamp over what operators published
 * (ROL-09, ROL-10).
 */
import { encode } from '../../agent/codec/schema.ts';
import { hashAlgorithms, roles } from '../../agent/metadata/common.ts';
import { snapshot as snapshotSchema } from '../../agent/metadata/snapshot.ts';
import { timestamp as timestampSchema } from '../../agent/metadata/timestamp.ts';
import type { Services } from '../services.ts';
import { insertImageMetadata, latestImageMetadata } from '../store/metadata.ts';
import { targetsVersions } from './listing.ts';

type OnlineRole = 'snapshot' | 'timestamp';

/** Makes and signs `from` and what follows it. To be called inside a transaction. */
export function issueImageMetadata(services: Services, from: OnlineRole): void {
  if (from === 'snapshot') issueSnapshot(services);
  issueTimestamp(services);
}

/** Re-issues what is past half of its life or was made under an older Root. */
export function freshenImageMetadata(services: Services): void {
  const { database, lifetimes } = services;
  const rootVersion = services.roots.latest('images').version;
  const stale = (role: OnlineRole, lifetime: number): boolean => {
    const row = database.one(latestImageMetadata, role);
    if (row === undefined) return false; // nothing was published yet
    return row.root_version !== rootVersion || row.expires - services.now() < lifetime / 2;
  };
  const from = stale('snapshot', lifetimes.imagesSnapshot)
    ? 'snapshot'
    : stale('timestamp', lifetimes.imagesTimestamp)
      ? 'timestamp'
      : undefined;
  if (from === undefined) return;
  database.transaction(() => issueImageMetadata(services, from));
}

interface Common {
  readonly formatVersion: 1;
  readonly version: number;
  readonly expires: number;
}

function issue(
  services: Services,
  role: OnlineRole,
  lifetime: number,
  payload: (common: Common) => Uint8Array,
): void {
  const { database, keys } = services;
  const version = (database.one(latestImageMetadata, role)?.version ?? 0) + 1;
  const expires = services.now() + lifetime;
  const encoded = payload({ formatVersion: 1, version, expires });
  const bytes = keys.sign(`images-${role}`, 'metadata', encoded);
  const rootVersion = services.roots.latest('images').version;
  database.run(insertImageMetadata, role, version, expires, rootVersion, bytes);
  // What memory holds is older from now on.
  services.memory.forget('/metadata/timestamp.cbor');
}

function issueSnapshot(services: Services): void {
  // SNP-01, ROL-09: every Targets file of the repository; none ever disappears (CSN-06, DBP-15)
  const versions = targetsVersions(services).map(({ role, version }) => ({
    key: role,
    value: version,
  }));
  issue(services, 'snapshot', services.lifetimes.imagesSnapshot, (common) =>
    encode(snapshotSchema, { type: roles.snapshot, ...common, versions }),
  );
}

function issueTimestamp(services: Services): void {
  const latest = services.database.one(latestImageMetadata, 'snapshot');
  if (latest === undefined) throw new Error('Timestamp before the first Snapshot');
  const sha256 = services.crypto.digest('SHA-256', latest.bytes);
  issue(services, 'timestamp', services.lifetimes.imagesTimestamp, (common) =>
    encode(timestampSchema, {
      type: roles.timestamp,
      ...common,
      snapshot: {
        version: latest.version,
        length: latest.bytes.length,
        hashes: [{ key: hashAlgorithms['SHA-256'], value: sha256 }],
      },
    }),
  );
}
