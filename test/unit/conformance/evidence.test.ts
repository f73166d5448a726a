/** Rows in the names of tests, also where a loop makes the names; and the table of rows itself. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { namedTestsOf } from '../../conformance/evidence.ts';
import { loadRows } from '../../conformance/rows.ts';
import { parseSource } from '../../conformance/source.ts';

function rowsOf(text: string): (readonly string[])[] {
  return namedTestsOf(parseSource('example.test.ts', text)).map(({ rows }) => rows);
}

test('a row counts in the name of a test, not in its body', () => {
  assert.equal(rowsOf(`test('CTS-03, HRD-02: older', () => { refused('CTS-04'); });`), [
    ['CTS-03', 'HRD-02'],
  ]);
  assert.equal(rowsOf(`test("another's", () => refused('CTS-04'));`), [[]]);
});

test('a row that a loop puts into the name counts, wherever the loop takes it from', () => {
  assert.equal(
    rowsOf(`for (const [role, row] of [['timestamp', 'CTS-04'], ['snapshot', 'CSN-07']] as const) {
      test(\`\${row}: \${role} expires\`, () => refused('CTG-05'));
    }`),
    [['CTS-04', 'CSN-07']],
  );
  assert.equal(
    rowsOf(`const cases = [['CTS-04', 1]] as const;
      for (const [row] of cases) test(\`\${row}: expires\`, () => {});`),
    [['CTS-04']],
  );
  assert.equal(
    rowsOf(`for (const role of ['timestamp', 'snapshot']) {
      const row = role === 'timestamp' ? 'CTS-02' : 'CSN-03';
      test(\`\${row}: unsigned\`, () => {});
    }`),
    [['CTS-02', 'CSN-03']],
  );
});

test('every row of the table is well formed and stands once', () => {
  const rows = loadRows();
  assert.ok(rows.length > 290);
  assert.ok(rows.every(({ party, section }) => party !== '' && section !== ''));
});

test.run();
