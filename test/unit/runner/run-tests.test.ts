/** The test runner itself: what it counts, and what it never takes for a success. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runTests, type Totals } from '../../runner/run-tests.ts';

const test = suite('test runner');

const header = `import { suite } from 'uvu';\nimport * as assert from 'uvu/assert';\nconst test = suite('planted');\n`;
const good = `${header}test('one', () => assert.is(1, 1));\ntest('two', () => assert.is(2, 2));\n`;

interface Run extends Totals {
  readonly lines: string;
}

/** Runs planted files (path → text) in a folder of their own. */
async function runPlanted(
  files: Readonly<Record<string, string>>,
  settings: { only?: string; milliseconds?: number; everythingInstalled?: boolean } = {},
): Promise<Run> {
  mkdirSync('out', { recursive: true });
  const folder = mkdtempSync('out/planted-');
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const lines: string[] = [];
    const milliseconds = settings.milliseconds ?? 60_000;
    const totals = await runTests({
      folder,
      bundles: join(folder, 'bundles'),
      only: settings.only ?? '',
      atOnce: 2,
      milliseconds: { unit: milliseconds, scenario: milliseconds },
      everythingInstalled: settings.everythingInstalled ?? false,
      print: (line) => lines.push(line),
    });
    return { ...totals, lines: lines.join('\n') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('counts the checks of every file of both kinds', async () => {
  const run = await runPlanted({
    'unit/a/one.test.ts': `${good}test.run();\n`,
    'scenario/two.test.ts': `${good}test.run();\n`,
    'unit/a/not-a-test.ts': 'throw new Error();\n',
  });
  assert.is(run.passed, 4, run.lines);
  assert.is(run.failed, 0, run.lines);
});

test('a file that never calls run() fails', async () => {
  const run = await runPlanted({ 'unit/one.test.ts': good });
  assert.is(run.failed, 1);
  assert.match(run.lines, 'is .run() missing?');
});

test('a failing check fails, and its output is shown in full', async () => {
  const run = await runPlanted({
    'unit/one.test.ts': `${good}test('three is four', () => { assert.is(3, 4); });\ntest.run();\n`,
  });
  assert.is(run.passed, 2);
  assert.is(run.failed, 1);
  assert.match(run.lines, 'three is four');
  assert.match(run.lines, /one\.test\.ts:6/);
});

test('a hanging file is killed at its time and fails', async () => {
  const run = await runPlanted(
    { 'unit/one.test.ts': `${good}test.run();\nsetInterval(() => undefined, 1000);\n` },
    { milliseconds: 1_500 },
  );
  assert.is(run.failed, 1);
  assert.match(run.lines, 'was killed');
});

test('a rejection after the last check fails the file', async () => {
  const run = await runPlanted({
    'unit/one.test.ts': `${good}test.run();\nsetTimeout(() => Promise.reject(new Error('late')), 300);\n`,
  });
  assert.is(run.failed, 1);
  assert.match(run.lines, 'late');
});

test('a process left behind is killed and fails the file', async () => {
  const run = await runPlanted({
    'unit/one.test.ts': `import { spawn } from 'node:child_process';
${good}test('leaves one', () => {
  spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' }).unref();
});
test.run();
`,
  });
  assert.is(run.failed, 1, run.lines);
  assert.match(run.lines, 'left processes running');
});

test('a file that cannot be bundled fails', async () => {
  const run = await runPlanted({
    'unit/one.test.ts': `import './absent.ts';\n${good}test.run();\n`,
  });
  assert.is(run.failed, 1);
  assert.match(run.lines, 'absent.ts');
});

test('a skip is reported with its reason and counts as neither', async () => {
  const run = await runPlanted({
    'unit/one.test.ts': `console.log('skipped: 7 no vectors here');\n`,
  });
  assert.is(run.passed, 0);
  assert.is(run.failed, 0);
  assert.match(run.lines, 'skipped: 7 unit/one.test.ts: no vectors here');
});

test('a missing package is no reason to skip where everything can be installed', async () => {
  const files = { 'unit/one.test.ts': `console.log('skipped: 1 Debian package duktape');\n` };
  assert.is((await runPlanted(files)).failed, 0);
  assert.is((await runPlanted(files, { everythingInstalled: true })).failed, 1);
});

test('checks hidden by .only or .skip fail the file', async () => {
  const only = await runPlanted({
    'unit/one.test.ts': `${good}test.only('three', () => undefined);\ntest.run();\n`,
  });
  assert.is(only.failed, 1);
  const skip = await runPlanted({
    'unit/one.test.ts': `${good}test.skip('three', () => undefined);\ntest.run();\n`,
  });
  assert.is(skip.failed, 1);
});

test('runs only the files whose path begins with the prefix, and some there must be', async () => {
  const files = {
    'unit/a/one.test.ts': `${good}test.run();\n`,
    'unit/b/two.test.ts': 'throw new Error();\n',
  };
  const run = await runPlanted(files, { only: 'unit/a' });
  assert.is(run.passed, 2);
  assert.is(run.failed, 0);
  assert.is((await runPlanted(files, { only: 'unit/c' })).failed, 1);
});

test('a bundled module knows its source and is not the program', async () => {
  const run = await runPlanted({
    'unit/module.ts': `if (import.meta.main) throw new Error('started');\nexport const url = import.meta.url;\n`,
    'unit/one.test.ts': `import { url } from './module.ts';\n${header}test('url', () => assert.match(url, /unit.module.ts$/));\ntest.run();\n`,
  });
  assert.is(run.passed, 1, run.lines);
});

test.run();
