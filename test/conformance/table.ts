/** Joins rows, code and tests into the table of docs/conformance.md, and says what is missing. */
import { findCodePlaces, findNamedTests } from './evidence.ts';
import { pouf, readOptions, sectionOf } from './options.ts';
import { isMandatory, loadRows, type Row } from './rows.ts';
import { excluded, maxExcluded, maxProcess, process } from './standings.ts';

/** `open`: a row that needs a test and has none, or no place in the code. */
export type Status = 'tested' | 'excluded' | 'process' | 'taken' | 'not taken' | 'open';

export interface Judged {
  readonly row: Row;
  readonly status: Status;
  /** Places in the code, as `path` or `path declaration`; a document for `process`. */
  readonly places: readonly string[];
  /** Test files that have a test with the row in its name, below `test/`, without `.test.ts`. */
  readonly tests: readonly string[];
}

export interface Table {
  readonly rows: readonly Judged[];
  /** What breaks the rules of the table, for a person. */
  readonly problems: readonly string[];
}

/** Judges every row. Paths are relative to the project's root, where this runs. */
export function judgeRows(): Table {
  const rows = loadRows();
  const problems: string[] = [];
  const code = findCodePlaces();
  const tests = findNamedTests();
  const options = readOptions();
  const known = new Set(rows.map(({ id }) => id));
  for (const { row, path } of code) if (!known.has(row)) problems.push(`${path}: no row ${row}`);
  for (const { rows: named, path } of tests) {
    for (const row of named) if (!known.has(row)) problems.push(`${path}: no row ${row}`);
  }

  const judged = rows.map((row): Judged => {
    const places = unique(
      code
        .filter((one) => one.row === row.id)
        .map(({ path, declaration }) => (declaration ? `${path} ${declaration}` : path)),
    );
    const files = unique(
      tests
        .filter((one) => one.rows.includes(row.id))
        .map(({ path }) => path.replace(/^test\/|\.test\.ts$/g, '')),
    );
    const place = process[row.id];
    if (place !== undefined) {
      if (sectionOf(place.path, place.heading)?.includes(row.id) !== true) {
        problems.push(`${row.id}: '${place.heading}' of ${place.path} does not name it`);
      }
      const document = `${place.path} “${place.heading}”`;
      return { row, status: 'process', places: [document], tests: files };
    }
    if (excluded.includes(row.id)) {
      if (sectionOf(pouf, excludedHeading)?.includes(row.id) !== true) {
        problems.push(`${row.id}: ${pouf} gives no reason why it is excluded`);
      }
      if (files.length === 0) problems.push(`${row.id}: no test shows that the case is refused`);
      return { row, status: 'excluded', places, tests: files };
    }
    return {
      row,
      status: statusOf(row, places, files, options.get(row.id)?.taken),
      places,
      tests: files,
    };
  });

  for (const { row, status, places, tests: files } of judged) {
    if (!isMandatory(row) && !options.has(row.id)) {
      problems.push(`${row.id} (${row.level}): ${pouf} does not say whether it is taken`);
    }
    // Attacks are demonstrations over rows that each need a test of their own.
    if (status !== 'open' || row.level === 'ATK') continue;
    const lacks = [places.length === 0 && 'place in the code', files.length === 0 && 'test'];
    problems.push(`${row.id} (${row.level}): no ${lacks.filter(Boolean).join(' and no ')}`);
  }
  for (const [name, list, max] of [
    ['excluded', excluded, maxExcluded],
    ['process', Object.keys(process), maxProcess],
  ] as const) {
    if (list.length > max) problems.push(`${list.length} rows are ${name}, at most ${max} may be`);
    for (const id of list) if (!known.has(id)) problems.push(`${name}: no row ${id}`);
  }
  return { rows: judged, problems };
}

/** Section of the POUF that gives the reasons for rows that are excluded. */
export const excludedHeading = '6.3 Rows whose condition cannot arise';

function statusOf(
  row: Row,
  places: readonly string[],
  files: readonly string[],
  taken: string | undefined,
): Status {
  const inDocument = row.level === 'POUF' || row.level === 'ATK';
  if (files.length > 0 && (places.length > 0 || inDocument)) return 'tested';
  if (isMandatory(row)) return 'open';
  return /^Yes\b/.test(taken ?? '') ? 'taken' : 'not taken';
}

function unique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}
