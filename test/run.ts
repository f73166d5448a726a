/**
 * `make test`: runs every test/{unit,scenario}/**\/*.test.ts from the project's root.
 * The agent's unit tests run a second time, inside QuickJS (test/quickjs): ONLY=quickjs; those of tier
 * 2 also as ES5 in Duktape (test/es5): ONLY=es5.
 * Environment: ONLY, prefix of paths below test/; CI, no package may be missing; FAILED_CHECKS, the
 * names of checks that `make ci` saw fail before. The last line is `N passed, N failed`.
 */
import { constants } from 'node:os';
import { join } from 'node:path';
import { killRunning } from './runner/child.ts';
import { runTests } from './runner/run-tests.ts';

process.chdir(join(import.meta.dirname, '..'));
const environment = process.env;
const bundles = `out/test/${process.pid}`;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killRunning();
    process.exit(128 + constants.signals[signal]);
  });
}

const totals = await runTests({
  folder: 'test',
  bundles,
  only: (environment['ONLY'] ?? '').replace(/^test\//, ''),
  atOnce: 2,
  milliseconds: { unit: 300_000, scenario: 900_000 },
  otherEngines: true,
  everythingInstalled: !['', '0', 'false'].includes(environment['CI'] ?? ''),
  print: (line) => console.log(line),
});
const failedChecks = (environment['FAILED_CHECKS'] ?? '').split(' ').filter((name) => name !== '');
for (const name of failedChecks) console.log(`failed: make ${name}`);
const failed = totals.failed + failedChecks.length;
process.exitCode = failed === 0 ? 0 : 1;
console.log(`${totals.passed} passed, ${failed} failed`);
