/**
 * A real PostgreSQL of the machine's package for one test file: a cluster in a temporary folder,
 * reached by a unix socket in it, run as a user without rights, gone with the test.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import pg from 'pg';

const versionsFolder = '/usr/lib/postgresql';
/** Debian's `nobody`, `nogroup`: the server refuses to run as root. */
const unprivileged = 65_534;

/** The folder of the newest installed server's programs, or why no server can run here. */
export function postgresPrograms(): { readonly folder: string } | { readonly missing: string } {
  const versions = existsSync(versionsFolder) ? readdirSync(versionsFolder) : [];
  const folder = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(versionsFolder, version, 'bin'))
    .find((programs) => existsSync(join(programs, 'initdb')));
  if (folder === undefined) return { missing: 'package postgresql is not installed' };
  // Its shell scripts write there, and it has to be a user without rights who runs them.
  if ((statSync('/dev/null').mode & 0o002) === 0) {
    return { missing: 'PostgreSQL: others may not write /dev/null on this machine' };
  }
  return { folder };
}

/** The server is no reason for the test to go on; waiting for it is. */
async function whileWaiting<T>(promise: Promise<T>): Promise<T> {
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await promise;
  } finally {
    clearInterval(alive);
  }
}

export class PostgresServer {
  private readonly programs: string;
  private readonly folder: string;
  private server: ChildProcess | undefined;
  private databases = 0;

  private constructor(programs: string, folder: string) {
    this.programs = programs;
    this.folder = folder;
  }

  /** Makes a cluster and starts its server. */
  static async start(programs: string): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), 'ota-pg-'));
    if (process.getuid?.() === 0) chownSync(folder, unprivileged, unprivileged);
    const server = new PostgresServer(programs, folder);
    const data = join(folder, 'data');
    const options = ['-D', data, '-U', 'ota', '-A', 'trust', '-E', 'UTF8', '--no-sync'];
    const [program, ...rest] = server.command('initdb', options);
    execFileSync(program!, rest, { stdio: 'pipe', cwd: folder });
    await server.begin();
    process.once('exit', () => server.remove());
    return server;
  }

  /** A program of the package as the user without rights, which ends with this process. */
  private command(program: string, options: readonly string[]): readonly string[] {
    const user = ['--reuid', `${unprivileged}`, '--regid', `${unprivileged}`, '--clear-groups'];
    const isRoot = process.getuid?.() === 0;
    const path = join(this.programs, program);
    return ['setpriv', ...(isRoot ? user : []), '--pdeathsig', 'INT', path, ...options];
  }

  /** Starts the server; resolves when it takes connections. */
  async begin(): Promise<void> {
    // Nobody cuts its power: only processes die here, and what they wrote the system keeps.
    const safe = ['fsync=off', 'full_page_writes=off', 'wal_level=minimal', 'max_wal_senders=0'];
    const small = ['max_connections=60', 'shared_buffers=16MB', 'autovacuum=off'];
    const settings = [...safe, ...small, 'max_logical_replication_workers=0'];
    const options = ['-D', join(this.folder, 'data'), '-k', this.folder, '-h', ''];
    const [program, ...rest] = this.command('postgres', [
      ...options,
      ...settings.flatMap((setting) => ['-c', setting]),
    ]);
    const server = spawn(program!, rest, { stdio: ['ignore', 'ignore', 'pipe'], cwd: this.folder });
    this.server = server;
    // The test ends when it has nothing left to do.
    server.unref();
    (server.stderr as Socket).unref();
    await whileWaiting(
      new Promise<void>((resolve, reject) => {
        let said = '';
        server.once('error', reject);
        server.once('exit', () => reject(new Error(`postgres ended: ${said}`)));
        server.stderr!.on('data', (piece: Buffer) => {
          said += piece.toString();
          if (said.includes('ready to accept connections')) resolve();
        });
      }),
    );
  }

  /** Stops the server: `SIGINT` as an operator would, `SIGKILL` as a crash. */
  async end(signal: 'SIGINT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const { server } = this;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill(signal);
    await whileWaiting(ended);
  }

  urlOf(database: string): string {
    return `postgresql://ota@/${database}?host=${encodeURIComponent(this.folder)}`;
  }

  /** An empty database. */
  async newDatabase(): Promise<string> {
    const name = `ota${++this.databases}`;
    await this.query('postgres', `CREATE DATABASE ${name}`);
    return this.urlOf(name);
  }

  /** Empties a database that nobody is connected to: sooner done than a new one. */
  async empty(url: string): Promise<void> {
    await this.query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  }

  /** Statements past the backend. */
  async query(database: string, sql: string): Promise<readonly Record<string, unknown>[]> {
    const url = database.startsWith('postgresql:') ? database : this.urlOf(database);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(sql)).rows ?? [];
    } finally {
      await client.end();
    }
  }

  /** Ends it and removes all of it; a test that forgets to is reminded by the end of its process. */
  async close(): Promise<void> {
    await this.end();
    this.remove();
  }

  private remove(): void {
    if (!existsSync(this.folder)) return;
    const options = ['-D', join(this.folder, 'data'), '-m', 'immediate', '-w', 'stop'];
    const [program, ...rest] = this.command('pg_ctl', options);
    // It may be gone already: nothing to do then.
    spawnSync(program!, rest, { cwd: this.folder });
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
