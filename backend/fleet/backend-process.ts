/** The backend as a process of its own, for tools that run it beside a vehicle. */
import { fileURLToPath } from 'node:url';
import { Child } from './child-process.ts';

const program = fileURLToPath(new URL('../main.ts', import.meta.url));
const started = /^listening director=(\S+) images=(\S+) operator=(\S+)$/;

export interface BackendPorts {
  readonly director: number;
  readonly images: number;
  readonly operator: number;
}

export class BackendProcess {
  readonly ports: BackendPorts;
  private readonly child: Child;

  private constructor(child: Child, ports: BackendPorts) {
    this.child = child;
    this.ports = ports;
  }

  /** Starts it; rejects with what it printed when it does not come up. */
  static start(environment: Readonly<Record<string, string>>): Promise<BackendProcess> {
    return new Promise((resolve, reject) => {
      const errors: string[] = [];
      const child = new Child({
        arguments: [program],
        environment,
        onLine: (line, stream) => {
          const match = started.exec(line);
          if (match !== null) {
            const [director, images, operator] = match.slice(1).map(portOf);
            resolve(
              new BackendProcess(child, {
                director: director!,
                images: images!,
                operator: operator!,
              }),
            );
          } else if (stream === 'stderr') errors.push(line);
        },
        onExit: (status) => {
          reject(new Error(errors.join('\n') || `the backend ended with status ${status}`));
        },
      });
    });
  }

  /** Ends it in the middle of whatever it does; the state in its folder is what a restart finds. */
  kill(): void {
    this.child.kill();
  }

  stop(): Promise<void> {
    return this.child.stop();
  }
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
