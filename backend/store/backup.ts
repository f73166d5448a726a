/**
 * Backups of a state folder, taken while the backend works on it, and their return.
 *
 * A backup is a folder: `director.sqlite`, one consistent copy of the database; `blobs/`, every image
 * that this copy knows; `backup.json`, written last, with the database's SHA-256. It holds no private
 * key: content keys are sealed to a key of the keys folder, which is kept apart (docs/operations.md).
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { backup as copyDatabase, DatabaseSync } from 'node:sqlite';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxImageBytes } from '../../agent/limits.ts';
import { readSmallFile, reasonOf, syncFolder, writeDurableFile } from '../signer/durable-file.ts';
import { type BlobStore, toHex } from './blobs.ts';
import { FileBlobs } from './file-blobs.ts';
import { openBlobs } from './open-blobs.ts';
import { databaseName } from './open-database.ts';
import type { S3Settings } from './s3-client.ts';

const summaryName = 'backup.json';
const blobsName = 'blobs';
const formatVersion = 1;
const maxSummaryBytes = 4_096;

/** What a backup says of itself, in `backup.json`. */
export interface BackupSummary {
  readonly format: number;
  /** Unix seconds at which the database was copied. */
  readonly created: number;
  /** Lower-case hex. */
  readonly databaseSha256: string;
  readonly databaseBytes: number;
  readonly vehicles: number;
  readonly images: number;
  readonly imageBytes: number;
}

export interface BackupPlaces {
  /** `OTA_STATE` of the backend. */
  readonly stateFolder: string;
  /** The images' store where it is none of files in the state folder. */
  readonly s3?: S3Settings | undefined;
  /** The backup. */
  readonly folder: string;
  /** One line a step, for a person. */
  progress(line: string): void;
}

interface ImageRow {
  readonly sha256: Uint8Array;
  readonly length: number;
}

/**
 * Copies the state of a backend that may be at work. The database goes first: an image that it knows
 * is in the store already, and stays there.
 * @param now unix seconds
 * @returns codes `file-unreadable` (no state there), `file-unwritable` (the folder exists, or cannot
 *   be written), `image-hash` (an image of the store is damaged)
 */
export async function writeBackup(
  { stateFolder, s3, folder, progress }: BackupPlaces,
  now: number,
): Promise<BackupSummary | Refusal> {
  const source = join(stateFolder, databaseName);
  if (!existsSync(source)) return refuse('file-unreadable', `${source}: no such file or folder`);
  return inNewFolder(folder, async (partial) => {
    const copy = join(partial, databaseName);
    progress('database …');
    const refused = await copyWhole(source, copy);
    if (refused !== undefined) return refused;
    const { rows, vehicles } = readCopy(copy);
    const target = join(partial, blobsName);
    const store = await openBlobs({ stateFolder, s3 }, true);
    const images = await copyImages(rows, store, FileBlobs.open(target), progress);
    if (isRefusal(images)) return images;
    rmSync(join(target, 'incoming'), { recursive: true, force: true });
    const summary: BackupSummary = {
      format: formatVersion,
      created: now,
      databaseSha256: await digestOf(copy),
      databaseBytes: statSync(copy).size,
      vehicles,
      ...images,
    };
    const text = `${JSON.stringify(summary, undefined, 2)}\n`;
    writeDurableFile(join(partial, summaryName), Buffer.from(text), 0o600);
    return summary;
  });
}

/**
 * Makes a state folder of a backup: every byte is compared with its digest before the folder appears.
 * @param mark marks the database at a path as restored
 * @returns codes `file-unreadable`, `backup-invalid`, `image-hash`, `file-unwritable` (a state is
 *   there already: it is never overwritten)
 */
export async function restoreBackup(
  { stateFolder, s3, folder, progress }: BackupPlaces,
  mark: (databasePath: string) => Promise<void>,
): Promise<BackupSummary | Refusal> {
  const summary = readSummary(folder);
  if (isRefusal(summary)) return summary;
  const source = join(folder, databaseName);
  return inNewFolder(stateFolder, async (partial) => {
    const copy = join(partial, databaseName);
    progress('database …');
    await copyFile(source, copy);
    if ((await digestOf(copy)) !== summary.databaseSha256) {
      return refuse('backup-invalid', `${source}: not the database that ${summaryName} names`);
    }
    const { rows } = readCopy(copy);
    const store = new FileBlobs(join(folder, blobsName));
    const target = await openBlobs({ stateFolder: partial, s3 }, true);
    const images = await copyImages(rows, store, target, progress);
    if (isRefusal(images)) return images;
    await mark(copy);
    await syncFile(copy);
    return summary;
  });
}

/** Fills `folder` under another name; it appears whole and durable, or not at all. */
async function inNewFolder<T>(
  folder: string,
  fill: (partial: string) => Promise<T | Refusal>,
): Promise<T | Refusal> {
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    return refuse('file-unwritable', `${folder} is not empty: choose another, or move it away`);
  }
  const partial = `${folder}.partial`;
  try {
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true, mode: 0o700 });
    const filled = await fill(partial);
    if (isRefusal(filled)) return filled;
    syncFolder(partial);
    // An empty folder of that name gives way.
    renameSync(partial, folder);
    syncFolder(dirname(folder));
    return filled;
  } catch (error) {
    return refuse('file-unwritable', `${folder}: ${reasonOf(error)}`);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/**
 * SQLite's online backup, in one step: a reader of the write-ahead log, so the backend's writers do
 * not wait, and what they write meanwhile does not begin it anew.
 */
async function copyWhole(source: string, copy: string): Promise<Refusal | undefined> {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(source, { readOnly: true, timeout: 5_000 });
    await copyDatabase(database, copy, { rate: wholeDatabase });
  } catch (error) {
    return refuse('file-unreadable', `${source}: ${reasonOf(error)}`);
  } finally {
    database?.close();
  }
  return undefined;
}

/** More pages than a database can have. */
const wholeDatabase = 2_147_483_647;

/** Checks a copy, makes it one file, and reads what images belong to it. */
function readCopy(path: string): { rows: readonly ImageRow[]; vehicles: number } {
  const database = new DatabaseSync(path);
  try {
    database.exec('PRAGMA journal_mode = DELETE');
    const [first] = database.prepare('PRAGMA integrity_check').all();
    if (first?.['integrity_check'] !== 'ok') throw new Error(JSON.stringify(first));
    const rows = database.prepare('SELECT DISTINCT sha256, length FROM images').all();
    const count = database.prepare('SELECT count(*) AS count FROM vehicles').get();
    return { rows: rows as unknown as readonly ImageRow[], vehicles: Number(count?.['count']) };
  } finally {
    database.close();
  }
}

/** Copies images, each compared with its name and length. Codes `image-hash`, `file-unreadable`. */
async function copyImages(
  rows: readonly ImageRow[],
  from: BlobStore,
  to: BlobStore,
  progress: (line: string) => void,
): Promise<{ images: number; imageBytes: number } | Refusal> {
  let imageBytes = 0;
  for (const [i, { sha256, length }] of rows.entries()) {
    progress(`image ${i + 1} of ${rows.length} …`);
    if (!(await from.has(sha256))) {
      return refuse('file-unreadable', `image ${toHex(sha256)} is not in its store`);
    }
    const bytes = await from.read(sha256, 0, length);
    const received = await to.receive(bytes, maxImageBytes, async (read) =>
      read.length === length && Buffer.compare(read.sha256, sha256) === 0
        ? undefined
        : refuse('image-hash', `${toHex(sha256)}: its bytes are others, the store is damaged`),
    );
    if (isRefusal(received)) return received;
    imageBytes += length;
  }
  return { images: rows.length, imageBytes };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest('hex');
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.sync();
  await file.close();
}

function readSummary(folder: string): BackupSummary | Refusal {
  const path = join(folder, summaryName);
  const bytes = readSmallFile(path, maxSummaryBytes);
  if (isRefusal(bytes)) return bytes;
  let summary: Partial<BackupSummary> | null;
  try {
    summary = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<BackupSummary> | null;
  } catch {
    return refuse('backup-invalid', `${path}: no JSON`);
  }
  if (summary?.format !== formatVersion) {
    return refuse('backup-invalid', `${path}: expected format ${formatVersion}`);
  }
  if (!/^[0-9a-f]{64}$/.test(summary.databaseSha256 ?? '')) {
    return refuse('backup-invalid', `${path}: expected databaseSha256 in hex`);
  }
  return summary as BackupSummary;
}
