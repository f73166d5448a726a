/**
 * `make conformance`: writes docs/conformance.md from the code, the tests and the table of rows, and
 * prints what is missing. With `--check` nothing is written, and a stale document is a problem.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { documentOf, documentPath } from './document.ts';
import { judgeRows } from './table.ts';

globalThis.process.chdir(join(import.meta.dirname, '..', '..'));
const table = judgeRows();
const document = documentOf(table);
const problems = [...table.problems];
if (!globalThis.process.argv.includes('--check')) {
  writeFileSync(documentPath, document);
} else if (!existsSync(documentPath) || readFileSync(documentPath, 'utf8') !== document) {
  problems.push(`${documentPath} is stale: run 'make conformance' and commit it`);
}

for (const status of ['excluded', 'process'] as const) {
  const ids = table.rows.filter((one) => one.status === status).map(({ row }) => row.id);
  console.log(`${status}: ${ids.length} rows${ids.length > 0 ? `: ${ids.join(', ')}` : ''}`);
}
const open = table.rows.filter(({ status }) => status === 'open').map(({ row }) => row.id);
if (open.length > 0) console.log(`open: ${open.length} rows: ${open.join(', ')}`);
for (const problem of problems) console.log(`problem: ${problem}`);
const tested = table.rows.filter(({ status }) => status === 'tested').length;
console.log(`${table.rows.length} rows, ${tested} tested, ${problems.length} problems`);
globalThis.process.exitCode = problems.length === 0 ? 0 : 1;
