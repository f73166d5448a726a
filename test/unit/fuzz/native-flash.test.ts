/** The flash file of the native programs under random calls, watched by sanitizers. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('flash file of the native programs');
const program = 'out/native/flash-exercise';

if (existsSync(program)) {
  // Even seeds: a part that is erased to 0.
  for (const seed of ['1', '2', '3']) {
    test(`it does what a NOR part does, in any order of calls (seed ${seed})`, () => {
      const folder = mkdtempSync(join(tmpdir(), 'ota-flash-exercise-'));
      try {
        const words = [join(folder, 'flash.bin'), seed, '3000'];
        assert.is(execFileSync(program, words, { encoding: 'utf8' }), 'passed\n');
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
} else {
  console.log('skipped: 1 make provider-hosts was not run: it needs packages');
}

test.run();
