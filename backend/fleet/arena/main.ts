/**
 * `make attacks`: the fourteen attacks against the real processes, from every attacker's position
 * that applies. Prints a table; ATTACKS=ATK-07,freeze runs some of them, SHORT=1 one
 * variant of each. The last line is `N of 14 attacks …`.
 */
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { Arena } from './arena.ts';
import { type Outcome, runAttacks, shortened } from './run.ts';
import { standardAttacks } from './table.ts';
import { type Position, positions } from './variant.ts';

const widths = [7, 21, 31, 62, 36, 8] as const;

function line(...cells: readonly string[]): string {
  return cells
    .map((cell, i) => cell.padEnd(widths[i] ?? 0))
    .join(' ')
    .trimEnd();
}

function show({ id, attack, position, does, happened, namedAs, row }: Outcome): void {
  process.stdout.write(`${line(id, attack, positions[position], does, namedAs, row)}\n`);
  process.stdout.write(`${line('', '', '', `  ${happened}`)}\n`);
}

async function main(): Promise<number> {
  const wanted = (process.env['ATTACKS'] ?? '').split(',');
  const chosen = standardAttacks.filter(({ id, name }) =>
    wanted.some((one) => `${id} ${name}`.includes(one)),
  );
  if (chosen.length === 0) {
    const known = standardAttacks.map(({ id, name }) => `${id} ${name}`).join(', ');
    process.stderr.write(`argument-invalid: ATTACKS=${wanted.join()}: expected one of ${known}\n`);
    return 2;
  }
  const attacks = process.env['SHORT'] ? shortened(chosen) : chosen;
  const folder = resolve(process.env['ARENA_FOLDER'] || 'out/attacks');
  rmSync(folder, { recursive: true, force: true });
  const verbose = process.env['VERBOSE']
    ? (text: string) => process.stderr.write(`${text}\n`)
    : undefined;
  const arena = await Arena.start({ folder, ...(verbose && { onLine: verbose }) });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => arena.stop().finally(() => process.exit(130)));
  }
  try {
    process.stdout.write(
      `${line('id', 'attack', 'position', 'what the attacker does', 'named as', 'row')}\n`,
    );
    const outcomes = await runAttacks(arena, attacks, show);
    const failed = new Set(outcomes.filter(({ passed }) => !passed).map(({ id }) => id));
    const good = chosen.length - failed.size;
    for (const { id, name, elsewhere } of chosen) {
      for (const [position, why] of Object.entries(elsewhere)) {
        const text = line(id, name, positions[position as Position], `nothing to show: ${why}`);
        process.stdout.write(`${text}\n`);
      }
    }
    process.stdout.write(
      `${outcomes.length} variants, ${outcomes.filter(({ passed }) => passed).length} as they must end\n` +
        `${good} of ${standardAttacks.length} attacks ended as the Standard demands\n`,
    );
    return failed.size === 0 ? 0 : 1;
  } finally {
    await arena.stop();
  }
}

process.exitCode = await main();
