/** The contract of the database: the same for SQLite, and for PostgreSQL where it is installed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, refuse } from '../../../agent/codes.ts';
import { maxVersionsRecovered } from '../../../agent/limits.ts';
import {
  type Database,
  DatabaseNewer,
  lockingQuery,
  type OpenDatabase,
  query,
} from '../../../backend/store/database.ts';
import {
  assignmentsOfVehicle,
  contentKeyOf,
  imageBySha256,
  keyObjectBySha256,
} from '../../../backend/store/images.ts';
import {
  ecuById,
  ecuByKeyId,
  insertEcu,
  insertEcuKey,
  insertToken,
  insertVehicle,
  lockVehicle,
  tokenByHash,
  vehicleById,
  vehiclesAfter,
} from '../../../backend/store/inventory.ts';
import { insertLogEntry, logAfter } from '../../../backend/store/log.ts';
import {
  detectionsOfManifest,
  insertDetection,
  insertManifest,
  lastManifests,
  noteMixedBundle,
  reportOfEcu,
  storeReport,
  trimManifests,
  vehiclesLastHeard,
} from '../../../backend/store/manifests.ts';
import {
  insertImageMetadata,
  latestDirectorMetadata,
  latestImageMetadata,
  latestRoot,
} from '../../../backend/store/metadata.ts';
import { migrations, sqliteText } from '../../../backend/store/migrations.ts';
import { PostgresDatabase } from '../../../backend/store/postgres.ts';
import { postgresFunctions, postgresMigration } from '../../../backend/store/postgres-sql.ts';
import {
  forgetAwaitedVehicle,
  imageVersionFloor,
  isAwaitedVehicle,
  lastRestore,
  markRestored,
} from '../../../backend/store/restores.ts';
import { SqliteDatabase } from '../../../backend/store/sqlite.ts';
import { PostgresServer, postgresPrograms } from '../../contract/postgres-server.ts';

interface Engine {
  readonly name: string;
  /** Opens a new database, or that of the last call once more. */
  readonly open: (again?: boolean) => Promise<OpenDatabase>;
  /** Tables with the names, types and order of their columns. */
  readonly formOf: (database: Database) => Promise<readonly string[]>;
  /**
   * A database as a program wrote it that knew `steps` migrations, with these statements; bytes in
   * them are written x'00'.
   */
  readonly writeOld: (steps: number, statements: readonly string[]) => Promise<void>;
  /** A statement past the backend, on the database of the last call. */
  readonly undo: (statement: string) => Promise<void>;
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
    async formOf(database) {
      const forms = query<[], { readonly sql: string }>(
        'SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name',
      );
      return (await database.all(forms)).map(({ sql }) => sql);
    },
    async writeOld(steps, statements) {
      files += 1;
      const old = new DatabaseSync(path());
      old.exec(migrationsTable);
      for (let number = 1; number <= steps; number++) {
        const step = migrations[number - 1];
        if (step !== undefined) old.exec(sqliteText(step));
        old.prepare('INSERT INTO migrations VALUES (?, 1)').run(number);
      }
      for (const statement of statements) old.exec(statement);
      old.close();
    },
    async undo(statement) {
      const raw = new DatabaseSync(path());
      raw.exec(statement);
      raw.close();
    },
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function postgres(programs: string): Promise<Engine> {
  const server = await PostgresServer.start(programs);
  const url = await server.newDatabase();
  return {
    name: 'PostgreSQL',
    async open(again = false) {
      if (!again) await server.empty(url);
      return PostgresDatabase.open(url, 4);
    },
    async formOf(database) {
      const columns = query<[], { readonly form: string }>(
        `SELECT concat_ws(' ', table_name, ordinal_position, column_name, data_type, is_nullable,
           column_default, collation_name) AS form
         FROM information_schema.columns WHERE table_schema = 'public'
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
         UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`,
      );
      return (await database.all(columns)).map(({ form }) => form);
    },
    async writeOld(steps, statements) {
      await server.empty(url);
      const applied = Array.from({ length: steps }, (_, i) => {
        const step = migrations[i];
        const text = step === undefined ? '' : postgresMigration(step);
        return `${text};\nINSERT INTO migrations VALUES (${i + 1}, 1);`;
      });
      const table = 'CREATE TABLE migrations (number BIGINT PRIMARY KEY, applied BIGINT NOT NULL);';
      const texts = statements.map((text) => text.replace(/x'([0-9a-f]*)'/g, "'\\x$1'::bytea"));
      await server.query(url, [table, postgresFunctions, ...applied, ...texts].join('\n'));
    },
    async undo(statement) {
      await server.query(url, statement);
    },
    close: () => server.close(),
  };
}

const migrationsTable =
  'CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT';

/** Rows as the first form of the database took them: every form since has to keep them. */
const oldRows = [
  "INSERT INTO vehicles (vehicle_id, primary_ecu_id, registered) VALUES ('v', 'p', 5);",
  "INSERT INTO ecus (ecu_id, vehicle_id, position, description) VALUES ('p', 'v', 0, x'01');",
  "INSERT INTO ecu_keys (key_id, ecu_id) VALUES (x'02', 'p');",
  "INSERT INTO enrolment_tokens (token_sha256, created, consumed) VALUES (x'03', 6, 7);",
  "INSERT INTO manifests (vehicle_id, received, bytes) VALUES ('v', 8, x'04');",
  "INSERT INTO detections (manifest_id, position, ecu_id, code, row) VALUES (1, 0, 'p', 'c', 'r');",
  "INSERT INTO ecu_reports (ecu_id, counter, report) VALUES ('p', 9, x'05');",
  "INSERT INTO roots (repository, version, bytes) VALUES ('director', 1, x'06');",
  `INSERT INTO director_metadata (vehicle_id, role, version, expires, root_version, bytes)
     VALUES ('v', 'timestamp', 10, 11, 1, x'07');`,
  `INSERT INTO image_metadata (role, version, expires, root_version, bytes)
     VALUES ('snapshot', 12, 13, 1, x'08');`,
  `INSERT INTO images (filename, sha256, sha512, length, uploaded)
     VALUES ('f', x'09', x'0a', 14, 15);`,
  "INSERT INTO content_keys (filename, ciphertext_sha256, sealed) VALUES ('f', x'09', x'0b');",
  "INSERT INTO key_objects (vehicle_id, sha256, bytes) VALUES ('v', x'0c', x'0d');",
  `INSERT INTO assignments
     (ecu_id, vehicle_id, target, key_object_sha256, key_object_length, assigned)
     VALUES ('p', 'v', x'0e', x'0c', 16, 17);`,
];

/** What the queries of today read of them. */
async function readOldRows(database: Database): Promise<void> {
  const [vehicle, ecu, token, report, root, timestamp, snapshot, image, contentKey, keyObject] = [
    await database.one(vehicleById, 'v'),
    await database.one(ecuById, 'p'),
    await database.one(tokenByHash, Uint8Array.of(3)),
    await database.one(reportOfEcu, 'p'),
    await database.one(latestRoot, 'director'),
    await database.one(latestDirectorMetadata, 'v', 'timestamp'),
    await database.one(latestImageMetadata, 'snapshot'),
    await database.one(imageBySha256, Uint8Array.of(9)),
    await database.one(contentKeyOf, 'f', Uint8Array.of(9)),
    await database.one(keyObjectBySha256, 'v', Uint8Array.of(12)),
  ];
  assert.equal([vehicle?.registered, vehicle?.fleet], [5, 'default']);
  assert.equal([ecu?.vehicle_id, ecu?.description], ['v', Uint8Array.of(1)]);
  assert.is((await database.one(ecuByKeyId, Uint8Array.of(2)))?.ecu_id, 'p');
  assert.equal([token?.consumed, token?.fleet], [7, 'default']);
  assert.equal([report?.counter, report?.report], [9, Uint8Array.of(5)]);
  assert.equal([root?.version, root?.bytes], [1, Uint8Array.of(6)]);
  assert.equal([timestamp?.version, timestamp?.bytes], [10, Uint8Array.of(7)]);
  assert.equal([snapshot?.version, snapshot?.bytes], [12, Uint8Array.of(8)]);
  assert.equal([image?.length, image?.sha512], [14, Uint8Array.of(10)]);
  assert.equal([contentKey?.sealed, keyObject?.bytes], [Uint8Array.of(11), Uint8Array.of(13)]);
  const [manifest] = await database.all(lastManifests, 'v', 2);
  assert.equal([manifest?.id, manifest?.received], [1, 8]);
  assert.is((await database.all(detectionsOfManifest, 1)).length, 1);
  const [assignment] = await database.all(assignmentsOfVehicle, 'v');
  assert.equal([assignment?.target, assignment?.install_step], [Uint8Array.of(14), 0]);
  // And written on: the next ids and counters are new ones.
  const next = await database.transaction((within) =>
    within.one(insertManifest, 'v', 20, new Uint8Array(1)),
  );
  assert.is(next?.id, 2);
  assert.is(await database.run(storeReport, 'p', 9, new Uint8Array(1)), 0, 'HRD-17');
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
    const heard = async (after: string) =>
      (await database.all(vehiclesLastHeard, after, 1)).map((row) => ({ ...row }));
    assert.equal(await heard('lat'), [{ vehicle_id: 'late', last: 9 }]);
    assert.equal(await heard('neve'), [{ vehicle_id: 'never', last: 1 }]);
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

  test('a database that came from a backup knows when, whom to hear first, and what is spent (MET-07)', async () => {
    assert.is(await database.one(lastRestore), undefined);
    await vehicle(database, 'v-1');
    const hash = new Uint8Array(32).fill(1);
    await database.run(insertToken, hash, null, 1, 'default');
    const bytes = new Uint8Array(1);
    for (const [role, version] of [
      ['snapshot', 3],
      ['timestamp', 8],
      ['timestamp', 9],
      ['targets', 4],
    ] as const) {
      await database.run(insertImageMetadata, role, version, 1, 1, bytes);
    }
    await markRestored(database, 1_000);
    await vehicle(database, 'v-2');
    await markRestored(database, 2_000);
    assert.is((await database.one(lastRestore))!.restored, 2_000);
    assert.is((await database.one(tokenByHash, hash))!.consumed, 1_000);
    for (const id of ['v-1', 'v-2']) {
      assert.ok(await database.one(isAwaitedVehicle, id));
      await database.run(forgetAwaitedVehicle, id);
      assert.is(await database.one(isAwaitedVehicle, id), undefined);
    }
    const floor = async (role: string) => (await database.one(imageVersionFloor, role))?.version;
    assert.is(await floor('timestamp'), 9 + maxVersionsRecovered);
    assert.is(await floor('snapshot'), 3 + maxVersionsRecovered);
    assert.is(await floor('targets'), undefined, 'those are signed by operators');
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

  test('a database of every form before comes to the newest with all that is in it', async () => {
    const newest = await engine.formOf(database);
    for (let steps = 1; steps < migrations.length; steps++) {
      await engine.writeOld(steps, oldRows);
      const opened = await engine.open(true);
      try {
        assert.equal(await engine.formOf(opened), newest, `from form ${steps}`);
        await readOldRows(opened);
      } finally {
        await opened.close();
      }
    }
  });

  test('a database of a newer form is refused and left as it is', async () => {
    const newer = migrations.length + 1;
    await engine.writeOld(newer, oldRows);
    for (let i = 0; i < 2; i++) {
      const refused = await engine.open(true).then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.instance(refused, DatabaseNewer);
      assert.is((refused as DatabaseNewer).code, 'database-newer');
      assert.match((refused as DatabaseNewer).message, `form ${newer}`);
    }
  });

  test('a step that fails leaves the form before, and is tried again', async () => {
    const inTheWay = 'CREATE TABLE tls_sessions (x INTEGER);';
    await engine.writeOld(6, [...oldRows, inTheWay]);
    await rejects(engine.open(true), /tls_sessions/);
    await engine.undo('DROP TABLE tls_sessions;');
    const opened = await engine.open(true);
    // Had a part of the step stayed, its first table would be in the way now.
    await readOldRows(opened);
    await opened.close();
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
if ('missing' in programs) console.log(`skipped: 23 ${programs.missing}`);
settings.run();
for (const engine of engines) contract(engine);
