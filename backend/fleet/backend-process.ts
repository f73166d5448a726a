/** The backend as a process of its own, for tools that run it beside a vehicle. */
import { fileURLToPath } from 'node:url';
import { Child } from './child-process.ts';

const program = fileURLToPath(new URL('../main.ts', import.meta.url));
const started = /^listening director=(\S+) images=(\S+) operator=(\S+)(?: doorbell=(\S+))?$/;

export interface BackendPorts {
  readonly director: number;
  readonly images: number;
  readonly operator: number;
  /** Of the embedded broker; absent where another one serves. */
  readonly doorbell?: number | undefined;
}

export class BackendProcess {
  /** Where it listens; rejects with what it printed when it does not come up. */
  readonly listening: Promise<BackendPorts>;
  private readonly child: Child;
  private taken: BackendPorts | undefined;

  /** Starts it; `listening` tells when it is up. */
  constructor(environment: Readonly<Record<string, string>>) {
    const errors: string[] = [];
    let resolve: (ports: BackendPorts) => void = () => undefined;
    let reject: (error: Error) => void = () => undefined;
    this.listening = new Promise((resolveIt, rejectIt) => {
      resolve = resolveIt;
      reject = rejectIt;
    });
    this.child = new Child({
      arguments: [program],
      // Several may run on one machine: who wants the doorbell at a known port says so.
      environment: { DOORBELL_PORT: '0', ...environment },
      onLine: (line, stream) => {
        const match = started.exec(line);
        if (match !== null) {
          const [director, images, operator, doorbell] = match.slice(1).map(portOf);
          this.taken = { director: director!, images: images!, operator: operator!, doorbell };
          resolve(this.taken);
        } else if (stream === 'stderr') errors.push(line);
      },
      onExit: (status) => {
        reject(new Error(errors.join('\n') || `the backend ended with status ${status}`));
      },
    });
  }

  /** Starts it and waits until it listens; rejects as `listening`. */
  static async start(environment: Readonly<Record<string, string>>): Promise<BackendProcess> {
    const process = new BackendProcess(environment);
    await process.listening;
    return process;
  }

  get id(): number | undefined {
    return this.child.id;
  }

  /** Throws before it listens. */
  get ports(): BackendPorts {
    if (this.taken === undefined) throw new Error('the backend does not listen yet');
    return this.taken;
  }

  /**
   * Ends it in the middle of whatever it does; the state in its folder is what a restart finds.
   * @returns when it is gone: null, or its own status when it had ended by itself before
   */
  kill(): Promise<number | null> {
    return this.child.kill();
  }

  /** Asks it to end, and waits; its status, null when it had to be killed. */
  terminate(): Promise<number | null> {
    return this.child.stop();
  }

  async stop(): Promise<void> {
    await this.terminate();
  }
}

function portOf(address: string | undefined): number | undefined {
  return address === undefined ? undefined : Number(address.slice(address.lastIndexOf(':') + 1));
}
