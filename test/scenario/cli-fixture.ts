/** A backend as a process of its own, and an operator who has nothing but the command line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../backend/cli/run.ts';

const passphrase = 'offline passphrase of the tests';
const onlinePassphrase = 'online passphrase of the tests';
const operatorToken = 'operator-token-of-the-tests';
const startMilliseconds = 120_000;
/** Handed on to programs: where others are, and what `make mutants` wants. */
const { PATH, REMOVED_CHECK, REACHED_CHECKS } = process.env;

export interface Ended {
  /** Exit status; undefined when a signal ended the command. */
  readonly status: number | undefined;
  readonly out: string;
  readonly error: string;
}

export interface Ports {
  readonly director: number;
  readonly images: number;
  readonly operator: number;
}

/** A command that was started and can still be killed. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

export class CliFixture {
  readonly folder = mkdtempSync(join(tmpdir(), 'ota-cli-'));
  readonly keys = join(this.folder, 'keys');
  readonly state = join(this.folder, 'state');
  private backend: ChildProcess | undefined;
  private taken: Ports | undefined;

  get ports(): Ports {
    if (this.taken === undefined) throw new Error('the backend is not running');
    return this.taken;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  private environment(changes: Record<string, string>): Record<string, string> {
    return {
      OTA_KEYS: this.keys,
      OTA_PASSPHRASE: passphrase,
      OTA_ONLINE_PASSPHRASE: onlinePassphrase,
      OTA_OPERATOR_TOKEN: operatorToken,
      ...(this.taken && { OTA_URL: `http://127.0.0.1:${this.taken.operator}` }),
      ...changes,
    };
  }

  /** Starts `ota` as a process of its own, to be killed. */
  start(words: readonly string[], changes: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, ['backend/cli/main.ts', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, REMOVED_CHECK, REACHED_CHECKS, ...this.environment(changes) },
    });
    return { child, ended: gather(child) };
  }

  /** Runs `ota` in this process, which is the same but for its start. */
  async run(words: readonly string[], changes: Record<string, string> = {}): Promise<Ended> {
    let out = '';
    let error = '';
    const status = await run(words, {
      environment: this.environment(changes),
      out: (text) => {
        out += text;
      },
      error: (text) => {
        error += text;
      },
      interactive: false,
    });
    return { status, out, error };
  }

  /** Runs a command that has to succeed; returns its JSON. */
  async done<T>(words: readonly string[]): Promise<T> {
    const { status, out, error } = await this.run([...words, '--json']);
    if (status !== 0) throw new Error(`ota ${words.join(' ')}: ${status} ${out}${error}`);
    return JSON.parse(out) as T;
  }

  /** Runs a command that has to be refused; returns `<exit status> <code>`. */
  async refused(words: readonly string[], changes: Record<string, string> = {}): Promise<string> {
    const { status, out, error } = await this.run([...words, '--json'], changes);
    if (status === 0 || out === '') throw new Error(`ota ${words.join(' ')}: ${status} ${error}`);
    return `${status} ${(JSON.parse(out) as { code: string }).code}`;
  }

  async startBackend(state = this.state): Promise<void> {
    const child = spawn(process.execPath, ['backend/main.ts'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH,
        REMOVED_CHECK,
        REACHED_CHECKS,
        OTA_STATE: state,
        OTA_KEYS: this.keys,
        OTA_PASSPHRASE: onlinePassphrase,
        OTA_OPERATOR_TOKEN: operatorToken,
        OTA_LOG_LEVEL: 'warn',
        OTA_DEVICE_TLS: 'off',
        DIRECTOR_PORT: '0',
        IMAGES_PORT: '0',
        OPERATOR_PORT: '0',
        DOORBELL_PORT: '0',
      },
    });
    this.backend = child;
    this.taken = await listening(child);
  }

  async stopBackend(): Promise<void> {
    const { backend } = this;
    this.backend = undefined;
    this.taken = undefined;
    if (backend === undefined || backend.exitCode !== null) return;
    const exited = new Promise((resolve) => backend.once('exit', resolve));
    backend.kill('SIGTERM');
    await exited;
  }

  async stop(): Promise<void> {
    await this.stopBackend();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function gather(child: ChildProcess): Promise<Ended> {
  let out = '';
  let error = '';
  child.stdout!.on('data', (bytes: Buffer) => {
    out += bytes.toString();
  });
  child.stderr!.on('data', (bytes: Buffer) => {
    error += bytes.toString();
  });
  return new Promise((settle) => {
    child.on('close', (code) => settle({ status: code ?? undefined, out, error }));
  });
}

function listening(child: ChildProcess): Promise<Ports> {
  return new Promise((resolve, reject) => {
    let out = '';
    let log = '';
    const timer = setTimeout(
      () => reject(new Error('the backend does not start')),
      startMilliseconds,
    );
    child.stdout!.on('data', (bytes: Buffer) => {
      out += bytes.toString();
      const match = /listening director=(\d+) images=(\d+) operator=(\d+)/.exec(out);
      if (match === null) return;
      clearTimeout(timer);
      const [director = 0, images = 0, operator = 0] = match.slice(1).map(Number);
      resolve({ director, images, operator });
    });
    child.stderr!.on('data', (bytes: Buffer) => {
      log += bytes.toString();
    });
    child.once('exit', () => {
      clearTimeout(timer);
      reject(new Error(`the backend ended: ${log}`));
    });
  });
}
