/** A stratified sample of `make powercut`: some points of every life, ECU and part. */
import { spawn } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parts, roles } from '../powercut/geometries.ts';
import { lives } from '../powercut/scenario.ts';

const test = suite('power cuts');

test('VER-01, VER-02, HRD-14: one point in 17 of an update’s life leaves nothing bricked or lost', async () => {
  const child = spawn(process.execPath, ['test/powercut/run.ts'], {
    env: { ...process.env, EVERY: '17', SEED: '7' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  const last = output.trimEnd().split('\n').at(-1)!;
  const found =
    /^(\d+) points visited, (\d+) faults fired of (\d+) planned, (\d+) bricked, (\d+) lost$/.exec(
      last,
    );
  assert.ok(found, output);
  const [points, fired, planned, bricked, lost] = found!.slice(1).map(Number);
  assert.equal([bricked, lost], [0, 0], output);
  assert.is(fired, planned);
  // One in seven of the 110 scenarios goes through every kind of ECU and part, and every life.
  for (const name of [...roles, ...parts.map((part) => part.name), ...lives]) {
    assert.match(output, new RegExp(`(^|, )${name}[,:]`, 'm'));
  }
  assert.ok(points! > 800, last);
  assert.is(output.match(/points, \d+ of/g)?.length, 16);
  assert.is(status, 0);
});

test.run();
