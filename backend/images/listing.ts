/**
 * What the Image repository's current Targets files list, and who may list it. All stored files
 * were verified when they were published, so no signature is checked here again.
 */
import type { Refusal } from '../../agent/codes.ts';
import type { Authority } from '../../agent/crypto/verify-envelope.ts';
import { maxDelegationChains, maxDelegationDepth, maxTargetsBytes } from '../../agent/limits.ts';
import {
  type Delegation,
  type Target,
  type Targets,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import { matchesPattern } from '../../agent/verify/path-pattern.ts';
import type { Services } from '../services.ts';
import { delegatedAuthority } from '../signer/root-trust.ts';
import { imageMetadataVersions, latestImageMetadata } from '../store/metadata.ts';
import { storedDocument } from '../store/stored-document.ts';

const onlineRoles = ['snapshot', 'timestamp'];

/** Names and versions of the current Targets files: `targets` and the delegated roles. */
export async function targetsVersions(
  services: Services,
): Promise<readonly { readonly role: string; readonly version: number }[]> {
  const versions = await services.database.all(imageMetadataVersions);
  return versions.filter(({ role }) => !onlineRoles.includes(role));
}

/** The current Targets file of a role, `targets` for the top level. */
export async function currentTargets(
  services: Services,
  role: string,
): Promise<Targets | undefined> {
  const row = await services.database.one(latestImageMetadata, role);
  return row && storedDocument(targetsSchema, row.bytes, maxTargetsBytes, role);
}

/** Every current entry of a filename, in whichever file it is listed. */
export async function entriesOf(services: Services, filename: string): Promise<readonly Target[]> {
  const entries: Target[] = [];
  for (const { role } of await targetsVersions(services)) {
    const listed = (await currentTargets(services, role))?.targets ?? [];
    entries.push(...listed.filter((entry) => entry.filename === filename));
  }
  return entries;
}

/** True when a delegation covers this filename on this hardware (DEL-05, DEL-06). */
export function covers(delegation: Delegation, filename: string, hardwareId: string): boolean {
  const { hardwareIds, paths } = delegation;
  if (hardwareIds !== undefined && !hardwareIds.includes(hardwareId)) return false;
  return paths.some((pattern) => matchesPattern(pattern, filename));
}

/** One way from the top level to a role: its delegations, and who signs the role by the last. */
export interface Chain {
  readonly delegations: readonly Delegation[];
  readonly authority: Authority | Refusal;
}

/**
 * Every chain of delegations from the current top-level Targets to `role` (IMG-05): what a role may
 * list is what each delegation of one chain covers. A file that nobody reaches any more gives no
 * authority, and neither does what lies below a terminating delegation (RDL-04).
 */
export async function chainsTo(services: Services, role: string): Promise<readonly Chain[]> {
  const { crypto } = services;
  const found: Chain[] = [];
  let visits = 0;
  const follow = async (
    parent: string,
    above: readonly Delegation[],
    path: readonly string[],
  ): Promise<void> => {
    visits += 1;
    if (visits > maxDelegationChains) return;
    const { keys, delegations } = (await currentTargets(services, parent))?.delegations ?? none;
    for (const delegation of delegations) {
      const chain = [...above, delegation];
      for (const entry of delegation.roles) {
        if (entry.name === role) {
          const authority = delegatedAuthority(crypto, keys, entry);
          found.push({ delegations: chain, authority });
        } else if (!delegation.terminating && chain.length < maxDelegationDepth) {
          if (path.includes(entry.name)) continue;
          await follow(entry.name, chain, [...path, entry.name]);
        }
      }
    }
  };
  await follow('targets', [], []);
  return found;
}

const none = { keys: [], delegations: [] };
