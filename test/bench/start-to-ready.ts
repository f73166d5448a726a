/** Prints the milliseconds from the start of a native Secondary to its line `ready`, as JSON. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { board } from '../../backend/fleet/vehicle-layout.ts';
import { machineArchitecture, programPath } from '../../boards/programs.ts';
import { startBus } from '../scenario/can-bus.ts';
import { manufactureUnconnected } from '../scenario/unconnected-vehicle.ts';

const runs = 15;

/** Milliseconds of one start. */
function start(program: string, description: string): Promise<number> {
  const heap = ['--heap', String(board.memory.heapBytes.secondary)];
  const begun = performance.now();
  const child = spawn(program, [...heap, description], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let time = 0;
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    if (time !== 0 || !/^ready /m.test(text)) return;
    time = performance.now() - begun;
    child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.once('close', () => (time === 0 ? reject(new Error(text)) : resolve(time)));
  });
}

const folder = mkdtempSync(join(tmpdir(), 'ota-bench-start-'));
const bus = await startBus();
try {
  const { agents } = await manufactureUnconnected(folder, bus.address);
  const { description } = agents.find(({ layout }) => layout.name === 'full')!;
  const program = programPath(board, machineArchitecture, 'secondary');
  const times: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const time = await start(program, description);
    if (run > 0) times.push(time);
  }
  process.stdout.write(JSON.stringify(times));
} finally {
  await bus.stop();
  rmSync(folder, { recursive: true, force: true });
}
