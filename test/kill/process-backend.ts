/** The backend as a process with a folder of its own, over mutual TLS, that may end at any instant. */
import type { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ports } from '../../backend/configuration.ts';
import { BackendProcess } from '../../backend/fleet/backend-process.ts';
import { type Ceremony, operatorToken, TestOperator } from '../scenario/backend-fixture.ts';
import { writeKeysFolder } from '../scenario/keys-folder.ts';

const passphrase = 'a passphrase of the tests';

export class ProcessBackend extends TestOperator {
  /** What vehicles trust. */
  readonly root: X509Certificate;
  readonly folder: string;
  stateFolder: string;
  private readonly changes: Readonly<Record<string, string>>;
  private process: BackendProcess | undefined;
  /** Beside it, over the same state. */
  private readonly others: BackendProcess[] = [];
  private turn = 0;
  /** Of a proxy before all of them. */
  front: Ports | undefined;

  private constructor(
    folder: string,
    keys: Ceremony,
    root: X509Certificate,
    changes: Readonly<Record<string, string>>,
  ) {
    super(keys);
    this.folder = folder;
    this.root = root;
    this.changes = changes;
    this.stateFolder = join(folder, 'state');
  }

  /** Makes keys; `start` comes next. `changes` are variables of its environment. */
  static create(changes: Readonly<Record<string, string>> = {}): ProcessBackend {
    const folder = mkdtempSync(join(tmpdir(), 'ota-process-'));
    const { keys, root } = writeKeysFolder(join(folder, 'keys'), passphrase);
    return new ProcessBackend(folder, keys, root, changes);
  }

  /** Of the process whose turn it is, where there are several. */
  override get ports(): Ports {
    if (this.front !== undefined) return this.front;
    this.turn += 1;
    return this.portsOfAll[this.turn % (this.others.length + 1)]!;
  }

  get portsOfAll(): readonly Ports[] {
    return [this.process!, ...this.others].map(({ ports }) => ports);
  }

  override get now(): number {
    return Math.floor(Date.now() / 1_000);
  }

  /** The secrets and places that the backend and its command line are given. */
  get environment(): Readonly<Record<string, string>> {
    return {
      OTA_STATE: this.stateFolder,
      OTA_KEYS: join(this.folder, 'keys'),
      OTA_PASSPHRASE: passphrase,
      OTA_OPERATOR_TOKEN: operatorToken,
      OTA_LOG_LEVEL: 'silent',
      DIRECTOR_PORT: '0',
      IMAGES_PORT: '0',
      OPERATOR_PORT: '0',
      ...this.changes,
    };
  }

  /** Starts the process, without waiting for it. */
  spawn(): BackendProcess {
    this.process = new BackendProcess(this.environment);
    return this.process;
  }

  async start(): Promise<void> {
    await this.spawn().listening;
  }

  /** Starts another process with the same environment. */
  async startBeside(): Promise<void> {
    const other = new BackendProcess(this.environment);
    this.others.push(other);
    await other.listening;
  }

  /** `kill -9` of the first process. */
  async kill(): Promise<void> {
    const status = await this.process!.kill();
    if (status !== null) throw new Error(`the backend had ended by itself: status ${status}`);
  }

  /** SIGTERM; throws unless the process ends well by itself. */
  async terminate(): Promise<void> {
    const status = await this.process!.terminate();
    if (status !== 0) throw new Error(`SIGTERM: the backend ended with status ${status}`);
  }

  async remove(): Promise<void> {
    for (const running of [this.process, ...this.others]) await running?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
