/**
 * Stands in for uvu where `make mutants` bundles a test file. Runs only the tests whose names hold
 * one of the rows in NAMED_ROWS (with NAMED_AFTER_OTHERS also those that precede the last of them,
 * for tests that build on each other), and writes to the file NAMED_RESULTS what became of each: a line
 * `["started", name]` and, when it passed, `["passed", name]`.
 */
import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as uvu from 'uvu';
import { rowsIn } from './rows.ts';

// By its path from here: `import 'uvu'` is this module.
const real = createRequire(import.meta.url)('uvu') as typeof uvu;
const wanted = (process.env['NAMED_ROWS'] ?? '').split(',');
const results = process.env['NAMED_RESULTS']!;
const afterOthers = process.env['NAMED_AFTER_OTHERS'] === '1';
/** Wanted tests that have not ended yet. */
let left = 0;

function note(what: 'started' | 'passed', name: string): void {
  appendFileSync(results, `${JSON.stringify([what, name])}\n`);
}

function onlyNamed<T>(all: uvu.Test<T>): uvu.Test<T> {
  const named = (name: string, run: uvu.Callback<T>): void => {
    const isWanted = rowsIn(name).some((row) => wanted.includes(row));
    if (!isWanted && !afterOthers) return;
    if (isWanted) left += 1;
    all(name, async (context) => {
      if (left === 0) return;
      if (isWanted) note('started', name);
      try {
        await run(context);
        if (isWanted) note('passed', name);
      } finally {
        if (isWanted) left -= 1;
      }
    });
  };
  return Object.assign(named, all);
}

export const test = onlyNamed(real.test);

export function suite<T>(name?: string, context?: T): uvu.Test<T> {
  return onlyNamed(real.suite(name, context));
}
