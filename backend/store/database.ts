/**
 * What the backend keeps its state in, whichever engine carries it: SQLite in this process
 * (`sqlite.ts`) or PostgreSQL, which any number of processes share (`postgres.ts`). Queries are
 * constants (`query`), one SQL text each for both engines.
 *
 * What is written is durable when its promise resolves. Reads outside a transaction see what is
 * committed.
 */
import { migrations } from './migrations.ts';

export type SqlValue = string | number | Uint8Array | null;

/** One SQL text with the types of its parameters and of a row of its result. */
export interface Query<Parameters extends readonly SqlValue[], Row> {
  readonly sql: string;
  /** The rows are held against other processes' `locks` until the transaction ends. */
  readonly locks: boolean;
  /** Never set; carries the types. */
  readonly types?: (parameters: Parameters) => Row;
}

/** Declares a query. Parameters are written `?` and bound in order. */
export function query<Parameters extends readonly SqlValue[], Row = never>(
  sql: string,
): Query<Parameters, Row> {
  return { sql, locks: false };
}

/**
 * Declares a SELECT whose rows no other transaction locks until this one ends. An engine that runs
 * one transaction after the other has nothing to add to it.
 */
export function lockingQuery<Parameters extends readonly SqlValue[], Row = unknown>(
  sql: string,
): Query<Parameters, Row> {
  return { sql, locks: true };
}

export interface Database {
  /**
   * Whether other processes may work on the same database: what this one remembers of it may be
   * old, and files beside it may be another one's.
   */
  readonly shared: boolean;

  /** The first row, or undefined. */
  one<P extends readonly SqlValue[], Row>(
    query: Query<P, Row>,
    ...parameters: P
  ): Promise<Row | undefined>;

  /** All rows. */
  all<P extends readonly SqlValue[], Row>(
    query: Query<P, Row>,
    ...parameters: P
  ): Promise<readonly Row[]>;

  /** Runs a statement; returns how many rows it changed. */
  run<P extends readonly SqlValue[]>(query: Query<P, never>, ...parameters: P): Promise<number>;

  /**
   * Runs `body` in one transaction: rolled back when it throws or its result is a refusal. Called on
   * a transaction, it is a part of that one, which can be undone alone.
   *
   * `body` works on the transaction that it is given, one statement after the other, and awaits
   * nothing else: others may be waiting for it to end. It may be called again from its beginning
   * when another process was in the way.
   */
  transaction<T>(body: (within: Transaction) => Promise<T>): Promise<T>;
}

/** An engine that was opened. */
export interface OpenDatabase extends Database {
  /** Waits for what is under way. */
  close(): Promise<void>;
}

export interface Transaction extends Database {
  /** Calls back once what this transaction did is durable; never when it is undone. */
  afterCommit(callback: () => void): void;
}

/** The server of the database is not there, or too busy: the same may go well in a while. */
export class DatabaseUnavailable extends Error {
  readonly code = 'database-unavailable';
}

/** The database was written by a newer program, whose form this one does not know. */
export class DatabaseNewer extends Error {
  readonly code = 'database-newer';
}

/** Steps that are still to be applied, with their numbers. Throws `DatabaseNewer`. */
export function pendingMigrations(applied: number) {
  const known = migrations.length;
  if (applied > known) {
    throw new DatabaseNewer(`form ${applied} of the database, this program knows 1 to ${known}`);
  }
  return migrations.slice(applied).map((step, i) => ({ number: applied + 1 + i, step }));
}
