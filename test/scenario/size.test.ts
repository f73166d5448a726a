/** The sizes of the programs and of the agents keep their budgets, or what was reached of them. */
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gateOf, readBaseline } from '../size/figures.ts';
import { architectures, measureAgents, measurePrograms } from '../size/program-size.ts';

const test = suite('sizes');
const baseline = readBaseline('working-copy');

if (existsSync('out/bin/bytecode-compiler')) {
  test('the agents of a slot have not grown', async () => {
    for (const { name, value } of await measureAgents()) {
      assert.ok(value <= gateOf(name, baseline), `${name}: ${value} bytes`);
    }
  });
} else {
  console.log('skipped: 1 make runtime was not run: it needs packages');
}

const figures = measurePrograms();
for (const architecture of architectures) {
  const own = figures.filter(({ name }) => name.endsWith(` ${architecture}`));
  if (own.length === 0) {
    console.log(`skipped: 1 make runtime was not run for ${architecture}: it needs packages`);
    continue;
  }
  test(`the programs for ${architecture} have not grown`, () => {
    for (const { name, value } of own) {
      assert.ok(value <= gateOf(name, baseline), `${name}: ${value} bytes`);
    }
  });
}

test.run();
