/** docs/POUF.md says what the schemas say (POUF-05). */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { algorithms, publicKeyBytes } from '../../../agent/codec/cose-key.ts';
import { domains } from '../../../agent/codec/cose-sign.ts';
import { hashAlgorithms } from '../../../agent/metadata/common.ts';
import { dataIdentifiers, routines } from '../../../agent/metadata/vehicle-messages.ts';
import { records, table } from '../../pouf-tables.ts';

const test = suite('docs/POUF.md');
const document = readFileSync('docs/POUF.md', 'utf8');

/** Numbers in the document have a minus sign, not a hyphen. */
const minus = (value: number): string => String(value).replace('-', '−');

for (const name of Object.keys(records)) {
  test(`the fields of ${name} are those of its schema`, () => {
    assert.ok(document.includes(table(name)), `expected in docs/POUF.md:\n${table(name)}`);
  });
}

test('every algorithm stands with its number and key length', () => {
  for (const [name, number] of Object.entries(algorithms)) {
    assert.ok(document.includes(minus(number)), `${name} ${number}`);
    assert.ok(document.includes(String(publicKeyBytes[name as keyof typeof algorithms])), name);
  }
  for (const number of Object.values(hashAlgorithms)) assert.ok(document.includes(minus(number)));
});

test('every domain of signatures, data identifier and routine is named', () => {
  for (const domain of Object.values(domains))
    assert.ok(document.includes(`\`${domain}\``), domain);
  for (const identifier of [...Object.values(dataIdentifiers), ...Object.values(routines)]) {
    assert.ok(document.includes(identifier.toString(16).toUpperCase()), String(identifier));
  }
});

test.run();
