/**
 * Where an image is listed: by the role of its hardware, else at the top level; and how a Targets
 * file that becomes too large for a Secondary (32 KiB) is split, by delegations to roles `hardware-1`,
 * `hardware-2` …, each for some hardware ids. A verifier then fetches the top level and the one file
 * for its hardware. All files of a split are published together.
 */
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxHardwareIdsPerTarget, maxTargetsBytes } from '../../agent/limits.ts';
import {
  type Delegation,
  type Target,
  type Targets,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import type { Crypto } from '../../hal/types.ts';
import { withDelegation } from './delegations.ts';
import { groupByHardware, type HardwareGroup, packGroups, shares } from './hardware-groups.ts';
import { type Change, contentsOf, fileOf, type ImageLists, noTargets } from './image-targets.ts';
import type { NamedKeys } from './key-folder.ts';

/** How full a new file may be, so that releases to come find room. */
const fillBytes = maxTargetsBytes / 2;
/** A composite signature with its headers, at most. */
const signatureBytes = 3_600;
const splitName = /^hardware-([1-9][0-9]{0,4})$/;

interface SplitRole {
  readonly role: string;
  readonly hardwareIds: readonly string[];
}

/** The delegations that splits made. */
function splitRoles({ files }: ImageLists): readonly SplitRole[] {
  const { delegations } = files[0]!.targets;
  return (delegations?.delegations ?? []).flatMap(({ roles, hardwareIds }) => {
    const [role, ...others] = roles;
    const made = others.length === 0 && splitName.test(role!.name);
    return made ? [{ role: role!.name, hardwareIds: hardwareIds ?? [] }] : [];
  });
}

/**
 * The changes that list one more image, in the file for its hardware; a file that would become too
 * large is split.
 * @param splitKeys who signs the roles of a split; all of them share these keys, since it is made for
 *   size, not to part who may sign
 * @returns the changed files, the top level first; codes `delegation-limit`, `body-too-large` (what
 *   the file lists cannot be parted by hardware)
 */
export function listByHardware(
  crypto: Crypto,
  lists: ImageLists,
  target: Target,
  splitKeys: () => NamedKeys | Refusal,
): readonly Change[] | Refusal {
  const { hardwareIds } = target.mustMatch;
  const owners = splitRoles(lists).filter((one) => shares(one.hardwareIds, hardwareIds));
  if (owners.length > 1) {
    const names = owners.map(({ role }) => role).join(' and ');
    const what = `${hardwareIds.join(', ')} are split between ${names}`;
    return refuse('delegation-limit', `${what}: publish it for each, under a filename of its own`);
  }
  const place = owners[0]?.role ?? 'targets';
  const simple = addTo(lists, place, target);
  if (simple?.every((change) => fits(lists, change))) return simple;
  const known = lists.files.find(({ role }) => splitName.test(role))?.authority;
  const keys = known ?? splitKeys();
  return isRefusal(keys) ? keys : split(crypto, lists, place, target, keys);
}

/** True when vehicles take a file of that size, whatever its signatures come to. */
function fits({ files }: ImageLists, { role, contents, authority }: Change): boolean {
  const file = files.find((one) => one.role === role);
  const threshold = file?.authority.threshold ?? authority?.threshold ?? 1;
  const { type, formatVersion } = noTargets;
  const [version, expires] = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  const payload = encode(targetsSchema, { type, formatVersion, version, expires, ...contents });
  return payload.length + threshold * signatureBytes <= maxTargetsBytes;
}

/** The file with one more image; a role of a split lets its delegation cover the hardware too. */
function addTo(lists: ImageLists, place: string, target: Target): readonly Change[] | undefined {
  const file = fileOf(lists, place);
  if (isRefusal(file)) return undefined;
  const contents = { ...contentsOf(file.targets), targets: [...file.targets.targets, target] };
  const change = { role: place, contents };
  const owner = splitRoles(lists).find(({ role }) => role === place);
  if (owner === undefined) return [change];
  const wanted = union(owner.hardwareIds, target.mustMatch.hardwareIds);
  if (wanted.length === owner.hardwareIds.length) return [change];
  if (wanted.length > maxHardwareIdsPerTarget) return undefined;
  const top = covering(lists.files[0]!.targets, place, wanted);
  return [{ role: 'targets', contents: contentsOf(top) }, change];
}

function union(a: readonly string[], b: readonly string[]): readonly string[] {
  return [...new Set([...a, ...b])];
}

/** The top level with other hardware ids for one role. */
function covering(top: Targets, role: string, hardwareIds: readonly string[]): Targets {
  const { keys, delegations } = top.delegations!;
  const changed = delegations.map((one): Delegation => {
    return one.roles[0]!.name === role ? { ...one, hardwareIds } : one;
  });
  return { ...top, delegations: { keys, delegations: changed } };
}

/** Parts the images of a file, and the new one, between roles by hardware. */
function split(
  crypto: Crypto,
  lists: ImageLists,
  place: string,
  target: Target,
  keys: NamedKeys,
): readonly Change[] | Refusal {
  const listed = lists.files.find(({ role }) => role === place)?.targets.targets ?? [];
  const packed = packGroups(groupByHardware([...listed, target]), fillBytes);
  const existing = place === 'targets' ? splitRoles(lists) : [];
  // The role that is split keeps the first part; the top level keeps what two roles would share.
  const stays: HardwareGroup[] = place === 'targets' ? [] : packed.slice(0, 1);
  const parts = new Map<string, HardwareGroup[]>();
  let number = Math.max(0, ...lists.known.map((name) => Number(splitName.exec(name)?.[1] ?? 0)));
  for (const group of packed.slice(stays.length)) {
    const owners = existing.filter((one) => shares(one.hardwareIds, group.hardwareIds));
    if (owners.length > 1) stays.push(group);
    else {
      if (owners.length === 0) number += 1;
      const role = owners[0]?.role ?? `hardware-${number}`;
      parts.set(role, [...(parts.get(role) ?? []), group]);
    }
  }
  if (parts.size === 0) return indivisible(place);
  return changesOf(crypto, lists, place, stays, parts, keys);
}

function indivisible(place: string): Refusal {
  return refuse(
    'body-too-large',
    `the images of ${place} share their hardware, and a file of ${maxTargetsBytes} bytes cannot be ` +
      "split by it. Remove images that no vehicle needs ('ota image remove'), or delegate by filename " +
      "('ota delegation add')",
  );
}

function changesOf(
  crypto: Crypto,
  lists: ImageLists,
  place: string,
  stays: readonly HardwareGroup[],
  parts: ReadonlyMap<string, readonly HardwareGroup[]>,
  keys: NamedKeys,
): readonly Change[] | Refusal {
  let top = lists.files[0]!.targets;
  const changes: Change[] = [];
  const staying = stays.flatMap(({ targets }) => targets);
  if (place === 'targets') top = { ...top, targets: staying };
  else {
    top = covering(
      top,
      place,
      stays.flatMap(({ hardwareIds }) => hardwareIds),
    );
    changes.push({ role: place, contents: { targets: staying } });
  }
  for (const [role, groups] of parts) {
    const hardwareIds = groups.flatMap((group) => group.hardwareIds);
    const images = groups.flatMap((group) => group.targets);
    const known = splitRoles(lists).find((one) => one.role === role);
    if (known === undefined) {
      const wanted = { roles: [role], minimumRoles: 1, paths: ['*'], hardwareIds };
      const order = { terminating: false, before: undefined };
      const delegating = withDelegation(crypto, top, { ...wanted, ...order }, [keys]);
      if (isRefusal(delegating)) return delegating;
      top = { ...top, ...delegating };
    } else {
      top = covering(top, role, union(known.hardwareIds, hardwareIds));
    }
    const before = lists.files.find((file) => file.role === role)?.targets.targets ?? [];
    changes.push({ role, contents: { targets: [...before, ...images] }, authority: keys });
  }
  const all: Change[] = [{ role: 'targets', contents: contentsOf(top) }, ...changes];
  const large = all.find((change) => !fits(lists, change));
  return large === undefined ? all : indivisible(large.role);
}
