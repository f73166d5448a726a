/**
 * The backend's one database: SQLite in WAL mode with `synchronous=FULL`, so that what was answered
 * survives a power cut. Queries are constants (`query`), one SQL text each, prepared once.
 *
 * All calls are synchronous: a transaction runs to its end before another request is looked at, so
 * no two of them ever interleave.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { isRefusal } from '../../agent/codes.ts';
import { migrations } from './migrations.ts';

export type SqlValue = string | number | Uint8Array | null;

/** One SQL text with the types of its parameters and of a row of its result. */
export interface Query<Parameters extends readonly SqlValue[], Row> {
  readonly sql: string;
  /** Never set; carries the types. */
  readonly types?: (parameters: Parameters) => Row;
}

/** Declares a query. Parameters are written `?` and bound in order. */
export function query<Parameters extends readonly SqlValue[], Row = never>(
  sql: string,
): Query<Parameters, Row> {
  return { sql };
}

export class Database {
  private readonly connection: DatabaseSync;
  private readonly statements = new Map<string, StatementSync>();
  private open = true;
  private depth = 0;

  /** Opens the database file, creates it where there is none, and brings it to the newest form. */
  constructor(path: string) {
    this.connection = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5_000 });
    try {
      this.connection.exec('PRAGMA journal_mode = WAL');
      // WAL alone means NORMAL: the last commits could be lost, counters of reports among them.
      this.connection.exec('PRAGMA synchronous = FULL');
      this.migrate();
    } catch (error) {
      this.connection.close();
      throw error;
    }
  }

  /**
   * Runs `body` in one transaction: rolled back when it throws or returns a refusal. Inside another
   * transaction it is a part of that one, which can be undone alone.
   */
  transaction<T>(body: () => T): T {
    const part = `part${this.depth}`;
    // IMMEDIATE: the write lock is taken at once, not in the middle.
    this.connection.exec(this.depth === 0 ? 'BEGIN IMMEDIATE' : `SAVEPOINT ${part}`);
    this.depth += 1;
    let result: T;
    try {
      result = body();
    } catch (error) {
      this.end(part, false);
      throw error;
    }
    this.end(part, !isRefusal(result));
    return result;
  }

  private end(part: string, keep: boolean): void {
    this.depth -= 1;
    // A full disk may have ended the transaction already.
    if (!this.connection.isTransaction) {
      if (keep) throw new Error('the database ended the transaction by itself');
      return;
    }
    if (this.depth > 0) {
      if (!keep) this.connection.exec(`ROLLBACK TO ${part}`);
      this.connection.exec(`RELEASE ${part}`);
      return;
    }
    if (!keep) {
      this.connection.exec('ROLLBACK');
      return;
    }
    try {
      this.connection.exec('COMMIT');
    } catch (error) {
      // What could not be made durable is undone, or the next transaction could not begin.
      if (this.connection.isTransaction) this.connection.exec('ROLLBACK');
      throw error;
    }
  }

  /** The first row, or undefined. */
  one<P extends readonly SqlValue[], Row>(query: Query<P, Row>, ...parameters: P): Row | undefined {
    return this.statement(query.sql).get(...parameters) as Row | undefined;
  }

  /** All rows. */
  all<P extends readonly SqlValue[], Row>(query: Query<P, Row>, ...parameters: P): readonly Row[] {
    return this.statement(query.sql).all(...parameters) as unknown as readonly Row[];
  }

  /** Runs a statement; returns how many rows it changed. */
  run<P extends readonly SqlValue[]>(query: Query<P, never>, ...parameters: P): number {
    return Number(this.statement(query.sql).run(...parameters).changes);
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.connection.close();
  }

  private statement(sql: string): StatementSync {
    let statement = this.statements.get(sql);
    if (statement === undefined) {
      statement = this.connection.prepare(sql);
      this.statements.set(sql, statement);
    }
    return statement;
  }

  /** Forwards only; each step and its record are one transaction. */
  private migrate(): void {
    this.connection.exec(
      'CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT',
    );
    const row = this.connection.prepare('SELECT max(number) AS number FROM migrations').get();
    const applied = Number(row?.['number'] ?? 0);
    if (applied > migrations.length) {
      throw new Error(
        `database of a newer version (${applied}) than this program's (${migrations.length})`,
      );
    }
    for (let number = applied + 1; number <= migrations.length; number++) {
      this.transaction(() => {
        this.connection.exec(migrations[number - 1]!);
        this.connection
          .prepare("INSERT INTO migrations (number, applied) VALUES (?, unixepoch('now'))")
          .run(number);
      });
    }
  }
}
