/**
 * Stands in for uvu where `make mutants` bundles a test file. Runs only the chosen tests: those whose
 * names hold one of the rows in NAMED_ROWS, or stand in the JSON list NAMED_TESTS; with
 * NAMED_AFTER_OTHERS also those that precede the last of them, for tests that build on each other. After
 * the first chosen one that fails, none is run.
 *
 * Writes to the file NAMED_RESULTS what became of each: a line `["started", name]`, `["ended", name]`
 * and, when it passed, `["passed", name, milliseconds]`. The checks of the copy write between them
 * which of them were reached (`declaration` of removable-checks.ts).
 */
import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as uvu from 'uvu';
import { rowsIn } from './rows.ts';

// By its path from here: `import 'uvu'` is this module.
const real = createRequire(import.meta.url)('uvu') as typeof uvu;
const wantedRows = (process.env['NAMED_ROWS'] ?? '').split(',');
const wantedNames = JSON.parse(process.env['NAMED_TESTS'] || '[]') as readonly string[];
const results = process.env['NAMED_RESULTS']!;
const afterOthers = process.env['NAMED_AFTER_OTHERS'] === '1';
const isBaseline = wantedNames.length === 0;
/** Wanted tests that have not ended yet. */
let left = 0;

function note(...what: readonly (string | number)[]): void {
  appendFileSync(results, `${JSON.stringify(what)}\n`);
}

/** Lets the checks of this process tell again that they are reached. */
function forgetReached(): void {
  (globalThis as { reached$checks?: Set<number> }).reached$checks?.clear();
}

function onlyChosen<T>(all: uvu.Test<T>): uvu.Test<T> {
  const chosen = (name: string, run: uvu.Callback<T>): void => {
    const isWanted =
      wantedNames.includes(name) || rowsIn(name).some((row) => wantedRows.includes(row));
    if (!isWanted && !afterOthers) return;
    if (isWanted) left += 1;
    all(name, async (context) => {
      if (left === 0) return;
      if (!isWanted) {
        await run(context);
        return;
      }
      note('started', name);
      forgetReached();
      const start = performance.now();
      try {
        await run(context);
        note('passed', name, Math.round(performance.now() - start));
        left -= 1;
      } catch (error) {
        left = isBaseline ? left - 1 : 0;
        throw error;
      } finally {
        note('ended', name);
        forgetReached();
      }
    });
  };
  return Object.assign(chosen, all);
}

export const test = onlyChosen(real.test);

export function suite<T>(name?: string, context?: T): uvu.Test<T> {
  return onlyChosen(real.suite(name, context));
}
