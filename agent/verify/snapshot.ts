/** Snapshot metadata (Uptane §5.4.4.5): one consistent set of Targets files. */

import { sameBytes } from '../codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxSnapshotBytes } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';
import type { Root } from '../metadata/root.ts';
import { type Snapshot, snapshot as snapshotSchema } from '../metadata/snapshot.ts';
import type { Timestamp } from '../metadata/timestamp.ts';
import { requireAuthority } from './root.ts';
import {
  checkExpiry,
  checkSuccession,
  checkVehicle,
  hashesMatch,
  loadVerified,
  type Opened,
  openSigned,
  type VerificationContext,
} from './signed-file.ts';
import { onlineAuthorityDigest } from './timestamp.ts';

/** The version that a Snapshot lists for a Targets file; undefined when it is not listed. */
export function versionOf(snapshot: Snapshot, roleName: string): number | undefined {
  for (const { key, value } of snapshot.versions) if (key === roleName) return value;
  return undefined;
}

/**
 * Judges a Snapshot (fetched, or stored and now looked at again) and stores it when it is news.
 * @param timestamp the Timestamp just accepted
 * @returns codes `snapshot-mismatch`, `signature-…`, `metadata-role-type`, `cbor-…`,
 *   `vehicle-mismatch`, `metadata-rollback`, `snapshot-role-removed`, `metadata-changed-in-place`,
 *   `metadata-expired`
 */
export function acceptSnapshot(
  context: VerificationContext,
  repository: RepositoryName,
  root: Root,
  timestamp: Timestamp,
  file: Uint8Array,
): Opened<Snapshot> | Refusal {
  const { crypto, now, store } = context;
  const authority = requireAuthority(context, root, 'snapshot');
  if (isRefusal(authority)) return authority;
  const digest = onlineAuthorityDigest(context, root);
  if (isRefusal(digest)) return digest;

  const { length, hashes, version } = timestamp.snapshot;
  // CSN-02: length and hashes of the Timestamp; mix-and-match
  if (file.length !== length || !hashesMatch(crypto, hashes, file)) {
    return refuse('snapshot-mismatch', 'not the Snapshot that the Timestamp names');
  }
  const form = { role: 'snapshot', authority, maxBytes: maxSnapshotBytes } as const;
  // CSN-03: threshold of the latest Root's keys
  const next = openSigned(context, snapshotSchema, file, { ...form, now, row: 'CSN-03' });
  if (isRefusal(next)) return next;
  // CSN-02: and its version
  if (next.value.version !== version) {
    return refuse('snapshot-mismatch', `version ${next.value.version}, Timestamp says ${version}`);
  }
  const previous = loadVerified(
    context,
    snapshotSchema,
    repository,
    'snapshot',
    digest,
    form,
    next,
  );
  const refused =
    checkVehicle(repository, context.vehicleId, next.value.vehicleId) ??
    checkSuccession(previous, next, 'CSN-04') ?? // CSN-04: rollback
    checkListedVersions(previous?.value, next.value) ??
    checkExpiry(next.value.expires, now, 'CSN-07'); // CSN-07: freeze
  if (refused !== undefined) return refused;
  if (previous === undefined || !sameBytes(previous.bytes, file)) {
    store.write(repository, 'snapshot', next.value.version, file, digest);
  }
  return next;
}

function checkListedVersions(previous: Snapshot | undefined, next: Snapshot): Refusal | undefined {
  // SNP-01: the top level at least
  if (versionOf(next, 'targets') === undefined) {
    return refuse('snapshot-mismatch', 'no version of targets', 'SNP-01');
  }
  if (previous === undefined) return undefined;
  for (const { key, value } of previous.versions) {
    const version = versionOf(next, key);
    // CSN-06: every file of the stored Snapshot is still listed
    if (version === undefined) return refuse('snapshot-role-removed', `${key} is gone`);
    // CSN-05: none went back
    if (version < value) {
      return refuse('metadata-rollback', `${key} version ${version} after ${value}`, 'CSN-05');
    }
  }
  return undefined;
}
