/**
 * Writes a medium for offline updates (PURE-2, OFF-03; its layout: docs/POUF.md §5.13), and judges
 * it with the ECUs' own code, as every vehicle that it is for will.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode, type Schema } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxImageBytes, maxSnapshotBytes, maxTargetsBytes } from '../../agent/limits.ts';
import { hashAlgorithms, type RepositoryName } from '../../agent/metadata/common.ts';
import { snapshot as snapshotSchema } from '../../agent/metadata/snapshot.ts';
import {
  type ImageKindName,
  imageKinds,
  type Target,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import { cborMetadata } from '../../agent/verify/cbor-metadata.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { OfflineFullVerification } from '../../agent/verify/offline-full-verification.ts';
import type { VerifierEcu } from '../../agent/verify/verification.ts';
import type { Crypto } from '../../hal/types.ts';
import { statusAnswer, type VehicleView } from '../http/messages.ts';
import { readSmallFile, syncFolder, writeDurableFile } from '../signer/durable-file.ts';
import { hex } from './format.ts';
import type { Campaign } from './offline-campaign.ts';
import type { OperatorClient } from './operator-client.ts';
import { metadataPath } from './trusted-root.ts';

/** The latest Image Snapshot and every Targets file that it lists. */
export interface ImageMetadata {
  readonly snapshot: Uint8Array;
  readonly files: readonly {
    readonly name: string;
    readonly bytes: Uint8Array;
    readonly targets: readonly Target[];
  }[];
}

/** Fetches them from the server; only the judgement of the whole medium verifies them. */
export async function fetchImageMetadata(client: OperatorClient): Promise<ImageMetadata | Refusal> {
  const status = await client.get('/status', statusAnswer);
  if (isRefusal(status)) return status;
  const version = status.imagesVersions.find(({ key }) => key === 'snapshot')?.value;
  if (version === undefined) return refuse('metadata-absent', 'no image was published yet');
  const get = (name: string, maxBytes: number) =>
    client.getFile(metadataPath('images', name), maxBytes);
  const snapshot = await get(`${version}.snapshot.cbor`, maxSnapshotBytes);
  if (isRefusal(snapshot)) return snapshot;
  const listed = payloadOf(snapshotSchema, snapshot, maxSnapshotBytes);
  if (isRefusal(listed)) return listed;
  const files: { name: string; bytes: Uint8Array; targets: readonly Target[] }[] = [];
  for (const { key, value } of listed.versions) {
    const name = `${value}.${key}.cbor`;
    const bytes = await get(name, maxTargetsBytes);
    if (isRefusal(bytes)) return bytes;
    const content = payloadOf(targetsSchema, bytes, maxTargetsBytes);
    if (isRefusal(content)) return content;
    files.push({ name, bytes, targets: content.targets });
  }
  return { snapshot, files };
}

/** The entries of images by filename. Code `image-not-listed`. */
export function findTargets(
  { files }: ImageMetadata,
  filenames: readonly string[],
): readonly Target[] | Refusal {
  const found: Target[] = [];
  for (const filename of filenames) {
    const target = files.flatMap(({ targets }) => targets).find((one) => one.filename === filename);
    if (target === undefined) return refuse('image-not-listed', `${filename} is not published`);
    found.push(target);
  }
  return found;
}

function payloadOf<T>(schema: Schema<T>, file: Uint8Array, maxBytes: number): T | Refusal {
  const envelope = decodeEnvelope(file, maxBytes);
  return isRefusal(envelope) ? envelope : decode(schema, envelope.payload, maxBytes);
}

export interface MediumContents {
  /** Every Root of each repository, version 1 first. */
  readonly roots: Readonly<Record<RepositoryName, readonly Uint8Array[]>>;
  readonly images: ImageMetadata;
  readonly campaign: Campaign;
  readonly targets: readonly Target[];
}

/** Writes everything below `folder`, which nobody uses yet. Codes of the client, `image-hash`. */
export async function writeMedium(
  crypto: Crypto,
  client: OperatorClient,
  folder: string,
  { roots, images, campaign, targets }: MediumContents,
): Promise<Refusal | undefined> {
  for (const name of ['director', 'images', 'keys', 'targets']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  const write = (name: string, bytes: Uint8Array) => writeDurableFile(join(folder, name), bytes);
  for (const repository of ['director', 'images'] as const) {
    roots[repository].forEach((bytes, i) => {
      write(`${repository}/${i + 1}.root.cbor`, bytes);
    });
  }
  write('director/offline-snapshot.cbor', campaign.snapshot);
  write('director/offline-targets.cbor', campaign.targets);
  write('images/snapshot.cbor', images.snapshot);
  for (const { name, bytes } of images.files) write(`images/${name}`, bytes);
  for (const bytes of campaign.keyObjects) {
    write(`keys/${hex(crypto.digest('SHA-256', bytes))}`, bytes);
  }
  for (const target of targets) {
    const refused = await writeImage(crypto, client, folder, target);
    if (refused !== undefined) return refused;
  }
  for (const name of ['director', 'images', 'keys', 'targets', '.']) syncFolder(join(folder, name));
  return undefined;
}

/** Streams one ciphertext to its file and compares its hash and length (PRI-09). */
async function writeImage(
  crypto: Crypto,
  client: OperatorClient,
  folder: string,
  target: Target,
): Promise<Refusal | undefined> {
  const listed = target.hashes.find(({ key }) => key === hashAlgorithms['SHA-256']);
  if (listed === undefined) return refuse('hash-missing', target.filename);
  const name = `${hex(listed.value)}.${target.filename}`;
  const digest = crypto.createDigest('SHA-256');
  const file = openSync(join(folder, 'targets', name), 'wx');
  try {
    const path = `/images/targets/${name}`;
    const refused = await client.download(path, Math.min(target.length, maxImageBytes), (piece) => {
      digest.update(piece);
      for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
    });
    if (refused !== undefined) return refused;
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return hex(digest.finish()) === hex(listed.value)
    ? undefined
    : refuse('image-hash', `${target.filename}: the server sent something else`);
}

/**
 * Runs the ECUs' verification over the medium, for one vehicle from the ceremony's Roots on.
 * @param now unix seconds
 * @returns codes of OFF-04; `assignment-refused` when an ECU would find no image for itself
 */
export function judgeMedium(
  crypto: Crypto,
  folder: string,
  vehicle: VehicleView,
  wanted: number,
  now: number,
): Refusal | undefined {
  const values = new Map<string, Uint8Array>();
  const store = new MetadataStore({
    read: (key) => values.get(key),
    write: (key, value) => void values.set(key, value),
    delete: (key) => void values.delete(key),
  });
  for (const repository of ['director', 'images'] as const) {
    const root = readSmallFile(join(folder, repository, '1.root.cbor'), maxTargetsBytes * 2);
    if (isRefusal(root)) return root;
    store.writeRoot(repository, 1, root);
  }
  const verification = new OfflineFullVerification({
    crypto,
    format: cborMetadata,
    profile: 'composite',
    vehicleId: vehicle.vehicleId,
    ecus: vehicle.ecus.map(verifierOf),
    everyEcu: false,
    store,
    now,
  });
  for (let ask = verification.ask(); ask !== undefined; ask = verification.ask()) {
    const file = readSmallFile(join(folder, ask.repository, ask.name), ask.maxBytes);
    if (isRefusal(file) && !ask.name.endsWith('.root.cbor')) return file;
    const refused = verification.supply(isRefusal(file) ? undefined : file);
    if (refused !== undefined) {
      return { ...refused, detail: `${vehicle.vehicleId} would refuse this: ${refused.detail}` };
    }
  }
  const decision = verification.decision();
  if (isRefusal(decision)) return decision;
  const found = decision.assignments.length;
  return found === wanted
    ? undefined
    : refuse('assignment-refused', `${vehicle.vehicleId}: ${found} of ${wanted} ECUs take it`);
}

/** The inventory knows an ECU's hardware; its slots and interface versions only the ECU itself. */
function verifierOf({ ecuId, hardwareId }: VehicleView['ecus'][number]): VerifierEcu {
  return {
    ecuId,
    hardwareId,
    kinds: Object.keys(imageKinds) as ImageKindName[],
    installed: undefined,
    counter: 0,
    bytecodeVersion: undefined,
    halVersion: undefined,
    maxPlaintextBytes: maxImageBytes,
  };
}
