/**
 * The Image repository's Targets as the operator edits them: fetched, verified under the operator's
 * own Roots, changed, signed with the offline keys, published as the next version.
 */
import { decodeEnvelope, type Envelope } from '../../agent/codec/cose-sign.ts';
import { compareBytes } from '../../agent/codec/reader.ts';
import { decode, encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { maxTargetsBytes, maxTargetsPerFile } from '../../agent/limits.ts';
import { roles } from '../../agent/metadata/common.ts';
import {
  type Target,
  type Targets,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import type { Crypto } from '../../hal/types.ts';
import { type PublishAnswer, publishAnswer, statusAnswer } from '../http/messages.ts';
import { writeDurableFile } from '../signer/durable-file.ts';
import { roleAuthority, signedMetadata } from '../signer/root-trust.ts';
import { openSigners, readLatestTargets, targetsPath } from './key-folder.ts';
import type { OperatorClient } from './operator-client.ts';
import { followServer, loadRoot, metadataPath, type TrustedRoot } from './trusted-root.ts';

const secondsPerDay = 86_400;

/** Where images are published, and with which keys. */
export interface ImageRepository {
  readonly crypto: Crypto;
  readonly client: OperatorClient;
  readonly keysFolder: string;
}

/** The Image repository's current Root and Targets, both verified. */
export interface CurrentTargets {
  readonly trusted: TrustedRoot;
  readonly targets: Targets;
}

/** What comes before version 1. */
const noTargets: Targets = {
  type: roles.targets,
  formatVersion: 1,
  version: 0,
  expires: 0,
  targets: [],
};

/**
 * Fetches and verifies the current Targets. An expired file is accepted: publishing renews it.
 * Codes of the client and of `loadRoot`, and `signature-…`, `metadata-rollback` (the server shows an
 * older version than was published from this keys folder), `metadata-changed-in-place`.
 */
export async function fetchTargets(repository: ImageRepository): Promise<CurrentTargets | Refusal> {
  const { crypto, client, keysFolder } = repository;
  const anchor = await loadRoot(crypto, keysFolder, 'images');
  if (isRefusal(anchor)) return anchor;
  const trusted = await followServer(crypto, anchor, client);
  if (isRefusal(trusted)) return trusted;
  const status = await client.get('/status', statusAnswer);
  if (isRefusal(status)) return status;
  const version = status.imagesVersions.find(({ key }) => key === 'targets')?.value;
  const kept = readLatestTargets(keysFolder);
  if (isRefusal(kept)) return kept;
  if (version === undefined) {
    // A new server that could not take over the ceremony's Targets: they are version 1 still.
    return kept === undefined || kept.version === 1
      ? { trusted, targets: noTargets }
      : refuse(
          'metadata-rollback',
          `the server has no image Targets, ${kept.version} were published`,
        );
  }
  const path = metadataPath('images', `${version}.targets.cbor`);
  const bytes = await client.getFile(path, maxTargetsBytes);
  if (isRefusal(bytes)) return bytes;
  const ours = kept !== undefined && compareBytes(kept.bytes, bytes) === 0;
  const targets = ours ? reopenTargets(bytes) : verifyTargets(crypto, trusted, bytes);
  if (isRefusal(targets)) return targets;
  // A server that went back would make this tool sign a second, different file of one version.
  if (kept !== undefined && targets.version < kept.version) {
    const what = `the server has image Targets ${targets.version}, ${kept.version} were published`;
    return refuse('metadata-rollback', what);
  }
  if (kept !== undefined && targets.version === kept.version && !ours) {
    const what = `the server's image Targets ${kept.version} are not those that were published`;
    return refuse('metadata-changed-in-place', what);
  }
  return { trusted, targets };
}

/** The file that was published from this very folder: good even if its key was replaced since. */
function reopenTargets(bytes: Uint8Array): Targets | Refusal {
  const envelope = decodeEnvelope(bytes, maxTargetsBytes);
  return isRefusal(envelope) ? envelope : openTargets(envelope);
}

/** Checks signatures and type of Image-repository Targets under a trusted Root. */
export function verifyTargets(
  crypto: Crypto,
  trusted: TrustedRoot,
  bytes: Uint8Array,
): Targets | Refusal {
  const authority = roleAuthority(crypto, trusted.root, 'targets');
  if (isRefusal(authority)) return authority;
  const envelope = decodeEnvelope(bytes, maxTargetsBytes);
  if (isRefusal(envelope)) return envelope;
  const refusal = verifyEnvelope(crypto, envelope, authority, signedMetadata);
  if (refusal !== undefined) return refusal;
  return openTargets(envelope);
}

function openTargets(envelope: Envelope): Targets | Refusal {
  const targets = decode(targetsSchema, envelope.payload, maxTargetsBytes);
  if (isRefusal(targets)) return targets;
  // The Director's Targets name a vehicle: they are never the Image repository's.
  return targets.vehicleId === undefined
    ? targets
    : refuse('metadata-role-type', 'Targets of a vehicle where those of images are expected');
}

/** A signed next version, not yet published. */
export interface SignedTargets {
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** Opens the offline keys that sign Targets under a Root; codes of `openSigners`. */
export function targetsSigners(
  repository: ImageRepository,
  trusted: TrustedRoot,
  passphrase: string,
): readonly Signer[] | Refusal {
  const authority = roleAuthority(repository.crypto, trusted.root, 'targets');
  if (isRefusal(authority)) return authority;
  return openSigners(repository.keysFolder, 'images', 'targets', authority, passphrase);
}

/**
 * Signs the next version with `listed` as its images.
 * Code `body-too-large`: vehicles would refuse a file of that size.
 * @param expires unix seconds
 */
export function signNextTargets(
  crypto: Crypto,
  current: Targets,
  listed: readonly Target[],
  expires: number,
  signers: readonly Signer[],
): SignedTargets | Refusal {
  if (listed.length > maxTargetsPerFile) return tooLarge(`${listed.length} images`);
  const version = current.version + 1;
  const payload = encode(targetsSchema, { ...current, version, expires, targets: listed });
  const bytes = signEnvelope(crypto, signers, 'metadata', payload);
  return bytes.length > maxTargetsBytes ? tooLarge(`${bytes.length} bytes`) : { version, bytes };
}

function tooLarge(what: string): Refusal {
  return refuse(
    'body-too-large',
    `Targets of ${what}: vehicles accept ${maxTargetsBytes} bytes and ${maxTargetsPerFile} ` +
      `images. Remove images that no vehicle needs ('ota image remove')`,
  );
}

/** Publishes signed Targets and keeps a copy beside the Roots. */
export async function putTargets(
  repository: ImageRepository,
  signed: SignedTargets,
): Promise<PublishAnswer | Refusal> {
  const path = metadataPath('images', `${signed.version}.targets.cbor`);
  const answer = await repository.client.putFile(path, signed.bytes, publishAnswer);
  if (!isRefusal(answer)) {
    writeDurableFile(targetsPath(repository.keysFolder, signed.version), signed.bytes);
  }
  return answer;
}

/**
 * Fetches, changes, signs and publishes; begins again when another operator was faster.
 * @param change the new list of images, or why there is none
 */
export async function editTargets(
  repository: ImageRepository,
  passphrase: string,
  expires: number,
  change: (current: Targets) => readonly Target[] | Refusal,
): Promise<PublishAnswer | Refusal> {
  let refused: Refusal | undefined;
  for (let attempt = 0; attempt < 3; attempt++) {
    const current = await fetchTargets(repository);
    if (isRefusal(current)) return current;
    const listed = change(current.targets);
    if (isRefusal(listed)) return listed;
    const signers = targetsSigners(repository, current.trusted, passphrase);
    if (isRefusal(signers)) return signers;
    const signed = signNextTargets(repository.crypto, current.targets, listed, expires, signers);
    if (isRefusal(signed)) return signed;
    const answer = await putTargets(repository, signed);
    if (!isRefusal(answer) || answer.refused !== 'metadata-not-next') return answer;
    refused = answer;
  }
  return refused!;
}

/** Seconds since 1970, `days` from now. */
export function daysFromNow(days: number): number {
  return Math.floor(Date.now() / 1_000) + days * secondsPerDay;
}
