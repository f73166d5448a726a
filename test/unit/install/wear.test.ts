/** One update wears the flash no more than docs/SPEC.md §8 says. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parts } from '../../powercut/geometries.ts';
import { wearOfUpdate } from '../../powercut/wear.ts';

const test = suite('flash wear');

test('HRD-14: erasures and writes of one update are those of the specification, at most', async () => {
  const wear = await wearOfUpdate('full', parts[0]!);
  const section = readFileSync('docs/SPEC.md', 'utf8').split('## 8. Wear')[1]!;
  const rows = [...section.matchAll(/^\| ([a-z-]+) +\| +(\d+) \| +(\d+) \| +(\d+) \|$/gm)];
  assert.equal(rows.map(([, name]) => name).sort(), Object.keys(wear).sort());
  for (const [, name, ...limits] of rows) {
    const { erasures, writes, bytes } = wear[name!]!;
    const [maxErasures, maxWrites, maxBytes] = limits.map(Number);
    assert.ok(erasures <= maxErasures!, `${name}: ${erasures} blocks erased`);
    assert.ok(writes <= maxWrites!, `${name}: ${writes} writes`);
    // A varying bit of a key or signature may cost a unit.
    assert.ok(bytes <= maxBytes! + 64, `${name}: ${bytes} bytes`);
  }
});

test.run();
