/** The board as ssh reaches it: what it is, and what is sent to it. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const scripts = join(import.meta.dirname, '../../../boards/systemd');

/** What flashing cannot get over; the message says what to do. */
export class FlashError extends Error {}

/** What the board said of itself (boards/systemd/look.sh). */
export interface HostFacts {
  /** `uname -m` */
  readonly machine: string;
  readonly rights: 'root' | 'sudo' | 'none';
  readonly systemd: boolean;
  readonly ip: boolean;
  /** The CAN interface is there. */
  readonly can: boolean;
  /** An earlier run left keys and flash of this ECU. */
  readonly state: boolean;
}

/** ssh's own failures, by its messages: it ends with 255 for all of them. */
const failures: readonly (readonly [RegExp, string])[] = [
  [
    /Host key verification failed/,
    'its host key is not known: connect once by hand, or SSH_CONFIG=',
  ],
  [
    /Permission denied|Too many authentication/,
    'it refuses the login: user, SSH_IDENTITY=, authorized_keys',
  ],
  [/identity file|invalid format|UNPROTECTED/i, 'the key of SSH_IDENTITY= cannot be used'],
  [
    /resolve|refused|timed out|No route|unreachable/i,
    'it cannot be reached: address, SSH_PORT=, is it on?',
  ],
];

export class RemoteHost {
  private readonly host: string;
  private readonly ssh: readonly string[];

  /** @param ssh arguments for ssh before the host */
  constructor(host: string, ssh: readonly string[]) {
    this.host = host;
    this.ssh = ssh;
  }

  /** Looks at the board and changes nothing. Throws `FlashError` when it cannot. */
  async look(root: string, ecu: string, canInterface: string): Promise<HostFacts> {
    const script = readFileSync(join(scripts, 'look.sh'));
    const prefix = root.replace(/\/$/, '');
    const words = ['sh', '-s', '--', `'${prefix}'`, ecu, canInterface].join(' ');
    const output = await this.run(words, (input) => {
      input.end(script);
    });
    const facts = new Map<string, string>();
    for (const line of output.split('\n')) {
      const equals = line.indexOf('=');
      if (equals > 0) facts.set(line.slice(0, equals), line.slice(equals + 1));
    }
    if (facts.get('end') !== 'yes') {
      throw new FlashError(`${this.host} has no usable shell; it said: ${output.slice(0, 200)}`);
    }
    const yes = (name: string): boolean => facts.get(name) === 'yes';
    return {
      machine: facts.get('machine') ?? '',
      rights: facts.get('rights') as HostFacts['rights'],
      systemd: yes('systemd'),
      ip: yes('ip'),
      can: yes('can'),
      state: yes('state'),
    };
  }

  /** Sends a folder and runs its install.sh; returns what that printed. */
  async install(folder: string, arguments_: readonly string[], sudo: boolean): Promise<string> {
    const installs = [...(sudo ? ['sudo', '-n'] : []), 'sh', '"$folder/install.sh"', ...arguments_];
    // The folder holds the ECU's private keys: mktemp makes it for its owner alone.
    const script = `set -e; folder=$(mktemp -d -p /var/tmp); trap 'rm -rf "$folder"' EXIT; tar -xz -C "$folder" -f -; ${installs.join(' ')}`;
    return await this.run(`sh -c '${script.replaceAll("'", `'\\''`)}'`, async (input) => {
      const tar = spawn('tar', ['-cz', '-C', folder, '.'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await pipeline(tar.stdout, input);
    });
  }

  private async run(
    command: string,
    feed: (input: NodeJS.WritableStream) => void | Promise<void>,
  ): Promise<string> {
    const child = spawn('ssh', [...this.ssh, this.host, command], { stdio: 'pipe' });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text;
    });
    const closed = new Promise<number | null>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new FlashError(`ssh cannot be run (package openssh-client): ${error.message}`)),
      );
      child.once('close', resolve);
    });
    // A host that ends early breaks the pipe; its own words tell why.
    child.stdin.on('error', () => undefined);
    const fed = Promise.resolve(feed(child.stdin)).catch(() => undefined);
    const status = await closed;
    await fed;
    if (status === 0) return output;
    const said = errors.trim();
    const known = status === 255 ? failures.find(([pattern]) => pattern.test(said)) : undefined;
    throw new FlashError(`${this.host}: ${known?.[1] ?? `ended with ${status}`}\n${said}`);
  }
}
