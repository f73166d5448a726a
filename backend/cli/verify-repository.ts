/**
 * The ECUs' own verification over two folders of metadata files: what a vehicle would answer to
 * these repositories, at this time, with what it has seen before.
 *
 * A folder holds `1.root.cbor`, `2.root.cbor` …, `timestamp.cbor`, `N.snapshot.cbor`,
 * `N.targets.cbor`, `N.ROLE.cbor` for delegated roles, and `HASH.NAME` for image files.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxImageBytes, maxRootBytes } from '../../agent/limits.ts';
import {
  hashAlgorithms,
  type ProfileName,
  type RepositoryName,
} from '../../agent/metadata/common.ts';
import { type ImageKindName, imageKinds, type Target } from '../../agent/metadata/targets.ts';
import { cborMetadata } from '../../agent/verify/cbor-metadata.ts';
import { FullVerification } from '../../agent/verify/full-verification.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { PartialVerification } from '../../agent/verify/partial-verification.ts';
import type { FileRequest, VerifierEcu } from '../../agent/verify/verification.ts';
import type { Crypto, KeyValue } from '../../hal/types.ts';
import { reasonOf } from '../signer/durable-file.ts';
import { hex } from './format.ts';

const pieceBytes = 1_048_576;

export interface VerifyRepositoryOptions {
  readonly crypto: Crypto;
  /** Folders of the two repositories. */
  readonly folders: Readonly<Record<RepositoryName, string>>;
  /** What was trusted before; empty: the first Root of each folder is. */
  readonly state: KeyValue;
  readonly profile: ProfileName;
  readonly vehicleId: string;
  /** ECU ids with their hardware ids. */
  readonly ecus: readonly { readonly ecuId: string; readonly hardwareId: string }[];
  /** `ecus` are all of the vehicle, as a Primary knows them. */
  readonly everyEcu: boolean;
  readonly partial: boolean;
  /** Unix seconds. */
  readonly now: number;
  /** An image whose file is looked at too. */
  readonly image?: string;
}

/**
 * Runs the verification.
 * @returns what the Director assigns to `ecus`; every code of agent/verify, and for `image`:
 *   `image-not-listed`, `image-unknown`, `image-length`, `image-hash`. A folder that cannot be read
 *   is refused as `argument-invalid`: that is no verdict on the repository.
 */
export function verifyRepository(options: VerifyRepositoryOptions): readonly Target[] | Refusal {
  const { folders, image } = options;
  const store = new MetadataStore(options.state);
  for (const repository of options.partial ? director : both) {
    const refused = trustFirstRoot(store, repository, folders[repository]);
    if (refused !== undefined) return refused;
  }
  const ecus = options.ecus.map(verifierEcu);
  const machineOptions = { ...options, ecus, store, format: cborMetadata };
  const machine = options.partial
    ? new PartialVerification(machineOptions)
    : new FullVerification(machineOptions);
  for (let ask = machine.ask(); ask !== undefined; ask = machine.ask()) {
    const file = readMetadata(folders[ask.repository], ask);
    if (isRefusal(file)) return file;
    machine.supply(file);
  }
  const decision = machine.decision();
  if (isRefusal(decision)) return decision;
  const { bundle } = decision;
  const refused = image === undefined ? undefined : checkImage(folders.images, image, bundle);
  return refused ?? bundle;
}

const director: readonly RepositoryName[] = ['director'];
const both: readonly RepositoryName[] = ['director', 'images'];

/** An ECU that runs nothing yet, and whatever it is given. */
function verifierEcu(ecu: { readonly ecuId: string; readonly hardwareId: string }): VerifierEcu {
  return {
    ...ecu,
    kinds: Object.keys(imageKinds) as ImageKindName[],
    installed: undefined,
    counter: 0,
    bytecodeVersion: undefined,
    halVersion: undefined,
    maxPlaintextBytes: maxImageBytes,
  };
}

/** KEY-03: a verifier without state begins with the first Root that the folder has. */
function trustFirstRoot(
  store: MetadataStore,
  repository: RepositoryName,
  folder: string,
): Refusal | undefined {
  const versions = versionsOf(folder, 'root');
  if (isRefusal(versions)) return versions;
  if (store.rootVersion(repository) !== undefined) return undefined;
  const [first] = versions;
  if (first === undefined)
    return unusable(folder, 'no N.root.cbor, which everything is trusted by');
  const file = readUpTo(join(folder, `${first}.root.cbor`), maxRootBytes);
  if (isRefusal(file)) return file;
  if (file !== undefined) store.writeRoot(repository, first, file);
  return undefined;
}

/** The versions of a role's files in a folder, lowest first. */
function versionsOf(folder: string, role: string): readonly number[] | Refusal {
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    return unusable(folder, reasonOf(error));
  }
  return names
    .flatMap((name) => {
      const match = /^([1-9][0-9]{0,14})\.([a-z]+)\.cbor$/.exec(name);
      return match?.[2] === role ? [Number(match[1])] : [];
    })
    .sort((a, b) => a - b);
}

function unusable(path: string, why: string): Refusal {
  return refuse('argument-invalid', `${path}: ${why}`);
}

/** A file that was asked for; one byte more than allowed shows that it is too large. */
function readMetadata(folder: string, { name, maxBytes }: FileRequest) {
  if (name !== 'targets.cbor') return readUpTo(join(folder, name), maxBytes + 1);
  // A partial verifier knows no version: the newest is meant.
  const newest = versionsOf(folder, 'targets');
  if (isRefusal(newest)) return newest;
  const version = newest.at(-1);
  return version === undefined
    ? undefined
    : readUpTo(join(folder, `${version}.targets.cbor`), maxBytes + 1);
}

/** Up to `maxBytes` of a file; undefined when there is none of that name. */
function readUpTo(path: string, maxBytes: number): Uint8Array | undefined | Refusal {
  return withFile(path, (handle, size) => {
    const bytes = new Uint8Array(Math.min(size, maxBytes));
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(handle, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  });
}

function withFile<T>(path: string, use: (handle: number, size: number) => T) {
  let handle: number;
  try {
    handle = openSync(path, 'r');
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return absent ? undefined : unusable(path, reasonOf(error));
  }
  try {
    const status = fstatSync(handle);
    return status.isFile() ? use(handle, status.size) : unusable(path, 'not a regular file');
  } finally {
    closeSync(handle);
  }
}

/** The image's file under each of its digests (FNM-02, FNM-03). */
function checkImage(
  folder: string,
  filename: string,
  bundle: readonly Target[],
): Refusal | undefined {
  const target = bundle.find((one) => one.filename === filename);
  if (target === undefined) {
    return refuse('image-not-listed', `${filename} is not assigned to these ECUs`);
  }
  for (const { value } of target.hashes) {
    const name = `${hex(value)}.${filename}`;
    const refused = withFile(join(folder, name), (handle, size) =>
      checkBytes(handle, size, target),
    );
    if (isRefusal(refused)) return refused;
    if (refused === undefined) return refuse('image-unknown', `there is no ${name}`, 'FNM-03');
  }
  return undefined;
}

function checkBytes(handle: number, size: number, target: Target): 'good' | Refusal {
  // INS-09, VIM-09: nothing is read of a file that is longer or shorter
  if (size !== target.length) {
    return refuse('image-length', `${size} bytes where ${target.length} are listed`);
  }
  const hashes = target.hashes.map(({ key, value }) => ({
    value,
    hash: createHash(key === hashAlgorithms['SHA-256'] ? 'sha256' : 'sha512'),
  }));
  const piece = new Uint8Array(pieceBytes);
  for (let at = 0; at < size; ) {
    const count = readSync(handle, piece, 0, piece.length, at);
    if (count === 0) break;
    for (const { hash } of hashes) hash.update(piece.subarray(0, count));
    at += count;
  }
  // PRI-10: every hash that is listed
  const wrong = hashes.some(({ hash, value }) => hash.digest('hex') !== hex(value));
  return wrong ? refuse('image-hash', `${target.filename} has other content`) : 'good';
}
