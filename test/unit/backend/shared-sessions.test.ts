/** TLS sessions in the database: found by every process of the same secret, closed to all others. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SharedSessions } from '../../../backend/http/shared-sessions.ts';
import { query } from '../../../backend/store/database.ts';
import { SqliteDatabase } from '../../../backend/store/sqlite.ts';

const test = suite('shared TLS sessions');
let folder: string;
let database: SqliteDatabase;
let now = 1_000;
const secret = randomBytes(32);
const open = (key = secret) => new SharedSessions(database, key, () => now);
const stored = query<[], { readonly sealed: Uint8Array }>('SELECT sealed FROM tls_sessions');

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'ota-sessions-'));
  database = new SqliteDatabase(join(folder, 'x.sqlite'));
  now = 1_000;
});
test.after.each(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

/** As OpenSSL encodes it: a sequence that begins with the versions of the form and of TLS. */
function sessionOf(version: 3 | 4): Buffer {
  const head = [0x30, 0x81, 200, 2, 1, 1, 2, 2, 3, version];
  return Buffer.concat([Buffer.from(head), randomBytes(190)]);
}

test('a session is found by another process, and not in clear in the database', async () => {
  const session = sessionOf(3);
  await open().keep('id', session);
  assert.equal(await open().find('id'), session);
  const [row] = await database.all(stored);
  assert.is(Buffer.from(row!.sealed).includes(session.subarray(10, 26)), false);
});

test('another secret, another id and changed bytes open nothing', async () => {
  await open().keep('id', sessionOf(3));
  assert.is(await open(randomBytes(32)).find('id'), undefined);
  await database.run(query<[]>("UPDATE tls_sessions SET id = 'other'"));
  assert.is(await open().find('other'), undefined);
  await database.run(query<[]>("UPDATE tls_sessions SET id = 'id', sealed = x'00'"));
  assert.is(await open().find('id'), undefined);
});

test('old sessions are not found, and go when others come', async () => {
  await open().keep('id', sessionOf(3));
  now += 299;
  assert.ok(await open().find('id'));
  now += 1;
  assert.is(await open().find('id'), undefined);
  await open().keep('next', sessionOf(3));
  assert.is((await database.all(stored)).length, 1);
});

test('sessions of TLS 1.3 travel in tickets and are not kept', async () => {
  await open().keep('id', sessionOf(4));
  assert.equal(await database.all(stored), []);
});

test.run();
