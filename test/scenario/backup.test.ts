/** `ota backup` while the backend works, `ota restore`, and a fleet that goes on. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxVersionsRecovered } from '../../agent/limits.ts';
import { timestamp as timestampSchema } from '../../agent/metadata/timestamp.ts';
import { run } from '../../backend/cli/run.ts';
import { Operator } from '../../backend/fleet/operator.ts';
import { PostgresDatabase } from '../../backend/store/postgres.ts';
import { lastRestore } from '../../backend/store/restores.ts';
import { seededRandom } from '../../hal/emulated/faulty-flash.ts';
import { PostgresServer, postgresPrograms } from '../contract/postgres-server.ts';
import { checkAll } from '../kill/checks.ts';
import { EnrolledVehicle } from '../kill/enrolled-vehicle.ts';
import { Load } from '../kill/load.ts';
import { ProcessBackend } from '../kill/process-backend.ts';
import { codeOf, payloadOf, refusalOf } from './backend-fixture.ts';

const test = suite('backup');
const folders: string[] = [];

test.after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ota-backup-'));
  folders.push(folder);
  return folder;
}

/** `ota …` in this process: its status, and what it said. */
async function ota(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  let said = '';
  const write = (text: string) => {
    said += text;
  };
  const status = await run(words, { environment, out: write, error: write, interactive: false });
  return `${status} ${said}`;
}

/** Counters in the database of a backup. */
function countersIn(folder: string): ReadonlyMap<string, number> {
  const database = new DatabaseSync(join(folder, 'director.sqlite'), { readOnly: true });
  const rows = database.prepare('SELECT ecu_id, counter FROM ecu_reports').all();
  database.close();
  return new Map(rows.map((row) => [String(row['ecu_id']), Number(row['counter'])]));
}

test('a backup taken under load is whole, and after its return nothing goes back (MET-07, HRD-17)', async () => {
  const backend = ProcessBackend.create({ TIMESTAMP_SECONDS: '10' });
  const backup = join(temporaryFolder(), 'backup');
  const load = new Load(backend, seededRandom(5));
  try {
    await backend.start();
    await load.prepare();
    const unused = await backend.token();
    const working = load.run();
    while (load.acknowledged.enrolments === 0) await load.more(10);
    const counters = new Map(load.vehicles.map((vehicle) => [vehicle, vehicle.counter]));
    const images = [...load.images];
    const before = load.acknowledged.manifests;
    const operator = new Operator({ ...backend.environment, OTA_URL: 'http://127.0.0.1:1' });
    await operator.ota('backup', '--out', backup);
    assert.ok(load.acknowledged.manifests > before, 'the backend went on working');
    const lost = new EnrolledVehicle(backend, 'registered-after-the-backup');
    await lost.enrol();
    await load.more(40);
    load.stop();
    await working;
    assert.equal(load.problems, []);
    for (const vehicle of load.vehicles) {
      await vehicle.currentTargets();
      await vehicle.poll();
    }
    await lost.poll();
    await backend.kill();
    // What had been acknowledged when it began is in it.
    const kept = countersIn(backup);
    for (const [vehicle, counter] of counters) {
      const stored = kept.get(vehicle.vehicle.primary.description.ecuId) ?? 0;
      assert.ok(stored >= counter - 1, `${vehicle.vehicleId}: ${stored} of ${counter}`);
      assert.ok(stored < vehicle.counter, 'reports came after it');
    }
    for (const { sha256 } of images) {
      assert.ok(existsSync(join(backup, 'blobs', 'sha256', sha256.slice(0, 2), sha256)));
    }
    // No key, and nobody else may read it.
    assert.equal(readdirSync(backup).sort(), ['backup.json', 'blobs', 'director.sqlite']);
    assert.is(statSync(backup).mode & 0o077, 0);

    // Times are in seconds: what was signed before the restore lies before it.
    await pause(1_100);
    backend.stateFolder = join(backend.folder, 'restored');
    const restored = await operator.ota(
      ...['restore', '--from', backup, '--state', backend.stateFolder],
    );
    assert.match(restored, 'vehicles');
    await backend.start();
    assert.is(await backend.token('any').then(() => 'made'), 'made');
    for (const vehicle of load.vehicles) {
      const { vehicleId } = vehicle;
      const { ecuId } = vehicle.vehicle.secondary.description;
      // HRD-17: its counters are above those of the backup, and yet it is a replay
      const replayed = codeOf(await vehicle.send(vehicle.acknowledged!));
      assert.is(replayed, '409 report-replayed', vehicleId);
      // MET-07: nothing is signed before it says what it holds
      const path = `/metadata/${vehicleId}/timestamp.cbor`;
      const held = vehicle.held.timestamp!;
      const served = payloadOf(timestampSchema, (await vehicle.ask(path)).body).version;
      assert.ok(served <= held, `${served}, ${held}`);
      const refused = refusalOf(await backend.assign(vehicleId, ecuId, 'brakes-2.bin'));
      assert.is(`${refused.code} ${refused.row}`, 'assignment-refused MET-07');
      assert.ok(await vehicle.report());
      assert.is(await vehicle.poll(), undefined, 'no rollback');
      assert.ok(vehicle.held.timestamp! > held || served === held);
      const targets = vehicle.held.targets!;
      assert.ok((await vehicle.currentTargets()) >= targets, 'no rollback of Targets');
      assert.ok(await vehicle.report());
    }
    // One that the backup does not know enrols again, far above what it holds.
    assert.match((await lost.poll())!, 'certificate-unknown');
    const spent = new EnrolledVehicle(backend, 'thief');
    spent.useToken(unused);
    const refusal = await spent.enrol().catch((error: Error) => error.message);
    assert.match(refusal ?? '', 'token-invalid');
    await lost.enrolAgain();
    assert.is(await lost.poll(), undefined);
    assert.ok(lost.held.timestamp! > maxVersionsRecovered);
    const { body } = await load.vehicles[0]!.ask('/metadata/timestamp.cbor', {}, 'images');
    assert.ok(payloadOf(timestampSchema, body).version > maxVersionsRecovered);

    // The fleet goes on as before.
    load.images.splice(0, load.images.length, ...images);
    load.newcomers.splice(0, load.newcomers.length, lost);
    const again = load.run();
    await load.more(60);
    load.stop();
    await again;
    assert.equal(load.problems, []);
    assert.equal((await checkAll(load, load.images)).problems, []);
    lost.leave();
  } finally {
    load.leave();
    await backend.remove();
  }
});

test('what a backup or a restore cannot do is refused, and leaves nothing', async () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const backend = ProcessBackend.create();
  try {
    await backend.start();
    const load = new Load(backend, seededRandom(1));
    await load.prepare();
    load.leave();
    const state = ['--state', backend.stateFolder];
    assert.match(await ota(['backup', '--out', at('good'), ...state]), /^0 backup/);
    assert.match(
      await ota(['backup', '--out', at('good'), ...state]),
      /^1 .*file-unwritable.*empty/,
    );
    const nothing = await ota(['backup', '--out', at('b'), '--state', at('none')]);
    assert.match(nothing, /^1 .*file-unreadable.*no such file/);
    assert.match(await ota(['backup', ...state]), /^2 .*--out/);
    assert.match(await ota(['restore']), /^2 .*--from is needed/);
    const shared = await ota(['backup', '--out', at('b')], { DATABASE_URL: 'postgresql://x/y' });
    assert.match(shared, /^2 .*DATABASE_URL/);
    const running = await ota(['restore', '--from', at('good'), ...state]);
    assert.match(running, /^1 .*file-unwritable.*not empty/);

    const damaged = async (name: string, damage: (copy: string) => void) => {
      cpSync(at('good'), at(name), { recursive: true });
      damage(at(name));
      return ota(['restore', '--from', at(name), '--state', at(`${name}-state`)]);
    };
    const change = (path: string) => {
      const bytes = readFileSync(path);
      bytes[bytes.length - 1]! ^= 1;
      writeFileSync(path, bytes);
    };
    const blobOf = (copy: string) => {
      const group = join(copy, 'blobs', 'sha256');
      const [first] = readdirSync(group);
      return join(group, first!, readdirSync(join(group, first!))[0]!);
    };
    for (const [name, damage, said] of [
      ['database', (copy) => change(join(copy, 'director.sqlite')), 'backup-invalid'],
      ['image', (copy) => change(blobOf(copy)), 'image-hash'],
      ['missing', (copy) => rmSync(blobOf(copy)), 'file-unreadable'],
      ['unfinished', (copy) => rmSync(join(copy, 'backup.json')), 'file-unreadable'],
      ['later', (copy) => writeFileSync(join(copy, 'backup.json'), '{"format":2}'), 'format 1'],
      ['text', (copy) => writeFileSync(join(copy, 'backup.json'), 'x'), 'no JSON'],
    ] as readonly [string, (copy: string) => void, string][]) {
      const answer = await damaged(name, damage);
      assert.match(answer, /^1 /, name);
      assert.match(answer, said, name);
      assert.not(existsSync(at(`${name}-state`)), name);
      assert.not(existsSync(at(`${name}-state.partial`)), name);
    }
    mkdirSync(at('empty'));
    assert.match(await ota(['restore', '--from', at('good'), '--state', at('empty')]), /^0 state/);
  } finally {
    await backend.remove();
  }
});

test('a PostgreSQL that is not there is said', async () => {
  const environment = { DATABASE_URL: 'postgresql://127.0.0.1:1/fleet' };
  assert.match(await ota(['restore'], environment), /^1 .*database-unavailable/);
  const words = ['restore', '--from', temporaryFolder()];
  assert.match(await ota(words, environment), /^2 .*without --from/);
});

const programs = postgresPrograms();
if ('missing' in programs) console.log(`skipped: 1 ${programs.missing}`);
else {
  test('a PostgreSQL that its own tools brought back is marked as restored', async () => {
    const server = await PostgresServer.start(programs.folder);
    try {
      const url = await server.newDatabase();
      const before = await PostgresDatabase.open(url, 2);
      assert.is(await before.one(lastRestore), undefined);
      assert.match(await ota(['restore'], { DATABASE_URL: url }), /^0 the database is marked/);
      assert.ok((await before.one(lastRestore))!.restored > 0);
      await before.close();
    } finally {
      await server.close();
    }
  });
}

test.run();
