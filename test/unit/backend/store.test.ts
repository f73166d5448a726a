/** The database and the blob store. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, refuse } from '../../../agent/codes.ts';
import { BlobStore, toHex } from '../../../backend/store/blobs.ts';
import { Database, query } from '../../../backend/store/database.ts';
import {
  insertEcu,
  insertEcuKey,
  insertVehicle,
  vehicleById,
  vehiclesAfter,
} from '../../../backend/store/inventory.ts';
import { insertLogEntry, logAfter } from '../../../backend/store/log.ts';
import {
  insertDetection,
  insertManifest,
  lastManifests,
  reportOfEcu,
  storeReport,
  trimManifests,
} from '../../../backend/store/manifests.ts';
import { migrations } from '../../../backend/store/migrations.ts';

const test = suite('store');
let folder: string;
let database: Database;

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'ota-store-'));
  database = new Database(join(folder, 'x.sqlite'));
});
test.after.each(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

test('what is committed survives a power cut: WAL with synchronous FULL', () => {
  const mode = query<[], { readonly journal_mode: string }>('PRAGMA journal_mode');
  const synchronous = query<[], { readonly synchronous: number }>('PRAGMA synchronous');
  const keys = query<[], { readonly foreign_keys: number }>('PRAGMA foreign_keys');
  assert.is(database.one(mode)?.journal_mode, 'wal');
  assert.is(database.one(synchronous)?.synchronous, 2);
  assert.is(database.one(keys)?.foreign_keys, 1);
});

test('a transaction is undone by a refusal and by an exception', () => {
  const refused = database.transaction(() => {
    database.run(insertVehicle, 'v', 'e', 1, 'default');
    return refuse('request-malformed');
  });
  assert.ok(isRefusal(refused));
  assert.is(database.one(vehicleById, 'v'), undefined);
  const broken = () =>
    database.transaction(() => {
      database.run(insertVehicle, 'v', 'e', 1, 'default');
      throw new Error('broken');
    });
  assert.throws(broken, 'broken');
  assert.is(database.one(vehicleById, 'v'), undefined);
  database.transaction(() => database.run(insertVehicle, 'v', 'e', 1, 'default'));
  assert.is(database.one(vehicleById, 'v')?.primary_ecu_id, 'e');
});

test('opening again keeps everything and migrates nothing twice', () => {
  database.run(insertVehicle, 'v', 'e', 1, 'default');
  database.close();
  database = new Database(join(folder, 'x.sqlite'));
  assert.is(database.one(vehicleById, 'v')?.registered, 1);
  const applied = query<[], { readonly number: number }>('SELECT number FROM migrations');
  assert.equal(
    database.all(applied).map((row) => row.number),
    migrations.map((_, i) => i + 1),
  );
});

test('tables are strict and references hold', () => {
  const loose = query<[string, string, string]>('INSERT INTO vehicles VALUES (?, ?, ?)');
  assert.throws(() => database.run(loose, 'v', 'e', 'not a number'));
  assert.throws(() => database.run(insertEcu, 'e', 'no vehicle', 0, new Uint8Array(1)));
});

test('vehicles come in order, a page at a time', () => {
  for (const id of ['c', 'a', 'b']) database.run(insertVehicle, id, `${id}-p`, 1, 'default');
  const page = database.all(vehiclesAfter, 'a', 1);
  assert.equal(
    page.map((row) => row.vehicle_id),
    ['b'],
  );
});

test('a report counter only rises (HRD-17)', () => {
  database.run(insertVehicle, 'v', 'e', 1, 'default');
  database.run(insertEcu, 'e', 'v', 0, new Uint8Array(1));
  const store = (counter: number) =>
    database.run(storeReport, 'e', counter, new Uint8Array([counter]));
  assert.equal([5, 5, 4, 6].map(store), [1, 0, 0, 1]);
  assert.equal(database.one(reportOfEcu, 'e')?.report, new Uint8Array([6]));
});

test('old manifests go with their detections', () => {
  database.run(insertVehicle, 'v', 'e', 1, 'default');
  for (let i = 0; i < 5; i++) {
    const { id } = database.one(insertManifest, 'v', i, new Uint8Array(1))!;
    database.run(insertDetection, id, 0, 'e', 'c', 'r', null);
    database.run(trimManifests, 'v', 'v', 3);
  }
  const times = (rows: readonly { readonly received: number }[]) => rows.map((row) => row.received);
  assert.equal(times(database.all(lastManifests, 'v', 10)), [4, 3, 2]);
  const count = query<[], { readonly count: number }>('SELECT count(*) AS count FROM detections');
  assert.is(database.one(count)?.count, 3);
});

test('the log is only appended to, whatever statement tries otherwise (DBP-09)', () => {
  database.run(insertLogEntry, 1, 'anomaly', 'v', '', 'c', 'r', null, 'first');
  for (const sql of ["UPDATE director_log SET detail = 'x'", 'DELETE FROM director_log']) {
    assert.throws(() => database.run(query<[]>(sql)), /only appended to/);
  }
  assert.equal(
    database.all(logAfter, 0, 10).map(({ detail }) => detail),
    ['first'],
  );
});

test('the inventory is only appended to (DBP-08)', () => {
  database.run(insertVehicle, 'v', 'e', 1, 'default');
  database.run(insertEcu, 'e', 'v', 0, new Uint8Array(1));
  database.run(insertEcuKey, new Uint8Array(32), 'e');
  const changes = {
    vehicles: 'registered = 2',
    ecus: 'position = 2',
    ecu_keys: "key_id = x'00'",
  };
  for (const [name, change] of Object.entries(changes)) {
    for (const sql of [`UPDATE ${name} SET ${change}`, `DELETE FROM ${name}`]) {
      assert.throws(() => database.run(query<[]>(sql)), /only appended to/, sql);
    }
  }
});

test('a store of before the log keeps its anomalies in it (DBP-09)', () => {
  const path = join(folder, 'old.sqlite');
  const old = new DatabaseSync(path);
  old.exec('CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT');
  for (const number of [1, 2]) {
    old.exec(migrations[number - 1]!);
    old.prepare('INSERT INTO migrations VALUES (?, 1)').run(number);
  }
  old.exec("INSERT INTO anomalies VALUES (7, 5, 'v', 'report-time', 'DIR-11', 'late')");
  old.close();
  const opened = new Database(path);
  const [entry] = opened.all(logAfter, 0, 10);
  opened.close();
  assert.equal(
    [entry?.recorded, entry?.kind, entry?.vehicle_id, entry?.code, entry?.detail],
    [5, 'anomaly', 'v', 'report-time', 'late'],
  );
});

async function* stream(...pieces: readonly (Uint8Array | Error)[]) {
  for (const piece of pieces) {
    if (piece instanceof Error) throw piece;
    yield piece;
  }
}

const filesBelow = (path: string): readonly string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

const accept = () => undefined;
const piece = (length: number, value: number) => new Uint8Array(length).fill(value);

test('a blob is stored under its digest, once', async () => {
  const blobs = new BlobStore(join(folder, 'blobs'));
  for (let i = 0; i < 2; i++) {
    const received = await blobs.receive(stream(piece(3, 1), piece(0, 0), piece(2, 2)), 5, accept);
    assert.ok(!isRefusal(received));
    assert.is(received.length, 5);
    assert.is(received.sha512.length, 64);
    assert.ok(blobs.has(received.sha256));
    assert.equal(
      new Uint8Array(readFileSync(blobs.pathOf(received.sha256))),
      Uint8Array.of(1, 1, 1, 2, 2),
    );
    assert.equal(filesBelow(join(folder, 'blobs')), [toHex(received.sha256)]);
  }
});

test('what is refused, too large or cut leaves nothing', async () => {
  const blobs = new BlobStore(join(folder, 'blobs'));
  const codeOf = async (result: Promise<unknown>) => {
    const value = await result;
    return isRefusal(value) ? value.refused : 'stored';
  };
  const no = () => refuse('image-length');
  assert.is(await codeOf(blobs.receive(stream(piece(3, 1)), 5, no)), 'image-length');
  const large = stream(piece(3, 1), piece(3, 1));
  assert.is(await codeOf(blobs.receive(large, 5, accept)), 'body-too-large');
  const cut = stream(piece(3, 1), new Error('gone'));
  assert.is(await codeOf(blobs.receive(cut, 5, accept)), 'body-incomplete');
  assert.equal(filesBelow(join(folder, 'blobs')), []);
  assert.is(await codeOf(blobs.receive(stream(piece(5, 1)), 5, accept)), 'stored');
});

test('opening the store removes what never became whole', () => {
  const incoming = join(folder, 'blobs', 'incoming');
  mkdirSync(incoming, { recursive: true });
  writeFileSync(join(incoming, 'half'), 'x');
  new BlobStore(join(folder, 'blobs'));
  assert.equal(readdirSync(incoming), []);
});

test('blobs that nobody knows are removed, known ones stay', async () => {
  const blobs = new BlobStore(join(folder, 'blobs'));
  const first = await blobs.receive(stream(piece(1, 1)), 5, accept);
  const second = await blobs.receive(stream(piece(1, 2)), 5, accept);
  assert.ok(!isRefusal(first) && !isRefusal(second));
  blobs.removeUnknown((sha256) => toHex(sha256) === toHex(second.sha256));
  assert.equal([blobs.has(first.sha256), blobs.has(second.sha256)], [false, true]);
});

test.run();
