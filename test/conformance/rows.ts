/** The table of requirements, `rows.txt`: what conformance is measured against. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Level = 'M' | 'M*' | 'C' | 'S' | 'O' | 'HRD' | 'ATK' | 'POUF';

export interface Row {
  readonly id: string;
  readonly level: Level;
  readonly party: string;
  readonly section: string;
  readonly requirement: string;
}

/** A row id anywhere in a text: `CRT-03`. */
export const rowId =
  /\b(?:GEN|ROL|MET|ROOT|TGT|CUS|DEL|SNP|TSM|MAP|FNM|SRV|IMG|DIR|INV|ECU|KEY|PRI|VVM|EVR|INS|VIM|VER|PV|FV|CRT|CTS|CSN|CTG|RDL|MRD|ATK|TIM|DBP|OFF|POUF|HRD)-\d\d\b/g;

/** Every row id in a text, each once. */
export function rowsIn(text: string): string[] {
  return [...new Set(text.match(rowId) ?? [])];
}

/** True for rows that need a test: everything but recommendations and options. */
export function isMandatory(row: Row): boolean {
  return row.level !== 'S' && row.level !== 'O';
}

/** Reads the table. Throws when a line is malformed or an id stands twice. */
export function loadRows(): readonly Row[] {
  const levels: readonly string[] = ['M', 'M*', 'C', 'S', 'O', 'HRD', 'ATK', 'POUF'];
  const rows: Row[] = [];
  for (const line of readFileSync(join(import.meta.dirname, 'rows.txt'), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [id, level, party, section, requirement] = line.split(' | ');
    const known = rowsIn(id ?? '')[0] === id && levels.includes(level ?? '');
    if (!known || !requirement || rows.some((row) => row.id === id)) {
      throw new Error(`rows.txt: '${line}' is malformed or repeats a row`);
    }
    rows.push({ id: id!, level: level as Level, party: party!, section: section!, requirement });
  }
  return rows;
}
