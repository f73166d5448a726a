/** The contract of the database: the same for SQLite, and for PostgreSQL where it is installed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, refuse } from '../../../agent/codes.ts';
import {
  type Database,
  lockingQuery,
  type OpenDatabase,
  query,
} from '../../../backend/store/database.ts';
import {
  insertEcu,
  insertEcuKey,
  insertVehicle,
  lockVehicle,
  vehicleById,
  vehiclesAfter,
} from '../../../backend/store/inventory.ts';
import { insertLogEntry, logAfter } from '../../../backend/store/log.ts';
import {
  insertDetection,
  insertManifest,
  lastManifests,
  noteMixedBundle,
  reportOfEcu,
  storeReport,
  trimManifests,
  vehiclesSilentSince,
} from '../../../backend/store/manifests.ts';
import { migrations, sqliteText } from '../../../backend/store/migrations.ts';
import { PostgresDatabase } from '../../../backend/store/postgres.ts';
import { postgresFunctions, postgresMigration } from '../../../backend/store/postgres-sql.ts';
import { SqliteDatabase } from '../../../backend/store/sqlite.ts';
import { PostgresServer, postgresPrograms } from '../../contract/postgres-server.ts';

interface Engine {
  readonly name: string;
  /** Opens a new database, or that of the last call once more. */
  readonly open: (again?: boolean) => Promise<OpenDatabase>;
  /** A database as a program wrote it that knew `steps` migrations, with these statements. */
  readonly writeOld: (steps: number, statements: readonly string[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

function sqlite(): Engine {
  const folder = mkdtempSync(join(tmpdir(), 'ota-database-'));
  let files = 0;
  const path = () => join(folder, `${files}.sqlite`);
  return {
    name: 'SQLite',
    async open(again = false) {
      if (!again) files += 1;
      return new SqliteDatabase(path());
    },
    async writeOld(steps, statements) {
      files += 1;
      const old = new DatabaseSync(path());
      old.exec('CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied INTEGER NOT NULL)');
      for (let number = 1; number <= steps; number++) {
        const step = migrations[number - 1];
        if (step !== undefined) old.exec(sqliteText(step));
        old.prepare('INSERT INTO migrations VALUES (?, 1)').run(number);
      }
      for (const statement of statements) old.exec(statement);
      old.close();
    },
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function postgres(programs: string): Promise<Engine> {
  const server = await PostgresServer.start(programs);
  let url = '';
  return {
    name: 'PostgreSQL',
    async open(again = false) {
      if (!again) url = await server.newDatabase();
      return PostgresDatabase.open(url, 4);
    },
    async writeOld(steps, statements) {
      url = await server.newDatabase();
      const applied = Array.from({ length: steps }, (_, i) => {
        const step = migrations[i];
        const text = step === undefined ? '' : postgresMigration(step);
        return `${text};\nINSERT INTO migrations VALUES (${i + 1}, 1);`;
      });
      const table = 'CREATE TABLE migrations (number BIGINT PRIMARY KEY, applied BIGINT NOT NULL);';
      await server.query(url, [table, postgresFunctions, ...applied, ...statements].join('\n'));
    },
    close: () => server.close(),
  };
}

/** Rejects, with a message that matches. */
async function rejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, Error, 'it does not go through');
  assert.match((error as Error).message, message);
}

const vehicle = (database: Database, id: string) =>
  database.run(insertVehicle, id, `${id}-p`, 1, 'default');
const idsOf = (rows: readonly { readonly vehicle_id: string }[]) => rows.map((r) => r.vehicle_id);

function contract(engine: Engine): void {
  const test = suite(`database: ${engine.name}`);
  let database: OpenDatabase;
  test.before.each(async () => {
    database = await engine.open();
  });
  test.after.each(() => database.close());
  test.after(() => engine.close());

  test('a transaction is undone by a refusal and by an exception', async () => {
    const refused = await database.transaction(async (within) => {
      await vehicle(within, 'v');
      return refuse('request-malformed');
    });
    assert.ok(isRefusal(refused));
    assert.is(await database.one(vehicleById, 'v'), undefined);
    const broken = database.transaction(async (within) => {
      await vehicle(within, 'v');
      throw new Error('broken');
    });
    await rejects(broken, /^broken$/);
    assert.is(await database.one(vehicleById, 'v'), undefined);
    await database.transaction((within) => vehicle(within, 'v'));
    assert.is((await database.one(vehicleById, 'v'))?.primary_ecu_id, 'v-p');
  });

  test('a part of a transaction is undone alone', async () => {
    let committed = '';
    await database.transaction(async (within) => {
      await vehicle(within, 'a');
      const refused = await within.transaction(async (part) => {
        await vehicle(part, 'b');
        part.afterCommit(() => {
          committed += 'b';
        });
        return refuse('request-malformed');
      });
      assert.ok(isRefusal(refused));
      const broken = within.transaction(async (part) => {
        await part.transaction((inner) => vehicle(inner, 'c'));
        throw new Error('broken');
      });
      await rejects(broken, /^broken$/);
      await within.transaction(async (part) => {
        await vehicle(part, 'd');
        part.afterCommit(() => {
          committed += 'd';
        });
      });
      assert.is(committed, '', 'nothing is durable yet');
    });
    assert.equal(idsOf(await database.all(vehiclesAfter, '', 10)), ['a', 'd']);
    assert.is(committed, 'd');
  });

  test('nobody outside sees a transaction before it is committed', async () => {
    let inside: string | undefined;
    let outside: unknown = 'not read';
    await database.transaction(async (within) => {
      await vehicle(within, 'v');
      inside = (await within.one(vehicleById, 'v'))?.vehicle_id;
      outside = await database.one(vehicleById, 'v');
    });
    assert.is(inside, 'v');
    assert.is(outside, undefined);
    assert.is((await database.one(vehicleById, 'v'))?.vehicle_id, 'v');
  });

  test('transactions that ask for one vehicle at once go one after the other', async () => {
    await vehicle(database, 'v');
    await database.run(insertEcu, 'e', 'v', 0, new Uint8Array(1));
    await database.run(storeReport, 'e', 1, new Uint8Array(1));
    const raise = () =>
      database.transaction(async (within) => {
        await within.one(lockVehicle, 'v');
        const counter = (await within.one(reportOfEcu, 'e'))!.counter;
        assert.is(await within.run(storeReport, 'e', counter + 1, new Uint8Array(1)), 1);
      });
    await Promise.all(Array.from({ length: 12 }, raise));
    assert.is((await database.one(reportOfEcu, 'e'))?.counter, 13);
  });

  test('who loses the race for a key judges again', async () => {
    let tries = 0;
    const register = () =>
      database.transaction(async (within) => {
        tries += 1;
        const known = await within.one(vehicleById, 'v');
        if (known !== undefined) return refuse('vehicle-registered');
        // Long enough for all of them to have looked.
        for (let i = 0; i < 5; i++) await within.all(vehiclesAfter, '', 1);
        await vehicle(within, 'v');
        return undefined;
      });
    const results = await Promise.all([1, 2, 3, 4].map(register));
    assert.is(results.filter(isRefusal).length, 3);
    assert.ok(tries >= 4);
  });

  test('two that lock in opposite order both end', async () => {
    await vehicle(database, 'a');
    await vehicle(database, 'b');
    const both = (first: string, second: string) =>
      database.transaction(async (within) => {
        await within.one(lockVehicle, first);
        await within.all(vehiclesAfter, '', 1);
        await within.one(lockVehicle, second);
        await within.run(insertLogEntry, 1, 'decision', first, '', 'c', 'r', null, '');
      });
    await Promise.all([both('a', 'b'), both('b', 'a')]);
    assert.is((await database.all(logAfter, 0, 10)).length, 2);
  });

  test('opening again keeps everything and migrates nothing twice', async () => {
    await vehicle(database, 'v');
    await database.close();
    database = await engine.open(true);
    assert.is((await database.one(vehicleById, 'v'))?.registered, 1);
    const applied = query<[], { readonly number: number }>(
      'SELECT number FROM migrations ORDER BY number',
    );
    assert.equal(
      (await database.all(applied)).map((row) => row.number),
      migrations.map((_, i) => i + 1),
    );
  });

  test('columns have their types and references hold', async () => {
    const loose = query<[string, string, string, string]>(
      'INSERT INTO vehicles VALUES (?, ?, ?, ?)',
    );
    await rejects(database.run(loose, 'v', 'e', 'not a number', 'f'), /./);
    await rejects(database.run(insertEcu, 'e', 'no vehicle', 0, new Uint8Array(1)), /./);
  });

  test('values come back as they were stored', async () => {
    await vehicle(database, 'v');
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    await database.run(insertEcu, 'e', 'v', 0, new Uint8Array(1));
    await database.run(storeReport, 'e', Number.MAX_SAFE_INTEGER, bytes);
    assert.equal(
      { ...(await database.one(reportOfEcu, 'e')) },
      {
        ecu_id: 'e',
        counter: Number.MAX_SAFE_INTEGER,
        report: bytes,
      },
    );
    await database.run(insertLogEntry, 1, 'anomaly', 'v', '', 'c', 'r', null, "it's ? $1");
    const [entry] = await database.all(logAfter, 0, 1);
    assert.equal([entry?.attack, entry?.detail], [null, "it's ? $1"]);
  });

  test('texts are ordered byte by byte, a page at a time', async () => {
    for (const id of ['c', 'a', 'B', 'b-', 'b']) await vehicle(database, id);
    assert.equal(idsOf(await database.all(vehiclesAfter, '', 10)), ['B', 'a', 'b', 'b-', 'c']);
    assert.equal(idsOf(await database.all(vehiclesAfter, 'a', 1)), ['b']);
  });

  test('a report counter only rises (HRD-17)', async () => {
    await vehicle(database, 'v');
    await database.run(insertEcu, 'e', 'v', 0, new Uint8Array(1));
    const stored: number[] = [];
    for (const counter of [5, 5, 4, 6]) {
      stored.push(await database.run(storeReport, 'e', counter, new Uint8Array([counter])));
    }
    assert.equal(stored, [1, 0, 0, 1]);
    assert.equal((await database.one(reportOfEcu, 'e'))?.report, new Uint8Array([6]));
  });

  test('old manifests go with their detections', async () => {
    await vehicle(database, 'v');
    for (let i = 0; i < 5; i++) {
      const { id } = (await database.transaction((within) =>
        within.one(insertManifest, 'v', i, new Uint8Array(1)),
      ))!;
      await database.run(insertDetection, id, 0, 'e', 'c', 'r', null);
      await database.run(trimManifests, 'v', 'v', 3);
    }
    const kept = await database.all(lastManifests, 'v', 10);
    assert.equal(
      kept.map((row) => row.received),
      [4, 3, 2],
    );
    const count = query<[], { readonly count: number }>('SELECT count(*) AS count FROM detections');
    assert.is((await database.one(count))?.count, 3);
  });

  test('manifests that show the same mixture are counted', async () => {
    await vehicle(database, 'v');
    const note = (detail: string) =>
      database.transaction(async (within) => (await within.one(noteMixedBundle, 'v', detail))!);
    const counts: number[] = [];
    for (const detail of ['x', 'x', 'y', 'x']) counts.push((await note(detail)).manifests);
    assert.equal(counts, [1, 2, 1, 1]);
  });

  test('silence counts from the last manifest, or from the registration', async () => {
    await vehicle(database, 'never');
    await vehicle(database, 'late');
    await database.transaction((within) =>
      within.one(insertManifest, 'late', 9, new Uint8Array(1)),
    );
    const silent = (await database.all(vehiclesSilentSince, 5)).map((row) => ({ ...row }));
    assert.equal(silent, [{ vehicle_id: 'never', last: 1 }]);
  });

  test('the log is only appended to, whatever statement tries otherwise (DBP-09)', async () => {
    await database.run(insertLogEntry, 1, 'anomaly', 'v', '', 'c', 'r', null, 'first');
    for (const sql of ["UPDATE director_log SET detail = 'x'", 'DELETE FROM director_log']) {
      await rejects(database.run(query<[]>(sql)), /only appended to/);
    }
    const details = (await database.all(logAfter, 0, 10)).map(({ detail }) => detail);
    assert.equal(details, ['first']);
  });

  test('ids of the log rise in the order of the commits: who reads on misses none', async () => {
    let seen = 0;
    let read = 0;
    let writing = true;
    const follow = async () => {
      while (writing) {
        for (const { id } of await database.all(logAfter, seen, 100)) {
          read += 1;
          seen = id;
        }
      }
    };
    const write = async () => {
      for (let i = 0; i < 20; i++) {
        await database.transaction(async (within) => {
          await within.run(insertLogEntry, i, 'decision', 'v', '', 'c', 'r', null, '');
          await within.all(vehiclesAfter, '', 1);
        });
      }
    };
    const reader = follow();
    await Promise.all([write(), write()]);
    writing = false;
    await reader;
    read += (await database.all(logAfter, seen, 100)).length;
    assert.is(read, 40);
  });

  test('the inventory is only appended to (DBP-08)', async () => {
    await vehicle(database, 'v');
    await database.run(insertEcu, 'e', 'v', 0, new Uint8Array(1));
    await database.run(insertEcuKey, new Uint8Array(32), 'e');
    const changes = { vehicles: 'registered = 2', ecus: 'position = 2', ecu_keys: "ecu_id = 'x'" };
    for (const [name, change] of Object.entries(changes)) {
      for (const sql of [`UPDATE ${name} SET ${change}`, `DELETE FROM ${name}`]) {
        await rejects(database.run(query<[]>(sql)), /only appended to/);
      }
    }
  });

  test('a locked row is there for readers', async () => {
    await vehicle(database, 'v');
    const lock = lockingQuery<[string], { readonly fleet: string }>(
      'SELECT fleet FROM vehicles WHERE vehicle_id = ?',
    );
    await database.transaction(async (within) => {
      assert.is((await within.one(lock, 'v'))?.fleet, 'default');
      assert.is((await database.one(vehicleById, 'v'))?.fleet, 'default');
    });
  });

  test('a store of before the log keeps its anomalies in it (DBP-09)', async () => {
    await engine.writeOld(2, [
      "INSERT INTO anomalies VALUES (7, 5, 'v', 'report-time', 'DIR-11', 'late');",
    ]);
    const opened = await engine.open(true);
    const [entry] = await opened.all(logAfter, 0, 10);
    await opened.close();
    assert.equal(
      [entry?.recorded, entry?.kind, entry?.vehicle_id, entry?.code, entry?.detail],
      [5, 'anomaly', 'v', 'report-time', 'late'],
    );
  });

  test.run();
}

const settings = suite('database: SQLite alone');

settings('what is committed survives a power cut: WAL with synchronous FULL', async () => {
  const engine = sqlite();
  const database = await engine.open();
  const mode = query<[], { readonly journal_mode: string }>('PRAGMA journal_mode');
  const synchronous = query<[], { readonly synchronous: number }>('PRAGMA synchronous');
  const keys = query<[], { readonly foreign_keys: number }>('PRAGMA foreign_keys');
  await database.transaction(async (within) => {
    assert.is((await within.one(mode))?.journal_mode, 'wal');
    assert.is((await within.one(synchronous))?.synchronous, 2);
    assert.is((await within.one(keys))?.foreign_keys, 1);
  });
  await database.close();
  await engine.close();
});

const programs = postgresPrograms();
// All engines are there before the first suite is handed over: uvu runs what it has at that time.
const engines = [sqlite(), ...('missing' in programs ? [] : [await postgres(programs.folder)])];
if ('missing' in programs) console.log(`skipped: 19 ${programs.missing}`);
settings.run();
for (const engine of engines) contract(engine);
