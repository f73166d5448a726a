/**
 * Targets metadata (Uptane §5.4.4.6): of the Director, and of the Image repository with the
 * files it delegates to.
 *
 * A stored Targets file is bound to the authority it was accepted under, as Timestamp and Snapshot
 * are (CRT-07): only who holds the Targets keys can drive its version up, so the recovery from that
 * replaces these keys, and with them goes the stored version.
 */

import { sameBytes } from '../codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxKeyObjectBytes } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';
import { type Target, type Targets, targets as targetsSchema } from '../metadata/targets.ts';
import { authorityDigest, type RoleAuthority } from './authority.ts';
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

/** What a Targets file is judged by. */
export interface TargetsRule {
  readonly repository: RepositoryName;
  /** Key in the store: `targets`, or `role/NAME` for a delegated role. */
  readonly storeKey: string;
  readonly authority: RoleAuthority;
  readonly maxBytes: number;
  /** The version that the Snapshot lists; absent for partial verification, which has none. */
  readonly version?: number;
  /** Further checks before the file is stored; `previous` is the stored file, if any. */
  readonly judge?: (targets: Targets, previous: Targets | undefined) => Refusal | undefined;
  /** False: verified, but the previous file, if there is one, stays the stored one (INS-08). */
  readonly keep?: (targets: Targets) => boolean;
}

/**
 * Judges a Targets file (fetched, or stored and now looked at again), stores it when it is news.
 * @returns codes `signature-…`, `metadata-role-type`, `cbor-…`, `targets-version-mismatch`,
 *   `metadata-rollback`, `metadata-changed-in-place`, `metadata-expired`, `vehicle-mismatch`,
 *   `hash-missing`, `targets-ecu-unknown`, and those of `rule.judge`
 */
export function acceptTargets(
  context: VerificationContext,
  rule: TargetsRule,
  file: Uint8Array,
): Opened<Targets> | Refusal {
  const { crypto, now, store } = context;
  const { repository, storeKey, authority, maxBytes } = rule;
  const digest = authorityDigest(crypto, [authority]);
  const form = { role: 'targets', authority, maxBytes } as const;
  // CTG-03, HRD-08: threshold of Root's keys, or of the delegator's
  const next = openSigned(context, targetsSchema, file, { ...form, now, row: 'CTG-03' });
  if (isRefusal(next)) return next;
  // CTG-02: the version of the latest Snapshot; mix-and-match
  if (rule.version !== undefined && next.value.version !== rule.version) {
    const found = `version ${next.value.version}, Snapshot says ${rule.version}`;
    return refuse('targets-version-mismatch', found);
  }
  const previous = loadVerified(context, targetsSchema, repository, storeKey, digest, form, next);
  const refused =
    checkVehicle(repository, context.vehicleId, next.value.vehicleId) ??
    checkSuccession(previous, next, 'CTG-04') ?? // CTG-04: rollback
    checkFloor(context, rule, digest, next) ??
    checkExpiry(next.value.expires, now, 'CTG-05') ?? // CTG-05: freeze
    checkEntries(repository, next.value.targets) ??
    rule.judge?.(next.value, previous?.value);
  if (refused !== undefined) return refused;

  if (previous !== undefined && rule.keep !== undefined && !rule.keep(next.value)) {
    // INS-08: the previous file stays; its successor's version is remembered against rollback
    const payloadSha256 = crypto.digest('SHA-256', next.payload);
    const floor = store.floor(repository, storeKey, digest);
    if (floor === undefined || floor.version < next.value.version) {
      store.writeFloor(
        repository,
        storeKey,
        { version: next.value.version, payloadSha256 },
        digest,
      );
    }
  } else if (previous === undefined || !sameBytes(previous.bytes, file)) {
    store.write(repository, storeKey, next.value.version, file, digest);
  }
  return next;
}

/** CTG-04 and HRD-02 against a file that was verified but not kept (INS-08). */
function checkFloor(
  { crypto, store }: VerificationContext,
  rule: TargetsRule,
  digest: Uint8Array,
  next: Opened<Targets>,
): Refusal | undefined {
  const floor = store.floor(rule.repository, rule.storeKey, digest);
  if (floor === undefined || next.value.version > floor.version) return undefined;
  if (next.value.version < floor.version) {
    const found = `version ${next.value.version} after ${floor.version}`;
    return refuse('metadata-rollback', found, 'CTG-04');
  }
  return sameBytes(crypto.digest('SHA-256', next.payload), floor.payloadSha256)
    ? undefined
    : refuse('metadata-changed-in-place', `version ${floor.version} has other content`);
}

function checkEntries(repository: RepositoryName, targets: readonly Target[]): Refusal | undefined {
  for (const { filename, hashes, assignment } of targets) {
    // HRD-12: at least one known hash
    const refused = checkHashList(hashes);
    if (refused !== undefined) return refused;
    // CUS-06: the Director says which ECU; the Image repository never does
    if ((assignment !== undefined) !== (repository === 'director')) {
      const found = assignment === undefined ? 'no assignment' : 'an assignment';
      return refuse('targets-ecu-unknown', `${filename} has ${found}`, 'CUS-06');
    }
    if (assignment !== undefined && assignment.keyObjectLength > maxKeyObjectBytes) {
      return refuse('target-too-large', `key object of ${assignment.keyObjectLength} bytes`);
    }
  }
  return undefined;
}

/** The rules for Director Targets alone. Codes `targets-delegation`, `targets-ecu-repeated`. */
export function checkDirectorTargets(targets: Targets): Refusal | undefined {
  // CTG-06, ROL-08, DEL-01: the Director never delegates
  if (targets.delegations !== undefined) return refuse('targets-delegation');
  const seen: string[] = [];
  for (const { assignment } of targets.targets) if (assignment) seen.push(assignment.ecuId);
  seen.sort();
  // CTG-07: one image for one ECU
  for (let i = 1; i < seen.length; i++) {
    if (seen[i] === seen[i - 1]) return refuse('targets-ecu-repeated', seen[i]);
  }
  return undefined;
}
