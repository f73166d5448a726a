/** The database that the configuration names: PostgreSQL, or SQLite in the state folder. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { reasonOf } from '../signer/durable-file.ts';
import { DatabaseNewer, type OpenDatabase } from './database.ts';
import { SqliteDatabase } from './sqlite.ts';

/** SQLite's file in the state folder. */
export const databaseName = 'director.sqlite';

interface Place {
  readonly stateFolder: string;
  readonly database?: { readonly url: string; readonly connections: number } | undefined;
}

/**
 * Codes `file-unreadable` (a folder that cannot be made, a file that is no database of ours),
 * `database-newer`, `database-unavailable`.
 */
export async function openDatabase({
  stateFolder,
  database,
}: Place): Promise<OpenDatabase | Refusal> {
  const path = join(stateFolder, databaseName);
  try {
    mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
    if (database === undefined) return new SqliteDatabase(path);
  } catch (error) {
    if (error instanceof DatabaseNewer) return refuse(error.code, error.message);
    const known = error instanceof Error && 'code' in error && error.code !== 'ERR_SQLITE_ERROR';
    const reason = known ? reasonOf(error) : messageOf(error);
    return refuse('file-unreadable', `${path}: ${reason}`);
  }
  return openPostgres(database.url, database.connections);
}

/** Codes `database-newer`, `database-unavailable`. */
export async function openPostgres(
  url: string,
  connections: number,
): Promise<OpenDatabase | Refusal> {
  // Only who uses it pays for loading it.
  const { PostgresDatabase } = await import('./postgres.ts');
  try {
    return await PostgresDatabase.open(url, connections);
  } catch (error) {
    if (error instanceof DatabaseNewer) return refuse(error.code, error.message);
    // The message, never the URL: that holds the password.
    return refuse('database-unavailable', `DATABASE_URL: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
