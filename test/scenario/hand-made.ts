/**
 * Two repositories in folders, composed by the operator's command line alone: keys by `ota key new`,
 * payloads as JSON views, every file by `ota sign`.
 */
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../backend/cli/run.ts';

// biome-ignore lint/suspicious/noExplicitAny: JSON views of every shape
export type Json = any;
type Repository = 'director' | 'images';
export const roleNames = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type RoleName = (typeof roleNames)[number];

export const vehicleId = 'vehicle-1';
/** The time at which the repositories are judged; what they hold expires 100 days later. */
export const now = 1_800_000_000;
export const later = now + 8_640_000;
const environment = { OTA_PASSPHRASE: 'a passphrase for keys of no worth' };

export interface Answer {
  readonly status: number;
  readonly out: string;
  readonly error: string;
}

/** Runs `ota` in this process. */
export async function ota(words: readonly string[]): Promise<Answer> {
  let out = '';
  let error = '';
  const status = await run(words, {
    environment,
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
    interactive: false,
  });
  return { status, out, error };
}

/** Runs a command that has to succeed; its JSON. */
export async function done(words: readonly string[]): Promise<Json> {
  const { status, out, error } = await ota([...words, '--json']);
  if (status !== 0) throw new Error(`ota ${words.join(' ')}: ${status} ${out}${error}`);
  return JSON.parse(out);
}

export const folder = mkdtempSync(join(tmpdir(), 'ota-hand-made-'));
let made = 0;

export interface Key {
  readonly path: string;
  readonly keyId: string;
  readonly key: Json;
}

export async function newKey(algorithm = 'MLDSA65-ECDSA-P256-SHA512'): Promise<Key> {
  const path = join(folder, `${made++}.key`);
  return await done(['key', 'new', '--for-tests', '--algorithm', algorithm, '--out', path]);
}

/** A delegated role: what it lists and who signs it. */
export interface Delegated {
  payload: Json;
  keys: Key[];
}

/** What one repository will publish; `compose` writes it. */
export interface Model {
  readonly name: Repository;
  /** Who signs each role, and who `root` says does. */
  readonly signs: Record<RoleName, Key[]>;
  readonly listed: Record<RoleName, Key[]>;
  readonly thresholds: Record<RoleName, number>;
  /** Root versions from the first on; when empty, `compose` makes the first one. */
  readonly roots: { readonly payload: Json; readonly keys: Key[] }[];
  readonly payloads: Record<RoleName, Json>;
  readonly delegated: Record<string, Delegated>;
  /** Changes of the Snapshot's or Timestamp's payload after it was filled in. */
  edit: Partial<Record<'snapshot' | 'timestamp', (payload: Json) => void>>;
  /** Options of `ota sign` for the file of a role. */
  readonly options: Record<string, readonly string[]>;
  /** Changes files after they were written. */
  after: (folder: string) => void;
}

async function keysFor(): Promise<Record<RoleName, Key[]>> {
  const one = async () => [await newKey()];
  return {
    root: await one(),
    targets: await one(),
    snapshot: await one(),
    timestamp: await one(),
  };
}

const keys = { director: await keysFor(), images: await keysFor() };

export const digestOf = (text: string): string =>
  Buffer.from(new TextEncoder().encode(text.padEnd(32, '.').slice(0, 32))).toString('base64url');

/** An image as both repositories list it; its bytes are not there unless a test writes them. */
export function image(filename: string, releaseCounter: number, more: Json = {}): Json {
  return {
    filename,
    length: 56 + 1_000 + 16,
    hashes: { '-16': digestOf(`ciphertext ${filename} ${releaseCounter}`) },
    mustMatch: {
      plaintextLength: 1_000,
      plaintextSha256: digestOf(`plaintext ${filename} ${releaseCounter}`),
      hardwareIds: ['hw-a'],
      releaseCounter,
      kind: 'opaque',
      encryption: 'c2sp-cobblestone-256@v1',
    },
    ...more,
  };
}

export function assigned(entry: Json, ecuId = 'ecu-1'): Json {
  const keyObjectSha256 = digestOf(`key object ${ecuId}`);
  return { ...entry, assignment: { ecuId, keyObjectSha256, keyObjectLength: 1_200 } };
}

/** A correct repository: version 1 of everything. */
export function model(name: Repository, targets: readonly Json[]): Model {
  const vehicle = name === 'director' ? { vehicleId } : {};
  const common = { formatVersion: '1', version: 1, expires: later };
  const own = keys[name];
  return {
    name,
    signs: { ...own },
    listed: { ...own },
    thresholds: { root: 1, targets: 1, snapshot: 1, timestamp: 1 },
    roots: [],
    payloads: {
      root: { type: 'root', ...common },
      targets: { type: 'targets', ...common, ...vehicle, targets: [...targets] },
      snapshot: { type: 'snapshot', ...common, ...vehicle },
      timestamp: { type: 'timestamp', ...common, ...vehicle },
    },
    delegated: {},
    edit: {},
    options: {},
    after: () => undefined,
  };
}

/** Root's payload by who is listed now. */
export function rootOf({ listed, thresholds, payloads }: Model, version = 1): Json {
  const all = roleNames.flatMap((role) => listed[role].map(({ key }) => key));
  const unique = all.filter(
    (key, i) => all.findIndex((one) => one.publicKey === key.publicKey) === i,
  );
  return {
    ...payloads.root,
    version,
    keys: unique,
    roles: roleNames.map((role) => ({
      role,
      profile: 'composite',
      keyIds: listed[role].map(({ keyId }) => keyId),
      threshold: thresholds[role],
    })),
  };
}

/** Makes version 1 of who is listed now, if there is none yet; later changes need a new version. */
export function settleFirstRoot(repository: Model): void {
  const first = { payload: rootOf(repository), keys: keys[repository.name].root };
  if (repository.roots.length === 0) repository.roots.push(first);
}

interface Signed {
  readonly length: number;
  readonly sha256: string;
}
const signed = new Map<string, { readonly path: string; readonly answer: Signed }>();

/**
 * Signs one payload into `path`, the same one by the same keys only once: another signature would
 * make a Snapshot another file than its Timestamp names.
 */
async function sign(
  role: string,
  payload: Json,
  by: readonly Key[],
  path: string,
  more: readonly string[],
): Promise<Signed> {
  const text = JSON.stringify(payload);
  const given = by.flatMap(({ path: file }) => ['--key', file]);
  const same = [role, text, ...given, ...more.filter((word) => word !== '--force')].join('\n');
  const before = signed.get(same);
  if (before !== undefined) {
    copyFileSync(before.path, path);
    return before.answer;
  }
  const input = join(folder, 'payload.json');
  writeFileSync(input, text);
  const answer = await done([
    'sign',
    '--role',
    role,
    ...given,
    '--in',
    input,
    '--out',
    path,
    ...more,
  ]);
  const kept = join(folder, `signed-${made++}`);
  copyFileSync(path, kept);
  signed.set(same, { path: kept, answer });
  return answer;
}

/** Writes a repository into a new folder, whose path is returned. */
export async function compose(repository: Model, force: boolean): Promise<string> {
  const base = join(folder, `repository-${made++}`);
  mkdirSync(base);
  const { payloads, signs, delegated, options, edit } = repository;
  const forced = force ? ['--force'] : [];
  const write = (role: string, payload: Json, by: readonly Key[], name: string) =>
    sign(role, payload, by, join(base, name), [...forced, ...(options[name] ?? [])]);
  settleFirstRoot(repository);
  for (const [i, { payload, keys: by }] of repository.roots.entries()) {
    await write('root', payload, by, `${i + 1}.root.cbor`);
  }
  const versions: Record<string, number> = { targets: payloads.targets.version };
  for (const [name, { payload, keys: by }] of Object.entries(delegated)) {
    versions[name] = payload.version;
    await write('targets', payload, by, `${payload.version}.${name}.cbor`);
  }
  await write(
    'targets',
    payloads.targets,
    signs.targets,
    `${payloads.targets.version}.targets.cbor`,
  );
  const snapshot = { ...payloads.snapshot, versions };
  edit.snapshot?.(snapshot);
  const file = await write(
    'snapshot',
    snapshot,
    signs.snapshot,
    `${payloads.snapshot.version}.snapshot.cbor`,
  );
  const named = { version: snapshot.version, length: file.length, hashes: { '-16': file.sha256 } };
  const timestamp = { ...payloads.timestamp, snapshot: named };
  edit.timestamp?.(timestamp);
  await write('timestamp', timestamp, signs.timestamp, 'timestamp.cbor');
  repository.after(base);
  return base;
}

/** Adds a delegation with its role's file; the keys of a role may be known already. */
export async function delegate(
  to: { delegations?: Json },
  repository: Model,
  names: readonly string[],
  targets: readonly Json[],
  more: Json = {},
): Promise<void> {
  to.delegations ??= { keys: [], delegations: [] };
  const listed: Json[] = [];
  for (const name of names) {
    const known = repository.delegated[name];
    const by = known?.keys ?? [await newKey()];
    const common = { type: 'targets', formatVersion: '1', version: 1, expires: later };
    repository.delegated[name] ??= { payload: { ...common, targets: [...targets] }, keys: by };
    if (!to.delegations.keys.includes(by[0]!.key)) to.delegations.keys.push(by[0]!.key);
    listed.push({ name, keyIds: by.map(({ keyId }) => keyId), threshold: 1 });
  }
  to.delegations.delegations.push({
    paths: ['*'],
    terminating: false,
    roles: listed,
    minimumRoles: names.length,
    ...more,
  });
}

/** Raises the versions of everything but Root. */
export function release({ payloads }: Model): void {
  for (const role of ['targets', 'snapshot', 'timestamp'] as const) payloads[role].version += 1;
}

/** Words of `ota verify-repo` for one ECU of the vehicle. */
export function verifyWords(director: string, images: string): string[] {
  const ecu = ['--vehicle', vehicleId, '--ecu', 'ecu-1', '--hardware', 'hw-a'];
  return ['verify-repo', '--director', director, '--images', images, '--time', String(now), ...ecu];
}
