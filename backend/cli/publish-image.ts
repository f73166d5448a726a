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
  type Targets,
} from '../../agent/metadata/targets.ts';
import { contentKeyRequest, uploadAnswer, wrappingKeyAnswer } from '../http/messages.ts';
import { EncryptedImage, type ImageFile, openImage } from './image-stream.ts';
import {
  editTargets,
  fetchTargets,
  type ImageRepository,
  signNextTargets,
  targetsSigners,
} from './image-targets.ts';
import { readWrappingKey, sameKey } from './key-folder.ts';

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
  /** Allows a release counter below one that is listed for the same hardware and kind. */
  readonly allowOlder?: boolean;
  /** Plaintext bytes encrypted so far, of `total`. */
  onProgress?(bytes: number, total: number): void;
}

export interface PublishedImage {
  readonly target: Target;
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
  const current = await fetchTargets(options);
  if (isRefusal(current)) return current;
  const listed = findListed(current.targets, options.filename, wanted);
  if (isRefusal(listed)) return listed;
  if (listed !== undefined) return { target: listed, targetsVersion: undefined };

  // Signed once with a digest of zeros: what would be refused later is refused before the upload.
  const signers = targetsSigners(options, current.trusted, options.passphrase);
  if (isRefusal(signers)) return signers;
  const trial = targetOf(options, wanted, image.length, new Uint8Array(32));
  const { crypto, expires } = options;
  const list = addTo(current.targets, trial, options);
  if (isRefusal(list)) return list;
  const sized = signNextTargets(crypto, current.targets, list, expires, signers);
  if (isRefusal(sized)) return sized;

  const sent = await send(options, image);
  if (isRefusal(sent)) return sent;
  const target = targetOf(options, wanted, sent.length, sent.sha256);
  const { passphrase } = options;
  const answer = await editTargets(options, passphrase, expires, (targets) => {
    const raced = findListed(targets, options.filename, wanted);
    if (isRefusal(raced)) return raced;
    return raced === undefined
      ? addTo(targets, target, options)
      : refuse('image-exists', `${options.filename} was listed by somebody else meanwhile`);
  });
  return isRefusal(answer) ? answer : { target, targetsVersion: answer.version };
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
  targets: Targets,
  filename: string,
  wanted: MustMatch,
): Target | undefined | Refusal {
  const listed = targets.targets.find((target) => target.filename === filename);
  if (listed === undefined) return undefined;
  const encoded = encode(mustMatchSchema, listed.mustMatch);
  return compareBytes(encoded, encode(mustMatchSchema, wanted)) === 0
    ? listed
    : refuse(
        'image-exists',
        `${filename} is listed with other content or properties; a filename names one image for ` +
          'ever, so publish under a new one',
      );
}

/** The list with one more image, unless its release counter goes back. */
function addTo(
  targets: Targets,
  target: Target,
  options: PublishOptions,
): readonly Target[] | Refusal {
  const { kind, hardwareIds, releaseCounter } = target.mustMatch;
  const newer = targets.targets.find(
    ({ mustMatch }) =>
      mustMatch.kind === kind &&
      mustMatch.releaseCounter > releaseCounter &&
      mustMatch.hardwareIds.some((id) => hardwareIds.includes(id)),
  );
  if (newer !== undefined && !options.allowOlder) {
    return refuse(
      'target-rollback',
      `${newer.filename} with release ${newer.mustMatch.releaseCounter} is listed for the same ` +
        'hardware and kind; --allow-older lists an older release none the less',
    );
  }
  return [...targets.targets, target];
}
