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
import { imageVersionFloor } from '../store/restores.ts';
import { inTurn, type WithinTransaction } from '../transactions.ts';
import { targetsVersions } from './listing.ts';

type OnlineRole = 'snapshot' | 'timestamp';

/** Makes and signs `from` and what follows it, when it is this process's turn (`inTurn`). */
export async function issueImageMetadata(
  services: WithinTransaction,
  from: OnlineRole,
): Promise<void> {
  await services.roots.follow(services.database);
  if (from === 'snapshot') await issueSnapshot(services);
  await issueTimestamp(services);
}

/** Re-issues what is past half of its life or was made under an older Root. */
export async function freshenImageMetadata(services: Services): Promise<void> {
  if ((await staleRole(services)) === undefined) return;
  await inTurn(services, 'images', async (within) => {
    // Another process may have been first.
    const from = await staleRole(within);
    if (from !== undefined) await issueImageMetadata(within, from);
  });
}

async function staleRole(services: Services): Promise<OnlineRole | undefined> {
  const { database, lifetimes, roots } = services;
  await roots.follow(database);
  const rootVersion = roots.latest('images').version;
  const stale = async (role: OnlineRole, lifetime: number): Promise<boolean> => {
    const row = await database.one(latestImageMetadata, role);
    if (row === undefined) return false; // nothing was published yet
    if (row.version <= (await floorOf(services, role))) return true;
    return row.root_version !== rootVersion || row.expires - services.now() < lifetime / 2;
  };
  if (await stale('snapshot', lifetimes.imagesSnapshot)) return 'snapshot';
  return (await stale('timestamp', lifetimes.imagesTimestamp)) ? 'timestamp' : undefined;
}

/** MET-07: after a restore, versions go on above what the lost ones can have reached. */
async function floorOf({ database, restored }: Services, role: OnlineRole): Promise<number> {
  if (restored === 0) return 0;
  return (await database.one(imageVersionFloor, role))?.version ?? 0;
}

interface Common {
  readonly formatVersion: 1;
  readonly version: number;
  readonly expires: number;
}

async function issue(
  services: WithinTransaction,
  role: OnlineRole,
  lifetime: number,
  payload: (common: Common) => Uint8Array,
): Promise<void> {
  const { database, keys } = services;
  const previous = (await database.one(latestImageMetadata, role))?.version ?? 0;
  const version = Math.max(previous, await floorOf(services, role)) + 1;
  const expires = services.now() + lifetime;
  const encoded = payload({ formatVersion: 1, version, expires });
  const bytes = await keys.sign(`images-${role}`, 'metadata', encoded);
  const rootVersion = services.roots.latest('images').version;
  await database.run(insertImageMetadata, role, version, expires, rootVersion, bytes);
  // What memory holds is older from then on.
  database.afterCommit(() => services.memory.forget('/metadata/timestamp.cbor'));
}

async function issueSnapshot(services: WithinTransaction): Promise<void> {
  // SNP-01, ROL-09: every Targets file of the repository; none ever disappears (CSN-06, DBP-15)
  const versions = (await targetsVersions(services)).map(({ role, version }) => ({
    key: role,
    value: version,
  }));
  await issue(services, 'snapshot', services.lifetimes.imagesSnapshot, (common) =>
    encode(snapshotSchema, { type: roles.snapshot, ...common, versions }),
  );
}

async function issueTimestamp(services: WithinTransaction): Promise<void> {
  const latest = await services.database.one(latestImageMetadata, 'snapshot');
  if (latest === undefined) throw new Error('Timestamp before the first Snapshot');
  const sha256 = services.crypto.digest('SHA-256', latest.bytes);
  await issue(services, 'timestamp', services.lifetimes.imagesTimestamp, (common) =>
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
