/**
 * The database of one process: SQLite in WAL mode with `synchronous=FULL`, so that what was answered
 * survives a power cut.
 *
 * One connection writes, one transaction after the other; a second one reads what is committed, so
 * that no reader sees the half of a transaction. Both are synchronous: the promises resolve without
 * a turn of the loop, and a transaction ends before the next event is looked at.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { isRefusal } from '../../agent/codes.ts';
import {
  type OpenDatabase,
  pendingMigrations,
  type Query,
  type SqlValue,
  type Transaction,
} from './database.ts';
import { sqliteText } from './migrations.ts';

type Rows = readonly SqlValue[];

/** A connection with its prepared statements. */
class Connection {
  readonly raw: DatabaseSync;
  private readonly statements = new Map<string, StatementSync>();

  constructor(path: string) {
    this.raw = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5_000 });
  }

  one<P extends Rows, Row>({ sql }: Query<P, Row>, parameters: P): Row | undefined {
    return this.statement(sql).get(...parameters) as Row | undefined;
  }

  all<P extends Rows, Row>({ sql }: Query<P, Row>, parameters: P): readonly Row[] {
    return this.statement(sql).all(...parameters) as unknown as readonly Row[];
  }

  run<P extends Rows>({ sql }: Query<P, never>, parameters: P): number {
    return Number(this.statement(sql).run(...parameters).changes);
  }

  private statement(sql: string): StatementSync {
    let statement = this.statements.get(sql);
    if (statement === undefined) {
      statement = this.raw.prepare(sql);
      this.statements.set(sql, statement);
    }
    return statement;
  }
}

export class SqliteDatabase implements OpenDatabase {
  readonly shared = false;
  private readonly writer: Connection;
  private readonly reader: Connection;
  /** Settles when the last transaction that was asked for has ended. */
  private last: Promise<unknown> = Promise.resolve();
  private open = true;

  /** Opens the database file, creates it where there is none, and brings it to the newest form. */
  constructor(path: string) {
    this.writer = new Connection(path);
    const { raw } = this.writer;
    try {
      raw.exec('PRAGMA journal_mode = WAL');
      // WAL alone means NORMAL: the last commits could be lost, counters of reports among them.
      raw.exec('PRAGMA synchronous = FULL');
      migrate(raw);
      this.reader = new Connection(path);
    } catch (error) {
      raw.close();
      throw error;
    }
    this.reader.raw.exec('PRAGMA query_only = ON');
  }

  async one<P extends Rows, Row>(query: Query<P, Row>, ...parameters: P) {
    return this.reader.one(query, parameters);
  }

  async all<P extends Rows, Row>(query: Query<P, Row>, ...parameters: P) {
    return this.reader.all(query, parameters);
  }

  run<P extends Rows>(query: Query<P, never>, ...parameters: P): Promise<number> {
    return this.transaction((within) => within.run(query, ...parameters));
  }

  transaction<T>(body: (within: Transaction) => Promise<T>): Promise<T> {
    const result = this.last.then(() => runTransaction(this.writer, body));
    this.last = result.catch(() => undefined);
    return result;
  }

  async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    await this.last;
    this.reader.raw.close();
    this.writer.raw.close();
  }
}

async function runTransaction<T>(
  connection: Connection,
  body: (within: Transaction) => Promise<T>,
): Promise<T> {
  const { raw } = connection;
  const within = new SqliteTransaction(connection);
  // IMMEDIATE: the write lock is taken at once, not in the middle.
  raw.exec('BEGIN IMMEDIATE');
  let result: T;
  try {
    result = await body(within);
  } catch (error) {
    // A full disk may have ended the transaction already.
    if (raw.isTransaction) raw.exec('ROLLBACK');
    throw error;
  }
  if (isRefusal(result)) {
    if (raw.isTransaction) raw.exec('ROLLBACK');
    return result;
  }
  if (!raw.isTransaction) throw new Error('the database ended the transaction by itself');
  try {
    raw.exec('COMMIT');
  } catch (error) {
    // What could not be made durable is undone, or the next transaction could not begin.
    if (raw.isTransaction) raw.exec('ROLLBACK');
    throw error;
  }
  within.committed();
  return result;
}

class SqliteTransaction implements Transaction {
  readonly shared = false;
  private readonly connection: Connection;
  private readonly depth: number;
  private callbacks: (() => void)[] = [];

  constructor(connection: Connection, depth = 0) {
    this.connection = connection;
    this.depth = depth;
  }

  async one<P extends Rows, Row>(query: Query<P, Row>, ...parameters: P) {
    return this.connection.one(query, parameters);
  }

  async all<P extends Rows, Row>(query: Query<P, Row>, ...parameters: P) {
    return this.connection.all(query, parameters);
  }

  async run<P extends Rows>(query: Query<P, never>, ...parameters: P) {
    return this.connection.run(query, parameters);
  }

  async transaction<T>(body: (within: Transaction) => Promise<T>): Promise<T> {
    const { raw } = this.connection;
    const part = new SqliteTransaction(this.connection, this.depth + 1);
    const name = `part${this.depth}`;
    const end = (keep: boolean) => {
      // A full disk may have ended all of it already; the whole will not commit then.
      if (!raw.isTransaction) return;
      if (!keep) raw.exec(`ROLLBACK TO ${name}`);
      raw.exec(`RELEASE ${name}`);
    };
    raw.exec(`SAVEPOINT ${name}`);
    let result: T;
    try {
      result = await body(part);
    } catch (error) {
      end(false);
      throw error;
    }
    const keep = !isRefusal(result);
    end(keep);
    if (keep) this.callbacks.push(...part.callbacks);
    return result;
  }

  afterCommit(callback: () => void): void {
    this.callbacks.push(callback);
  }

  committed(): void {
    for (const callback of this.callbacks) callback();
  }
}

/** Forwards only; each step and its record are one transaction. */
function migrate(raw: DatabaseSync): void {
  raw.exec(
    'CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT',
  );
  const row = raw.prepare('SELECT max(number) AS number FROM migrations').get();
  for (const { number, step } of pendingMigrations(Number(row?.['number'] ?? 0))) {
    raw.exec('BEGIN IMMEDIATE');
    try {
      raw.exec(sqliteText(step));
      raw
        .prepare("INSERT INTO migrations (number, applied) VALUES (?, unixepoch('now'))")
        .run(number);
      raw.exec('COMMIT');
    } catch (error) {
      if (raw.isTransaction) raw.exec('ROLLBACK');
      throw error;
    }
  }
}
