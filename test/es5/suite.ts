/**
 * In place of uvu on an engine without promises: suites of synchronous tests, run as they are queued,
 * and uvu's closing lines.
 */

declare function print(text: string): void;

type Handler = (state: Record<string, unknown>) => unknown;

interface Hooks {
  (handler: Handler): void;
  each: (handler: Handler) => void;
}

export interface Test {
  (name: string, handler: Handler): void;
  before: Hooks;
  after: Hooks;
  run: () => void;
}

let total = 0;
let passed = 0;

function hooks(once: Handler[], each: Handler[]): Hooks {
  const add = ((handler: Handler) => void once.push(handler)) as Hooks;
  add.each = (handler) => void each.push(handler);
  return add;
}

function runAll(handlers: readonly Handler[], state: Record<string, unknown>): void {
  for (const handler of handlers) {
    const result = handler(state) as { readonly then?: unknown } | undefined;
    if (result?.then !== undefined) throw new Error('an asynchronous test does not run here');
  }
}

/** Tests that do not run here, with their reasons. */
const leftOut: Readonly<Record<string, string>> = {
  'HRD-13: huge declared lengths allocate nothing': 'the engine does not tell its memory',
  'decoded byte strings are views, not copies':
    'each view of this engine has a `buffer` of its own',
};

/** One check, which passes unless `run` throws. */
export function check(name: string, run: () => void): void {
  total += 1;
  try {
    run();
    passed += 1;
  } catch (error) {
    const { message, stack } = error as Error;
    print(`FAIL ${name}: ${message}\n${stack}`);
  }
}

export function suite(suiteName = ''): Test {
  const tests: { readonly name: string; readonly handler: Handler }[] = [];
  const [before, beforeEach, after, afterEach]: Handler[][] = [[], [], [], []];
  const test = ((name: string, handler: Handler) => void tests.push({ name, handler })) as Test;
  test.before = hooks(before!, beforeEach!);
  test.after = hooks(after!, afterEach!);
  test.run = () => {
    const state: Record<string, unknown> = {};
    runAll(before!, state);
    for (const { name, handler } of tests) {
      if (leftOut[name] !== undefined) print(`not in ES5: "${name}": ${leftOut[name]}`);
      else
        check(`${suiteName} "${name}"`, () => {
          runAll(beforeEach!, state);
          runAll([handler], state);
          runAll(afterEach!, state);
        });
    }
    runAll(after!, state);
  };
  return test;
}

export const test = suite();

/** Prints what came of all suites. */
export function conclude(): void {
  print(`  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   0`);
}
