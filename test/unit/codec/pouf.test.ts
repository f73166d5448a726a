/** docs/POUF.md says what the code does: fields, numbers, messages and bytes (POUF-02, POUF-05). */
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { algorithms, coseKey, publicKeyBytes } from '../../../agent/codec/cose-key.ts';
import { domains, signatureHeader, signatureStructure } from '../../../agent/codec/cose-sign.ts';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { codeNames, isCode, isRefusal, refuse } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { leafHash } from '../../../agent/crypto/merkle.ts';
import { imageContext } from '../../../agent/image/image-context.ts';
import * as limits from '../../../agent/limits.ts';
import { hashAlgorithms, hashes, roles } from '../../../agent/metadata/common.ts';
import { refusalAnswer } from '../../../agent/metadata/device-messages.ts';
import { wrapContext } from '../../../agent/metadata/key-object.ts';
import { timeAttestation } from '../../../agent/metadata/time.ts';
import { timestamp } from '../../../agent/metadata/timestamp.ts';
import {
  acknowledgement,
  addressesPerEcu,
  dataIdentifiers,
  nonceMessage,
  reportsMessage,
  routines,
} from '../../../agent/metadata/vehicle-messages.ts';
import { statusOf } from '../../../backend/http/answers.ts';
import { toJson } from '../../../backend/http/json-view.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { enumerations, records, rowsOf, typeOf } from '../../pouf-tables.ts';

const test = suite('docs/POUF.md');
const document = readFileSync('docs/POUF.md', 'utf8');
const lines = document.split('\n');
const crypto = createNodeCrypto();

/** Cells of the table after a marker, without its heading. */
function tableAfter(marker: string): readonly (readonly string[])[] {
  const at = lines.indexOf(`<!-- ${marker} -->`);
  assert.ok(at >= 0, `no table '${marker}'`);
  const rows: string[][] = [];
  for (let i = at + 2; lines[i]?.startsWith('|'); i++) {
    rows.push(
      lines[i]!.split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows.slice(2);
}

/** What a block of the document shows, without layout. */
function exampleOf(name: string): string {
  const after = document.split(`<!-- example: ${name} -->`)[1] ?? '';
  return (after.split('```')[1] ?? '').trim();
}
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const exampleHex = (name: string): string => exampleOf(name).replace(/\s/g, '');
const filled = (count: number, value: number) => new Uint8Array(count).fill(value);

for (const { name, fields } of records) {
  test(`POUF-05: the fields of ${name} are those of its schema`, () => {
    const rows = rowsOf(fields);
    if (lines.includes(`<!-- record: ${name} -->`)) {
      const found = tableAfter(`record: ${name}`).map((cells) => cells.slice(0, 3));
      assert.equal(found, rows);
      return;
    }
    const row = rows.map(([key, field, type]) => `${key} ${field}: ${type}`).join('; ');
    const expected = `| ${name} | ${row || 'none: an empty map'} |`;
    assert.ok(lines.includes(expected), `expected in docs/POUF.md:\n${expected}`);
  });
}

test('no record stands in the document that no schema describes', () => {
  const names = records.map(({ name }) => name);
  for (const [, name] of document.matchAll(/<!-- record: (.+) -->/g)) {
    assert.ok(names.includes(name!), name);
  }
});

test('types that are no records are those of their schemas', () => {
  for (const schema of [
    hashes,
    timeAttestation,
    wrapContext,
    acknowledgement,
    nonceMessage,
    reportsMessage,
  ]) {
    assert.ok(document.includes(`\`${typeOf(schema.shape)}\``), typeOf(schema.shape));
  }
});

test('every enumeration has its numbers', () => {
  const expected = Object.entries(enumerations).map(([name, values]) => [
    name,
    Object.entries(values)
      .map(([value, number]) => `${number} ${value}`)
      .join(', '),
  ]);
  assert.equal(tableAfter('enumerations'), expected);
});

test('every algorithm has its number and key length, every document its domain', () => {
  const names = Object.keys(algorithms) as (keyof typeof algorithms)[];
  assert.equal(
    tableAfter('algorithms').map((cells) => cells.slice(0, 3)),
    names.map((name) => [name, String(algorithms[name]), String(publicKeyBytes[name])]),
  );
  assert.equal(
    tableAfter('domains').map((cells) => cells[1]),
    Object.values(domains).map((domain) => `\`${domain}\``),
  );
});

test('data and routine identifiers are those of the bus', () => {
  const expected = (table: Readonly<Record<string, number>>) =>
    Object.entries(table).map(([name, number]) => [`0x${number.toString(16)}`, name]);
  for (const [marker, table] of Object.entries({ dataIdentifiers, routines })) {
    const found = tableAfter(`identifiers: ${marker}`).map((cells) => cells.slice(0, 2));
    assert.equal(found, expected(table));
  }
  assert.ok(document.includes(`× ${addressesPerEcu.toLocaleString('en-US')} (2⁴⁰)`));
});

test('every refusal has the status that the table gives it, else 400', () => {
  const listed = new Map<string, number>();
  for (const [status, names] of tableAfter('statuses')) {
    for (const [, code] of names!.matchAll(/`([^`]+)`/g)) listed.set(code!, Number(status));
  }
  for (const code of codeNames) {
    assert.is(listed.get(code) ?? 400, statusOf(refuse(code)), code);
  }
  assert.ok([...listed.keys()].every(isCode));
});

test('limits have their values', () => {
  const values = limits as Readonly<Record<string, number>>;
  const rows = tableAfter('limits');
  assert.ok(rows.length >= 30);
  for (const [name, value] of rows) {
    assert.is(value, values[name!]?.toLocaleString('en-US'), name);
  }
});

/** Method and path of every route that a source file declares. */
function routesOf(file: string): readonly string[] {
  const source = readFileSync(`backend/http/${file}`, 'utf8');
  return [...source.matchAll(/method: '([A-Z]+)',\s+path: '([^']+)'/g)].map(
    ([, method, path]) => `${method} ${path!.replace(/:(\w+)/g, '{$1}')}`,
  );
}

test('every HTTP message is in the document, and none that is not served', () => {
  const sources = readdirSync('backend/http').filter((name) => name.endsWith('-routes.ts'));
  const routes = sources.flatMap(routesOf);
  assert.ok(routes.length >= 24, String(routes.length));
  for (const route of routes) assert.ok(document.includes(`| \`${route}\` |`), route);
  // Those that the sources do not declare in the common form.
  const others = [
    'GET /targets/{HASH.filename}',
    'GET /images/targets/{HASH.filename}',
    'POST /upload',
  ];
  for (const [, route] of document.matchAll(/^\| `((?:GET|POST|PUT) \/[^`]*)`/gm)) {
    assert.ok(routes.includes(route!) || others.includes(route!), route);
  }
});

const header = { algorithm: algorithms['MLDSA65-ECDSA-P256-SHA512'], keyId: filled(32, 0x22) };
const time = encode(timeAttestation, [[filled(16, 1)], 1_767_225_600]);

test('examples of signing are what the code signs', () => {
  const protectedBytes = encode(signatureHeader, header);
  assert.is(exampleHex('timeAttestation'), hexOf(time));
  assert.is(exampleHex('protected header'), hexOf(protectedBytes));
  assert.is(exampleHex('Sig_structure'), hexOf(signatureStructure('time', protectedBytes, time)));
  const structure = signatureStructure(
    'metadata',
    encode(signatureHeader, { ...header, merkle: 1 }),
    time,
  );
  assert.is(exampleHex('leaf'), hexOf(leafHash(crypto, filled(16, 0x55), structure)));
});

test("the key's example decodes, and its thumbprint is RFC 9679's", () => {
  const bytes = new Uint8Array(Buffer.from(exampleHex('COSE_Key'), 'hex'));
  const key = decode(coseKey, bytes, bytes.length);
  if (isRefusal(key)) throw new Error(key.detail);
  assert.is(hexOf(encode(coseKey, key)), exampleHex('COSE_Key'));
  assert.is(hexOf(keyId(crypto, key)), exampleHex('key id'));
});

test("the Timestamp's example is what the code encodes", () => {
  const bytes = encode(timestamp, {
    type: roles.timestamp,
    formatVersion: 1,
    version: 7,
    expires: 1_767_225_600,
    vehicleId: 'vehicle-1',
    snapshot: {
      version: 5,
      length: 4_321,
      hashes: [{ key: hashAlgorithms['SHA-256'], value: filled(32, 0x11) }],
    },
  });
  assert.is(exampleHex('timestamp'), hexOf(bytes));
});

test('contexts of images and wrapped keys are what the code binds to', () => {
  const image = imageContext('brakes-2.bin', 2, filled(32, 0x44));
  assert.is(exampleHex('image context'), hexOf(image));
  const bound = ['vehicle-1', 'brake-1', 'brakes-2.bin', filled(32, 0x33)] as const;
  assert.is(exampleHex('wrapContext'), hexOf(encode(wrapContext, bound)));
});

test('a refusal is the same in CBOR and in the JSON view', () => {
  const answer = { code: 'vehicle-unknown', row: 'DIR-05', detail: 'no vehicle vehicle-2' };
  assert.is(exampleHex('refusalAnswer'), hexOf(encode(refusalAnswer, answer)));
  assert.is(exampleOf('refusalAnswer in JSON'), JSON.stringify(toJson(refusalAnswer, answer)));
});

test.run();
