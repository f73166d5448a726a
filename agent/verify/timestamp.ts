/** Timestamp metadata (Uptane §5.4.4.4): which Snapshot is the latest. */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxTimestampBytes } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';
import type { Root } from '../metadata/root.ts';
import { type Timestamp, timestamp as timestampSchema } from '../metadata/timestamp.ts';
import { authorityDigest } from './authority.ts';
import { requireAuthority } from './root.ts';
import {
  checkExpiry,
  checkHashList,
  checkSuccession,
  checkVehicle,
  loadVerified,
  type Opened,
  openSigned,
  type VerificationContext,
} from './signed-file.ts';

/**
 * CRT-07, HRD-14: what a stored Timestamp and Snapshot are bound to. When a Root changes the keys
 * or threshold of either role, both cease to exist, and versions that an attacker had driven up
 * (fast-forward) with them.
 */
export function onlineAuthorityDigest(
  context: VerificationContext,
  root: Root,
): Uint8Array | Refusal {
  const timestamp = requireAuthority(context, root, 'timestamp');
  if (isRefusal(timestamp)) return timestamp;
  const snapshot = requireAuthority(context, root, 'snapshot');
  if (isRefusal(snapshot)) return snapshot;
  return authorityDigest(context.crypto, [timestamp, snapshot]);
}

/**
 * Judges a Timestamp and stores it when it is news.
 * @param root the latest trusted Root of the repository
 * @returns codes `signature-…`, `metadata-role-type`, `cbor-…`, `vehicle-mismatch`,
 *   `metadata-rollback`, `metadata-changed-in-place`, `metadata-expired`, `hash-missing`
 */
export function acceptTimestamp(
  context: VerificationContext,
  repository: RepositoryName,
  root: Root,
  file: Uint8Array,
): Opened<Timestamp> | Refusal {
  const { now, store } = context;
  const authority = requireAuthority(context, root, 'timestamp');
  if (isRefusal(authority)) return authority;
  const digest = onlineAuthorityDigest(context, root);
  if (isRefusal(digest)) return digest;

  const form = { role: 'timestamp', authority, maxBytes: maxTimestampBytes } as const;
  // CTS-02: threshold of the latest Root's keys
  const next = openSigned(context, timestampSchema, file, { ...form, now, row: 'CTS-02' });
  if (isRefusal(next)) return next;
  const previous = loadVerified(
    context,
    timestampSchema,
    repository,
    'timestamp',
    digest,
    form,
    next,
  );
  const refused =
    checkVehicle(repository, context.vehicleId, next.value.vehicleId) ??
    checkHashList(next.value.snapshot.hashes) ??
    checkSuccession(previous, next, 'CTS-03') ?? // CTS-03: rollback
    checkSnapshotVersion(previous, next) ??
    checkExpiry(next.value.expires, now, 'CTS-04'); // CTS-04: freeze
  if (refused !== undefined) return refused;
  if (previous === undefined || previous.value.version < next.value.version) {
    store.write(repository, 'timestamp', next.value.version, file, digest);
  }
  return next;
}

/** A newer Timestamp must not point at an older Snapshot: the CSN-04 check, before the download. */
function checkSnapshotVersion(
  previous: Opened<Timestamp> | undefined,
  next: Opened<Timestamp>,
): Refusal | undefined {
  if (previous === undefined) return undefined;
  const was = previous.value.snapshot.version;
  const is = next.value.snapshot.version;
  return is < was
    ? refuse('metadata-rollback', `Snapshot version ${is} after ${was}`, 'CSN-04')
    : undefined;
}
