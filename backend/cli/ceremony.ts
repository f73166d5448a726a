/**
 * The key ceremony: makes every key of a deployment, Root 1 of both repositories, the first, empty
 * Targets of the Image repository and the first certificates of the device plane. It appears
 * complete under its name or not at all.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { coseKey, type PublicKey, publicKeyBytes } from '../../agent/codec/cose-key.ts';
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { maxRootBytes } from '../../agent/limits.ts';
import { type RepositoryName, type RoleName, roles } from '../../agent/metadata/common.ts';
import { root as rootSchema } from '../../agent/metadata/root.ts';
import { targets as targetsSchema } from '../../agent/metadata/targets.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { generateKeyPair, type KeyPair, signerOf } from '../../hal/node/signing.ts';
import {
  deviceRootKeyPath,
  enrolmentCaDays,
  enrolmentCaKeyPath,
  makeDeviceRoot,
  signEnrolmentCa,
} from '../signer/device-authorities.ts';
import { reasonOf, syncFolder, writeDurableFile } from '../signer/durable-file.ts';
import {
  isTokenKey,
  type KeyFileOptions,
  type TokenKey,
  writeKeyFile,
} from '../signer/key-file.ts';
import type { Token } from '../signer/pkcs11/token.ts';
import { destroyTokenKey, makeOnlineKey } from '../signer/pkcs11/token-keys.ts';
import {
  type OfflineRole,
  type OnlineKeyName,
  offlineKeyPath,
  onlineKeyNames,
  onlineKeyPath,
  rootPath,
  targetsPath,
  wrappingKeyPath,
} from './key-folder.ts';
import { composeRoot } from './root-document.ts';

const signatureAlgorithm = 'MLDSA65-ECDSA-P256-SHA512';
const wrappingAlgorithm = 'MLKEM768-P256';
/** ML-DSA-65 and DER ECDSA with the protected header and CBOR around them, rounded up. */
const signatureEntryBytes = 3_460;
const keyEntryBytes = publicKeyBytes[signatureAlgorithm] + 60;
const secondsPerDay = 86_400;

/** How many keys an offline role gets, and how many must sign. */
export interface RoleSize {
  readonly keys: number;
  readonly threshold: number;
}

export interface CeremonyOptions {
  /** The keys folder to make; it must not exist, or be empty. */
  readonly folder: string;
  readonly passphrase: string;
  /** Seals the server's own keys; the same passphrase when absent. */
  readonly onlinePassphrase?: string;
  readonly directorRoot: RoleSize;
  readonly imagesRoot: RoleSize;
  readonly imagesTargets: RoleSize;
  readonly rootDays: number;
  readonly targetsDays: number;
  /** Unix seconds. */
  readonly now: number;
  /** Makes and keeps halves of the server's keys, where there is one. */
  readonly token?: Token | undefined;
  readonly keyFile?: KeyFileOptions;
  progress?(line: string): void;
}

export interface MadeKey {
  /** File name without `.key`, such as `director-root-1`. */
  readonly name: string;
  readonly offline: boolean;
  /** Its P-256 half is in the token. */
  readonly inToken: boolean;
  readonly keyId: Uint8Array;
}

export interface CeremonyResult {
  readonly folder: string;
  readonly keys: readonly MadeKey[];
}

export const ceremonyDefaults = {
  directorRoot: { keys: 3, threshold: 2 },
  imagesRoot: { keys: 3, threshold: 2 },
  imagesTargets: { keys: 2, threshold: 1 },
  rootDays: 365,
  targetsDays: 30,
} as const;

/** Keys of each of the two roles of offline updates. */
const offlineUpdateKeys: RoleSize = { keys: 1, threshold: 1 };

/**
 * Holds a ceremony. Codes `argument-invalid`: the folder has content already, a threshold is
 * outside 1 … keys, or a Root would outgrow what vehicles accept; those of `makeOnlineKey`.
 */
export async function holdCeremony(options: CeremonyOptions): Promise<CeremonyResult | Refusal> {
  const folder = resolve(options.folder);
  const refusal = checkSizes(options) ?? checkFolder(folder);
  if (refusal !== undefined) return refusal;
  const temporary = prepare(folder);
  if (typeof temporary !== 'string') return temporary;
  const online: OnlineKeyMap = new Map();
  let done = false;
  const discard = async (): Promise<void> => {
    rmSync(temporary, { recursive: true, force: true });
    if (done) return;
    for (const key of online.values()) await destroyTokenKey(options.token, key);
  };
  const interrupted = (signal: NodeJS.Signals): void => {
    const end = () => process.exit(signal === 'SIGINT' ? 130 : 143);
    discard().then(end, end);
  };
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  try {
    const refused = await makeOnline(online, options.token);
    if (refused !== undefined) return refused;
    const keys = await makeAll(temporary, options, online);
    for (const name of readdirSync(temporary)) syncFolder(join(temporary, name));
    syncFolder(temporary);
    // An empty folder of that name is replaced; one with content makes this fail, and stays.
    renameSync(temporary, folder);
    done = true;
    syncFolder(dirname(folder));
    return { folder, keys };
  } finally {
    await discard();
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  }
}

function checkSizes(options: CeremonyOptions): Refusal | undefined {
  const { directorRoot, imagesRoot, imagesTargets } = options;
  const sizes = {
    'director-root': directorRoot,
    'images-root': imagesRoot,
    'images-targets': imagesTargets,
  };
  for (const [name, { keys, threshold }] of Object.entries(sizes)) {
    if (threshold < 1 || threshold > keys) {
      return refuse(
        'argument-invalid',
        `--${name}-threshold ${threshold}: expected 1 to ${keys}, the number of keys`,
      );
    }
  }
  const director = rootBytes(directorRoot.keys, 4 + 2 * offlineUpdateKeys.keys);
  const images = rootBytes(imagesRoot.keys, imagesTargets.keys + 2);
  if (Math.max(director, images) > maxRootBytes) {
    return refuse(
      'argument-invalid',
      `so many keys make a Root of more than ${maxRootBytes} bytes`,
    );
  }
  return undefined;
}

/** Size of a Root that every old and new root key signs when one of them is replaced. */
function rootBytes(rootKeys: number, otherKeys: number): number {
  return 1_024 + (rootKeys + otherKeys) * keyEntryBytes + (rootKeys + 1) * signatureEntryBytes;
}

function checkFolder(folder: string): Refusal | undefined {
  try {
    if (!existsSync(folder) || readdirSync(folder).length === 0) return undefined;
    return refuse('argument-invalid', `${folder} has content already; keys are never overwritten`);
  } catch (error) {
    return refuse('argument-invalid', `${folder}: ${reasonOf(error)}`);
  }
}

function prepare(folder: string): string | Refusal {
  try {
    mkdirSync(dirname(folder), { recursive: true });
    const temporary = mkdtempSync(join(dirname(folder), `.${basename(folder)}.incomplete-`));
    for (const name of ['offline', 'online']) mkdirSync(join(temporary, name), { mode: 0o700 });
    for (const name of ['devices', 'director', 'images']) mkdirSync(join(temporary, name));
    return temporary;
  } catch (error) {
    return refuse('argument-invalid', `${folder}: ${reasonOf(error)}`);
  }
}

type OnlineKeyMap = Map<OnlineKeyName | typeof firstCaName, KeyPair | TokenKey>;
const firstCaName = 'enrolment-ca-1';

/** Makes the server's keys into `keys`; what is there on a refusal was made. */
async function makeOnline(
  keys: OnlineKeyMap,
  token: Token | undefined,
): Promise<Refusal | undefined> {
  for (const name of [...onlineKeyNames, firstCaName] as const) {
    const algorithm = name === 'director-wrapping' ? wrappingAlgorithm : signatureAlgorithm;
    const key = await makeOnlineKey(token, name === firstCaName ? 'ESP256' : algorithm, name);
    if (isRefusal(key)) return key;
    keys.set(name, key);
  }
  return undefined;
}

/** Makes everything below `folder`, which nobody else sees yet. */
async function makeAll(
  folder: string,
  options: CeremonyOptions,
  online: OnlineKeyMap,
): Promise<readonly MadeKey[]> {
  const crypto = createNodeCrypto();
  const made: MadeKey[] = [];
  const onlinePassphrase = options.onlinePassphrase ?? options.passphrase;
  const note = (path: string, offline: boolean, key: KeyPair | TokenKey): void => {
    const name = basename(path, '.key');
    made.push({ name, offline, inToken: isTokenKey(key), keyId: keyId(crypto, key.key) });
    options.progress?.(`made ${name}`);
  };
  const write = async (path: string, offline: boolean, key: KeyPair | TokenKey) => {
    const passphrase = offline ? options.passphrase : onlinePassphrase;
    writeKeyFile(path, key, passphrase, options.keyFile);
    note(path, offline, key);
    await turn(); // lets an interruption be noticed between two keys
  };
  const makeOffline = async (
    repository: RepositoryName,
    role: OfflineRole,
    { keys, threshold }: RoleSize,
  ): Promise<Role> => {
    const pairs: KeyPair[] = [];
    for (let number = 1; number <= keys; number++) {
      const pair = generateKeyPair(signatureAlgorithm);
      await write(offlineKeyPath(folder, repository, role, number), true, pair);
      pairs.push(pair);
    }
    return { role, keys: pairs.map(({ key }) => key), pairs, threshold };
  };
  const keepOnline = async (name: OnlineKeyName): Promise<PublicKey> => {
    const key = online.get(name)!;
    await write(onlineKeyPath(folder, name), false, key);
    return key.key;
  };
  const onlineRole = async (role: RoleName, name: OnlineKeyName): Promise<Role> => {
    return { role, keys: [await keepOnline(name)], pairs: [], threshold: 1 };
  };

  const directorRoles = [
    await makeOffline('director', 'root', options.directorRoot),
    await onlineRole('targets', 'director-targets'),
    await onlineRole('snapshot', 'director-snapshot'),
    await onlineRole('timestamp', 'director-timestamp'),
    await onlineRole('time', 'director-time'),
    // OFF-01: own keys, which stay with the operator
    await makeOffline('director', 'offline-snapshot', offlineUpdateKeys),
    await makeOffline('director', 'offline-targets', offlineUpdateKeys),
  ];
  const targetsRole = await makeOffline('images', 'targets', options.imagesTargets);
  const imagesRoles = [
    await makeOffline('images', 'root', options.imagesRoot),
    targetsRole,
    await onlineRole('snapshot', 'images-snapshot'),
    await onlineRole('timestamp', 'images-timestamp'),
  ];
  const wrapping = await keepOnline('director-wrapping');
  // The offline root of the device plane, and the first enrolment CA that it signs.
  const place = { ...options, folder, onlinePassphrase };
  const deviceRoot = makeDeviceRoot(place);
  note(deviceRootKeyPath(folder), true, deviceRoot.pair);
  const authority = online.get(firstCaName)!;
  signEnrolmentCa(place, deviceRoot, 1, enrolmentCaDays, authority);
  note(enrolmentCaKeyPath(folder, 1), false, authority);

  const rootExpires = options.now + options.rootDays * secondsPerDay;
  const targetsExpires = options.now + options.targetsDays * secondsPerDay;
  writeDurableFile(rootPath(folder, 'director', 1), signFirstRoot(directorRoles, rootExpires));
  writeDurableFile(rootPath(folder, 'images', 1), signFirstRoot(imagesRoles, rootExpires));
  writeDurableFile(targetsPath(folder, 1), signFirstTargets(targetsRole, targetsExpires));
  writeDurableFile(wrappingKeyPath(folder), encode(coseKey, wrapping));
  return made;
}

interface Role {
  readonly role: RoleName;
  readonly keys: readonly PublicKey[];
  /** Of an offline role: what signs here. */
  readonly pairs: readonly KeyPair[];
  readonly threshold: number;
}

/** Root 1, signed by every root key: a lost key then does not keep it from being verified. */
function signFirstRoot(all: readonly Role[], expires: number): Uint8Array {
  const crypto = createNodeCrypto();
  const payload = encode(rootSchema, composeRoot(crypto, all, 1, expires));
  const signers = all.filter(({ role }) => role === 'root').flatMap(({ pairs }) => pairs);
  return signEnvelope(crypto, signers.map(signerOf), 'metadata', payload);
}

function signFirstTargets({ pairs, threshold }: Role, expires: number): Uint8Array {
  const payload = encode(targetsSchema, {
    type: roles.targets,
    formatVersion: 1,
    version: 1,
    expires,
    targets: [],
  });
  const signers = pairs.slice(0, threshold).map(signerOf);
  return signEnvelope(createNodeCrypto(), signers, 'metadata', payload);
}
