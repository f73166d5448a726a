/**
 * The database of any number of processes: PostgreSQL. Transactions are READ COMMITTED: what one
 * changes by what it has read, it locks first (`lockingQuery`), and what slips between anyhow meets
 * a unique key and is done again from its beginning.
 */
import pg from 'pg';
import { isRefusal } from '../../agent/codes.ts';
import {
  DatabaseUnavailable,
  type OpenDatabase,
  pendingMigrations,
  type Query,
  type SqlValue,
  type Transaction,
} from './database.ts';
import {
  postgresFunctions,
  postgresMigration,
  postgresQuery,
  type Statement,
} from './postgres-sql.ts';

type Rows = readonly SqlValue[];

/** How long to wait for a connection, a new one or one of the pool: then the request is refused. */
const connectMilliseconds = 5_000;
/** No statement of the backend takes that long on a database that is well. */
const statementMilliseconds = 30_000;
/** A process that stopped in the middle of a transaction holds its locks no longer than this. */
const idleTransactionMilliseconds = 30_000;
const maxAttempts = 8;
/** Attempts of processes that got into each other's way are spread over this, times the attempt. */
const spreadMilliseconds = 20;
/** Any number that no other program locks on the same database: processes migrate in turn. */
const migrationLock = 7_215_430_118;

const int8 = 20;
const bytea = 17;

/** Integers in formats are 0 … 2⁵³−1; bytes are plain arrays, as from the other engine. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === int8) return toInteger;
    const parse = pg.types.getTypeParser(oid, format as 'text');
    return oid === bytea ? (text: string) => plainBytes(parse(text) as unknown as Buffer) : parse;
  }) as typeof pg.types.getTypeParser,
};

function toInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`stored integer ${text} is out of range`);
  return value;
}

function plainBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** Each query's statement, made when it is first used. */
const statements = new WeakMap<object, Statement>();

function statementOf(query: Query<never, unknown>): Statement {
  let statement = statements.get(query);
  if (statement === undefined) {
    statement = postgresQuery(query as Query<Rows, unknown>);
    statements.set(query, statement);
  }
  return statement;
}

type Queryable = Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>;

function send<P extends Rows, Row>(on: Queryable, query: Query<P, Row>, parameters: P) {
  const statement = statementOf(query as Query<never, unknown>);
  return on.query({ ...statement, values: parameters as unknown as SqlValue[] });
}

/** Queries over whatever connection; what an error of it means, `send` decides. */
abstract class PostgresQueries {
  async one<P extends Rows, Row>(query: Query<P, Row>, ...parameters: P): Promise<Row | undefined> {
    return (await this.send(query, parameters)).rows[0] as Row | undefined;
  }

  async all<P extends Rows, Row>(query: Query<P, Row>, ...parameters: P): Promise<readonly Row[]> {
    return (await this.send(query, parameters)).rows as Row[];
  }

  async run<P extends Rows>(query: Query<P, never>, ...parameters: P): Promise<number> {
    return (await this.send(query, parameters)).rowCount ?? 0;
  }

  protected abstract send<P extends Rows, Row>(
    query: Query<P, Row>,
    parameters: P,
  ): Promise<pg.QueryResult>;
}

export class PostgresDatabase extends PostgresQueries implements OpenDatabase {
  readonly shared = true;
  private readonly pool: pg.Pool;

  private constructor(pool: pg.Pool) {
    super();
    this.pool = pool;
  }

  /**
   * Connects, and brings the database to the newest form.
   * @param url `postgresql://user:password@host:port/database`, or with a socket's folder as host
   * @param maxConnections that this process opens
   */
  static async open(url: string, maxConnections: number): Promise<PostgresDatabase> {
    const pool = new pg.Pool({
      connectionString: url,
      max: maxConnections,
      connectionTimeoutMillis: connectMilliseconds,
      statement_timeout: statementMilliseconds,
      idle_in_transaction_session_timeout: idleTransactionMilliseconds,
      application_name: 'ota-backend',
      keepAlive: true,
      types,
      // What was answered survives a crash of the server, whatever its own default is.
      options: '-c synchronous_commit=on',
    });
    // A connection that broke while nobody used it: the pool opens another.
    pool.on('error', () => undefined);
    const database = new PostgresDatabase(pool);
    try {
      await database.migrate();
    } catch (error) {
      await pool.end();
      throw error;
    }
    return database;
  }

  protected async send<P extends Rows, Row>(query: Query<P, Row>, parameters: P) {
    try {
      return await send(this.pool, query, parameters);
    } catch (error) {
      throw isDatabaseAway(error) ? unavailable(error) : error;
    }
  }

  async transaction<T>(body: (within: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.attempt(body);
      if ('result' in outcome) return outcome.result;
      if (!isCollision(outcome.error) || attempt === maxAttempts) throw outcome.error;
      await pause(Math.random() * spreadMilliseconds * attempt);
    }
  }

  async close(): Promise<void> {
    if (!this.pool.ended && !this.pool.ending) await this.pool.end();
  }

  private async attempt<T>(
    body: (within: Transaction) => Promise<T>,
  ): Promise<{ readonly result: T } | { readonly error: unknown }> {
    let client: pg.PoolClient;
    try {
      client = await this.pool.connect();
    } catch (error) {
      return { error: unavailable(error) };
    }
    // A connection that breaks between two statements says so by an event as well.
    const onError = () => undefined;
    client.on('error', onError);
    const within = new PostgresTransaction(client);
    let broken = false;
    try {
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
      const result = await body(within);
      if (within.failure !== undefined) throw within.failure.error;
      if (isRefusal(result)) {
        await client.query('ROLLBACK');
        return { result };
      }
      const { command } = await client.query('COMMIT');
      if (command !== 'COMMIT') throw new Error('the database undid the transaction by itself');
      within.committed();
      return { result };
    } catch (caught) {
      const error = within.failure?.error ?? caught;
      broken = isDatabaseAway(error) || !(await rolledBack(client));
      return { error: isDatabaseAway(error) ? unavailable(error) : error };
    } finally {
      client.off('error', onError);
      client.release(broken);
    }
  }

  /** Forwards only, all steps in one transaction, one process after the other. */
  private migrate(): Promise<void> {
    return this.transaction(async (within) => {
      const { client } = within as PostgresTransaction;
      await client.query(`SELECT pg_advisory_xact_lock(${migrationLock})`);
      await client.query(
        'CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, applied BIGINT NOT NULL)',
      );
      const { rows } = await client.query('SELECT max(number) AS number FROM migrations');
      const pending = pendingMigrations(Number(rows[0]?.number ?? 0));
      if (pending.length > 0) await client.query(postgresFunctions);
      for (const { number, step } of pending) {
        await client.query(postgresMigration(step));
        await client.query(
          'INSERT INTO migrations VALUES ($1, floor(extract(epoch FROM clock_timestamp())))',
          [number],
        );
      }
    });
  }
}

class PostgresTransaction extends PostgresQueries implements Transaction {
  readonly shared = true;
  readonly client: pg.PoolClient;
  /** Undoes all of the transaction, even when a part of it that failed was left out. */
  failure: { readonly error: unknown } | undefined;
  private readonly outer: PostgresTransaction | undefined;
  private readonly depth: number;
  private callbacks: (() => void)[] = [];

  constructor(client: pg.PoolClient, outer?: PostgresTransaction) {
    super();
    this.client = client;
    this.outer = outer;
    this.depth = outer === undefined ? 0 : outer.depth + 1;
  }

  async transaction<T>(body: (within: Transaction) => Promise<T>): Promise<T> {
    const part = new PostgresTransaction(this.client, this);
    const name = `part${this.depth}`;
    await this.control(`SAVEPOINT ${name}`);
    let result: T;
    try {
      result = await body(part);
    } catch (error) {
      if (this.root.failure === undefined) {
        await this.control(`ROLLBACK TO ${name}`);
        await this.control(`RELEASE ${name}`);
      }
      throw error;
    }
    const keep = !isRefusal(result);
    if (!keep) await this.control(`ROLLBACK TO ${name}`);
    await this.control(`RELEASE ${name}`);
    if (keep) this.callbacks.push(...part.callbacks);
    return result;
  }

  afterCommit(callback: () => void): void {
    this.callbacks.push(callback);
  }

  committed(): void {
    for (const callback of this.callbacks) callback();
  }

  private get root(): PostgresTransaction {
    return this.outer === undefined ? this : this.outer.root;
  }

  protected async send<P extends Rows, Row>(query: Query<P, Row>, parameters: P) {
    try {
      return await send(this.client, query, parameters);
    } catch (error) {
      throw this.failed(error);
    }
  }

  private async control(sql: string): Promise<void> {
    try {
      await this.client.query(sql);
    } catch (error) {
      throw this.failed(error);
    }
  }

  /** What concerns all of the transaction is remembered, whoever catches the exception. */
  private failed(error: unknown): unknown {
    if (isDatabaseAway(error) || isCollision(error)) this.root.failure ??= { error };
    return error;
  }
}

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    // The connection goes, and with it the transaction.
    return false;
  }
}

function sqlStateOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** Another transaction was in the way: a serialization failure, a deadlock, a key just taken. */
function isCollision(error: unknown): boolean {
  return ['40001', '40P01', '23505'].includes(sqlStateOf(error) ?? '');
}

/**
 * The server is stopping, starting or gone, has no connection or memory left, or does not come to an
 * end; what it has not said itself comes from the connection.
 */
function isDatabaseAway(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable) return true;
  const state = sqlStateOf(error);
  if (state === undefined) return isConnectionError(error);
  return /^(08|57|53[^1]|25P03|55P03)/.test(state);
}

/** What `pg` and the socket below it say of a connection that broke or never was. */
function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  if (/^(ECONN|EPIPE|ETIMEDOUT|ENOENT|EHOST|ENET|EAI_)/.test(code)) return true;
  return /connection|timeout|not queryable/i.test(error.message);
}

function unavailable(error: unknown): DatabaseUnavailable {
  if (error instanceof DatabaseUnavailable) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new DatabaseUnavailable(reason, { cause: error });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
