/**
 * The Offline Snapshot (PURE-2): signed by the operator, kept here, given to every vehicle that asks
 * (OFF-05). What is published is judged as a vehicle will judge it, so that none meets a rollback
 * that an honest mistake has made.
 */
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { maxOfflineSnapshotBytes } from '../../agent/limits.ts';
import { type OfflineSnapshot, offlineSnapshot as schema } from '../../agent/metadata/offline.ts';
import type { Services } from '../services.ts';
import { roleAuthority, signedMetadata } from '../signer/root-trust.ts';
import { insertOfflineSnapshot, latestOfflineSnapshot } from '../store/metadata.ts';
import { storedDocument } from '../store/stored-document.ts';
import { inTurn } from '../transactions.ts';

/** Bytes of the newest one; undefined before the first. */
export async function currentOfflineSnapshot(services: Services): Promise<Uint8Array | undefined> {
  return (await services.database.one(latestOfflineSnapshot))?.bytes;
}

/**
 * Publishes the next Offline Snapshot. Codes `root-threshold` (this Root names no offline roles),
 * `cbor-…`, `signature-…`, `metadata-not-next`, `metadata-rollback`, `snapshot-role-removed`,
 * `metadata-expired`.
 */
export async function publishOfflineSnapshot(
  services: Services,
  bytes: Uint8Array,
): Promise<OfflineSnapshot | Refusal> {
  const { crypto, database: outside, roots } = services;
  await roots.follow(outside);
  const authority = roleAuthority(crypto, roots.latest('director'), 'offline-snapshot');
  if (isRefusal(authority)) return refuse(authority.refused, authority.detail, 'OFF-01');
  const envelope = decodeEnvelope(bytes, maxOfflineSnapshotBytes);
  if (isRefusal(envelope)) return envelope;
  // OFF-02: signed by the Offline Snapshot's own keys
  const forged = verifyEnvelope(crypto, envelope, authority, signedMetadata);
  if (forged !== undefined) return refuse(forged.refused, forged.detail, 'OFF-02');
  const next = decode(schema, envelope.payload, maxOfflineSnapshotBytes);
  if (isRefusal(next)) return next;
  return inTurn(services, 'offline', async ({ database }) => {
    const row = await database.one(latestOfflineSnapshot);
    const previous =
      row && storedDocument(schema, row.bytes, maxOfflineSnapshotBytes, 'Offline Snapshot');
    // MET-07: the version rises
    if (next.version <= (previous?.version ?? 0)) {
      const found = `Offline Snapshot ${next.version}, ${previous?.version} is published`;
      return refuse('metadata-not-next', found, 'OFF-02');
    }
    for (const { key, value } of previous?.versions ?? []) {
      const listed = next.versions.find((entry) => entry.key === key)?.value;
      // OFF-04: no campaign goes back or vanishes
      if (listed === undefined) return refuse('snapshot-role-removed', `${key} is gone`, 'OFF-04');
      if (listed < value) {
        return refuse('metadata-rollback', `${key} version ${listed} after ${value}`, 'OFF-04');
      }
    }
    // OFF-04: one that has expired serves no medium
    if (next.expires <= services.now()) {
      return refuse('metadata-expired', 'this Offline Snapshot has expired', 'OFF-04');
    }
    await database.run(insertOfflineSnapshot, next.version, bytes);
    return next;
  });
}
