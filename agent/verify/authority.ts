/**
 * Who may sign what: the keys and threshold of a role, as a Root or a delegator states them for
 * one verification profile, and the rules a Root's key table has to keep (Uptane §5.2.2).
 */
import type { Crypto } from '../../hal/types.ts';
import type { AlgorithmName, PublicKey } from '../codec/cose-key.ts';
import { compareBytes, sameBytes } from '../codec/reader.ts';
import { array, bytes, encode, tuple, unsigned } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { keyId } from '../crypto/key-id.ts';
import { refuseSharedKeys } from '../crypto/key-set.ts';
import type { Authority } from '../crypto/verify-envelope.ts';
import { maxKeysPerRole } from '../limits.ts';
import { type ProfileName, profiles, type RoleName, roles } from '../metadata/common.ts';
import type { RoleKeys, Root } from '../metadata/root.ts';

/** The only signature algorithms whose keys count under a profile. */
export const profileAlgorithms: Readonly<Record<ProfileName, readonly AlgorithmName[]>> = {
  composite: ['MLDSA65-ECDSA-P256-SHA512'],
  tiny: ['SLH-DSA-SHA2-128s'],
  'ml-dsa': ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'],
  ecdsa: ['ESP256'],
};

/** A role's keys with their identifiers and threshold. */
export interface RoleAuthority extends Authority {
  readonly keyIds: readonly Uint8Array[];
}

const authorityForm = array(tuple(unsigned, array(bytes(32), 1, maxKeysPerRole)), 1, 4);

/** SHA-256 over key ids (sorted) and thresholds: equal digests, equal authority. */
export function authorityDigest(crypto: Crypto, authorities: readonly RoleAuthority[]): Uint8Array {
  const form = authorities.map(
    (one) => [one.threshold, one.keyIds.slice().sort(compareBytes)] as const,
  );
  return crypto.digest('SHA-256', encode(authorityForm, form));
}

/** A key with its identifier, computed once for a list of keys. */
export interface IdentifiedKey {
  readonly key: PublicKey;
  readonly id: Uint8Array;
}

export function identify(crypto: Crypto, keys: readonly PublicKey[]): readonly IdentifiedKey[] {
  return keys.map((key) => ({ key, id: keyId(crypto, key) }));
}

/**
 * Resolves key ids against a list of keys.
 * @returns codes `root-threshold` (HRD-06), `key-duplicate`, `key-malformed`, `signature-algorithm`
 */
export function resolveAuthority(
  keys: readonly IdentifiedKey[],
  wanted: { readonly keyIds: readonly Uint8Array[]; readonly threshold: number },
  profile: ProfileName,
): RoleAuthority | Refusal {
  const found: PublicKey[] = [];
  for (let i = 0; i < wanted.keyIds.length; i++) {
    const id = wanted.keyIds[i]!;
    for (let j = 0; j < i; j++) {
      // ROOT-02: one key id named twice is one key
      if (sameBytes(id, wanted.keyIds[j]!)) return refuse('key-duplicate', 'key id twice');
    }
    const key = keys.filter((candidate) => sameBytes(candidate.id, id))[0]?.key;
    if (key === undefined) return refuse('key-malformed', 'key id without a key', 'DEL-03');
    // ROOT-03: a role maps to keys of its own profile
    if (profileAlgorithms[profile].indexOf(key.algorithm) < 0) {
      return refuse('signature-algorithm', `${key.algorithm} is not of profile ${profile}`);
    }
    found.push(key);
  }
  // HRD-06: a threshold of 0 would need no signature, one above the keys can never be met
  if (wanted.threshold < 1 || wanted.threshold > found.length) {
    return refuse('root-threshold', `threshold ${wanted.threshold} of ${found.length} keys`);
  }
  return { keys: found, keyIds: wanted.keyIds, threshold: wanted.threshold };
}

function entryOf(root: Root, role: RoleName, profile: ProfileName): RoleKeys | undefined {
  return root.roles.filter(
    (entry) => entry.role === roles[role] && entry.profile === profiles[profile],
  )[0];
}

/** A role's authority in a Root; undefined when the Root does not name it for this profile. */
export function authorityOf(
  crypto: Crypto,
  root: Root,
  role: RoleName,
  profile: ProfileName,
): RoleAuthority | Refusal | undefined {
  const entry = entryOf(root, role, profile);
  return entry === undefined
    ? undefined
    : resolveAuthority(identify(crypto, root.keys), entry, profile);
}

/**
 * The rules of Root's key table, for every profile in it, so that all verifiers judge a Root alike.
 * @param needed roles that must be named under `profile`
 * @returns codes `key-duplicate`, `key-malformed`, `root-threshold`, `signature-algorithm`
 */
export function checkKeyTable(
  crypto: Crypto,
  root: Root,
  profile: ProfileName,
  needed: readonly RoleName[],
): Refusal | undefined {
  // ROOT-02, HRD-05, HRD-18: unique by value, no half of a composite key beside it
  const repeated = refuseSharedKeys(root.keys);
  if (repeated !== undefined) return repeated;
  const keys = identify(crypto, root.keys);
  const profileNames = Object.keys(profiles) as ProfileName[];
  for (let i = 0; i < root.roles.length; i++) {
    const entry = root.roles[i]!;
    const twice = root.roles
      .slice(0, i)
      .some((other) => other.role === entry.role && other.profile === entry.profile);
    if (twice) return refuse('root-threshold', `role ${entry.role} named twice`, 'ROOT-03');
    const name = profileNames.filter((candidate) => profiles[candidate] === entry.profile)[0]!;
    const authority = resolveAuthority(keys, entry, name);
    if (isRefusal(authority)) return authority;
  }
  for (const role of needed) {
    // ROOT-01: keys of all roles that this verifier relies on
    if (entryOf(root, role, profile) === undefined) {
      return refuse('root-threshold', `no ${role} keys for profile ${profile}`, 'ROOT-01');
    }
  }
  return undefined;
}
