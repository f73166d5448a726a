/** Every attack of `make dos` is refused, and each has its row in docs/dos.md. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attacks, replayAttacks } from '../dos/replay.ts';

const test = suite('denial of service');

test('every attack that succeeded on the peer is refused (ATK-06)', async () => {
  const results = await replayAttacks();
  assert.is(results.length, 10);
  for (const { attack, refused, detail } of results)
    assert.ok(refused, `${attack.name}: ${detail}`);
});

test('docs/dos.md names every attack', () => {
  const text = readFileSync('docs/dos.md', 'utf8');
  for (const { name } of attacks) assert.ok(text.includes(name), name);
});

test.run();
