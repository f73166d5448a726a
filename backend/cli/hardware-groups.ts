/**
 * Which images have to stay together when a Targets file is split by hardware: a delegation must
 * cover all hardware of the images behind it (IMG-05), so images that share an id are never parted.
 */
import { encode } from '../../agent/codec/schema.ts';
import { maxHardwareIdsPerTarget } from '../../agent/limits.ts';
import { type Target, target as targetSchema } from '../../agent/metadata/targets.ts';

export interface HardwareGroup {
  readonly hardwareIds: readonly string[];
  readonly targets: readonly Target[];
}

/** Images that share a hardware id, directly or by way of others, in the order of the list. */
export function groupByHardware(targets: readonly Target[]): readonly HardwareGroup[] {
  let groups: HardwareGroup[] = [];
  for (const one of targets) {
    const { hardwareIds } = one.mustMatch;
    const joined = groups.filter((group) => shares(group.hardwareIds, hardwareIds));
    const merged = {
      hardwareIds: [...new Set([...joined.flatMap((group) => group.hardwareIds), ...hardwareIds])],
      targets: [...joined.flatMap((group) => group.targets), one],
    };
    groups = [...groups.filter((group) => !joined.includes(group)), merged];
  }
  return groups;
}

export function shares(a: readonly string[], b: readonly string[]): boolean {
  return a.some((id) => b.includes(id));
}

/** Bytes that images take in a Targets file. */
export function encodedBytes(targets: readonly Target[]): number {
  return targets.reduce((sum, one) => sum + encode(targetSchema, one).length, 0);
}

/**
 * Joins small groups until a file of them is about `maxBytes` large; a larger group stays alone.
 * Files with room for further releases are wanted, so `maxBytes` is less than a file may have.
 */
export function packGroups(
  groups: readonly HardwareGroup[],
  maxBytes: number,
): readonly HardwareGroup[] {
  const packed: HardwareGroup[] = [];
  const bySize = [...groups].sort((a, b) => encodedBytes(b.targets) - encodedBytes(a.targets));
  for (const group of bySize) {
    const at = packed.findIndex(
      ({ hardwareIds, targets }) =>
        encodedBytes(targets) + encodedBytes(group.targets) <= maxBytes &&
        hardwareIds.length + group.hardwareIds.length <= maxHardwareIdsPerTarget,
    );
    const into = packed[at];
    if (into === undefined) packed.push(group);
    else {
      packed[at] = {
        hardwareIds: [...into.hardwareIds, ...group.hardwareIds],
        targets: [...into.targets, ...group.targets],
      };
    }
  }
  return packed;
}
