/** What docs/POUF.md says of each recommendation and option of the Standard (§6.1). */
import { readFileSync } from 'node:fs';
import { rowsIn } from './rows.ts';

export const pouf = 'docs/POUF.md';

/** A line of the table: rows, what is taken, and how or why not. */
export interface Option {
  readonly taken: string;
  readonly reason: string;
}

/** Every row in the first column of the table of options. */
export function readOptions(): ReadonlyMap<string, Option> {
  const options = new Map<string, Option>();
  for (const line of readFileSync(pouf, 'utf8').split('\n')) {
    const [, rows, , taken, reason] = line.split('|').map((cell) => cell.trim());
    if (taken === undefined || !/^(?:Yes|No|Partly|Operator)\b/.test(taken)) continue;
    for (const row of rowsIn(rows ?? '')) options.set(row, { taken, reason: reason ?? '' });
  }
  return options;
}

/** The text of a section of a document; undefined when it has no such heading. */
export function sectionOf(path: string, heading: string): string | undefined {
  const text = readFileSync(path, 'utf8');
  const found = /^(#+) .*$/gm;
  for (let match = found.exec(text); match !== null; match = found.exec(text)) {
    if (match[0].replace(/^#+ /, '') !== heading) continue;
    const rest = text.slice(match.index + match[0].length);
    const end = rest.search(new RegExp(`^#{1,${match[1]!.length}} `, 'm'));
    return end < 0 ? rest : rest.slice(0, end);
  }
  return undefined;
}
