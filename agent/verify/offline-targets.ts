/**
 * Offline Targets (PURE-2): one campaign, its images, and which ECU of which vehicle gets which. The
 * verifier takes the entries of its own vehicle out of it and judges them as Director Targets.
 */
import { sameBytes } from '../codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxKeyObjectBytes, maxOfflineTargetsBytes } from '../limits.ts';
import { roles } from '../metadata/common.ts';
import {
  type OfflineSnapshot,
  type OfflineTargets,
  offlineTargets as schema,
} from '../metadata/offline.ts';
import type { Root } from '../metadata/root.ts';
import type { Target, Targets } from '../metadata/targets.ts';
import { authorityDigest } from './authority.ts';
import { judgeDirectorTargets } from './director-policy.ts';
import { offlineAuthority, offlineVersionOf } from './offline-snapshot.ts';
import { checkExpiry, checkHashList, openSigned } from './signed-file.ts';
import type { VerificationOptions } from './verification.ts';

/** What is kept of a campaign: one for hundreds of vehicles has no room on a small ECU. */
function floorKey(name: string): string {
  return `offline/${name}`;
}

/**
 * Judges the Offline Targets of a medium; keeps version and digest of what was accepted.
 * @param root the newest trusted Director Root
 * @param snapshot the accepted Offline Snapshot
 * @returns this vehicle's entries in the shape of Director Targets; codes `root-threshold`,
 *   `signature-…`, `metadata-role-type`, `cbor-…`, `targets-version-mismatch`, `metadata-expired`,
 *   `metadata-rollback`, `metadata-changed-in-place`, `hash-missing`, `targets-ecu-repeated`, `targets-ecu-unknown`,
 *   `target-too-large`, `vehicle-mismatch`, and those of `judgeDirectorTargets`
 */
export function acceptOfflineTargets(
  options: VerificationOptions,
  root: Root,
  snapshot: OfflineSnapshot,
  file: Uint8Array,
): Targets | Refusal {
  const { crypto, now, store, vehicleId } = options;
  const authority = offlineAuthority(options, root, 'offline-targets');
  if (isRefusal(authority)) return authority;
  const form = { role: 'offline-targets', authority, maxBytes: maxOfflineTargetsBytes } as const;
  // OFF-04: signature
  const next = openSigned(options, schema, file, { ...form, row: 'OFF-04' });
  if (isRefusal(next)) return next;
  const { name, version, expires } = next.value;
  const listed = offlineVersionOf(snapshot, name);
  // OFF-04: the version of the Offline Snapshot; a superseded campaign ends here (mix-and-match)
  if (version !== listed) {
    const found = `${name} version ${version}, Offline Snapshot says ${listed ?? 'nothing'}`;
    return refuse('targets-version-mismatch', found, 'OFF-04');
  }
  const digest = authorityDigest(crypto, [authority]);
  const seen = store.floor('director', floorKey(name), digest);
  const payloadSha256 = crypto.digest('SHA-256', next.payload);
  // OFF-04: rollback, also when new keys of the Offline Snapshot have forgotten the versions
  if (seen !== undefined && version < seen.version) {
    const found = `${name} version ${version} after ${seen.version}`;
    return refuse('metadata-rollback', found, 'OFF-04');
  }
  // HRD-02: same version, other content
  if (seen?.version === version && !sameBytes(seen.payloadSha256, payloadSha256)) {
    return refuse('metadata-changed-in-place', `${name} version ${version} has other content`);
  }
  const refused =
    checkExpiry(expires, now, 'OFF-04') ?? // OFF-04: freeze
    checkEntries(next.value);
  if (refused !== undefined) return refused;
  const targets = entriesOfVehicle(next.value, vehicleId);
  // HRD-01: a campaign for other vehicles is none for this one
  if (targets.targets.length === 0) {
    return refuse('vehicle-mismatch', `${name} is not for ${vehicleId}`);
  }
  // VIM-04: there is no previous file; each ECU's persistent counter is the bound (HRD-04)
  const wrong = judgeDirectorTargets(options, targets, undefined);
  if (wrong !== undefined) return wrong;
  if (seen === undefined || seen.version < version) {
    store.writeFloor('director', floorKey(name), { version, payloadSha256 }, digest);
  }
  return targets;
}

/** Rules for the whole file, so that every vehicle judges it alike. */
function checkEntries({ targets, assignments }: OfflineTargets): Refusal | undefined {
  for (const { filename, hashes, assignment } of targets) {
    // HRD-12: at least one known hash
    const refused = checkHashList(hashes);
    if (refused !== undefined) return refused;
    // CUS-06: who gets it is said in one place
    if (assignment !== undefined) {
      return refuse('targets-ecu-unknown', `${filename} has an assignment of its own`, 'CUS-06');
    }
  }
  const seen: string[] = [];
  for (const { ecuId, keyObjectLength, target, vehicleId } of assignments) {
    if (target >= targets.length) {
      return refuse('targets-ecu-unknown', `${ecuId}: no target ${target}`, 'OFF-04');
    }
    if (keyObjectLength > maxKeyObjectBytes) {
      return refuse('target-too-large', `key object of ${keyObjectLength} bytes`);
    }
    // Neither identifier can hold a space.
    seen.push(`${vehicleId} ${ecuId}`);
  }
  seen.sort();
  // OFF-04: at most one target per ECU
  for (let i = 1; i < seen.length; i++) {
    if (seen[i] === seen[i - 1]) return refuse('targets-ecu-repeated', seen[i], 'OFF-04');
  }
  return undefined;
}

function entriesOfVehicle(campaign: OfflineTargets, vehicleId: string): Targets {
  const { assignments, expires, version } = campaign;
  const targets: Target[] = [];
  for (const { ecuId, keyObjectLength, keyObjectSha256, target, vehicleId: owner } of assignments) {
    if (owner !== vehicleId) continue;
    const assignment = { ecuId, keyObjectSha256, keyObjectLength };
    targets.push({ ...campaign.targets[target]!, assignment });
  }
  return { type: roles.targets, formatVersion: 1, version, expires, vehicleId, targets };
}
