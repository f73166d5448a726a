/** Finds the test files, runs them a few at a time and prints one line for each. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { es5Name, runEs5 } from '../es5/run.ts';
import { leftOut } from '../quickjs/left-out.ts';
import { quickJsGroups, quickJsPrefix, runGroup } from '../quickjs/run.ts';
import { bundleTest } from './bundle.ts';
import { runChild } from './child.ts';
import { judge, type Skip, type Verdict } from './judge.ts';

export interface RunOptions {
  /** Holds `unit/` and `scenario/`. */
  readonly folder: string;
  /** For the bundles; removed at the end. Lies below the project's node_modules. */
  readonly bundles: string;
  /** Only files whose path in `folder` begins so. */
  readonly only: string;
  readonly atOnce: number;
  /** Time for one file of each kind. */
  readonly milliseconds: { readonly unit: number; readonly scenario: number };
  /** Runs the unit tests inside QuickJS, too, and those of tier 2 as ES5. */
  readonly otherEngines?: boolean;
  /** Continuous integration: no package may be missing. */
  readonly everythingInstalled: boolean;
  readonly print: (line: string) => void;
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
}

/** Paths of the `.test.ts` files, relative to `folder`, sorted; those of a kind stay together. */
export function findTests(folder: string, only: string): string[] {
  const found: string[] = [];
  for (const kind of ['unit', 'scenario']) {
    if (!existsSync(join(folder, kind))) continue;
    const files = readdirSync(join(folder, kind), { recursive: true, encoding: 'utf8' });
    for (const file of files.sort()) {
      const path = `${kind}/${file}`;
      if (path.endsWith('.test.ts') && path.startsWith(only)) found.push(path);
    }
  }
  return found;
}

type Finished = Verdict & { readonly output: string };

/** One line of the run: a test file on Node, or a group of them inside QuickJS. */
interface Job {
  readonly name: string;
  readonly run: () => Promise<Finished>;
}

function jobsOf(options: RunOptions): Job[] {
  const { folder, only, bundles, milliseconds, everythingInstalled, print } = options;
  const jobs: Job[] = findTests(folder, only).map((path) => ({
    name: path,
    run: () => runFile(options, path),
  }));
  if (!options.otherEngines) return jobs;
  if (es5Name.startsWith(only)) {
    const run = () => runEs5(bundles, milliseconds.unit, everythingInstalled);
    jobs.push({ name: es5Name, run });
  }
  for (const [name, paths] of quickJsGroups(findTests(folder, 'unit/'))) {
    if (!`${quickJsPrefix}${name}`.startsWith(only)) continue;
    const run = () =>
      runGroup(name, paths, bundles, milliseconds.scenario, everythingInstalled, print);
    jobs.push({ name: `${quickJsPrefix}${name}`, run });
  }
  return jobs;
}

async function runFile(options: RunOptions, path: string): Promise<Finished> {
  const program = join(resolve(options.bundles), path.replace(/\.ts$/, '.mjs'));
  const problem = await bundleTest(join(resolve(options.folder), path), program);
  if (problem !== undefined) {
    return { passed: 0, failed: 1, skips: [], reasons: ['cannot be bundled'], output: problem };
  }
  const kind = path.startsWith('scenario/') ? 'scenario' : 'unit';
  const result = await runChild(program, options.milliseconds[kind]);
  return { ...judge(result, options.everythingInstalled), output: result.output };
}

/** Runs all files; prints a line for each, the whole output of those that failed, and the skips. */
export async function runTests(options: RunOptions): Promise<Totals> {
  const { print } = options;
  const jobs = jobsOf(options);
  const skips: Skip[] = [];
  const failures: string[] = [];
  let passed = 0;
  let failed = 0;
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < jobs.length) {
      const { name, run } = jobs[next++]!;
      const started = performance.now();
      const verdict = await run();
      const seconds = Math.round((performance.now() - started) / 1000);
      passed += verdict.passed;
      failed += verdict.failed;
      for (const skip of verdict.skips) skips.push({ ...skip, reason: `${name}: ${skip.reason}` });
      if (verdict.reasons.length === 0) {
        print(`ok      ${name} (${verdict.passed}) ${seconds} s`);
      } else {
        failures.push(`${name}: ${verdict.reasons.join('; ')}`);
        print(`FAILED  ${name}: ${verdict.reasons.join('; ')}\n${verdict.output.trimEnd()}\n`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: options.atOnce }, work));
  } finally {
    rmSync(options.bundles, { recursive: true, force: true });
  }
  if (jobs.length === 0) {
    print(`no test file under ${options.folder} begins with '${options.only}'`);
    failed += 1;
  }
  if (options.otherEngines && `${quickJsPrefix}unit/`.startsWith(options.only.slice(0, 13))) {
    for (const [path, reason] of Object.entries(leftOut)) {
      if (path.endsWith('.ts')) print(`not inside QuickJS: ${path}: ${reason}`);
    }
  }
  for (const skip of skips) print(`skipped: ${skip.count} ${skip.reason}`);
  for (const failure of failures) print(`failed: ${failure}`);
  return { passed, failed };
}
