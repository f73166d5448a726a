/** A board for `make flash`: an sshd of the test's own on loopback, with a folder as its root. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const sshd = '/usr/sbin/sshd';

/** Why there can be no such board here; undefined when there can. */
export function flashHostMissing(): string | undefined {
  if (userInfo().uid !== 0) return 'only root can install';
  if (!existsSync(sshd)) return 'package openssh-server is not installed';
  if (!existsSync('/usr/bin/ssh-keygen')) return 'package openssh-client is not installed';
  for (const program of ['systemd-sysusers', 'systemctl', 'systemd-analyze']) {
    if (!existsSync(`/usr/bin/${program}`)) return 'package systemd is not installed';
  }
  return undefined;
}

export interface FlashRun {
  readonly status: number | null;
  readonly output: string;
}

export class FlashHost {
  /** Holds everything; removed at the end. */
  readonly folder: string;
  /** What the host takes for its root. */
  readonly root: string;
  private readonly environment: Readonly<Record<string, string>>;
  private readonly stopServer: () => Promise<void>;

  private constructor(
    folder: string,
    environment: Readonly<Record<string, string>>,
    stopServer: () => Promise<void>,
  ) {
    this.folder = folder;
    this.root = join(folder, 'root');
    this.environment = environment;
    this.stopServer = stopServer;
  }

  static async start(): Promise<FlashHost> {
    const folder = mkdtempSync(join(tmpdir(), 'ota-flash-host-'));
    for (const name of ['root/etc', 'root/run']) mkdirSync(join(folder, name), { recursive: true });
    const at = (name: string): string => join(folder, name);
    for (const name of ['host-key', 'identity']) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
    }
    const port = await freePort();
    const settings = [
      ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${at('host-key')}`, 'PidFile none'],
      // The folder lies below one that everybody may write to.
      ...[`AuthorizedKeysFile ${at('identity.pub')}`, 'StrictModes no', 'UsePAM no'],
      ...['PermitRootLogin prohibit-password', 'PasswordAuthentication no'],
    ];
    writeFileSync(at('sshd_config'), `${settings.join('\n')}\n`);
    writeFileSync(
      at('known_hosts'),
      `[127.0.0.1]:${port} ${readFileSync(at('host-key.pub'), 'utf8')}`,
    );
    writeFileSync(at('ssh_config'), `Host *\n  UserKnownHostsFile ${at('known_hosts')}\n`);
    // Its privilege separation wants this folder, which is empty and belongs to root.
    mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    const server = spawn(sshd, ['-D', '-e', '-f', at('sshd_config')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(server, 'close');
    let log = '';
    await new Promise<void>((resolve, reject) => {
      server.stderr.setEncoding('utf8').on('data', (text) => {
        log += text;
        appendFileSync(at('sshd.log'), text);
        if (log.includes('Server listening')) resolve();
      });
      server.once('close', () => reject(new Error(`sshd ended: ${log}`)));
    });
    const environment = {
      HOST: 'root@127.0.0.1',
      SSH_PORT: String(port),
      SSH_IDENTITY: at('identity'),
      SSH_CONFIG: at('ssh_config'),
      TARGET_ROOT: join(folder, 'root'),
      VEHICLES_FOLDER: at('vehicles'),
    };
    return new FlashHost(folder, environment, async () => {
      server.kill('SIGTERM');
      await ended;
    });
  }

  /** Runs what `make flash` runs. */
  async flash(more: Readonly<Record<string, string>>): Promise<FlashRun> {
    const env = { ...process.env, MAKEFLAGS: '', ...this.environment, ...more };
    const child = spawn(process.execPath, ['backend/fleet/flash/main.ts'], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, output };
  }

  async stop(): Promise<void> {
    await this.stopServer();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
