/**
 * What the resident memory of native ECU programs consists of: the kernel's account of each mapping
 * (/proc/PID/smaps), looked at again and again while a vehicle runs, and kept where it was largest.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

const sampleMilliseconds = 100;
/** The JavaScript heap lies below this in one region (hal/quickjs/engine/heap.c). */
const heapEnd = 2 ** 32;

export type Parts = Readonly<Record<string, number>>;

function parentOf(pid: string): string {
  // The name before it may hold spaces and parentheses.
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1]!;
}

/** To which part a mapping belongs; `dataEnd`: where the file's data section ends. */
function partOf(start: number, rights: string, path: string, program: string, dataEnd: number) {
  if (path === program) {
    if (rights[2] === 'x') return 'code';
    return rights[1] === 'w' ? 'data' : 'constants';
  }
  if (path === '[stack]') return 'stack';
  if (path === '[heap]') return 'C heap, bytecode';
  if (path !== '') return 'of the kernel';
  // What the file's data section needs beyond the file follows it.
  if (start === dataEnd) return 'data';
  return start < heapEnd ? 'JavaScript heap' : 'C heap, bytecode';
}

/** Resident bytes by part, of one process. */
export function residentParts(smaps: string, program: string): Parts {
  const parts: Record<string, number> = {};
  let part = '';
  let dataEnd = 0;
  for (const line of smaps.split('\n')) {
    const mapping = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/.exec(line);
    if (mapping !== null) {
      const [, start, end, rights, path] = mapping;
      part = partOf(Number.parseInt(start!, 16), rights!, path!, program, dataEnd);
      if (part === 'data') dataEnd = Number.parseInt(end!, 16);
    }
    const resident = /^Rss: +(\d+) kB$/.exec(line);
    if (resident !== null) parts[part] = (parts[part] ?? 0) + 1_024 * Number(resident[1]);
  }
  return parts;
}

const sumOf = (parts: Parts): number => Object.values(parts).reduce((sum, one) => sum + one, 0);

/** Looks at the ECU programs that a child of this process runs, until `stop`. */
export class ResidentSampler {
  /** By the name of the program's file. */
  private readonly largest: Record<string, Parts> = {};
  private readonly timer: NodeJS.Timeout;

  constructor() {
    this.timer = setInterval(() => this.sample(), sampleMilliseconds);
  }

  /** The parts where their sum was largest, by the name of the program's file. */
  stop(): Readonly<Record<string, Parts>> {
    clearInterval(this.timer);
    return this.largest;
  }

  private sample(): void {
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      try {
        const program = readlinkSync(`/proc/${pid}/exe`);
        const name = basename(program);
        if (!name.startsWith('ecu-')) continue;
        if (parentOf(parentOf(pid)) !== String(process.pid)) continue;
        const parts = residentParts(readFileSync(`/proc/${pid}/smaps`, 'utf8'), program);
        const before = this.largest[name];
        if (before === undefined || sumOf(parts) > sumOf(before)) this.largest[name] = parts;
      } catch {
        // It has just ended, or is another user's.
      }
    }
  }
}

/** `parts` of a peak that the kernel noted between two looks. */
export function withRest(parts: Parts, peak: number): Parts {
  const rest = peak - sumOf(parts);
  return rest > 0 ? { ...parts, 'between two looks': rest } : parts;
}
