/** What `make runtime` says to a folder of QuickJS-ng that is none (QUICKJS_SRC). */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('sources of the runtime');

test('a folder without quickjs.c is refused, and what was brought before stays whole', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-sources-'));
  try {
    const complete = join(folder, '.complete');
    writeFileSync(complete, '\n');
    const { status, stderr } = spawnSync('hal/quickjs/build/sources.sh', [folder], {
      env: { ...process.env, QUICKJS_SRC: join(folder, 'nothing') },
      encoding: 'utf8',
    });
    assert.is(status, 1);
    assert.match(stderr, /^sources\.sh: QUICKJS_SRC=.*nothing: there is no quickjs\.c in it$/m);
    assert.ok(existsSync(complete));
    assert.is(readFileSync(complete, 'utf8'), '\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
