/**
 * `make powercut`: the complete life of an update with a cut at every point and a second cut during
 * each recovery, for every kind of ECU on every flash part, on all cores.
 *
 * Environment: EVERY, visit one point in so many (1: all); SCENARIOS, run one scenario in so many (1:
 * all; of a sample 7); SEED, which ones. The last line is
 * `N points visited, N faults fired of N planned, N bricked, N lost`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Totals } from './explore.ts';
import { parts, roles } from './geometries.ts';
import { livesOf } from './scenario.ts';
import type { Task } from './worker.ts';

const program = join(import.meta.dirname, 'worker.ts');

function positive(name: string, standard: number): number {
  const value = Number(process.env[name] || standard);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  process.stderr.write(`${name}=${process.env[name]}: expected a whole number from 1 on\n`);
  process.exit(2);
}

const every = positive('EVERY', 1);
const seed = positive('SEED', 1);
const tasks: Task[] = roles.flatMap((role) =>
  parts.flatMap((_, part) =>
    livesOf(role).map((life): Task => ({ role, part, life, every, seed })),
  ),
);
// A sample takes one scenario in seven, which goes through all kinds, parts and lives.
const stride = positive('SCENARIOS', every > 1 ? 7 : 1);
tasks.splice(0, tasks.length, ...tasks.filter((_, i) => i % stride === seed % stride));
// The parts with the smallest units have the most points: they go first.
tasks.sort((a, b) => parts[a.part]!.writeAlign - parts[b.part]!.writeAlign);

const totals = { points: 0, planned: 0, fired: 0, bricked: 0, lost: 0 };
let broken = false;

function take({ role, part, life }: Task, result: Totals): void {
  for (const name of ['points', 'planned', 'fired', 'bricked', 'lost'] as const) {
    totals[name] += result[name];
  }
  const { points, fired, planned } = result;
  console.log(
    `${role}, ${parts[part]!.name}, ${life}: ${points} points, ${fired} of ${planned} fired`,
  );
  for (const failure of result.failures) console.log(`  ${failure}`);
}

/** One worker process, until no task is left. */
function work(): Promise<void> {
  return new Promise((resolve) => {
    const worker: ChildProcess = fork(program, {
      // Many short-lived objects: collected seldom, most are gone by then.
      execArgv: ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=64'],
    });
    let current: Task | undefined;
    const next = () => {
      current = tasks.shift();
      if (current === undefined) worker.disconnect();
      else worker.send(current);
    };
    worker.on('message', (result) => {
      take(current!, result as Totals);
      next();
    });
    worker.on('exit', (status) => {
      // A worker that stops in mid-task has proved nothing.
      if (status !== 0 || current !== undefined) broken = true;
      resolve();
    });
    next();
  });
}

await Promise.all(Array.from({ length: availableParallelism() }, work));
const { points, planned, fired, bricked, lost } = totals;
if (broken) console.log('a worker ended before its work was done');
if (broken || fired !== planned || bricked > 0 || lost > 0 || points === 0) process.exitCode = 1;
console.log(
  `${points} points visited, ${fired} faults fired of ${planned} planned, ${bricked} bricked, ${lost} lost`,
);
