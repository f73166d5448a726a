/** Runs `make attacks`'s program as a child process, one variant of each attack, and reads its table. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';

export interface AttacksRun {
  readonly status: number | null;
  readonly output: string;
}

/** @param ids rows ATK-… to be shown */
export async function runAttacks(ids: readonly string[]): Promise<AttacksRun> {
  const parent = mkdtempSync(join(tmpdir(), 'ota-attacks-'));
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', 'backend/fleet/arena/main.ts'],
    {
      env: {
        ...process.env,
        ATTACKS: ids.join(),
        SHORT: '1',
        ARENA_FOLDER: join(parent, 'arena'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output += bytes;
    });
  }
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  rmSync(parent, { recursive: true, force: true });
  return { status, output };
}

/** The attack's line names it so, and the line below says how it ended. */
export function expectShown(run: AttacksRun, id: string, named: string, ended: RegExp): void {
  const lines = run.output.split('\n');
  const at = lines.findIndex((line) => line.startsWith(`${id} `));
  assert.ok(at >= 0, run.output);
  assert.ok(lines[at]!.includes(named), `${lines[at]}\n${lines[at + 1]}`);
  assert.match(lines[at + 1]!, ended);
  assert.not.match(lines[at + 1]!, 'FAILED');
}
