/** The agent program that goes into a slot. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AgentProgram, buildAgent } from '../../../boards/build.ts';

const test = suite('agent program');

/** Builds in a folder that is gone afterwards. */
async function built(
  program: 'primary' | 'secondary',
  release: number,
): Promise<AgentProgram & { readonly onDisk: Uint8Array }> {
  const folder = mkdtempSync(join(tmpdir(), 'agent-'));
  try {
    const result = await buildAgent({
      program,
      release,
      outfile: join(folder, 'deep/agent.js'),
      runtime: 'node',
    });
    return { ...result, onDisk: readFileSync(result.path) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const program of ['primary', 'secondary'] as const) {
  test(`the ${program} loads in a bare engine and defines agent.start`, async () => {
    const { bytes, onDisk } = await built(program, 1);
    assert.equal(Buffer.from(onDisk), Buffer.from(bytes));
    const source = new TextDecoder().decode(bytes);
    assert.is(runInContext(`${source}\n;typeof agent.start`, createContext({})), 'function');
  });
}

test('equal sources and release give equal bytes, another release gives others', async () => {
  const first = Buffer.from((await built('secondary', 1)).bytes);
  assert.ok(first.equals(Buffer.from((await built('secondary', 1)).bytes)));
  assert.not.ok(first.equals(Buffer.from((await built('secondary', 2)).bytes)));
});

test('a release that is no whole number is refused', async () => {
  for (const release of [-1, 1.5, Number.NaN]) {
    try {
      await buildAgent({ program: 'secondary', release, outfile: 'out/never.js', runtime: 'node' });
      assert.unreachable();
    } catch (error) {
      assert.instance(error, RangeError);
    }
  }
});

test.run();
