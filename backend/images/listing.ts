/**
 * What the Image repository's current Targets files list, and who may list it. All stored files
 * were verified when they were published, so no signature is checked here again.
 */
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import type { Authority } from '../../agent/crypto/verify-envelope.ts';
import { maxDelegationDepth, maxDelegationsVisited, maxTargetsBytes } from '../../agent/limits.ts';
import {
  type Delegation,
  type Target,
  type Targets,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import { sameFile, sameMustMatch } from '../../agent/verify/agreement.ts';
import { matchesPattern } from '../../agent/verify/path-pattern.ts';
import type { Services } from '../services.ts';
import { delegatedAuthority } from '../signer/root-trust.ts';
import { imageMetadataVersions, latestImageMetadata } from '../store/metadata.ts';

const onlineRoles = ['snapshot', 'timestamp'];

/** Names and versions of the current Targets files: `targets` and the delegated roles. */
export function targetsVersions(
  services: Services,
): readonly { readonly role: string; readonly version: number }[] {
  return services.database
    .all(imageMetadataVersions)
    .filter(({ role }) => !onlineRoles.includes(role));
}

/** The current Targets file of a role, `targets` for the top level. */
export function currentTargets(services: Services, role: string): Targets | undefined {
  const row = services.database.one(latestImageMetadata, role);
  if (row === undefined) return undefined;
  const envelope = decodeEnvelope(row.bytes, maxTargetsBytes);
  if (isRefusal(envelope)) throw new Error(`stored ${role}: ${envelope.detail}`);
  const targets = decode(targetsSchema, envelope.payload, maxTargetsBytes);
  if (isRefusal(targets)) throw new Error(`stored ${role}: ${targets.detail}`);
  return targets;
}

/** Every current entry of a filename, in whichever file it is listed. */
export function entriesOf(services: Services, filename: string): readonly Target[] {
  return targetsVersions(services).flatMap(({ role }) =>
    (currentTargets(services, role)?.targets ?? []).filter((entry) => entry.filename === filename),
  );
}

/** True when a delegation covers this filename on this hardware (DEL-05, DEL-06). */
export function covers(delegation: Delegation, filename: string, hardwareId: string): boolean {
  const { hardwareIds, paths } = delegation;
  if (hardwareIds !== undefined && !hardwareIds.includes(hardwareId)) return false;
  return paths.some((pattern) => matchesPattern(pattern, filename));
}

/** One place where a role is delegated, and who signs it by that delegation. */
export interface Delegator {
  /** The delegating file: `targets` or a delegated role. */
  readonly parent: string;
  readonly delegation: Delegation;
  readonly authority: Authority | Refusal;
}

/** Every delegation that names `role` in the current Targets files (IMG-05). */
export function delegatorsOf(services: Services, role: string): readonly Delegator[] {
  const found: Delegator[] = [];
  for (const { role: parent } of targetsVersions(services)) {
    const { keys, delegations } = currentTargets(services, parent)?.delegations ?? none;
    for (const delegation of delegations) {
      const entry = delegation.roles.find(({ name }) => name === role);
      if (entry === undefined) continue;
      found.push({
        parent,
        delegation,
        authority: delegatedAuthority(services.crypto, keys, entry),
      });
    }
  }
  return found;
}

const none = { keys: [], delegations: [] };

/**
 * True when the delegations that lead from the top level to `role` all cover this filename on this
 * hardware: only then will any vehicle look there (IMG-05).
 */
export function isReached(
  services: Services,
  role: string,
  filename: string,
  hardwareId: string,
  below: readonly string[] = [],
): boolean {
  if (role === 'targets') return true;
  if (below.includes(role) || below.length >= maxDelegationDepth) return false;
  return delegatorsOf(services, role).some(
    ({ parent, delegation }) =>
      covers(delegation, filename, hardwareId) &&
      isReached(services, parent, filename, hardwareId, [...below, role]),
  );
}

/** `ended`: a terminating delegation allows nothing further to be tried (RDL-04). */
type Found = Target | 'absent' | 'ended';

interface Search {
  readonly services: Services;
  readonly filename: string;
  readonly hardwareId: string;
  visited: number;
}

/**
 * The entry of a filename that a vehicle's verification will find for this hardware (§5.4.4.7), so
 * that nothing is assigned that no vehicle would accept (TGT-01).
 */
export function findTarget(
  services: Services,
  filename: string,
  hardwareId: string,
): Target | undefined {
  const found = visit({ services, filename, hardwareId, visited: 0 }, 'targets', [], false);
  return typeof found === 'string' ? undefined : found;
}

function visit(search: Search, role: string, path: readonly string[], terminating: boolean): Found {
  search.visited += 1;
  const beyond = search.visited > maxDelegationsVisited || path.length > maxDelegationDepth;
  const targets = beyond || path.includes(role) ? undefined : currentTargets(search.services, role);
  const entry = targets?.targets.find(({ filename }) => filename === search.filename);
  if (entry !== undefined) return entry;
  if (terminating) return 'ended';
  for (const delegation of targets?.delegations?.delegations ?? []) {
    if (!covers(delegation, search.filename, search.hardwareId)) continue;
    const found = follow(search, delegation, [...path, role]);
    if (found !== 'absent') return found;
  }
  return 'absent';
}

/** ROL-07: where several roles are named, enough of them have to list the same. */
function follow(search: Search, delegation: Delegation, path: readonly string[]): Found {
  const { roles, minimumRoles, terminating } = delegation;
  const found = roles.map(({ name }) => visit(search, name, path, terminating));
  if (roles.length === 1) return found[0]!;
  const entries = found.filter((one) => typeof one !== 'string');
  const agreed = entries.find(
    (entry) =>
      entries.filter((other) => sameFile(entry, other) && sameMustMatch(entry, other)).length >=
      minimumRoles,
  );
  return agreed ?? (terminating ? 'ended' : 'absent');
}
