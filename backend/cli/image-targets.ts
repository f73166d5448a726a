/**
 * The Image repository's Targets as the operator edits them, the top level and what it delegates:
 * fetched, verified under the operator's own Roots, changed, signed with the offline keys, published
 * as the next version.
 */
import { decodeEnvelope, type Envelope } from '../../agent/codec/cose-sign.ts';
import { compareBytes } from '../../agent/codec/reader.ts';
import { decode, encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { maxRolesPerSnapshot, maxTargetsBytes, maxTargetsPerFile } from '../../agent/limits.ts';
import { roles } from '../../agent/metadata/common.ts';
import { type Targets, targets as targetsSchema } from '../../agent/metadata/targets.ts';
import type { Crypto } from '../../hal/types.ts';
import { publicationAnswer, publicationRequest, statusAnswer } from '../http/messages.ts';
import { writeDurableFile } from '../signer/durable-file.ts';
import { delegatedAuthority, roleAuthority, signedMetadata } from '../signer/root-trust.ts';
import {
  type NamedKeys,
  openDelegatedSigners,
  openSigners,
  readLatestTargets,
  targetsPath,
} from './key-folder.ts';
import type { OperatorClient } from './operator-client.ts';
import { followServer, loadRoot, metadataPath, type TrustedRoot } from './trusted-root.ts';

const secondsPerDay = 86_400;

/** Where images are published, and with which keys. */
export interface ImageRepository {
  readonly crypto: Crypto;
  readonly client: OperatorClient;
  readonly keysFolder: string;
}

/** One Targets file of the Image repository. */
export interface RoleFile {
  /** `targets` for the top level. */
  readonly role: string;
  /** Version 0 before the first. */
  readonly targets: Targets;
  /** Who signs it: by Root, or by the first delegation that names the role. */
  readonly authority: NamedKeys;
}

/** The Image repository's current Root and Targets, all verified: the top level comes first. */
export interface ImageLists {
  readonly trusted: TrustedRoot;
  readonly files: readonly RoleFile[];
  /** Every role that the server ever had: a Snapshot never forgets one (CSN-06). */
  readonly known: readonly string[];
}

/** What comes before version 1. */
export const noTargets: Targets = {
  type: roles.targets,
  formatVersion: 1,
  version: 0,
  expires: 0,
  targets: [],
};

/**
 * Fetches and verifies the current Targets of every role. An expired file is accepted: publishing
 * renews it. Codes of the client and of `loadRoot`, and `signature-…`, `metadata-rollback` (the
 * server shows an older version than was published from this keys folder),
 * `metadata-changed-in-place`, `delegation-limit`.
 */
export async function fetchLists(repository: ImageRepository): Promise<ImageLists | Refusal> {
  const { crypto, client, keysFolder } = repository;
  const anchor = await loadRoot(crypto, keysFolder, 'images');
  if (isRefusal(anchor)) return anchor;
  const trusted = await followServer(crypto, anchor, client);
  if (isRefusal(trusted)) return trusted;
  const status = await client.get('/status', statusAnswer);
  if (isRefusal(status)) return status;
  const versionOf = (role: string) => status.imagesVersions.find(({ key }) => key === role)?.value;
  const authority = roleAuthority(crypto, trusted.root, 'targets');
  if (isRefusal(authority)) return authority;
  const files: RoleFile[] = [];
  const wanted: { role: string; authority: NamedKeys }[] = [{ role: 'targets', authority }];
  for (let next = wanted.shift(); next !== undefined; next = wanted.shift()) {
    const { role } = next;
    if (files.some((file) => file.role === role)) continue;
    if (files.length >= maxRolesPerSnapshot) return refuse('delegation-limit', 'too many roles');
    const targets = await fetchRole(repository, next, versionOf(role));
    if (isRefusal(targets)) return targets;
    files.push({ ...next, targets });
    const below = delegatedRoles(crypto, targets);
    if (isRefusal(below)) return below;
    wanted.push(...below);
  }
  return { trusted, files, known: status.imagesVersions.map(({ key }) => key) };
}

/** The roles that a file delegates to, in its order. */
function delegatedRoles(crypto: Crypto, { delegations }: Targets) {
  const found: { role: string; authority: NamedKeys }[] = [];
  for (const role of delegations?.delegations.flatMap((one) => one.roles) ?? []) {
    const authority = delegatedAuthority(crypto, delegations!.keys, role);
    if (isRefusal(authority)) return authority;
    found.push({ role: role.name, authority });
  }
  return found;
}

async function fetchRole(
  { crypto, client, keysFolder }: ImageRepository,
  { role, authority }: { readonly role: string; readonly authority: NamedKeys },
  version: number | undefined,
): Promise<Targets | Refusal> {
  const kept = readLatestTargets(keysFolder, role);
  if (isRefusal(kept)) return kept;
  if (version === undefined) {
    // A new server that could not take over the ceremony's Targets: they are version 1 still.
    return kept === undefined || kept.version === 1
      ? noTargets
      : refuse(
          'metadata-rollback',
          `the server has no image Targets of ${role}, ${kept.version} were published`,
        );
  }
  const path = metadataPath('images', `${version}.${role}.cbor`);
  const bytes = await client.getFile(path, maxTargetsBytes);
  if (isRefusal(bytes)) return bytes;
  const ours = kept !== undefined && compareBytes(kept.bytes, bytes) === 0;
  const targets = ours ? reopenTargets(bytes) : verifyTargets(crypto, authority, bytes);
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
  return targets;
}

/** The file that was published from this very folder: good even if its key was replaced since. */
function reopenTargets(bytes: Uint8Array): Targets | Refusal {
  const envelope = decodeEnvelope(bytes, maxTargetsBytes);
  return isRefusal(envelope) ? envelope : openTargets(envelope);
}

/** Checks signatures and type of Image-repository Targets. */
function verifyTargets(crypto: Crypto, authority: NamedKeys, bytes: Uint8Array): Targets | Refusal {
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

/** A file of `fetchLists`; code `delegation-role` when nobody delegates to that role. */
export function fileOf({ files }: ImageLists, role: string): RoleFile | Refusal {
  return (
    files.find((file) => file.role === role) ??
    refuse('delegation-role', `nobody delegates to ${role}; 'ota delegation list' shows who is`)
  );
}

/** What a next version holds: images, and for who delegates, delegations. */
export type Contents = Pick<Targets, 'targets' | 'delegations'>;

/** A signed next version, not yet published. */
export interface SignedTargets {
  readonly role: string;
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** Opens the offline keys that sign a file; codes of `openSigners`. */
export function targetsSigners(
  { keysFolder }: ImageRepository,
  { role, authority }: RoleFile,
  passphrase: string,
): readonly Signer[] | Refusal {
  return role === 'targets'
    ? openSigners(keysFolder, 'images', 'targets', authority, passphrase)
    : openDelegatedSigners(keysFolder, role, authority, passphrase);
}

/**
 * Signs the next version of a file.
 * Code `body-too-large`: vehicles would refuse a file of that size.
 * @param expires unix seconds
 */
export function signNextTargets(
  crypto: Crypto,
  current: RoleFile,
  { targets, delegations }: Contents,
  expires: number,
  signers: readonly Signer[],
): SignedTargets | Refusal {
  const { role } = current;
  if (targets.length > maxTargetsPerFile) return tooLarge(`${targets.length} images`);
  const version = current.targets.version + 1;
  const { type, formatVersion } = current.targets;
  const payload = encode(targetsSchema, {
    ...{ type, formatVersion, version, expires, targets },
    ...(delegations !== undefined && { delegations }),
  });
  const bytes = signEnvelope(crypto, signers, 'metadata', payload);
  return bytes.length > maxTargetsBytes
    ? tooLarge(`${bytes.length} bytes`)
    : { role, version, bytes };
}

function tooLarge(what: string): Refusal {
  return refuse(
    'body-too-large',
    `Targets of ${what}: vehicles accept ${maxTargetsBytes} bytes and ${maxTargetsPerFile} ` +
      `images. Remove images that no vehicle needs ('ota image remove')`,
  );
}

/** The next contents of one file. */
export interface Change {
  readonly role: string;
  readonly contents: Contents;
  /** Who signs a role to which nobody delegated before. */
  readonly authority?: NamedKeys;
}

/** Version of each file that was published. */
export type PublishedVersions = Readonly<Record<string, number>>;

/**
 * Signs the next version of every changed file, and publishes nothing.
 * Codes of `openSigners`, `delegation-role`, `body-too-large`.
 */
export function signChanges(
  repository: ImageRepository,
  passphrase: string,
  expires: number,
  lists: ImageLists,
  changes: readonly Change[],
): readonly SignedTargets[] | Refusal {
  const signed: SignedTargets[] = [];
  for (const { role, contents, authority } of changes) {
    const known = fileOf(lists, role);
    if (isRefusal(known) && authority === undefined) return known;
    const file = isRefusal(known) ? { role, targets: noTargets, authority: authority! } : known;
    const signers = targetsSigners(repository, file, passphrase);
    if (isRefusal(signers)) return signers;
    const one = signNextTargets(repository.crypto, file, contents, expires, signers);
    if (isRefusal(one)) return one;
    signed.push(one);
  }
  return signed;
}

/**
 * Fetches, changes any number of files, signs them and publishes them together: all or none. Begins
 * again when another operator was faster.
 * @param change the files that change, delegators first; or why nothing does
 */
export async function changeLists(
  repository: ImageRepository,
  passphrase: string,
  expires: number,
  change: (lists: ImageLists) => readonly Change[] | Refusal,
): Promise<PublishedVersions | Refusal> {
  let refused: Refusal | undefined;
  for (let attempt = 0; attempt < 3; attempt++) {
    const lists = await fetchLists(repository);
    if (isRefusal(lists)) return lists;
    const changes = change(lists);
    if (isRefusal(changes)) return changes;
    const signed = signChanges(repository, passphrase, expires, lists, changes);
    if (isRefusal(signed)) return signed;
    const answer = await publish(repository, signed);
    if (!isRefusal(answer)) {
      return Object.fromEntries(signed.map(({ role, version }) => [role, version]));
    }
    if (answer.refused !== 'metadata-not-next') return answer;
    refused = answer;
  }
  return refused!;
}

/** Publishes signed files and keeps copies beside the Roots. */
async function publish(
  { client, keysFolder }: ImageRepository,
  signed: readonly SignedTargets[],
): Promise<Refusal | undefined> {
  const files = signed.map(({ role, version, bytes }) => ({ role, version, file: bytes }));
  const path = '/images/publications';
  const answer = await client.post(path, publicationRequest, { files }, publicationAnswer);
  if (isRefusal(answer)) return answer;
  for (const { role, version, bytes } of signed) {
    writeDurableFile(targetsPath(keysFolder, version, role), bytes);
  }
  return undefined;
}

/** `changeLists` for one file; returns its new version. */
export async function editTargets(
  repository: ImageRepository,
  passphrase: string,
  expires: number,
  role: string,
  change: (current: Targets) => Contents | Refusal,
): Promise<number | Refusal> {
  const published = await changeLists(repository, passphrase, expires, (lists) => {
    const file = fileOf(lists, role);
    if (isRefusal(file)) return file;
    const contents = change(file.targets);
    return isRefusal(contents) ? contents : [{ role, contents }];
  });
  return isRefusal(published) ? published : published[role]!;
}

/** A file's own contents: what a renewal signs again. */
export function contentsOf({ targets, delegations }: Contents): Contents {
  return { targets, ...(delegations && { delegations }) };
}

/** Seconds since 1970, `days` from now. */
export function daysFromNow(days: number): number {
  return Math.floor(Date.now() / 1_000) + days * secondsPerDay;
}
