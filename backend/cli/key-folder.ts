/**
 * The keys folder that the ceremony lays out:
 *
 * offline/NAME.key                 director-root-1…, images-root-1…, images-targets-1…
 * online/NAME.key                  what the server signs and unwraps with
 * director/N.root.cbor             every Root version, 1 first
 * director/wrapping-key.cbor       public half of online/director-wrapping.key
 * images/N.root.cbor               every Root version, 1 first
 * images/N.targets.cbor            every Targets version that was published from here
 *
 * The server gets a copy without offline/. Names come from this file, never from outside.
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

export type OfflineRole = 'root' | 'targets';

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

export function targetsPath(folder: string, version: number): string {
  return join(folder, 'images', `${version}.targets.cbor`);
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

/** The Targets version published last from this folder: its number and bytes. */
export function readLatestTargets(
  folder: string,
): { readonly version: number; readonly bytes: Uint8Array } | undefined | Refusal {
  const version = Math.max(
    0,
    ...versionsIn(join(folder, 'images'), /^([1-9][0-9]{0,9})\.targets\.cbor$/),
  );
  if (version === 0) return undefined;
  const bytes = readSmallFile(targetsPath(folder, version), maxTargetsBytes);
  return isRefusal(bytes) ? bytes : { version, bytes };
}

function versionsIn(folder: string, pattern: RegExp): readonly number[] {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    return []; // reading the file itself says what is wrong
  }
  return names.flatMap((name) => {
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

/**
 * Opens as many offline keys as a threshold needs, of those that the authority names. A file that
 * cannot be opened is passed over while others make up for it.
 * Codes `signature-threshold` (too few are here), `passphrase-wrong`, `key-file-invalid`.
 */
export function openSigners(
  folder: string,
  repository: RepositoryName,
  role: OfflineRole,
  authority: { readonly keys: readonly PublicKey[]; readonly threshold: number },
  passphrase: string,
): readonly Signer[] | Refusal {
  const present = offlineKeys(folder, repository, role);
  if (isRefusal(present)) return present;
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
  const what = `${usable.length} of ${authority.threshold} keys ${repository}-${role}-N.key`;
  return refused ?? refuse('signature-threshold', `${what} are in ${join(folder, 'offline')}`);
}

/** A file that changed between two reads is a failing device or an attack on this machine. */
function checkPair(pair: KeyPair, key: PublicKey): KeyPair {
  if (!sameKey(pair.key, key)) throw new Error('a key file changed while it was read');
  return pair;
}

export function sameKey(a: PublicKey, b: PublicKey): boolean {
  return a.algorithm === b.algorithm && compareBytes(a.bytes, b.bytes) === 0;
}
