/**
 * `ota offline bundle`: composes a campaign, writes its medium, has it judged by the ECUs' code, and
 * publishes the Offline Snapshot, so that connected vehicles know it too (OFF-05). The medium appears
 * complete under its name or not at all.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxOfflineSnapshotBytes } from '../../agent/limits.ts';
import type { RepositoryName } from '../../agent/metadata/common.ts';
import type { OfflineSnapshot } from '../../agent/metadata/offline.ts';
import type { Crypto } from '../../hal/types.ts';
import { publishAnswer } from '../http/messages.ts';
import { readSmallFile, reasonOf, syncFolder, writeDurableFile } from '../signer/durable-file.ts';
import { roleAuthority } from '../signer/root-trust.ts';
import { openSigners, readRoot, rootPath } from './key-folder.ts';
import {
  type Campaign,
  type CampaignOptions,
  composeCampaign,
  openOfflineSnapshot,
} from './offline-campaign.ts';
import { fetchImageMetadata, findTargets, judgeMedium, writeMedium } from './offline-medium.ts';
import type { OperatorClient } from './operator-client.ts';
import { followServer, loadRoot, type TrustedRoot } from './trusted-root.ts';

export interface OfflineBundleOptions
  extends Omit<CampaignOptions, 'targets' | 'crypto' | 'client'> {
  readonly crypto: Crypto;
  readonly client: OperatorClient;
  readonly keysFolder: string;
  readonly passphrase: string;
  /** The medium's folder; it must not exist, or be empty. */
  readonly out: string;
  readonly filenames: readonly string[];
  /** Unix seconds. */
  readonly now: number;
  progress?(line: string): void;
}

/**
 * Makes a medium. Codes `argument-invalid`, those of `composeCampaign`, `writeMedium` and
 * `judgeMedium`, of the keys folder and of the server.
 */
export async function makeOfflineBundle(
  options: OfflineBundleOptions,
): Promise<Campaign | Refusal> {
  const { client, crypto, filenames, keysFolder } = options;
  const out = resolve(options.out);
  if (existsSync(out) && readdirSync(out).length > 0) {
    return refuse('argument-invalid', `${out} has content already`);
  }
  const director = await currentRoot(options, 'director');
  if (isRefusal(director)) return director;
  const imagesRoot = await currentRoot(options, 'images');
  if (isRefusal(imagesRoot)) return imagesRoot;
  const signers = openRoles(options, director);
  if (isRefusal(signers)) return signers;
  const previous = await newestSnapshot(keysFolder, client);
  if (isRefusal(previous)) return previous;
  const images = await fetchImageMetadata(client);
  if (isRefusal(images)) return images;
  const targets = findTargets(images, filenames);
  if (isRefusal(targets)) return targets;
  const campaign = await composeCampaign({ ...options, targets }, previous, signers);
  if (isRefusal(campaign)) return campaign;
  options.progress?.(`${campaign.assignments.length} ECUs get an image`);

  const roots = {
    director: allRoots(keysFolder, director),
    images: allRoots(keysFolder, imagesRoot),
  };
  const temporary = prepare(out);
  if (typeof temporary !== 'string') return temporary;
  try {
    const contents = { roots, images, campaign, targets };
    const refused =
      (await writeMedium(crypto, client, temporary, contents)) ??
      judgeForAll(options, temporary, campaign) ??
      (await publish(options, campaign));
    if (refused !== undefined) return refused;
    renameSync(temporary, out);
    syncFolder(dirname(out));
    return campaign;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

async function currentRoot(
  { crypto, client, keysFolder }: OfflineBundleOptions,
  repository: RepositoryName,
): Promise<TrustedRoot | Refusal> {
  const local = await loadRoot(crypto, keysFolder, repository);
  if (isRefusal(local)) return local;
  return followServer(crypto, local, client, ({ root: { version }, bytes }) =>
    writeDurableFile(rootPath(keysFolder, repository, version), bytes),
  );
}

/** OFF-03: all Roots 1 … n. */
function allRoots(keysFolder: string, { repository, root }: TrustedRoot): readonly Uint8Array[] {
  const files: Uint8Array[] = [];
  for (let version = 1; version <= root.version; version++) {
    const bytes = readRoot(keysFolder, repository, version);
    if (isRefusal(bytes)) throw new Error(`${repository} Root ${version}: ${bytes.detail}`);
    files.push(bytes);
  }
  return files;
}

/** OFF-01: the operator's own keys of both roles. */
function openRoles(
  { crypto, keysFolder, passphrase }: OfflineBundleOptions,
  { root }: TrustedRoot,
) {
  const open = (role: 'offline-snapshot' | 'offline-targets') => {
    const authority = roleAuthority(crypto, root, role);
    if (isRefusal(authority)) return refuse(authority.refused, authority.detail, 'OFF-01');
    return openSigners(keysFolder, 'director', role, authority, passphrase);
  };
  const snapshot = open('offline-snapshot');
  if (isRefusal(snapshot)) return snapshot;
  const targets = open('offline-targets');
  return isRefusal(targets) ? targets : { snapshot, targets };
}

function copyPath(keysFolder: string): string {
  return join(keysFolder, 'director', 'offline-snapshot.cbor');
}

/** The server's, or this folder's own when that is newer: after a restore the server may be behind. */
async function newestSnapshot(
  keysFolder: string,
  client: OperatorClient,
): Promise<OfflineSnapshot | undefined | Refusal> {
  const local = existsSync(copyPath(keysFolder))
    ? readSmallFile(copyPath(keysFolder), maxOfflineSnapshotBytes)
    : undefined;
  if (isRefusal(local)) return local;
  const kept = local && openOfflineSnapshot(local);
  if (isRefusal(kept)) return kept;
  const remote = await client.getFile('/offline/snapshot', maxOfflineSnapshotBytes);
  if (isRefusal(remote)) return remote.refused === 'metadata-absent' ? kept : remote;
  const published = openOfflineSnapshot(remote);
  if (isRefusal(published)) return published;
  return kept !== undefined && kept.version > published.version ? kept : published;
}

function judgeForAll(
  { crypto, now, progress }: OfflineBundleOptions,
  folder: string,
  { assignments, vehicles }: Campaign,
): Refusal | undefined {
  for (const vehicle of vehicles) {
    const wanted = assignments.filter((one) => one.vehicleId === vehicle.vehicleId).length;
    const refused = judgeMedium(crypto, folder, vehicle, wanted, now);
    if (refused !== undefined) return refused;
    progress?.(`${vehicle.vehicleId} will take it`);
  }
  return undefined;
}

async function publish(
  { client, keysFolder }: OfflineBundleOptions,
  { snapshot }: Campaign,
): Promise<Refusal | undefined> {
  // Kept first: a version that may have been seen is never signed twice.
  writeDurableFile(copyPath(keysFolder), snapshot);
  const answer = await client.putFile('/offline/snapshot', snapshot, publishAnswer);
  return isRefusal(answer) ? answer : undefined;
}

function prepare(out: string): string | Refusal {
  try {
    mkdirSync(dirname(out), { recursive: true });
    return mkdtempSync(join(dirname(out), `.${basename(out)}.incomplete-`));
  } catch (error) {
    return refuse('argument-invalid', `${out}: ${reasonOf(error)}`);
  }
}
