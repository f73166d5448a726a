/**
 * Resolving delegations of the Image repository (Uptane §5.4.4.7), multi-role ones included
 * (§5.4.4.8): from the top-level Targets to the metadata of one image.
 *
 * The search is a plain recursion over files that are there. When it meets one that is not, it says
 * so, and runs again from the top once that one was supplied; signatures are verified once per file
 * and delegator. Termination: no role twice on one path, bounded depth, bounded visits.
 *
 * The Standard's step 3 is kept to the letter: what a terminating delegation leads to must list the
 * image itself; delegations of its own are not followed (TUF would follow them).
 */

import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { refuseSharedKeys } from '../crypto/key-set.ts';
import { maxDelegationDepth, maxDelegationsVisited, maxTargetsBytes } from '../limits.ts';
import type { ProfileName } from '../metadata/common.ts';
import type { Snapshot } from '../metadata/snapshot.ts';
import type { DelegatedRole, Delegation, Target, Targets } from '../metadata/targets.ts';
import { sameFile, sameMustMatch } from './agreement.ts';
import { type IdentifiedKey, identify, resolveAuthority } from './authority.ts';
import { delegatedKey } from './metadata-store.ts';
import { matchesPattern } from './path-pattern.ts';
import type { VerificationContext } from './signed-file.ts';
import { versionOf } from './snapshot.ts';
import { acceptTargets } from './targets.ts';
import type { FileRequest } from './verification.ts';

const topLevelNames = ['root', 'timestamp', 'snapshot', 'targets'];

/**
 * The rules for the delegations of one Image repository Targets file, whichever image is sought.
 * @returns codes `key-duplicate`, `delegation-role`, `root-threshold`, `signature-algorithm`,
 *   `key-malformed`
 */
export function checkDelegations(
  context: VerificationContext,
  targets: Targets,
): Refusal | undefined {
  if (targets.delegations === undefined) return undefined;
  const { keys, delegations } = targets.delegations;
  const repeated = refuseSharedKeys(keys);
  if (repeated !== undefined) return repeated;
  const identified = identify(context.crypto, keys);
  for (const delegation of delegations) {
    const refused = checkRoles(identified, delegation, context.profile);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

function checkRoles(
  keys: readonly IdentifiedKey[],
  { roles, minimumRoles }: Delegation,
  profile: ProfileName,
): Refusal | undefined {
  // HRD-06: the threshold of roles, as that of keys, lies between 1 and what there is
  if (minimumRoles < 1 || minimumRoles > roles.length) {
    return refuse('root-threshold', `${minimumRoles} of ${roles.length} roles`);
  }
  for (let i = 0; i < roles.length; i++) {
    const { name } = roles[i]!;
    if (topLevelNames.indexOf(name) >= 0) {
      return refuse('delegation-role', `${name} is a top-level role`);
    }
    if (roles.slice(0, i).some((other) => other.name === name)) {
      return refuse('delegation-role', `${name} twice in one delegation`);
    }
    // HRD-06, DEL-03, DEL-08
    const authority = resolveAuthority(keys, roles[i]!, profile);
    if (isRefusal(authority)) return authority;
  }
  return undefined;
}

interface Query {
  readonly filename: string;
  readonly hardwareId: string;
  visited: number;
}

/** `ended`: nothing found, and by a terminating delegation nothing further may be tried. */
type Result =
  | { readonly target: Target }
  | { readonly need: string }
  | 'absent'
  | 'ended'
  | Refusal;

/** A delegated file as one delegator's entry for its role opened it. */
interface VerifiedFile {
  readonly role: DelegatedRole;
  readonly targets: Targets;
}

/** The delegation keys of one file, identified once. */
interface FileKeys {
  readonly targets: Targets;
  readonly keys: readonly IdentifiedKey[];
}

export class DelegationSearch {
  private readonly context: VerificationContext;
  private readonly snapshot: Snapshot;
  private readonly top: Targets;
  private readonly files: { readonly name: string; readonly bytes: Uint8Array }[] = [];
  private readonly verified: VerifiedFile[] = [];
  private readonly fileKeys: FileKeys[] = [];
  private needed: string | undefined;

  /** @param top the verified top-level Targets of the Image repository */
  constructor(context: VerificationContext, snapshot: Snapshot, top: Targets) {
    this.context = context;
    this.snapshot = snapshot;
    this.top = top;
  }

  /**
   * The authoritative entry for a filename, as seen by hardware `hardwareId`.
   * @returns the entry; or the file that is needed first (then `supply` it and call again);
   *   codes `target-not-found`, `delegation-role`, `delegation-limit` and those of `acceptTargets`
   */
  find(
    filename: string,
    hardwareId: string,
  ): { readonly target: Target } | { readonly request: FileRequest } | Refusal {
    // RDL-01: recursive, from the top-level Targets
    const query = { filename, hardwareId, visited: 0 };
    const result = this.search(this.top, query, [], false);
    // RDL-08: the end of the top-level list, or of a terminating delegation
    if (result === 'absent' || result === 'ended') return refuse('target-not-found', filename);
    if (isRefusal(result) || 'target' in result) return result;
    this.needed = result.need;
    const name = this.fileName(result.need)!;
    return { request: { repository: 'images', name, maxBytes: maxTargetsBytes } };
  }

  /** Answers the last request of `find`. Code `delegation-role`. */
  supply(bytes: Uint8Array | undefined): Refusal | undefined {
    const name = this.needed;
    if (name === undefined) throw new Error('supply: nothing was asked for');
    this.needed = undefined;
    // RDL-02: a role that cannot be loaded ends the resolution
    if (bytes === undefined) return refuse('delegation-role', `${name} is not available`);
    this.files.push({ name, bytes });
    return undefined;
  }

  private search(
    targets: Targets,
    query: Query,
    path: readonly string[],
    terminating: boolean,
  ): Result {
    // RDL-03: the file lists the image
    for (const target of targets.targets) if (target.filename === query.filename) return { target };
    // RDL-04, ROL-05: reached by a terminating delegation, and not here
    if (terminating) return 'ended';
    if (targets.delegations === undefined) return 'absent';
    for (const delegation of targets.delegations.delegations) {
      // RDL-05: in listed order, those that include the hardware and match the filename
      if (!applies(delegation, query)) continue;
      const result = this.follow(delegation, targets, query, path);
      // RDL-07, ROL-04: no result from a normal delegation: the next one in order of priority
      if (result !== 'absent') return result;
    }
    return 'absent';
  }

  private follow(
    delegation: Delegation,
    delegator: Targets,
    query: Query,
    path: readonly string[],
  ): Result {
    const { roles, terminating, minimumRoles } = delegation;
    if (roles.length === 1) return this.visit(roles[0]!, delegator, query, path, terminating);
    // MRD-01: each role's entry, by the same procedure
    const entries: (Target | undefined)[] = [];
    for (const role of roles) {
      const result = this.visit(role, delegator, query, path, terminating);
      if (result === 'absent' || result === 'ended') entries.push(undefined);
      else if ('target' in result) entries.push(result.target);
      else return result;
    }
    const agreed = firstAgreeing(entries, minimumRoles);
    if (agreed !== undefined) return { target: agreed };
    // RDL-06, MRD-05: no set reaches the threshold
    return terminating ? 'ended' : 'absent';
  }

  private visit(
    role: DelegatedRole,
    delegator: Targets,
    query: Query,
    path: readonly string[],
    terminating: boolean,
  ): Result {
    // A cycle can bring nothing that its first visit did not
    if (path.indexOf(role.name) >= 0) return terminating ? 'ended' : 'absent';
    query.visited += 1;
    // HRD-13, DEL-09: bounds of the search
    if (query.visited > maxDelegationsVisited || path.length >= maxDelegationDepth) {
      return refuse('delegation-limit', `at ${role.name}, ${query.visited} visited`);
    }
    const targets = this.open(role, delegator);
    if (isRefusal(targets) || 'need' in targets) return targets;
    return this.search(targets, query, path.concat(role.name), terminating);
  }

  /** HRD-08: a delegated file gets every check, under this delegator's keys. */
  private open(
    role: DelegatedRole,
    delegator: Targets,
  ): Targets | { readonly need: string } | Refusal {
    // HRD-09: what another delegator's entry opened under the same name is not believed here
    for (const file of this.verified) if (file.role === role) return file.targets;
    const { profile, store } = this.context;
    const authority = resolveAuthority(this.keysOf(delegator), role, profile);
    if (isRefusal(authority)) return authority;
    const version = versionOf(this.snapshot, role.name);
    if (version === undefined) {
      return refuse('delegation-role', `${role.name} is not in the Snapshot`, 'ROL-09');
    }
    const rule = {
      repository: 'images',
      storeKey: delegatedKey(role.name),
      authority,
      maxBytes: maxTargetsBytes,
      version,
      judge: (targets: Targets) => checkDelegations(this.context, targets),
    } as const;
    const supplied = this.files.filter((file) => file.name === role.name)[0]?.bytes;
    const file = supplied ?? store.read('images', this.fileName(role.name)!);
    if (file === undefined) return { need: role.name };
    const opened = acceptTargets(this.context, rule, file);
    if (isRefusal(opened)) {
      // A stored file that does not pass is fetched; a fetched one ends the resolution (RDL-02)
      if (supplied === undefined) return { need: role.name };
      return { ...opened, detail: `${role.name}: ${opened.detail}` };
    }
    this.verified.push({ role, targets: opened.value });
    return opened.value;
  }

  private keysOf(targets: Targets): readonly IdentifiedKey[] {
    for (const file of this.fileKeys) if (file.targets === targets) return file.keys;
    const keys = identify(this.context.crypto, targets.delegations!.keys);
    this.fileKeys.push({ targets, keys });
    return keys;
  }

  private fileName(roleName: string): string | undefined {
    const version = versionOf(this.snapshot, roleName);
    return version === undefined ? undefined : `${version}.${roleName}.cbor`;
  }
}

function applies({ paths, hardwareIds }: Delegation, { filename, hardwareId }: Query): boolean {
  // DEL-06: no list means any hardware
  if (hardwareIds !== undefined && hardwareIds.indexOf(hardwareId) < 0) return false;
  return paths.some((pattern) => matchesPattern(pattern, filename));
}

/**
 * MRD-02, MRD-03, MRD-04: of the sets of roles that agree and are large enough, the one that holds the
 * earliest role; undefined when there is none.
 */
function firstAgreeing(entries: readonly (Target | undefined)[], minimum: number) {
  for (const entry of entries) {
    if (entry === undefined) continue;
    const agreeing = entries.filter(
      (other) => other !== undefined && sameFile(entry, other) && sameMustMatch(entry, other),
    );
    if (agreeing.length >= minimum) return entry;
  }
  return undefined;
}
