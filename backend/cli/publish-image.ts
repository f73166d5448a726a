/**
 * Publishes one image: encrypts it on the way to the server, gives its content key to the Director
 * alone, and lists it in the Image repository's Targets with the offline keys.
 *
 * What cannot succeed is refused before a byte is uploaded. Until the new Targets are accepted the
 * repository is as it was: an interrupted upload leaves nothing, a finished one is not listed.
 */
import { compareBytes } from '../../agent/codec/reader.ts';
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { wrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { imageContext } from '../../agent/image/image-context.ts';
import { hashAlgorithms } from '../../agent/metadata/common.ts';
import { emptyAnswer } from '../../agent/metadata/device-messages.ts';
import {
  cobblestoneFormat,
  type ImageKindName,
  imageKinds,
  type MustMatch,
  mustMatch as mustMatchSchema,
  type ReleaseRange,
  type Target,
} from '../../agent/metadata/targets.ts';
import { contentKeyRequest, uploadAnswer, wrappingKeyAnswer } from '../http/messages.ts';
import { makeKeys } from './delegations.ts';
import { EncryptedImage, type ImageFile, openImage } from './image-stream.ts';
import {
  type Change,
  changeLists,
  contentsOf,
  editTargets,
  fetchLists,
  fileOf,
  type ImageLists,
  type ImageRepository,
  signChanges,
} from './image-targets.ts';
import { type NamedKeys, readWrappingKey, sameKey } from './key-folder.ts';
import { listByHardware } from './split-targets.ts';

export interface PublishOptions extends ImageRepository {
  readonly passphrase: string;
  readonly path: string;
  readonly filename: string;
  readonly hardwareIds: readonly string[];
  readonly releaseCounter: number;
  readonly kind: ImageKindName;
  /** Kind `agent` only. */
  readonly bytecodeVersion?: number | undefined;
  readonly halVersion?: number | undefined;
  /** What other ECUs of the vehicle have to run, and must not run (DIR-13). */
  readonly requires?: readonly ReleaseRange[];
  readonly conflicts?: readonly ReleaseRange[];
  /** When the new Targets expire, unix seconds. */
  readonly expires: number;
  /** The delegated role that lists it; by its hardware when absent. */
  readonly role?: string | undefined;
  /** Allows a release counter below one that is listed for the same hardware and kind. */
  readonly allowOlder?: boolean;
  /** Plaintext bytes encrypted so far, of `total`. */
  onProgress?(bytes: number, total: number): void;
}

export interface PublishedImage {
  readonly target: Target;
  /** Who lists it: `targets`, or a delegated role. */
  readonly role: string;
  /** Roles that received images because a file had become too large. */
  readonly split: readonly string[];
  /** Version of the Targets that list it; undefined when it had been listed before. */
  readonly targetsVersion: number | undefined;
}

/**
 * Publishes an image. The same file with the same properties is not published twice.
 *
 * Codes: `file-unreadable`, `body-too-large` (image or Targets), `image-exists` (the filename is
 * listed with other content or properties), `target-rollback` (lower release counter than a listed
 * image of the same kind that shares a hardware id), `key-file-invalid` (the server's wrapping key
 * is not the ceremony's), `image-hash` (the server stored other bytes), and those of `editTargets`.
 */
export async function publishImage(options: PublishOptions): Promise<PublishedImage | Refusal> {
  const image = await openImage(options.path);
  if (isRefusal(image)) return image;
  try {
    return await publishOpen(options, image);
  } finally {
    await image.handle.close();
  }
}

async function publishOpen(
  options: PublishOptions,
  image: ImageFile,
): Promise<PublishedImage | Refusal> {
  const wanted = mustMatchOf(options, image);
  const lists = await fetchLists(options);
  if (isRefusal(lists)) return lists;
  const listed = findListed(lists, options.filename, wanted);
  if (isRefusal(listed)) return listed;
  if (listed !== undefined) return listAgain(options, lists, listed);

  // Signed once with a digest of zeros: what would be refused later is refused before the upload.
  const { passphrase, expires } = options;
  const trial = planned(
    options,
    lists,
    targetOf(options, wanted, image.length, new Uint8Array(32)),
  );
  if (isRefusal(trial)) return trial;
  const signed = signChanges(options, passphrase, expires, lists, trial);
  if (isRefusal(signed)) return signed;
  const sent = await send(options, image);
  if (isRefusal(sent)) return sent;
  const target = targetOf(options, wanted, sent.length, sent.sha256);
  let changes: readonly Change[] = [];
  const versions = await changeLists(options, passphrase, expires, (latest) => {
    const raced = findListed(latest, options.filename, wanted);
    if (isRefusal(raced)) return raced;
    if (raced !== undefined) {
      return refuse('image-exists', `${options.filename} was listed by somebody else meanwhile`);
    }
    const plan = planned(options, latest, target);
    if (!isRefusal(plan)) changes = plan;
    return plan;
  });
  if (isRefusal(versions)) return versions;
  const { role } = changes.find(({ contents }) => contents.targets.includes(target))!;
  const split = changes.filter((one) => one.authority !== undefined).map((one) => one.role);
  return { target, role, split, targetsVersion: versions[role] };
}

/** The files that change when an image is listed, unless its release counter goes back. */
function planned(
  options: PublishOptions,
  lists: ImageLists,
  target: Target,
): readonly Change[] | Refusal {
  const older = refuseOlder(lists, target, options);
  if (older !== undefined) return older;
  const { crypto, role, keysFolder, passphrase } = options;
  if (role === undefined) {
    return listByHardware(crypto, lists, target, () => splitKeys(keysFolder, passphrase));
  }
  const file = fileOf(lists, role);
  if (isRefusal(file)) return file;
  const contents = { ...contentsOf(file.targets), targets: [...file.targets.targets, target] };
  return [{ role, contents }];
}

/** Made with the first split: 1 of 2, as a delegation's by default. */
function splitKeys(keysFolder: string, passphrase: string): NamedKeys | Refusal {
  const keys = makeKeys(keysFolder, passphrase, 'hardware', 2);
  return isRefusal(keys) ? keys : { keys, threshold: 1 };
}

/**
 * An image that is listed: nothing changes, unless a further role is to list the same, as a
 * multi-role delegation needs.
 */
async function listAgain(
  options: PublishOptions,
  lists: ImageLists,
  listed: { readonly target: Target; readonly role: string },
): Promise<PublishedImage | Refusal> {
  const { passphrase, expires, role } = options;
  const { target } = listed;
  const lister = lists.files.find((file) => file.role === role)?.targets.targets;
  const there = lister?.some(({ filename }) => filename === target.filename);
  if (role === undefined || there) return { ...listed, split: [], targetsVersion: undefined };
  const version = await editTargets(options, passphrase, expires, role, (current) => ({
    ...contentsOf(current),
    targets: [...current.targets, target],
  }));
  return isRefusal(version) ? version : { target, role, split: [], targetsVersion: version };
}

/** Uploads the ciphertext and hands the content key to the Director. */
async function send(
  options: PublishOptions,
  image: ImageFile,
): Promise<{ readonly length: number; readonly sha256: Uint8Array } | Refusal> {
  const { crypto, client, filename, releaseCounter } = options;
  const wrappingKey = await client.get('/director/wrapping-key', wrappingKeyAnswer);
  if (isRefusal(wrappingKey)) return wrappingKey;
  const known = readWrappingKey(options.keysFolder);
  if (isRefusal(known)) return known;
  if (!sameKey(wrappingKey, known)) {
    // Whoever answers as the server must not get content keys by showing a key of their own.
    return refuse('key-file-invalid', "the server's wrapping key is not the one of the ceremony");
  }
  const context = imageContext(filename, releaseCounter, image.sha256);
  const encrypted = new EncryptedImage(crypto, image, context);
  const { length } = encrypted;
  const pieces = encrypted.stream((bytes) => options.onProgress?.(bytes, image.length));
  const headers = { 'upload-filename': filename };
  const stored = await client.upload('/upload', headers, { length, pieces }, uploadAnswer);
  if (isRefusal(stored)) return stored;
  const sha256 = encrypted.sha256();
  const same = stored.hashes.some(
    ({ key, value }) => key === hashAlgorithms['SHA-256'] && compareBytes(value, sha256) === 0,
  );
  if (!same || stored.length !== length) {
    return refuse('image-hash', 'the server stored other bytes than were sent');
  }
  const bound = ['director', 'director', filename, sha256] as const;
  const sealed = wrapContentKey(crypto, wrappingKey, encrypted.contentKey, bound);
  encrypted.contentKey.fill(0);
  if (isRefusal(sealed)) return sealed;
  const request = { filename, ciphertextSha256: sha256, sealed };
  const kept = await client.post('/content-keys', contentKeyRequest, request, emptyAnswer);
  return isRefusal(kept) ? kept : { length, sha256 };
}

function mustMatchOf(options: PublishOptions, image: ImageFile): MustMatch {
  const { bytecodeVersion, halVersion, requires = [], conflicts = [] } = options;
  return {
    plaintextLength: image.length,
    plaintextSha256: image.sha256,
    hardwareIds: options.hardwareIds,
    releaseCounter: options.releaseCounter,
    kind: imageKinds[options.kind],
    encryption: cobblestoneFormat,
    ...(bytecodeVersion !== undefined && { bytecodeVersion }),
    ...(halVersion !== undefined && { halVersion }),
    ...(requires.length > 0 && { requires }),
    ...(conflicts.length > 0 && { conflicts }),
  };
}

function targetOf(
  options: PublishOptions,
  mustMatch: MustMatch,
  length: number,
  sha256: Uint8Array,
): Target {
  const hashes = [{ key: hashAlgorithms['SHA-256'], value: sha256 }];
  return { filename: options.filename, length, hashes, mustMatch };
}

/** The entry that lists this very image; `image-exists` when its filename is taken. */
function findListed(
  { files }: ImageLists,
  filename: string,
  wanted: MustMatch,
): { readonly target: Target; readonly role: string } | undefined | Refusal {
  for (const { role, targets } of files) {
    const target = targets.targets.find((one) => one.filename === filename);
    if (target === undefined) continue;
    const encoded = encode(mustMatchSchema, target.mustMatch);
    return compareBytes(encoded, encode(mustMatchSchema, wanted)) === 0
      ? { target, role }
      : refuse(
          'image-exists',
          `${filename} is listed with other content or properties; a filename names one image for ` +
            'ever, so publish under a new one',
        );
  }
  return undefined;
}

/** The release counter must not go back from that of any image listed for the same hardware. */
function refuseOlder(
  { files }: ImageLists,
  target: Target,
  { allowOlder }: PublishOptions,
): Refusal | undefined {
  const { kind, hardwareIds, releaseCounter } = target.mustMatch;
  const newer = files
    .flatMap(({ targets }) => targets.targets)
    .find(
      ({ mustMatch }) =>
        mustMatch.kind === kind &&
        mustMatch.releaseCounter > releaseCounter &&
        mustMatch.hardwareIds.some((id) => hardwareIds.includes(id)),
    );
  if (newer === undefined || allowOlder) return undefined;
  return refuse(
    'target-rollback',
    `${newer.filename} with release ${newer.mustMatch.releaseCounter} is listed for the same ` +
      'hardware and kind; --allow-older lists an older release none the less',
  );
}
