/**
 * `make kill-test`: demonstrations with power cuts (KILLS=), with one seed after another, until a
 * hundred cuts have hit. The last line is `N kills, vehicle updated N of N rounds`; fails at the
 * first round whose vehicle does not end updated, or when rounds or time are used up before.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isRefusal } from '../../agent/codes.ts';
import { readDemoOptions } from './demo-options.ts';
import { summariseCuts } from './power-cuts.ts';

const wantedKills = 100;
/** More of them make a round long, not more various. */
const killsOfOneRound = 12;
const maxRounds = 30;
const giveUpMilliseconds = 2_700_000;

const demo = fileURLToPath(new URL('demo.ts', import.meta.url));

/** One demonstration, its lines passed on; the last one says how many cuts have hit. */
async function round(kills: number, seed: number): Promise<{ hits: number; updated: boolean }> {
  const child = spawn(process.execPath, [demo], {
    env: {
      ...process.env,
      KILLS: String(kills),
      SEED: String(seed),
      DEMO_FOLDER: 'out/kill-test/demo',
      DIRECTOR_PORT: '0',
      IMAGES_PORT: '0',
      OPERATOR_PORT: '0',
      DOORBELL_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  process.once('SIGTERM', forward).once('SIGINT', forward);
  let last = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    last = line;
    process.stdout.write(`${line}\n`);
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  process.off('SIGTERM', forward).off('SIGINT', forward);
  const hits = Number(/^(\d+) kills, /.exec(last)?.[1] ?? 0);
  return { hits, updated: status === 0 };
}

async function main(): Promise<number> {
  const options = readDemoOptions({ KILLS: '1', SEED: process.env['SEED'] });
  if (isRefusal(options)) {
    process.stderr.write(`${options.refused}: ${options.detail}\n`);
    return 2;
  }
  const { seed } = options.kills!;
  const end = performance.now() + giveUpMilliseconds;
  let kills = 0;
  let rounds = 0;
  let updated = 0;
  while (kills < wantedKills && rounds < maxRounds && performance.now() < end) {
    const outcome = await round(Math.min(killsOfOneRound, wantedKills - kills), seed + rounds);
    kills += outcome.hits;
    rounds += 1;
    if (!outcome.updated) break;
    updated += 1;
  }
  process.stdout.write(`${summariseCuts(kills, updated, rounds)}\n`);
  return kills >= wantedKills && updated === rounds ? 0 : 1;
}

process.exitCode = await main();
