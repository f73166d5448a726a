/**
 * `make size`: every figure with its budget, what the last commit had and what it is made of, printed
 * and written to out/size.json; WRITE=1 also writes docs/size.json, which a commit carries.
 * `make size-diff` prints what has changed since the last commit. Memory is measured by whole updates
 * with images of 1, 16 and 64 MiB; MEMORY=0 leaves it out.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { budgets, type Figure, gateOf, readBaseline } from './figures.ts';
import { measureAgents, measurePrograms } from './program-size.ts';
import { measureMemory } from './vehicle-memory.ts';

const { MEMORY, WRITE, DIFF } = process.env;
const number = new Intl.NumberFormat('en').format;

function standing({ value, budget, name }: Figure): string {
  if (value <= budget) return '';
  return value <= gateOf(name, readBaseline('working-copy')) ? 'over budget' : 'GROWN';
}

function print(figures: readonly Figure[]): void {
  const last = readBaseline('commit');
  const columns = [['figure', 'bytes', 'budget', 'last commit', 'change', '']];
  for (const one of figures) {
    const before = last[one.name];
    const change = before === undefined ? 0 : one.value - before;
    if (DIFF && change === 0 && before !== undefined) continue;
    columns.push([
      one.name,
      number(one.value),
      number(one.budget),
      before === undefined ? '-' : number(before),
      before === undefined ? '-' : `${change > 0 ? '+' : ''}${number(change)}`,
      standing(one),
    ]);
    if (DIFF) continue;
    const parts = Object.entries(one.parts ?? {}).sort(([, a], [, b]) => b - a);
    for (const [name, bytes] of parts) columns.push([`  ${name}`, number(bytes), '', '', '', '']);
  }
  for (const [name, ...cells] of columns) {
    const widths = [12, 12, 13, 11, 13];
    const rest = cells.map((cell, i) => cell.padStart(widths[i]!)).join('');
    process.stdout.write(`${name!.padEnd(34)}${rest}`.trimEnd());
    process.stdout.write('\n');
  }
}

const figures = [
  ...measurePrograms(),
  ...(await measureAgents()),
  ...(MEMORY === '0' ? [] : await measureMemory()),
];
print(figures);
mkdirSync('out', { recursive: true });
writeFileSync('out/size.json', `${JSON.stringify({ figures }, undefined, 2)}\n`);
if (WRITE === '1') {
  const values = { ...readBaseline('working-copy') } as Record<string, number>;
  for (const { name, value } of figures) values[name] = value;
  const ordered = Object.keys(budgets).filter((name) => values[name] !== undefined);
  const text = Object.fromEntries(ordered.map((name) => [name, values[name]]));
  writeFileSync('docs/size.json', `${JSON.stringify(text, undefined, 2)}\n`);
}
if (figures.some((one) => standing(one) === 'GROWN')) process.exitCode = 1;
