/**
 * The figures of size and memory with their budgets, and what the last commit had (docs/size.json).
 * KB are 1,000 and KiB 1,024 bytes. A figure passes while it keeps its budget or, where that is not
 * reached yet, what was reached: it may become smaller, never larger.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Figure {
  readonly name: string;
  /** Bytes. */
  readonly value: number;
  readonly budget: number;
  /** What it is made of, in bytes. */
  readonly parts?: Readonly<Record<string, number>>;
}

const KB = 1_000;
const KiB = 1_024;

/** Images with which resident memory is measured beside that of 16 MiB: it shall be alike with each. */
export const residentMebibytes: readonly number[] = [1, 64];

function residentBudgets(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [program, budget] of [
    ['secondary', 2_000 * KB],
    ['primary', 3_000 * KB],
  ] as const) {
    const name = `rss ${program} x86_64`;
    found[name] = budget;
    for (const count of residentMebibytes) found[`${name} ${count} MiB`] = budget;
  }
  return found;
}

/** Budgets in bytes, by the names of the figures. */
export const budgets: Readonly<Record<string, number>> = {
  'ecu-secondary x86_64': 800 * KB,
  'ecu-secondary aarch64': 850 * KB,
  'ecu-secondary armhf': 560 * KB,
  'ecu-primary x86_64': 900 * KB,
  'ecu-primary aarch64': 950 * KB,
  'ecu-primary armhf': 640 * KB,
  'agent secondary': 120 * KB,
  'agent primary': 180 * KB,
  'heap secondary x86_64': 256 * KiB,
  'heap secondary armhf': 192 * KiB,
  'heap primary x86_64': 512 * KiB,
  ...residentBudgets(),
};

/**
 * How much a figure may differ from the written one without growth: other compilers, and for memory
 * what lies around when it is most.
 */
const tolerances: Readonly<Record<string, number>> = { heap: 1.1, rss: 1.1 };
const usualTolerance = 1.005;

const baselinePath = 'docs/size.json';
export type Baseline = Readonly<Record<string, number>>;

/** The figures as they were written down: in the last commit, or in the working copy. */
export function readBaseline(of: 'commit' | 'working-copy'): Baseline {
  try {
    const text =
      of === 'commit'
        ? execFileSync('git', ['show', `HEAD:${baselinePath}`], {
            encoding: 'utf8',
            stdio: ['ignore', 'pipe', 'ignore'],
          })
        : readFileSync(baselinePath, 'utf8');
    return JSON.parse(text) as Baseline;
  } catch {
    // No repository (an archive of it), or a commit before the file.
    return {};
  }
}

/** Greatest value with which `name` passes: its budget, or what was reached while that is larger. */
export function gateOf(name: string, baseline: Baseline): number {
  const tolerance = tolerances[name.split(' ')[0]!] ?? usualTolerance;
  return Math.max(budgets[name]!, (baseline[name] ?? 0) * tolerance);
}

/** A figure by its name, with its budget. */
export function figure(
  name: string,
  value: number,
  parts?: Readonly<Record<string, number>>,
): Figure {
  const budget = budgets[name];
  if (budget === undefined) throw new Error(`${name} has no budget`);
  return { name, value, budget, ...(parts && { parts }) };
}
