/** Runs chosen tests of one test file of the mutated copy, and reads what became of them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleTest } from '../runner/bundle.ts';
import { runChild } from '../runner/child.ts';

/** Which tests of a file: those named after rows, or by their names. */
export type Choice =
  | { readonly rows: readonly string[]; readonly afterOthers: boolean }
  | { readonly names: readonly string[]; readonly afterOthers: boolean };

export interface EndedTest {
  readonly name: string;
  readonly passed: boolean;
  readonly milliseconds: number;
  /** Numbers of the checks that the test may have reached: all that it did, and seldom one more. */
  readonly reached: ReadonlySet<number>;
}

export interface ChosenRun {
  /** The chosen tests that were started. */
  readonly tests: readonly EndedTest[];
  /** False when the program failed, were it before the first test. */
  readonly good: boolean;
}

/** A line that `named-tests.ts` or a check wrote. */
type Line =
  | readonly ['started' | 'ended', string]
  | readonly ['passed', string, number]
  | readonly ['reached', number, number];

export class ChosenRuns {
  private readonly copy: string;
  private readonly bundles = new Map<string, Promise<string>>();
  private readonly waiting: (() => void)[] = [];
  private free: number;
  private count = 0;

  /**
   * @param copy the folder of the mutated copy
   * @param atOnce how many programs may run at the same time
   */
  constructor(copy: string, atOnce: number) {
    this.copy = copy;
    this.free = atOnce;
  }

  /** The bundle of one test file, made once. */
  private bundleOf(path: string): Promise<string> {
    const known = this.bundles.get(path);
    if (known !== undefined) return known;
    const program = join(this.copy, 'out', path.replace(/\.ts$/, '.mjs'));
    const standIns = { uvu: join(this.copy, 'test/conformance/named-tests.ts') };
    const made = bundleTest(join(this.copy, path), program, standIns).then((problem) => {
      if (problem !== undefined) throw new Error(`${path} cannot be bundled: ${problem}`);
      return program;
    });
    this.bundles.set(path, made);
    return made;
  }

  /**
   * Runs the chosen tests as a process of their own.
   * @param removed number of the check that is off; undefined: none is, and what is reached is noted
   */
  async run(
    path: string,
    choice: Choice,
    removed: number | undefined,
    milliseconds: number,
  ): Promise<ChosenRun> {
    const program = await this.bundleOf(path);
    const results = join(this.copy, 'out', `results-${this.count++}`);
    const env = {
      ...process.env,
      REMOVED_CHECK: String(removed ?? ''),
      REACHED_CHECKS: removed === undefined ? results : '',
      NAMED_ROWS: 'rows' in choice ? choice.rows.join(',') : '',
      NAMED_TESTS: 'names' in choice ? JSON.stringify(choice.names) : '',
      NAMED_AFTER_OTHERS: choice.afterOthers ? '1' : '',
      NAMED_RESULTS: results,
    };
    if (this.free === 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.free -= 1;
    const { id, status } = await runChild(program, milliseconds, { cwd: this.copy, env });
    const following = this.waiting.shift();
    if (following === undefined) this.free += 1;
    else following();
    const text = existsSync(results) ? readFileSync(results, 'utf8').trimEnd() : '';
    return { tests: readResults(text === '' ? [] : text.split('\n'), id), good: status === 0 };
  }
}

/**
 * What a test itself reaches in the test's process is its own. What was reached between tests (hooks,
 * tests that were not chosen) or in processes that they started can matter to every later test.
 */
function readResults(lines: readonly string[], id: number | undefined): readonly EndedTest[] {
  const tests: {
    name: string;
    passed: boolean;
    milliseconds: number;
    reached: Set<number>;
  }[] = [];
  const shared = new Set<number>();
  let running = false;
  for (const line of lines) {
    const [what, value, more] = JSON.parse(line) as Line;
    const current = tests.at(-1);
    if (what === 'started') {
      tests.push({ name: value, passed: false, milliseconds: 0, reached: new Set(shared) });
      running = true;
    } else if (what === 'passed' && current !== undefined) {
      current.passed = true;
      current.milliseconds = more;
    } else if (what === 'ended') {
      running = false;
    } else if (what === 'reached') {
      if (running) current!.reached.add(value);
      if (!running || more !== id) shared.add(value);
    }
  }
  return tests;
}
