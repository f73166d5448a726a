/** The catalogue of refusals and the rows that they serve, compared with the code and the POUF. */
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { furtherRows, rowsOf } from '../../../agent/code-rows.ts';
import { type Code, codeNames } from '../../../agent/codes.ts';

const test = suite('codes');
const folder = 'agent/verify';
const sources = readdirSync(folder).map((name) => readFileSync(`${folder}/${name}`, 'utf8'));
/** `refuse('code', …, 'ROW')`, where the row stands in the call. */
const calls =
  /refuse\(\s*'([a-z-]+)'(?:[^()`']|`[^`]*`|'[^']*'|\([^()]*\))*?'([A-Z]{2,4}-\d+)',?\s*\)/g;

test('VER-03: every row that a verification names in a refusal is in the table', () => {
  const found = sources.flatMap((source) => [...source.matchAll(calls)]);
  assert.ok(found.length >= 15, String(found.length));
  for (const [, code, row] of found) {
    assert.ok(rowsOf(code as Code).includes(row!), `${code} under ${row}`);
  }
});

test('every row of the table stands in the code of the agent or the backend', () => {
  const agent = ['agent', 'backend'].flatMap((base) =>
    readdirSync(base, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && name !== 'codes.ts' && name !== 'code-rows.ts')
      .map((name) => readFileSync(`${base}/${name}`, 'utf8')),
  );
  for (const [code, rows] of Object.entries(furtherRows)) {
    for (const row of rows) {
      assert.ok(
        agent.some((source) => source.includes(`'${row}'`)),
        `${code}: ${row}`,
      );
    }
  }
});

test('no row is named twice for a code', () => {
  for (const code of codeNames) {
    assert.is(new Set(rowsOf(code)).size, rowsOf(code).length, code);
  }
});

test.run();
