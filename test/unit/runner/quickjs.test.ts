/** Tests inside QuickJS: what is left out exists and has a reason, and failures come out by name. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { needsNode } from '../../quickjs/bundle.ts';
import { leftOut } from '../../quickjs/left-out.ts';
import { engineHost, quickJsGroups, runGroup } from '../../quickjs/run.ts';
import { findTests } from '../../runner/run-tests.ts';

const test = suite('tests inside QuickJS');

test('every reason is about tests that exist; everything else runs', () => {
  const paths = findTests('test', 'unit/');
  const running = [...quickJsGroups(paths).values()].flat();
  for (const [prefix, reason] of Object.entries(leftOut)) {
    assert.ok(
      paths.some((path) => path.startsWith(prefix)),
      prefix,
    );
    assert.ok(reason.length > 10, prefix);
    assert.not(
      running.some((path) => path.startsWith(prefix)),
      prefix,
    );
  }
  const out = paths.filter((path) => Object.keys(leftOut).some((one) => path.startsWith(one)));
  assert.is(running.length + out.length, paths.length);
});

test('a test needs Node by what it loads, not by what something else stands for', async () => {
  assert.is(await needsNode('unit/crypto/kem.test.ts'), undefined);
  assert.is(await needsNode('unit/net/http.test.ts'), 'needs node:net');
});

if (existsSync(engineHost)) {
  test('a check that fails, and a file that cannot be loaded, fail the group by name', async () => {
    const folder = mkdtempSync('test/engine-');
    try {
      const imports = "import { suite } from 'uvu';\nimport * as assert from 'uvu/assert';\n";
      const file = (name: string, text: string): string => {
        writeFileSync(join(folder, name), imports + text);
        return relative('test', join(folder, name));
      };
      const paths = [
        file(
          'mixed.test.ts',
          "const test = suite('arithmetic');\n" +
            "test('one and one', () => assert.is(1 + 1, 2));\n" +
            "test('a wrong sum', async () => assert.is(1 + 1, 3));\ntest.run();\n",
        ),
        file('broken.test.ts', "throw new Error('not loadable');\n"),
      ];
      const verdict = await runGroup(
        'broken',
        paths,
        `out/test/engine-${process.pid}`,
        60_000,
        true,
        () => undefined,
      );
      assert.is(verdict.passed, 1);
      assert.is(verdict.failed, 2);
      assert.match(verdict.output, 'a wrong sum');
      assert.match(verdict.output, 'broken.test.ts: Error: not loadable');
    } finally {
      rmSync(folder, { recursive: true });
      rmSync(`out/test/engine-${process.pid}`, { recursive: true, force: true });
    }
  });
} else console.log('skipped: 1 make provider-hosts was not run: it installs packages');

test.run();
