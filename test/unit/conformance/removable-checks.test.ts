/** Checks are found with their rows, and removed for real: the edited code runs and lets pass. */
import { stripTypeScriptTypes } from 'node:module';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { edited } from '../../conformance/mutated-copy.ts';
import { findRemovableChecks } from '../../conformance/removable-checks.ts';
import { parseSource } from '../../conformance/source.ts';

/** Runs `judge(input)` of a source with one check removed, or none. */
function run(text: string, input: unknown, removed?: number): unknown {
  const { checks, edits } = findRemovableChecks(parseSource('example.ts', text));
  const all = [...checks.flatMap((check, i) => check.edits(i)), ...edits];
  const body = stripTypeScriptTypes(edited(text, all), { mode: 'strip' });
  const program = new Function(
    'input',
    `const refuse = (code, detail, row) => ({ refused: code, row });
     const globalThis = { process: { env: { REMOVED_CHECK: ${JSON.stringify(removed?.toString())} } } };
     ${body}
     return judge(input);`,
  );
  return program(input);
}

function rowsFound(text: string): (readonly string[])[] {
  return findRemovableChecks(parseSource('example.ts', text)).checks.map(({ rows }) => rows);
}

const refused = (row?: string) => ({ refused: 'no', row });

const forms: readonly (readonly [string, string])[] = [
  [
    'an if',
    `function judge(n: number) {
       // CTS-03: rollback
       if ((n as number) < 2) return refuse('no');
       return undefined;
     }`,
  ],
  [
    'an if below its declarations, with a block',
    `function judge(n: number) {
       // CTS-03: rollback
       const least = 2;
       if (n < least) {
         const detail = String(n!);
         return refuse('no', detail);
       }
       return undefined;
     }`,
  ],
  [
    'a choice, under the comment of its function',
    `/** CTS-03: rollback. */
     function judge(n: number) {
       return n >= 2 ? undefined : refuse('no');
     }`,
  ],
  [
    'a choice the other way round',
    `function judge(n: number) {
       return n < 2 ? refuse('no') : undefined; // CTS-03
     }`,
  ],
  [
    'what follows a missing value',
    `function judge(n: number) {
       // CTS-03
       return [undefined, undefined, 'found'][n] ?? refuse('no');
     }`,
  ],
  [
    'a check of another function',
    `const check = (n: number) => (n < 2 ? refuse('no') : undefined);
     function judge(n: number) {
       // CTS-03
       const refusal = check(n);
       if (refusal !== undefined) return refusal;
       return undefined;
     }`,
  ],
];
for (const [name, text] of forms) {
  test(`${name} is found with its row and lets everything pass when it is removed`, () => {
    assert.equal(rowsFound(text), [['CTS-03']]);
    assert.equal(run(text, 1), refused());
    assert.is(run(text, 1, 0), undefined);
    assert.equal(run(text, 1, 1), refused());
    assert.not.equal(run(text, 2, 0), refused());
  });
}

test('a row handed to a shared check removes that check for this row alone', () => {
  const text = `
    function checkExpiry(expires: number, row: string) {
      return expires > 5 ? undefined : refuse('no', '', row);
    }
    function judge([first, second]: readonly number[]) {
      return checkExpiry(first!, 'CTS-04') ?? checkExpiry(second!, 'CSN-07');
    }`;
  assert.equal(rowsFound(text), [['CTS-04'], ['CSN-07']]);
  assert.equal(run(text, [1, 9]), refused('CTS-04'));
  assert.is(run(text, [1, 9], 0), undefined);
  assert.equal(run(text, [9, 1], 0), refused('CSN-07'));
  assert.is(run(text, [9, 1], 1), undefined);
});

test('a function that only refuses is a refusal where it is called, under the row given there', () => {
  const text = `
    function malformed(detail: string, row = 'IMG-01') {
      return refuse('no', detail, row);
    }
    function judge(n: number) {
      if (n < 2) return malformed('small', 'INV-08');
      return undefined;
    }`;
  assert.equal(rowsFound(text), [['INV-08']]);
  assert.equal(run(text, 1), refused('INV-08'));
  assert.is(run(text, 1, 0), undefined);
});

test('a refusal that is told in other words stays as it is', () => {
  const text = `
    function judge(refusal) {
      if (refusal !== undefined) {
        const { refused, row } = refusal;
        return refuse(refused, 'in other words', row);
      }
      return undefined;
    }`;
  assert.equal(rowsFound(text), []);
  assert.equal(run(text, refused('CTS-04')), refused('CTS-04'));
  assert.is(run(text, undefined), undefined);
});

test('a refusal without any row is no check of a requirement', () => {
  assert.equal(rowsFound(`function judge(n) { if (n < 2) return refuse('no'); }`), []);
});

test.run();
