/**
 * `make mutants`: takes every check that names a row out of a copy of the project, one at a time,
 * and shows that a test with that row in its name, which passes otherwise, then fails.
 * ONLY: beginnings of paths or rows, with commas between. The last line is `N checks removed, N caught`.
 *
 * To be quick, the named tests of a file run once with every check in place and tell which checks
 * they reach; a removal is then tried on those that reach it alone, unit tests and short ones first.
 */
import { rmSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { join, resolve } from 'node:path';
import { killRunning } from '../runner/child.ts';
import { type Choice, type ChosenRun, ChosenRuns, type EndedTest } from './chosen-run.ts';
import { findNamedTests } from './evidence.ts';
import { writeMutatedCopy } from './mutated-copy.ts';
import type { RemovableCheck } from './removable-checks.ts';

/** Fewer would mean that checks are no longer found. */
const leastChecks = 80;
const baselineMilliseconds = 900_000;
/** A removal may make a test wait for what does not come; it may take so many times as long. */
const slower = 10;
const leastMilliseconds = 60_000;

process.chdir(join(import.meta.dirname, '..', '..'));
const only = (process.env['ONLY'] ?? '').split(',');
const isChosen = (text: string): boolean => only.some((begin) => text.startsWith(begin));
const copy = resolve(`out/mutants/${process.pid}`);
const started = performance.now();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killRunning();
    process.exit(128 + constants.signals[signal]);
  });
}

/** The named tests of one file with every check in place. */
interface Baseline {
  readonly path: string;
  readonly tests: readonly EndedTest[];
  /** True when the tests before the named ones had to run, too. */
  readonly afterOthers: boolean;
}

const checks = writeMutatedCopy(copy);
const tests = findNamedTests();
const chosen = checks
  .map((check, number) => ({ check, number }))
  .filter(({ check }) => [check.path, ...check.rows].some(isChosen));
const chosenRows = [...new Set(chosen.flatMap(({ check }) => check.rows))];
const atOnce = Math.min(2, availableParallelism());
const runs = new ChosenRuns(copy, atOnce);
const baselines = new Map<string, Promise<Baseline>>();
const confirmed = new Map<string, Promise<ChosenRun>>();

function baselineOf(path: string): Promise<Baseline> {
  const known = baselines.get(path) ?? runBaseline(path);
  baselines.set(path, known);
  return known;
}

async function runBaseline(path: string): Promise<Baseline> {
  for (const afterOthers of [false, true]) {
    const choice = { rows: chosenRows, afterOthers };
    const ended = await runs.run(path, choice, undefined, baselineMilliseconds);
    const broken = ended.tests.find(({ passed }) => !passed);
    // Tests of one story need those before them.
    if (ended.good) return { path, tests: ended.tests, afterOthers };
    if (afterOthers) {
      throw new Error(`${path}: '${broken?.name ?? 'the start'}' fails with all checks in place`);
    }
  }
  throw new Error('unreachable');
}

/** The first test that fails without the check; undefined when none does. */
async function failingTest(number: number, { rows }: RemovableCheck): Promise<string | undefined> {
  const named = tests.filter((test) => test.rows.some((row) => rows.includes(row)));
  const paths = [...new Set(named.map(({ path }) => path))].sort();
  const units = paths.filter((path) => path.startsWith('test/unit/'));
  const others = paths.filter((path) => !units.includes(path));
  const inUnits = await Promise.all(units.map(baselineOf));
  for (const baseline of byTime(inUnits, number, rows)) {
    const failed = await failingIn(baseline, number, rows);
    if (failed !== undefined) return failed;
  }
  for (const path of others) {
    const failed = await failingIn(await baselineOf(path), number, rows);
    if (failed !== undefined) return failed;
  }
  return undefined;
}

function candidates({ tests: all }: Baseline, number: number, rows: readonly string[]) {
  return all.filter(
    ({ name, reached }) => reached.has(number) && rows.some((row) => name.includes(row)),
  );
}

function byTime(all: readonly Baseline[], number: number, rows: readonly string[]) {
  const time = (one: Baseline) => millisecondsOf(candidates(one, number, rows));
  return [...all].sort((a, b) => time(a) - time(b));
}

function millisecondsOf(some: readonly EndedTest[]): number {
  return some.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

/** The first test of one file that fails without the check. */
async function failingIn(
  baseline: Baseline,
  number: number,
  rows: readonly string[],
): Promise<string | undefined> {
  const { path } = baseline;
  const named = candidates(baseline, number, rows);
  if (named.length === 0) return undefined;
  const names = named.map(({ name }) => name);
  const allowed = leastMilliseconds + slower * millisecondsOf(baseline.tests);
  for (const afterOthers of baseline.afterOthers ? [true] : [false, true]) {
    const choice: Choice = { names, afterOthers };
    const ended = await runs.run(path, choice, number, allowed);
    const failed = names.find((name) => !hasPassed(ended, name));
    if (failed === undefined) return undefined;
    if (await passes(path, choice, failed)) return `${path}: ${failed}`;
  }
  throw new Error(`${path}: '${names.join("', '")}' fails with all checks in place`);
}

function hasPassed({ tests: ended }: ChosenRun, name: string): boolean {
  return ended.some((one) => one.name === name && one.passed);
}

/** True when the test passes in just this choice with every check in place; each choice runs once. */
async function passes(path: string, choice: Choice, name: string): Promise<boolean> {
  const key = JSON.stringify([path, choice]);
  const known = confirmed.get(key) ?? runs.run(path, choice, undefined, baselineMilliseconds);
  confirmed.set(key, known);
  return hasPassed(await known, name);
}

const problems: string[] = [];
let caught = 0;
let next = 0;

async function work(): Promise<void> {
  while (next < chosen.length) {
    const { check, number } = chosen[next++]!;
    const what = `${check.rows.join(', ')}  ${check.path}:${check.line}  ${check.text}`;
    try {
      const failed = await failingTest(number, check);
      if (failed === undefined) problems.push(`survived  ${what}`);
      else caught += 1;
      console.log(
        failed === undefined ? `SURVIVED  ${what}` : `caught    ${what}\n          by ${failed}`,
      );
    } catch (error) {
      problems.push(`error  ${what}: ${String(error)}`);
      console.log(`ERROR     ${what}\n          ${String(error)}`);
    }
  }
}

try {
  // Some wait for the first run of a file; the others go on.
  await Promise.all(Array.from({ length: 2 * atOnce }, work));
} finally {
  rmSync(copy, { recursive: true, force: true });
}
for (const problem of problems) console.log(problem);
if (isChosen('') && chosen.length < leastChecks) {
  problems.push('few');
  console.log(`at least ${leastChecks} checks have to be removed`);
}
process.exitCode = problems.length === 0 && chosen.length > 0 ? 0 : 1;
console.log(`in ${Math.round((performance.now() - started) / 1_000)} s`);
console.log(`${chosen.length} checks removed, ${caught} caught`);
