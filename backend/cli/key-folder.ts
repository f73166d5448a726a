/**
 * The keys folder that the ceremony lays out:
 *
 * offline/NAME.key                 director-root-1…, images-root-1…, images-targets-1…,
 *                                  director-offline-snapshot-1, director-offline-targets-1,
 *                                  images-delegated-ROLE-1… of delegated roles
 * online/NAME.key                  what the server signs and unwraps with
 * director/N.root.cbor             every Root version, 1 first
 * director/wrapping-key.cbor       public half of online/director-wrapping.key
 * director/offline-snapshot.cbor   the newest Offline Snapshot that was signed here
 * images/N.root.cbor               every Root version, 1 first
 * images/N.targets.cbor            every Targets version that was published from here
 * images/N.ROLE.cbor               likewise of delegated roles
 * devices/…                        of the device plane: ../signer/device-authorities.ts
 *
 * The server gets a copy without offline/. Names come from this file and from checked role names,
 * which have no slash.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { coseKey, type PublicKey } from '../../agent/codec/cose-key.ts';
import { compareBytes } from '../../agent/codec/reader.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import type { Signer } from '../../agent/crypto/sign-envelope.ts';
import { maxRootBytes, maxTargetsBytes } from '../../agent/limits.ts';
import type { RepositoryName } from '../../agent/metadata/common.ts';
import { type KeyPair, signerOf } from '../../hal/node/signing.ts';
import { readSmallFile } from '../signer/durable-file.ts';
import { readKeyFile, readKeyFilePublicKey } from '../signer/key-file.ts';

/** Names of the online keys, one file each. */
export const onlineKeyNames = [
  'director-targets',
  'director-snapshot',
  'director-timestamp',
  'director-time',
  'images-snapshot',
  'images-timestamp',
  'director-wrapping',
] as const;
export type OnlineKeyName = (typeof onlineKeyNames)[number];

export type OfflineRole = 'root' | 'targets' | 'offline-snapshot' | 'offline-targets';

const maxPublicKeyBytes = 4_096;

export function onlineKeyPath(folder: string, name: OnlineKeyName): string {
  return join(folder, 'online', `${name}.key`);
}

/** `images-targets-1` and so on; numbers start at 1. */
export function offlineKeyPath(
  folder: string,
  repository: RepositoryName,
  role: OfflineRole,
  number: number,
): string {
  return join(folder, 'offline', `${repository}-${role}-${number}.key`);
}

export function rootPath(folder: string, repository: RepositoryName, version: number): string {
  return join(folder, repository, `${version}.root.cbor`);
}

export function targetsPath(folder: string, version: number, role = 'targets'): string {
  return join(folder, 'images', `${version}.${role}.cbor`);
}

/** Key files of a delegated role, or of several that share theirs; numbers start at 1. */
export function delegatedKeyPath(folder: string, name: string, number: number): string {
  return join(folder, 'offline', `images-delegated-${name}-${number}.key`);
}

export function wrappingKeyPath(folder: string): string {
  return join(folder, 'director', 'wrapping-key.cbor');
}

/** Bytes of `N.root.cbor`; code `file-unreadable`. */
export function readRoot(
  folder: string,
  repository: RepositoryName,
  version: number,
): Uint8Array | Refusal {
  return readSmallFile(rootPath(folder, repository, version), maxRootBytes);
}

/** The version of a role's Targets published last from this folder: its number and bytes. */
export function readLatestTargets(
  folder: string,
  role = 'targets',
): { readonly version: number; readonly bytes: Uint8Array } | undefined | Refusal {
  const version = Math.max(
    0,
    ...versionsIn(
      join(folder, 'images'),
      new RegExp(`^([1-9][0-9]{0,9})\\.${escaped(role)}\\.cbor$`),
    ),
  );
  if (version === 0) return undefined;
  const bytes = readSmallFile(targetsPath(folder, version, role), maxTargetsBytes);
  return isRefusal(bytes) ? bytes : { version, bytes };
}

/** A role name may hold dots. */
function escaped(role: string): string {
  return role.replace(/\./g, '\\.');
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // reading the file itself says what is wrong
  }
}

function versionsIn(folder: string, pattern: RegExp): readonly number[] {
  return namesIn(folder).flatMap((name) => {
    const match = pattern.exec(name);
    return match ? [Number(match[1])] : [];
  });
}

/** The Director's public wrapping key as the ceremony made it. */
export function readWrappingKey(folder: string): PublicKey | Refusal {
  const path = wrappingKeyPath(folder);
  const bytes = readSmallFile(path, maxPublicKeyBytes);
  if (isRefusal(bytes)) return bytes;
  const key = decode(coseKey, bytes, maxPublicKeyBytes);
  return isRefusal(key) || key.algorithm !== 'MLKEM768-P256'
    ? refuse('key-file-invalid', `${path}: not a wrapping key`)
    : key;
}

/** An offline key that is in the folder, its secret still sealed. */
export interface OfflineKey {
  readonly number: number;
  readonly path: string;
  readonly key: PublicKey;
}

/** The offline key files of a role, by number. Code `key-file-invalid`. */
export function offlineKeys(
  folder: string,
  repository: RepositoryName,
  role: OfflineRole,
): readonly OfflineKey[] | Refusal {
  const pattern = new RegExp(`^${repository}-${role}-([1-9][0-9]{0,3})\\.key$`);
  const numbers = versionsIn(join(folder, 'offline'), pattern);
  const found: OfflineKey[] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const path = offlineKeyPath(folder, repository, role, number);
    const key = readKeyFilePublicKey(path);
    if (isRefusal(key)) return key;
    found.push({ number, path, key });
  }
  return found;
}

/** Every key file of delegated roles, whoever they belong to. Code `key-file-invalid`. */
export function delegatedKeys(folder: string): readonly OfflineKey[] | Refusal {
  const pattern = /^(images-delegated-[A-Za-z0-9._-]+-([1-9][0-9]{0,3})\.key)$/;
  const found: OfflineKey[] = [];
  for (const name of namesIn(join(folder, 'offline')).sort()) {
    const match = pattern.exec(name);
    if (match === null) continue;
    const path = join(folder, 'offline', match[1]!);
    const key = readKeyFilePublicKey(path);
    if (isRefusal(key)) return key;
    found.push({ number: Number(match[2]), path, key });
  }
  return found;
}

/** Keys and threshold, as a Root or a delegation names them. */
export interface NamedKeys {
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

/** `openSigners` for an offline role of a Root. */
export function openSigners(
  folder: string,
  repository: RepositoryName,
  role: OfflineRole,
  authority: NamedKeys,
  passphrase: string,
): readonly Signer[] | Refusal {
  const present = offlineKeys(folder, repository, role);
  const what = `${repository}-${role}-N.key`;
  return isRefusal(present) ? present : openEnough(folder, present, what, authority, passphrase);
}

/** `openSigners` for a delegated role: its keys are found by what the delegation lists. */
export function openDelegatedSigners(
  folder: string,
  role: string,
  authority: NamedKeys,
  passphrase: string,
): readonly Signer[] | Refusal {
  const present = delegatedKeys(folder);
  const what = `images-delegated-… of ${role}`;
  return isRefusal(present) ? present : openEnough(folder, present, what, authority, passphrase);
}

/**
 * Opens as many offline keys as a threshold needs, of those that the authority names. A file that
 * cannot be opened is passed over while others make up for it.
 * Codes `signature-threshold` (too few are here), `passphrase-wrong`, `key-file-invalid`.
 */
function openEnough(
  folder: string,
  present: readonly OfflineKey[],
  what: string,
  authority: NamedKeys,
  passphrase: string,
): readonly Signer[] | Refusal {
  const usable = present.filter(({ key }) => authority.keys.some((one) => sameKey(one, key)));
  const signers: Signer[] = [];
  let refused: Refusal | undefined;
  for (const { path, key } of usable) {
    if (signers.length === authority.threshold) break;
    const pair = readKeyFile(path, passphrase);
    if (isRefusal(pair)) refused ??= pair;
    else signers.push(signerOf(checkPair(pair, key)));
  }
  if (signers.length === authority.threshold) return signers;
  const few = `${usable.length} of ${authority.threshold} keys ${what}`;
  return refused ?? refuse('signature-threshold', `${few} are in ${join(folder, 'offline')}`);
}

/** A file that changed between two reads is a failing device or an attack on this machine. */
function checkPair(pair: KeyPair, key: PublicKey): KeyPair {
  if (!sameKey(pair.key, key)) throw new Error('a key file changed while it was read');
  return pair;
}

export function sameKey(a: PublicKey, b: PublicKey): boolean {
  return a.algorithm === b.algorithm && compareBytes(a.bytes, b.bytes) === 0;
}
