/** An emulated ECU with its power supply: started again after every reboot, until it is stopped. */
import { fileURLToPath } from 'node:url';
import { rebootStatus } from '../../hal/emulated/ecu.ts';
import { Child } from './child-process.ts';
import { board } from './vehicle-layout.ts';

const program = fileURLToPath(new URL('../../hal/emulated/ecu.ts', import.meta.url));

/**
 * An ECU has little memory, and its program has to do with it: V8 gets a heap bound instead of
 * growing as it likes, so that garbage is collected and not kept until the machine is full.
 */
const heapMebibytes = Math.floor(board.memory.heapBytes / 1_048_576);
const smallHeap = [`--max-old-space-size=${heapMebibytes}`, '--max-semi-space-size=1'];

export interface EcuProcessOptions {
  /** Path of the ECU's JSON description (`EmulatedEcu`). */
  readonly description: string;
  readonly onLine: (line: string) => void;
  /** The ECU stopped by itself and was not restarting: it cannot run. */
  readonly onFailure: (status: number | null) => void;
}

export class EcuProcess {
  private readonly options: EcuProcessOptions;
  private child: Child;
  private stopping = false;
  private peak = 0;

  constructor(options: EcuProcessOptions) {
    this.options = options;
    this.child = this.powerOn();
  }

  /** Largest resident set of any run so far, in bytes. */
  get peakRssBytes(): number {
    return this.peak;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.child.stop();
  }

  private powerOn(): Child {
    return new Child({
      arguments: [...smallHeap, program, this.options.description],
      onLine: (line) => this.line(line),
      onExit: (status) => {
        if (this.stopping) return;
        if (status === rebootStatus) this.child = this.powerOn();
        else this.options.onFailure(status);
      },
    });
  }

  private line(line: string): void {
    const peak = /^peak-rss bytes=(\d+)$/.exec(line);
    if (peak !== null) this.peak = Math.max(this.peak, Number(peak[1]));
    else this.options.onLine(line);
  }
}
