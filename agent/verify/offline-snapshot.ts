/**
 * The Offline Snapshot of the Director (PURE-2): which Offline Targets files are the current ones.
 * It comes from a medium (OFF-04), and in online cycles from the Director (OFF-05), so that a
 * connected vehicle knows which campaigns are superseded before somebody plugs an old one in.
 *
 * Stored under the digest of its own role's authority: new offline-snapshot keys make the stored
 * file, and versions that an attacker drove up with the old ones, cease to exist (as CRT-07).
 */
import { sameBytes } from '../codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxOfflineSnapshotBytes } from '../limits.ts';
import type { RoleName } from '../metadata/common.ts';
import { type OfflineSnapshot, offlineSnapshot as schema } from '../metadata/offline.ts';
import type { Root } from '../metadata/root.ts';
import { authorityDigest, authorityOf, type RoleAuthority } from './authority.ts';
import {
  checkExpiry,
  checkSuccession,
  type Opened,
  openSigned,
  type VerificationContext,
} from './signed-file.ts';

export const offlineSnapshotKey = 'offline-snapshot';

/** OFF-01: a Director Root names the keys of both offline roles, or takes no offline updates. */
export function offlineAuthority(
  { crypto, profile }: VerificationContext,
  root: Root,
  role: RoleName,
): RoleAuthority | Refusal {
  return (
    authorityOf(crypto, root, role, profile) ??
    refuse('root-threshold', `no ${role} keys for profile ${profile}`, 'OFF-01')
  );
}

/** The version that the Offline Snapshot lists for an Offline Targets file. */
export function offlineVersionOf(snapshot: OfflineSnapshot, name: string): number | undefined {
  for (const { key, value } of snapshot.versions) if (key === name) return value;
  return undefined;
}

/**
 * Judges the Offline Snapshot of a medium (OFF-04) and stores it when it is news. One that is not
 * newer than the stored one is not looked at further: the stored one is the answer.
 * @param root the newest trusted Director Root
 * @returns codes `root-threshold`, `signature-…`, `metadata-role-type`, `cbor-…`,
 *   `metadata-changed-in-place`, `metadata-rollback`, `snapshot-role-removed`, `metadata-expired`
 */
export function acceptOfflineSnapshot(
  context: VerificationContext,
  root: Root,
  file: Uint8Array,
): OfflineSnapshot | Refusal {
  const { crypto, format, now } = context;
  const authority = offlineAuthority(context, root, 'offline-snapshot');
  if (isRefusal(authority)) return authority;
  const stored = loadStored(context, authority);
  const envelope = format.open(file, maxOfflineSnapshotBytes);
  if (isRefusal(envelope)) return envelope;
  if (stored !== undefined) {
    // Read before its signature is checked, only to see that nothing is to be taken from it
    const found = format.decode(schema, envelope.payload, maxOfflineSnapshotBytes);
    // OFF-04: skip when the stored version is not below the one found
    if (!isRefusal(found) && found.version <= stored.value.version) {
      const changed =
        found.version === stored.value.version && !sameBytes(envelope.payload, stored.payload);
      // HRD-02: same version, other content
      if (changed) {
        return refuse('metadata-changed-in-place', `Offline Snapshot ${found.version} differs`);
      }
      return stored.value;
    }
  }
  // OFF-04: signature
  const form = { role: 'offline-snapshot', authority, maxBytes: maxOfflineSnapshotBytes } as const;
  const next = openSigned(context, schema, file, { ...form, row: 'OFF-04' });
  if (isRefusal(next)) return next;
  const refused =
    checkVersions(stored?.value, next.value, 'OFF-04') ??
    checkExpiry(next.value.expires, now, 'OFF-04'); // OFF-04: freeze
  if (refused !== undefined) return refused;
  const digest = authorityDigest(crypto, [authority]);
  context.store.write('director', offlineSnapshotKey, next.value.version, file, digest);
  return next.value;
}

/** What an Offline Snapshot met in an online cycle means for that cycle (OFF-05). */
export type OnlineFinding =
  | { readonly goOn: Refusal | undefined }
  /** Somebody gives out an older one: nothing else of this Director is taken in this cycle. */
  | { readonly abort: Refusal };

/**
 * Judges the Offline Snapshot that the Director gives out in an online cycle, stores it when it is
 * news. Neither a bad signature nor an expiry keeps the vehicle from its online update.
 * @returns `goOn` with what was wrong, if anything; `abort` with `metadata-rollback`,
 *   `metadata-changed-in-place` or `snapshot-role-removed`
 */
export function judgeOnlineOfflineSnapshot(
  context: VerificationContext,
  root: Root,
  file: Uint8Array,
): OnlineFinding {
  const authority = offlineAuthority(context, root, 'offline-snapshot');
  if (isRefusal(authority)) return { goOn: authority };
  const form = { role: 'offline-snapshot', authority, maxBytes: maxOfflineSnapshotBytes } as const;
  // OFF-05: a bad signature is logged, and the cycle goes on
  const next = openSigned(context, schema, file, { ...form, row: 'OFF-05' });
  if (isRefusal(next)) return { goOn: next };
  const stored = loadStored(context, authority);
  // OFF-05: a rollback ends the cycle
  const rollback =
    checkSuccession(stored, next, 'OFF-05') ?? checkVersions(stored?.value, next.value, 'OFF-05');
  if (rollback !== undefined) return { abort: rollback };
  const expired = checkExpiry(next.value.expires, context.now, 'OFF-05');
  if (expired !== undefined) return { goOn: expired };
  if (stored === undefined || stored.value.version < next.value.version) {
    const digest = authorityDigest(context.crypto, [authority]);
    context.store.write('director', offlineSnapshotKey, next.value.version, file, digest);
  }
  return { goOn: undefined };
}

/** HRD-11, HRD-15: the stored file, verified again; a damaged one counts as absent. */
function loadStored(
  context: VerificationContext,
  authority: RoleAuthority,
): Opened<OfflineSnapshot> | undefined {
  const digest = authorityDigest(context.crypto, [authority]);
  const stored = context.store.load('director', offlineSnapshotKey, digest);
  if (stored === undefined) return undefined;
  const form = { role: 'offline-snapshot', authority, maxBytes: maxOfflineSnapshotBytes } as const;
  const opened = openSigned(context, schema, stored.bytes, { ...form, row: 'HRD-15' });
  return isRefusal(opened) ? undefined : opened;
}

/** No campaign goes back or vanishes: one that vanished could come back older. */
function checkVersions(
  previous: OfflineSnapshot | undefined,
  next: OfflineSnapshot,
  row: string,
): Refusal | undefined {
  for (const { key, value } of previous?.versions ?? []) {
    const version = offlineVersionOf(next, key);
    if (version === undefined) return refuse('snapshot-role-removed', `${key} is gone`, row);
    if (version < value) {
      return refuse('metadata-rollback', `${key} version ${version} after ${value}`, row);
    }
  }
  return undefined;
}
