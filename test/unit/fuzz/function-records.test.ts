/** Functions whose records the engine drops and reads again, on the engine of the programs. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('function records on demand');
const program = 'out/bin/x86_64/function-records';

const expected = `the innermost, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25
derived base first! 0.25
base second
9
number 0,number 1,number 2
two is refused
45000
201
425
function function true
waited 0 1 2
waited 0 1`;

if (existsSync(program)) {
  test('functions of every kind go on with what they had, in the least heap, too', () => {
    const folder = mkdtempSync(join(tmpdir(), 'function-records-'));
    try {
      const description = join(folder, 'description.json');
      writeFileSync(description, '{}');
      for (const heap of ['1048576', '196608']) {
        const output = execFileSync(program, ['--heap', heap, description], { encoding: 'utf8' });
        assert.is(output.slice(0, expected.length), expected);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
} else {
  console.log('skipped: 1 make provider-hosts was not run: it needs packages');
}

test.run();
