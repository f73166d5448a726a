/**
 * Delegations as the operator makes and takes them back. The keys of a delegated role are made with
 * the delegation, or come from whoever will sign. Its first, empty file is published together with
 * the delegation, so that no search ever meets a role without a file.
 */
import { existsSync } from 'node:fs';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { maxDelegationsPerTargets, maxKeysPerRoot } from '../../agent/limits.ts';
import { roles } from '../../agent/metadata/common.ts';
import type { Delegation, Targets } from '../../agent/metadata/targets.ts';
import { generateKeyPair } from '../../hal/node/signing.ts';
import type { Crypto } from '../../hal/types.ts';
import { readKeyFilePublicKey, writeKeyFile } from '../signer/key-file.ts';
import {
  type Change,
  type Contents,
  changeLists,
  editTargets,
  fileOf,
  type ImageLists,
  type ImageRepository,
} from './image-targets.ts';
import { delegatedKeyPath, type NamedKeys, sameKey } from './key-folder.ts';

export interface DelegationOptions extends ImageRepository {
  readonly passphrase: string;
  /** Expiry of the files that are signed, unix seconds. */
  readonly expires: number;
  /** Who delegates: `targets`, or a delegated role. */
  readonly from: string;
}

export interface NewDelegation {
  /** Several roles: a multi-role delegation (ROL-07). */
  readonly roles: readonly string[];
  readonly minimumRoles: number;
  readonly paths: readonly string[];
  /** Undefined: any hardware. */
  readonly hardwareIds: readonly string[] | undefined;
  readonly terminating: boolean;
  /** Of every role that has no keys yet. */
  readonly keys: number;
  readonly threshold: number;
  /** Somebody else's public keys in place of new ones. */
  readonly publicKeys: readonly PublicKey[];
  /** Comes before the first delegation to this role; at the end when undefined (DEL-02). */
  readonly before: string | undefined;
}

export interface AddedDelegation {
  readonly version: number;
  /** Key ids of each role, in the order of the roles. */
  readonly keyIds: readonly (readonly Uint8Array[])[];
  /** Roles whose first file was published; a role with somebody else's keys publishes its own. */
  readonly published: readonly string[];
}

/**
 * Adds a delegation. Codes `delegation-role` (a top-level name, or one that is listed already),
 * `root-threshold`, `delegation-limit`, and those of `editTargets`.
 */
export async function addDelegation(
  options: DelegationOptions,
  wanted: NewDelegation,
): Promise<AddedDelegation | Refusal> {
  const { passphrase, expires, from, crypto } = options;
  let named: readonly NamedKeys[] = [];
  const published = await changeLists(options, passphrase, expires, (lists) => {
    const keys = keysOfAll(options, wanted, lists);
    if (isRefusal(keys)) return keys;
    named = keys;
    const file = fileOf(lists, from);
    if (isRefusal(file)) return file;
    const contents = withDelegation(crypto, file.targets, wanted, keys);
    if (isRefusal(contents)) return contents;
    const fresh = wanted.roles.flatMap((role, i): Change[] => {
      const known = lists.files.find((one) => one.role === role);
      if ((known?.targets.version ?? 0) > 0 || lists.known.includes(role)) return [];
      if (wanted.publicKeys.length > 0) return [];
      return [{ role, contents: { targets: [] }, authority: keys[i]! }];
    });
    return [{ role: from, contents }, ...fresh];
  });
  if (isRefusal(published)) return published;
  return {
    version: published[from]!,
    keyIds: named.map(({ keys }) => keys.map((key) => keyId(crypto, key))),
    published: wanted.roles.filter((role) => role in published),
  };
}

function keysOfAll(
  options: DelegationOptions,
  wanted: NewDelegation,
  lists: ImageLists,
): readonly NamedKeys[] | Refusal {
  const named: NamedKeys[] = [];
  for (const role of wanted.roles) {
    if (Object.hasOwn(roles, role)) {
      return refuse('delegation-role', `${role} is a top-level role; give another name`);
    }
    const known = lists.files.find((file) => file.role === role);
    const keys = known?.authority ?? keysOf(options, role, wanted);
    if (isRefusal(keys)) return keys;
    named.push(keys);
  }
  return named;
}

/** The keys of a role that nobody delegated to before. */
function keysOf(
  { keysFolder, passphrase }: DelegationOptions,
  role: string,
  { keys: count, threshold, publicKeys }: NewDelegation,
): NamedKeys | Refusal {
  const keys = publicKeys.length > 0 ? publicKeys : makeKeys(keysFolder, passphrase, role, count);
  if (isRefusal(keys)) return keys;
  return threshold >= 1 && threshold <= keys.length
    ? { keys, threshold }
    : refuse('root-threshold', `threshold ${threshold} of ${keys.length} keys for ${role}`);
}

/** Makes key files for a role; one that is there already, from a try that failed, is taken. */
export function makeKeys(
  keysFolder: string,
  passphrase: string,
  name: string,
  count: number,
): readonly PublicKey[] | Refusal {
  const keys: PublicKey[] = [];
  for (let number = 1; number <= count; number++) {
    const path = delegatedKeyPath(keysFolder, name, number);
    if (!existsSync(path)) {
      writeKeyFile(path, generateKeyPair('MLDSA65-ECDSA-P256-SHA512'), passphrase);
    }
    const key = readKeyFilePublicKey(path);
    if (isRefusal(key)) return key;
    keys.push(key);
  }
  return keys;
}

/** The contents of a file with one more delegation. */
export function withDelegation(
  crypto: Crypto,
  current: Targets,
  wanted: Omit<NewDelegation, 'keys' | 'threshold' | 'publicKeys'>,
  named: readonly NamedKeys[],
): Contents | Refusal {
  const { keys, delegations } = current.delegations ?? { keys: [], delegations: [] };
  const again = wanted.roles.find((role) => namesRole(delegations, role));
  if (again !== undefined) {
    return refuse('delegation-role', `${again} is delegated to already; remove that first`);
  }
  const fresh = named
    .flatMap((one) => one.keys)
    .filter((key, i, all) => all.findIndex((other) => sameKey(other, key)) === i)
    .filter((key) => !keys.some((other) => sameKey(other, key)));
  const { roles: names, minimumRoles, paths, hardwareIds, terminating } = wanted;
  const delegation: Delegation = {
    paths,
    ...(hardwareIds && { hardwareIds }),
    terminating,
    roles: names.map((name, i) => ({
      name,
      keyIds: named[i]!.keys.map((key) => keyId(crypto, key)),
      threshold: named[i]!.threshold,
    })),
    minimumRoles,
  };
  const { before } = wanted;
  const at = before === undefined ? delegations.length : indexOfRole(delegations, before);
  if (at < 0) return refuse('delegation-role', `${before} is not delegated to here`);
  const limit =
    delegations.length >= maxDelegationsPerTargets || keys.length + fresh.length > maxKeysPerRoot;
  if (limit) {
    const most = `at most ${maxDelegationsPerTargets} delegations and ${maxKeysPerRoot} keys`;
    return refuse(
      'delegation-limit',
      `one file has ${most}; delegate from a delegated role (--from)`,
    );
  }
  return {
    targets: current.targets,
    delegations: {
      keys: [...keys, ...fresh],
      delegations: [...delegations.slice(0, at), delegation, ...delegations.slice(at)],
    },
  };
}

function indexOfRole(delegations: readonly Delegation[], role: string): number {
  return delegations.findIndex((one) => one.roles.some(({ name }) => name === role));
}

function namesRole(delegations: readonly Delegation[], role: string): boolean {
  return indexOfRole(delegations, role) >= 0;
}

/**
 * Takes a delegation back. Its role stays in the Snapshot (DBP-15), its images are found no more.
 * Code `delegation-role` when there is none.
 */
export async function removeDelegation(options: DelegationOptions, role: string) {
  const { passphrase, expires, from, crypto } = options;
  return editTargets(options, passphrase, expires, from, (current) => {
    const { keys, delegations } = current.delegations ?? { keys: [], delegations: [] };
    if (!namesRole(delegations, role)) {
      return refuse('delegation-role', `${from} does not delegate to ${role}`);
    }
    const left = delegations.filter((one) => !namesRole([one], role));
    const { targets } = current;
    if (left.length === 0) return { targets };
    const needed = left.flatMap((one) => one.roles.flatMap(({ keyIds }) => keyIds));
    const kept = keys.filter((key) => {
      const id = Buffer.from(keyId(crypto, key));
      return needed.some((other) => id.equals(other));
    });
    return { targets, delegations: { keys: kept, delegations: left } };
  });
}
