/**
 * An emulated ECU with its power supply and watchdog: started again after every reboot and every
 * loss of power, killed and started again when it hangs, until it is stopped.
 */
import { fileURLToPath } from 'node:url';
import type { ProgramName } from '../../boards/load.ts';
import { architectureOf, machineArchitecture, programPath } from '../../boards/programs.ts';
import { rebootStatus } from '../../hal/emulated/ecu.ts';
import { WatchdogSupervisor, watchdogArgument } from '../../hal/emulated/watchdog.ts';
import { Child } from './child-process.ts';
import { board } from './vehicle-layout.ts';

/** OTA_EMULATED_ECU: another program in its place, with the same command line and lines. */
const nodeProgram =
  process.env['OTA_EMULATED_ECU'] ??
  fileURLToPath(new URL('../../hal/emulated/ecu.ts', import.meta.url));

/** What no start after this one would change: wrong description, no image that may run, and an end. */
const finalStatuses = [0, 2, 70];
/** An ECU that crashes is started again, as a service manager does; not for ever. */
const maxCrashesInARow = 3;

/** QEMU's names for the architectures of `make runtime`. */
const emulators = { x86_64: 'x86_64', aarch64: 'aarch64', armhf: 'arm' } as const;

/** A program of `make runtime`: this machine's, or another's (ARCH) under QEMU. */
function nativeProgram(kind: ProgramName): readonly string[] {
  const architecture = architectureOf(board, process.env['ARCH']);
  const path = programPath(board, architecture, kind);
  return architecture === machineArchitecture
    ? [path]
    : [`qemu-${emulators[architecture]}-static`, path];
}

/**
 * An ECU has little memory, and its program has to do with it: V8 gets a heap bound instead of
 * growing as it likes, so that garbage is collected and not kept until the machine is full.
 */
function smallHeap(program: ProgramName): readonly string[] {
  const mebibytes = Math.floor(board.memory.heapBytes[program] / 1_048_576);
  return [`--max-old-space-size=${mebibytes}`, '--max-semi-space-size=1'];
}

/** Resident set of a process, and the JavaScript heap in it, at their largest. */
export interface PeakMemory {
  readonly rss: number;
  readonly heap?: number;
}

export interface EcuProcessOptions {
  readonly program: ProgramName;
  /** Path of the ECU's JSON description (`EcuDescription`). */
  readonly description: string;
  /** Bytes of heap of a native program at its next start; the board's when absent or undefined. */
  readonly heapBytes?: () => number | undefined;
  readonly onLine: (line: string) => void;
  /** The ECU stopped by itself and was not restarting: it cannot run. */
  readonly onFailure: (status: number | null) => void;
}

export class EcuProcess {
  private readonly options: EcuProcessOptions;
  private readonly watchdog = new WatchdogSupervisor(() => this.expire());
  private child: Child;
  /** The process was killed, and what for. */
  private killed: 'power' | 'watchdog' | undefined;
  private stopping = false;
  private starting = true;
  /** Ends that nobody asked for, since it was last ready. */
  private crashes = 0;
  private peakRss = 0;
  private peakHeap = 0;

  constructor(options: EcuProcessOptions) {
    this.options = options;
    this.child = this.powerOn();
  }

  /** The most that any run so far has needed, in bytes; no `heap` where Node runs the agent. */
  get peakMemory(): PeakMemory {
    const { peakRss: rss, peakHeap: heap } = this;
    return heap === 0 ? { rss } : { rss, heap };
  }

  /**
   * True until the agent says `ready`: it may be on a trial that has not ended. Never late, as a
   * process starts only after the last line of the one before.
   */
  get isStarting(): boolean {
    return this.starting;
  }

  /**
   * Cuts the power in the middle of whatever the ECU does; it starts again at once.
   * @returns whether the cut hit: false when the process had just ended by itself
   */
  async cutPower(): Promise<boolean> {
    this.killed = 'power';
    return (await this.child.kill()) === null;
  }

  /** The same ECU, switched on after it was stopped. */
  again(): EcuProcess {
    return new EcuProcess(this.options);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.watchdog.stop();
    await this.child.stop();
  }

  private expire(): void {
    this.options.onLine('restarted by=watchdog');
    this.killed = 'watchdog';
    this.child.kill();
  }

  private powerOn(): Child {
    const cause = this.killed === 'watchdog' ? [watchdogArgument] : [];
    this.killed = undefined;
    this.starting = true;
    const { description, program } = this.options;
    const [native, ...before] = board.engine.runtime === 'quickjs' ? nativeProgram(program) : [];
    const heapBytes = this.options.heapBytes?.() ?? board.memory.heapBytes[program];
    const heap = ['--heap', String(heapBytes)];
    return new Child({
      ...(native === undefined
        ? { arguments: [...smallHeap(program), nodeProgram, description, ...cause] }
        : { program: native, arguments: [...before, ...heap, description, ...cause] }),
      onLine: (line) => this.line(line),
      onExit: (status) => {
        this.watchdog.stop();
        if (this.stopping) return;
        if (status === rebootStatus || this.killed !== undefined || this.mayGoOn(status)) {
          this.child = this.powerOn();
        } else this.options.onFailure(status);
      },
    });
  }

  /** After a crash (null: by a signal) the ECU is started again, and may have a way back (INS-13). */
  private mayGoOn(status: number | null): boolean {
    if (status !== null && finalStatuses.includes(status)) return false;
    this.crashes += 1;
    if (this.crashes > maxCrashesInARow) return false;
    this.options.onLine(`restarted by=crash status=${status}`);
    return true;
  }

  private line(line: string): void {
    const peak = /^peak-rss bytes=(\d+)(?: heap=(\d+))?$/.exec(line);
    if (this.watchdog.line(line)) return;
    if (line.startsWith('ready ')) {
      this.starting = false;
      this.crashes = 0;
    }
    if (peak === null) this.options.onLine(line);
    else {
      this.peakRss = Math.max(this.peakRss, Number(peak[1]));
      this.peakHeap = Math.max(this.peakHeap, Number(peak[2] ?? 0));
    }
  }
}
