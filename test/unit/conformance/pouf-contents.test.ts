/** docs/POUF.md has all that a POUF has to contain; that it is right, test/unit/codec/pouf checks. */
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { onlineKeyNames } from '../../../backend/signer/online-keys.ts';
import { readOptions, sectionOf } from '../../conformance/options.ts';
import { isMandatory, loadRows } from '../../conformance/rows.ts';

const path = 'docs/POUF.md';
const document = readFileSync(path, 'utf8');

function section(heading: string): string {
  const text = sectionOf(path, heading);
  if (text === undefined) throw new Error(`${path} has no section '${heading}'`);
  return text;
}

test('POUF-01: the preamble has number, title, version, status, Standard and date; an abstract follows', () => {
  const preamble = section('1. Preamble');
  for (const name of ['POUF number', 'Title', 'Version', 'Status', 'Implements', 'Created']) {
    assert.match(preamble, new RegExp(`^\\| ${name} \\| \\S`, 'm'), name);
  }
  assert.match(preamble, 'Uptane Standard 2.1.0');
  assert.match(preamble, /^\*\*Abstract\.\*\* \w/m);
});

test('POUF-02: every route of the backend stands in a table of messages', () => {
  const blank = (text: string) => text.replace(/:\w+|\{[^}]*\}/g, '{}');
  const documented = new Set<string>();
  for (const [, methods] of section('2. Messages').matchAll(/^\| (`(?:GET|POST|PUT).*?) \|/gm)) {
    for (const [, route] of methods!.matchAll(/`([A-Z]+ \S+)`/g)) documented.add(blank(route!));
  }
  let routes = 0;
  for (const file of readdirSync('backend/http').filter((name) => name.endsWith('-routes.ts'))) {
    const code = readFileSync(`backend/http/${file}`, 'utf8');
    for (const [, method, route] of code.matchAll(/method: '([A-Z]+)',\s*path: '([^']+)'/g)) {
      assert.ok(documented.has(blank(`${method} ${route}`)), `${file}: ${method} ${route}`);
      routes += 1;
    }
  }
  assert.ok(routes >= 30, `${routes} routes were found`);
});

test('POUF-03: every recommendation and option of the Standard is answered, with how or why not', () => {
  const options = readOptions();
  for (const row of loadRows()) {
    if (isMandatory(row)) continue;
    const option = options.get(row.id);
    assert.ok(option, `${row.id} is not answered`);
    const mayBeBare = option.taken === 'Yes';
    assert.ok(mayBeBare || option.reason !== '', `${row.id}: ${option.taken}, without a reason`);
  }
});

test('POUF-04: keys, supply chain, images, and what each party stores', () => {
  const keys = section('7.1 Keys').toLowerCase();
  for (const name of onlineKeyNames) {
    const [repository, role] = name.split('-');
    const listed = keys
      .split('\n')
      .some(
        (line) =>
          line.startsWith(`| ${repository!.replace('images', 'image')}`) && line.includes(role!),
      );
    assert.ok(listed, name);
  }
  for (const heading of ['7.2 Images', '7.3 Supply chain'])
    assert.ok(section(heading).length > 200);
  const stored = section('7.4 What is stored where');
  for (const party of [
    'Primary',
    'Secondary, full',
    'Secondary, partial',
    'Director',
    'Image repository',
  ]) {
    assert.match(stored, new RegExp(`^\\| ${party} \\| \\S`, 'm'), party);
  }
});

test('POUF-05: each role, the manifest, the time messages and the map file have their layout', () => {
  for (const record of [
    'root',
    'timestamp',
    'snapshot',
    'targets',
    'delegation',
    'report',
    'manifest',
  ]) {
    assert.match(document, `<!-- record: ${record} -->`);
  }
  assert.match(section('5.6 Time, report, manifest'), 'timeAttestation');
  assert.match(section('5.10 Configuration of an ECU'), '| repositoryMap |');
});

test.run();
