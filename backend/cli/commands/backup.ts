/** `ota backup` and `ota restore`: the state of a backend on this machine, while it works. */
import { resolve } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import type { Configuration } from '../../configuration.ts';
import { readStores } from '../../engine-settings.ts';
import {
  type BackupPlaces,
  type BackupSummary,
  restoreBackup,
  writeBackup,
} from '../../store/backup.ts';
import type { OpenDatabase } from '../../store/database.ts';
import { openPostgres } from '../../store/open-database.ts';
import { markRestored } from '../../store/restores.ts';
import { SqliteDatabase } from '../../store/sqlite.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Options, Outcome } from '../command.ts';
import { time } from '../format.ts';

const stateOption: Options = {
  state: { value: 'DIR', help: "the backend's state folder (OTA_STATE; default out/backend)" },
};

const images = 'Images in an S3-compatible store are copied, too (S3_ENDPOINT and the rest).';

export const backupCommands: readonly Command[] = [
  {
    name: 'backup',
    summary: 'Copy the state of a running backend: database and images',
    positionals: [],
    options: { out: { value: 'DIR', help: 'the backup to make', required: true }, ...stateOption },
    notes: [
      'No private key is in a backup: keep the keys folder by itself, sealed as it is.',
      'Make one after each release that is published; see docs/operations.md.',
      images,
    ],
    run: backUp,
  },
  {
    name: 'restore',
    summary: 'Make a state folder of a backup, for a backend that is not running',
    positionals: [],
    options: {
      from: { value: 'DIR', help: 'the backup; none: only mark a PostgreSQL' },
      ...stateOption,
    },
    notes: [
      'The state folder must not exist yet, or be empty: nothing is overwritten.',
      'Each vehicle is signed for again once it has reported what it holds.',
      images,
    ],
    run: restore,
  },
];

async function backUp(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const stores = storesOf(given, context);
  if (isRefusal(stores)) return stores;
  if (stores.database !== undefined) {
    const advice = 'PostgreSQL is backed up by its own tools (docs/operations.md)';
    return refuse('argument-invalid', `DATABASE_URL is set: ${advice}`);
  }
  const places = placesOf(stores, given.optional('out')!, context);
  const summary = await writeBackup(places, Math.floor(Date.now() / 1_000));
  return isRefusal(summary) ? summary : outcomeOf('backup', places.folder, summary);
}

async function restore(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const stores = storesOf(given, context);
  if (isRefusal(stores)) return stores;
  const from = given.optional('from');
  if (stores.database !== undefined) {
    if (from === undefined) return markPostgres(stores.database.url);
    const advice = 'restore PostgreSQL by its own tools, then run ota restore without --from';
    return refuse('argument-invalid', `DATABASE_URL is set: ${advice}`);
  }
  if (from === undefined) return refuse('argument-invalid', '--from is needed: the backup');
  const places = placesOf(stores, from, context);
  const summary = await restoreBackup(places, (path) => mark(new SqliteDatabase(path)));
  return isRefusal(summary) ? summary : outcomeOf('state', places.stateFolder, summary);
}

async function mark(database: OpenDatabase): Promise<void> {
  try {
    await markRestored(database, Math.floor(Date.now() / 1_000));
  } finally {
    await database.close();
  }
}

async function markPostgres(url: string): Promise<Outcome | Refusal> {
  const database = await openPostgres(url, 2);
  if (isRefusal(database)) return database;
  await mark(database);
  return { lines: ['the database is marked as restored'], json: { restored: true } };
}

function storesOf(given: Arguments, context: Context) {
  const stores = readStores(context.environment);
  if (isRefusal(stores)) return stores;
  return { ...stores, stateFolder: resolve(given.optional('state') ?? stores.stateFolder) };
}

function placesOf(
  { stateFolder, s3 }: Pick<Configuration, 'stateFolder' | 's3'>,
  backup: string,
  { progress }: Context,
): BackupPlaces {
  return { stateFolder, s3, folder: resolve(backup), progress };
}

function outcomeOf(what: string, folder: string, summary: BackupSummary): Outcome {
  const { created, vehicles, images: count, imageBytes } = summary;
  return {
    lines: [
      `${what}  ${folder}`,
      `of      ${time(created)}`,
      `holds   ${vehicles} vehicles, ${count} images of ${imageBytes} bytes`,
    ],
    json: { folder, created, vehicles, images: count, imageBytes },
  };
}
