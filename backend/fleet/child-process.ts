/** Processes that the fleet tools start: their output by lines, ended by id, never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Longer than the backend drains. */
const killAfterMilliseconds = 15_000;

export interface ChildOptions {
  /** An executable file; this Node when absent. */
  readonly program?: string;
  /** For Node: a script and its arguments. */
  readonly arguments: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** One line of standard output or standard error. */
  readonly onLine: (line: string, stream: 'stdout' | 'stderr') => void;
  readonly onExit?: (status: number | null) => void;
}

export class Child {
  private readonly process: ChildProcess;
  private readonly exited: Promise<number | null>;
  private ended = false;

  constructor(options: ChildOptions) {
    const quiet = options.program === undefined ? ['--disable-warning=ExperimentalWarning'] : [];
    this.process = spawn(options.program ?? process.execPath, [...quiet, ...options.arguments], {
      // An open standard input tells the child that its parent lives.
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
    });
    const { stdout, stderr } = this.process;
    createInterface({ input: stdout! }).on('line', (line) => options.onLine(line, 'stdout'));
    createInterface({ input: stderr! }).on('line', (line) => options.onLine(line, 'stderr'));
    // 'close' comes after the last line of output was read.
    this.exited = once(this.process, 'close').then(([status]) => {
      this.ended = true;
      options.onExit?.(status as number | null);
      return status as number | null;
    });
  }

  get id(): number | undefined {
    return this.process.pid;
  }

  /**
   * Ends the process at once, in the middle of whatever it does, as a power cut would.
   * @returns when it is gone: null, or its own status when it had ended by itself before
   */
  kill(): Promise<number | null> {
    if (!this.ended) this.process.kill('SIGKILL');
    return this.exited;
  }

  /** Asks the process to end, then ends it; returns its status when it is gone. */
  async stop(): Promise<number | null> {
    if (this.ended) return this.exited;
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), killAfterMilliseconds);
    const status = await this.exited;
    clearTimeout(timer);
    return status;
  }
}
