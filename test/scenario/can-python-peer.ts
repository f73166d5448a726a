/** Runs can-peer.py, which is python-can or scapy on the bus, and looks for Debian's packages. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until } from './can-bus.ts';

/** Debian's own interpreter: only it sees Debian's packages. */
const interpreter = '/usr/bin/python3';

/** True when Debian's Python has the module. */
export function hasModule(module: string): boolean {
  return spawnSync(interpreter, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0;
}

/** True when the program can be started. */
export function hasProgram(program: string, ...argv: string[]): boolean {
  return spawnSync(program, argv, { stdio: 'ignore' }).error === undefined;
}

export class PythonPeer {
  /** What the peer said, `ready` too. */
  readonly said: unknown[] = [];
  private readonly child: ChildProcess;

  private constructor(port: number, role: string, argv: readonly string[]) {
    const program = join(import.meta.dirname, 'can-peer.py');
    this.child = spawn(interpreter, [program, String(port), role, ...argv], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.said.push(JSON.parse(line));
    });
  }

  /** Starts a role; with `ready`, returns once it is on the bus. */
  static async start(
    port: number,
    role: string,
    argv: readonly string[],
    ready: 'ready' | 'at once' = 'ready',
  ): Promise<PythonPeer> {
    const peer = new PythonPeer(port, role, argv);
    if (ready === 'ready') await peer.hears(1);
    return peer;
  }

  /** Waits until the peer has said `count` things, or has ended by itself. */
  async hears(count: number): Promise<void> {
    const { child } = this;
    await until(() => this.said.length >= count || child.exitCode !== null);
    if (this.said.length < count) throw new Error(`can-peer.py ended with ${child.exitCode}`);
  }

  /** Waits for the end of a role that ends by itself. */
  async ended(): Promise<void> {
    if (this.child.exitCode === null) await once(this.child, 'close');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.stdin!.end();
    await once(this.child, 'close');
  }
}
