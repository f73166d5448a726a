/**
 * Replaces one key of a role: makes it, composes the next Root, has it signed by a threshold of the
 * old root keys and of the new ones (CRT-03), and publishes it.
 *
 * The new key file takes its place before the Root is sent, because the server signs with it from
 * then on; the old file waits as NAME.key.previous until the server has answered. After a crash in
 * between, `settle` decides by the newest Root which of the two stays.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import {
  profiles,
  type RepositoryName,
  type RoleName,
  roles,
} from '../../agent/metadata/common.ts';
import { type Root, root as rootSchema } from '../../agent/metadata/root.ts';
import { type KeyPair, signerOf } from '../../hal/node/signing.ts';
import type { Crypto } from '../../hal/types.ts';
import { publishAnswer } from '../http/messages.ts';
import { syncFolder, writeDurableFile } from '../signer/durable-file.ts';
import {
  isTokenKey,
  readKeyFile,
  readKeyFilePublicKey,
  readKeyFileTokenKey,
  type TokenKey,
  writeKeyFile,
} from '../signer/key-file.ts';
import type { Token } from '../signer/pkcs11/token.ts';
import { destroyTokenKey, makeOnlineKey } from '../signer/pkcs11/token-keys.ts';
import { roleAuthority, verifyNextRoot } from '../signer/root-trust.ts';
import {
  type OfflineRole,
  offlineKeyPath,
  offlineKeys,
  onlineKeyNames,
  onlineKeyPath,
  openSigners,
  rootPath,
  sameKey,
} from './key-folder.ts';
import type { OperatorClient } from './operator-client.ts';
import { composeRoot, type RoleEntry } from './root-document.ts';
import { followServer, loadRoot, metadataPath } from './trusted-root.ts';

/** The roles of each repository whose keys a Root lists. */
export const rolesOf: Readonly<Record<RepositoryName, readonly RoleName[]>> = {
  director: [
    'root',
    'targets',
    'snapshot',
    'timestamp',
    'time',
    'offline-snapshot',
    'offline-targets',
  ],
  images: ['root', 'targets', 'snapshot', 'timestamp'],
};

/** Those of them that a Root names: one of before offline updates has no roles for these. */
export function rolesIn(root: Root, repository: RepositoryName): readonly RoleName[] {
  return rolesOf[repository].filter((name) => root.roles.some(({ role }) => role === roles[name]));
}

export interface RotateOptions {
  readonly crypto: Crypto;
  readonly client: OperatorClient;
  readonly keysFolder: string;
  readonly passphrase: string;
  /** Seals a new online key; the same passphrase when absent. */
  readonly onlinePassphrase?: string;
  /** Makes and keeps half of a new online key, where there is one. */
  readonly token?: Token | undefined;
  readonly repository: RepositoryName;
  readonly role: RoleName;
  /** Which key of an offline role, as its file is numbered. */
  readonly number: number;
  /** When the new Root expires, unix seconds. */
  readonly expires: number;
  /** Unix seconds. */
  readonly now: number;
}

export interface RotatedKey {
  readonly version: number;
  readonly path: string;
  readonly oldKeyId: Uint8Array;
  readonly newKeyId: Uint8Array;
}

/** True for roles whose keys the server never has. */
export function isOffline(repository: RepositoryName, role: RoleName): role is OfflineRole {
  if (repository === 'images') return role === 'root' || role === 'targets';
  return role === 'root' || role === 'offline-snapshot' || role === 'offline-targets';
}

/**
 * Rotates one key. Codes: `argument-invalid` (no such role or key), `root-version` (the server's
 * Root is newer than this folder's), `signature-threshold` (too few root keys are here),
 * `passphrase-wrong`, `key-file-invalid`, and the server's.
 */
export async function rotateKey(options: RotateOptions): Promise<RotatedKey | Refusal> {
  const { crypto, client, keysFolder, repository, role } = options;
  if (!rolesOf[repository].includes(role)) {
    return refuse('argument-invalid', `--role ${role}: not a role of the ${repository} repository`);
  }
  const local = await loadRoot(crypto, keysFolder, repository);
  if (isRefusal(local)) return local;
  const trusted = await followServer(crypto, local, client, ({ root: { version }, bytes }) =>
    writeDurableFile(rootPath(keysFolder, repository, version), bytes),
  );
  if (isRefusal(trusted)) return trusted;
  const path = pathOf(options);
  const settled = await settle(path, trusted.root, options.token);
  if (isRefusal(settled)) return settled;

  const old = keyToReplace(options, trusted.root, path);
  if (isRefusal(old)) return old;
  const offline = isOffline(repository, role);
  const token = offline ? undefined : options.token;
  const pair = await makeOnlineKey(token, old.algorithm, `${repository}-${role}`);
  if (isRefusal(pair)) return pair;
  const published = await publishNext(options, trusted.root, path, old, pair);
  // What was made is of no use; a lost answer leaves the files to the next rotation.
  if (isRefusal(published) && !existsSync(previous(path))) await destroyTokenKey(token, pair);
  return published;
}

async function publishNext(
  options: RotateOptions,
  trusted: Root,
  path: string,
  old: PublicKey,
  pair: KeyPair | TokenKey,
): Promise<RotatedKey | Refusal> {
  const { crypto, client, keysFolder, repository } = options;
  const root = composeNext(options, trusted, old, pair.key);
  if (isRefusal(root)) return root;
  const signers = rootSigners(options, trusted, root, pair);
  if (isRefusal(signers)) return signers;
  const bytes = signEnvelope(crypto, signers, 'metadata', encode(rootSchema, root));
  const { now } = options;
  const checked = verifyNextRoot(crypto, repository, trusted, root.version, bytes, now);
  if (isRefusal(checked)) return checked;

  const passphrase = isOffline(repository, options.role)
    ? options.passphrase
    : (options.onlinePassphrase ?? options.passphrase);
  writeKeyFile(`${path}.next`, pair, passphrase);
  if (existsSync(path)) renameSync(path, previous(path));
  renameSync(`${path}.next`, path);
  syncFolder(dirname(path));
  const name = metadataPath(repository, `${root.version}.root.cbor`);
  const answer = await client.putFile(name, bytes, publishAnswer);
  if (isRefusal(answer)) {
    // A lost answer may mean that the Root was published: then the next rotation settles it.
    const heard = !/^(net|http|cbor)-/.test(answer.refused);
    if (heard) restore(path);
    return answer;
  }
  writeDurableFile(rootPath(keysFolder, repository, root.version), bytes);
  await forget(previous(path), options.token);
  const newKeyId = keyId(crypto, pair.key);
  return { version: root.version, path, oldKeyId: keyId(crypto, old), newKeyId };
}

function previous(path: string): string {
  return `${path}.previous`;
}

function pathOf({ keysFolder, repository, role, number }: RotateOptions): string {
  if (isOffline(repository, role)) {
    return offlineKeyPath(keysFolder, repository, role, number);
  }
  const name = onlineKeyNames.find((one) => one === `${repository}-${role}`);
  if (name === undefined) throw new Error(`${repository} ${role}: no online key of that name`);
  return onlineKeyPath(keysFolder, name);
}

/** Puts the old file back, or none where none was. */
function restore(path: string): void {
  if (existsSync(previous(path))) renameSync(previous(path), path);
  else rmSync(path);
}

/**
 * The public key in the file at `path`. Where that file is lost, the one key of the role that has
 * no file is meant.
 */
function keyToReplace(
  { crypto, keysFolder, repository, role }: RotateOptions,
  root: Root,
  path: string,
): PublicKey | Refusal {
  const named = readKeyFilePublicKey(path);
  if (!isRefusal(named)) return named;
  const unknown = refuse('argument-invalid', `no key to replace: ${named.detail}`);
  if (existsSync(path) || !isOffline(repository, role)) return unknown;
  const authority = roleAuthority(crypto, root, role);
  if (isRefusal(authority)) return authority;
  const present = offlineKeys(keysFolder, repository, role);
  if (isRefusal(present)) return present;
  const lost = authority.keys.filter((key) => !present.some((one) => sameKey(one.key, key)));
  return lost.length === 1 ? lost[0]! : unknown;
}

/** Removes a key file, and what of its key is in the token: that is best effort, for it is no more. */
async function forget(path: string, token: Token | undefined): Promise<void> {
  const tokenKey = readKeyFileTokenKey(path);
  rmSync(path, { force: true });
  if (tokenKey !== undefined) await token?.destroy(tokenKey);
}

/** Ends a rotation that was cut short: the key that the newest Root names stays. */
async function settle(
  path: string,
  root: Root,
  token: Token | undefined,
): Promise<Refusal | undefined> {
  await forget(`${path}.next`, token);
  if (!existsSync(previous(path))) return undefined;
  const current = existsSync(path) ? readKeyFilePublicKey(path) : undefined;
  if (isRefusal(current)) return current;
  const listed = current !== undefined && root.keys.some((key) => sameKey(key, current));
  if (listed) {
    await forget(previous(path), token);
    return undefined;
  }
  if (current !== undefined) await forget(path, token);
  renameSync(previous(path), path);
  return undefined;
}

function composeNext(
  { crypto, repository, role, expires }: RotateOptions,
  root: Root,
  old: PublicKey,
  fresh: PublicKey,
): Root | Refusal {
  if (root.roles.some(({ profile }) => profile !== profiles.composite)) {
    return refuse(
      'argument-invalid',
      `Root ${root.version} has profiles that this tool cannot keep`,
    );
  }
  const entries: RoleEntry[] = [];
  for (const name of rolesIn(root, repository)) {
    const authority = roleAuthority(crypto, root, name);
    if (isRefusal(authority)) return authority;
    const keys = authority.keys.map((key) => (name === role && sameKey(key, old) ? fresh : key));
    if (name === role && !keys.includes(fresh)) {
      return refuse(
        'argument-invalid',
        `Root ${root.version} does not list the key in that file as ${role}`,
      );
    }
    entries.push({ role: name, keys, threshold: authority.threshold });
  }
  return composeRoot(crypto, entries, root.version + 1, expires);
}

/** Old and new threshold of root keys; the key that is replaced may be the one that was lost. */
function rootSigners(
  { crypto, keysFolder, repository, passphrase }: RotateOptions,
  old: Root,
  next: Root,
  pair: KeyPair | TokenKey,
): readonly Signer[] | Refusal {
  const before = roleAuthority(crypto, old, 'root');
  if (isRefusal(before)) return before;
  const after = roleAuthority(crypto, next, 'root');
  if (isRefusal(after)) return after;
  const opened = openSigners(keysFolder, repository, 'root', before, passphrase);
  if (isRefusal(opened)) return opened;
  const signers = [...opened];
  const counts = (): number =>
    signers.filter(({ key }) => after.keys.some((one) => sameKey(one, key))).length;
  const fresh = after.keys.some((key) => sameKey(key, pair.key));
  if (fresh && !isTokenKey(pair)) signers.push(signerOf(pair));
  const present = offlineKeys(keysFolder, repository, 'root');
  if (isRefusal(present)) return present;
  for (const { path, key } of present) {
    if (counts() >= after.threshold) break;
    const wanted = after.keys.some((one) => sameKey(one, key));
    if (!wanted || signers.some((signer) => sameKey(signer.key, key))) continue;
    const more = readKeyFile(path, passphrase);
    if (!isRefusal(more)) signers.push(signerOf(more));
  }
  const enough = counts() >= after.threshold;
  return enough ? signers : refuse('signature-threshold', 'too few of the new root keys open');
}
