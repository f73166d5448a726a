/**
 * `make mutants`: takes every check that names a row out of a copy of the project, one at a time,
 * and shows that a test with that row in its name, which passes otherwise, then fails.
 * ONLY: beginnings of paths or rows, with commas between. The last line is `N checks removed, N caught`.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { join, resolve } from 'node:path';
import { bundleTest } from '../runner/bundle.ts';
import { killRunning, runChild } from '../runner/child.ts';
import { findNamedTests, type NamedTest } from './evidence.ts';
import { writeMutatedCopy } from './mutated-copy.ts';
import type { RemovableCheck } from './removable-checks.ts';

/** Fewer would mean that checks are no longer found. */
const leastChecks = 80;
const milliseconds = 300_000;

process.chdir(join(import.meta.dirname, '..', '..'));
const only = (process.env['ONLY'] ?? '').split(',');
const isChosen = (text: string): boolean => only.some((begin) => text.startsWith(begin));
const copy = resolve(`out/mutants/${process.pid}`);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killRunning();
    process.exit(128 + constants.signals[signal]);
  });
}

/** Names of tests that started and that passed. */
interface Run {
  readonly started: readonly string[];
  readonly passed: readonly string[];
  /** True when the tests before the named ones ran, too. */
  readonly afterOthers: boolean;
}

const bundles = new Map<string, Promise<string>>();
const unremoved = new Map<string, Promise<Run>>();
let runs = 0;

/** The bundle of one test file of the copy, made once. */
function bundleOf(path: string): Promise<string> {
  const known = bundles.get(path);
  if (known !== undefined) return known;
  const program = join(copy, 'out', path.replace(/\.ts$/, '.mjs'));
  const standIns = { uvu: join(copy, 'test/conformance/named-tests.ts') };
  const made = bundleTest(join(copy, path), program, standIns).then((problem) => {
    if (problem !== undefined) throw new Error(`${path} cannot be bundled: ${problem}`);
    return program;
  });
  bundles.set(path, made);
  return made;
}

/** Runs the tests of one file that are named after one of the rows, with a check removed or none. */
async function run(
  path: string,
  rows: readonly string[],
  removed: number | '',
  afterOthers: boolean,
): Promise<Run> {
  const program = await bundleOf(path);
  const results = join(copy, 'out', `results-${runs++}`);
  const env = {
    ...process.env,
    REMOVED_CHECK: String(removed),
    NAMED_ROWS: rows.join(','),
    NAMED_AFTER_OTHERS: afterOthers ? '1' : '',
    NAMED_RESULTS: results,
  };
  await runChild(program, milliseconds, { cwd: copy, env });
  const lines = existsSync(results) ? readFileSync(results, 'utf8').trimEnd().split('\n') : [];
  const noted = lines.map((line) => JSON.parse(line) as [string, string]);
  const namesOf = (what: string) => noted.filter((one) => one[0] === what).map((one) => one[1]);
  return { started: namesOf('started'), passed: namesOf('passed'), afterOthers };
}

/** The same without a removal, once for each file and rows; throws when a named test fails. */
function runUnremoved(path: string, rows: readonly string[]): Promise<Run> {
  const key = `${path} ${rows.join()}`;
  const known = unremoved.get(key) ?? runUntouched(path, rows);
  unremoved.set(key, known);
  return known;
}

async function runUntouched(path: string, rows: readonly string[]): Promise<Run> {
  const alone = await run(path, rows, '', false);
  if (failureIn(alone) === undefined) return alone;
  // Tests of one story need those before them.
  const whole = await run(path, rows, '', true);
  const broken = failureIn(whole);
  if (broken !== undefined) throw new Error(`${path}: '${broken}' fails with all checks in place`);
  return whole;
}

function failureIn({ started, passed }: Run): string | undefined {
  return started.find((name) => !passed.includes(name));
}

/** The first test that fails without the check; undefined when none does. */
async function failingTest(
  number: number,
  { rows }: RemovableCheck,
  tests: readonly NamedTest[],
): Promise<string | undefined> {
  const named = tests.filter((test) => test.rows.some((row) => rows.includes(row)));
  // Unit tests first: they are faster.
  const paths = [...new Set(named.map(({ path }) => path))].sort().reverse();
  for (const path of paths) {
    const before = await runUnremoved(path, rows);
    const after = await run(path, rows, number, before.afterOthers);
    const failed = before.passed.find(
      (name) => after.started.includes(name) && !after.passed.includes(name),
    );
    if (failed !== undefined) return `${path}: ${failed}`;
  }
  return undefined;
}

const checks = writeMutatedCopy(copy);
const tests = findNamedTests();
const chosen = checks
  .map((check, number) => ({ check, number }))
  .filter(({ check }) => [check.path, ...check.rows].some(isChosen));
const problems: string[] = [];
let caught = 0;
let next = 0;

async function work(): Promise<void> {
  while (next < chosen.length) {
    const { check, number } = chosen[next++]!;
    const what = `${check.rows.join(', ')}  ${check.path}:${check.line}  ${check.text}`;
    try {
      const failed = await failingTest(number, check, tests);
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
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
} finally {
  rmSync(copy, { recursive: true, force: true });
}
for (const problem of problems) console.log(problem);
if (isChosen('') && chosen.length < leastChecks) {
  problems.push('few');
  console.log(`at least ${leastChecks} checks have to be removed`);
}
process.exitCode = problems.length === 0 && chosen.length > 0 ? 0 : 1;
console.log(`${chosen.length} checks removed, ${caught} caught`);
