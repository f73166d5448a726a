/**
 * What the metadata formats share: identifiers, filenames, hashes, roles (docs/POUF.md §5). Every
 * role's payload begins with the role type, format version, version number (MET-06) and expiry
 * (MET-05), and goes on with what is the role's own (MET-08).
 */

import { bytes, dictionary, named, text, unsigned } from '../codec/schema.ts';
import {
  maxFilenameCharacters,
  maxHashesPerTarget,
  maxIdentifierCharacters,
  maxRoleNameCharacters,
} from '../limits.ts';

function isLetterOrDigit(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
}

const dash = 45;
const dot = 46;
const underscore = 95;
const colon = 58;

function inFilename(code: number): boolean {
  return isLetterOrDigit(code) || code === dash || code === dot || code === underscore;
}

/** Vehicle, ECU and hardware identifiers: letters, digits and `- . _ :` (HRD-20). */
export const identifier = text(
  maxIdentifierCharacters,
  (code) => inFilename(code) || code === colon,
);

/** Image filenames: letters, digits and `- . _`, so that none can name a path (FNM-04, HRD-10). */
export const filename = text(maxFilenameCharacters, inFilename);

/** Names of delegated roles, under the same rule. */
export const roleName = text(maxRoleNameCharacters, inFilename);

export const sha256 = bytes(32);

/** Hash functions by their COSE numbers (RFC 9054). */
export const hashAlgorithms = { 'SHA-256': -16, 'SHA-512': -44 } as const;

/** Digests of one file by hash function; at least one (HRD-12). */
export const hashes = dictionary(named(hashAlgorithms), bytes(32, 64), 1, maxHashesPerTarget);

/** Role types, as in the payload (MET-04) and in Root's role table. */
export const roles = {
  root: 1,
  targets: 2,
  snapshot: 3,
  timestamp: 4,
  time: 5,
  'offline-snapshot': 6,
  'offline-targets': 7,
} as const;
export type RoleName = keyof typeof roles;

/** Verification profiles: a verifier uses only the one fixed at its provisioning. */
export const profiles = { composite: 1, tiny: 2, 'ml-dsa': 3, ecdsa: 4 } as const;
export type ProfileName = keyof typeof profiles;

/** The two repositories of Uptane. */
export const repositories = { director: 1, images: 2 } as const;
export type RepositoryName = keyof typeof repositories;

export const formatVersion = named({ 1: 1 });
export const versionNumber = unsigned;
/** Seconds since 1970-01-01T00:00:00Z, without leap seconds. */
export const unixSeconds = unsigned;

function nameOf<N extends string>(names: Readonly<Record<N, number>>, value: number): N {
  const found = (Object.keys(names) as N[]).filter((name) => names[name] === value)[0];
  if (found === undefined) throw new RangeError(`no name for ${value}`);
  return found;
}

/** Name of a profile number; a number that no schema lets through throws. */
export const profileName = (value: number): ProfileName => nameOf(profiles, value);

/** Name of a repository number. */
export const repositoryName = (value: number): RepositoryName => nameOf(repositories, value);
