/** A Director whose database was restored from a backup: versions only rise, for every vehicle. */
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxVersionsRecovered } from '../../agent/limits.ts';
import type { HeldMetadata, Report } from '../../agent/metadata/report.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import { logPage } from '../../backend/http/messages.ts';
import {
  codeOf,
  crypto,
  expectValue,
  makeImage,
  makeReport,
  payloadOf,
  refusalOf,
  signManifest,
  signReport,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('restored Director');
const brakes2 = makeImage('brakes-2.bin', new Uint8Array(10).fill(2), ['hw-brakes'], 2);
const brakes3 = makeImage('brakes-3.bin', new Uint8Array(10).fill(3), ['hw-brakes'], 3);

let backend: TestBackend;
let vehicle: TestVehicle;
let counter = 0;
let held: HeldMetadata | undefined;

test.before.each(async () => {
  backend = await TestBackend.start();
  await backend.release(1, [brakes2, brakes3]);
  vehicle = new TestVehicle('vehicle-1');
  await backend.register(vehicle);
  held = undefined;
});
test.after.each(() => backend.stop());

const database = () => join(backend.folder, 'state', 'director.sqlite');
const backupPath = () => join(backend.folder, 'backup.sqlite');

/** Stops the backend, so that the file is whole, copies it, and starts it again. */
async function backUp(): Promise<void> {
  await backend.backend.close();
  assert.not.ok(existsSync(`${database()}-wal`), 'a closed database is one file');
  copyFileSync(database(), backupPath());
  await backend.open();
}

async function restore(): Promise<void> {
  await backend.backend.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${database()}${suffix}`, { force: true });
  copyFileSync(backupPath(), database());
  await backend.open();
}

/** Fetches what the Director serves, as a vehicle does, and holds it if it is no rollback. */
async function fetchAll(): Promise<'taken' | 'rollback'> {
  const get = async (name: string) =>
    (await backend.director(`/metadata/${vehicle.vehicleId}/${name}`)).body;
  const file = await get('timestamp.cbor');
  const first = payloadOf(timestamp, file);
  const second = payloadOf(snapshot, await get(`${first.snapshot.version}.snapshot.cbor`));
  const third = payloadOf(targets, await get(`${second.versions[0]!.value}.targets.cbor`));
  const digest = crypto.digest('SHA-256', file);
  const same = (a: Uint8Array | undefined) => a !== undefined && Buffer.compare(a, digest) === 0;
  const older = (version: number, known: number | undefined) => version < (known ?? 0);
  if (
    older(first.version, held?.timestamp) ||
    older(second.version, held?.snapshot) ||
    older(third.version, held?.targets) ||
    (first.version === held?.timestamp && !same(held.timestampSha256))
  ) {
    return 'rollback';
  }
  const entry = third.targets.find(
    ({ assignment }) => assignment!.ecuId === vehicle.secondary.description.ecuId,
  );
  held = {
    timestamp: first.version,
    snapshot: second.version,
    targets: third.version,
    ...(entry && { releaseCounter: entry.mustMatch.releaseCounter }),
    timestampSha256: digest,
  };
  return 'taken';
}

/** Sends a manifest in which each ECU reports what the vehicle holds; `changes` on the Secondary. */
async function report(changes: Partial<Report> = {}): Promise<string> {
  counter += 1;
  const { primary, secondary, vehicleId } = vehicle;
  const own = { counter, ...(held && { held }) };
  const reports = [
    signReport(makeReport(primary, vehicleId, own), primary.signing),
    signReport(makeReport(secondary, vehicleId, { ...own, ...changes }), secondary.signing),
  ];
  const { ecuId } = primary.description;
  const manifest = signManifest(vehicleId, ecuId, reports, primary.signing);
  return codeOf(await backend.manifest(vehicleId, manifest));
}

const assign = async (filename: string): Promise<string> => {
  const { ecuId } = vehicle.secondary.description;
  const answer = await backend.assign(vehicle.vehicleId, ecuId, filename);
  return answer.status < 400 ? '200' : `${codeOf(answer)} ${refusalOf(answer).row}`;
};

async function logged(): Promise<readonly string[]> {
  const answer = await backend.operator(`/log?vehicle=${vehicle.vehicleId}`);
  return expectValue(logPage, answer).map(({ code, detail }) => `${code} ${detail}`);
}

/** Reports that the Secondary runs an image. */
const running = ({ target }: typeof brakes2): Partial<Report> => ({
  installed: {
    filename: target.filename,
    length: target.mustMatch.plaintextLength,
    hashes: [{ key: -16, value: target.mustMatch.plaintextSha256 }],
    releaseCounter: target.mustMatch.releaseCounter,
  },
});

test('after a restore the next manifest makes all versions rise above what the vehicle holds (DIR-15, MET-07)', async () => {
  await report();
  await backUp();
  assert.is(await assign('brakes-2.bin'), '200');
  assert.is(await assign('brakes-3.bin'), '200');
  assert.is(await fetchAll(), 'taken');
  assert.equal([held!.timestamp, held!.targets], [3, 3]);
  await restore();
  assert.is(await fetchAll(), 'rollback', 'the restored Director serves what it served before');
  assert.is(await report(), '200');
  assert.is(await fetchAll(), 'taken');
  assert.equal([held!.timestamp, held!.snapshot, held!.targets], [4, 4, 4]);
  const entries = await logged();
  assert.ok(entries.some((line) => line.startsWith('versions-lost ')));
  assert.ok(
    entries.some((line) => line === 'versions-recovered timestamp 4, snapshot 4, targets 4'),
  );
});

test('a restored Director that has signed the same numbers anew is found out by the content (MET-07)', async () => {
  await report();
  await backUp();
  assert.is(await assign('brakes-3.bin'), '200');
  assert.is(await fetchAll(), 'taken');
  await restore();
  assert.is(await assign('brakes-2.bin'), '200');
  assert.is(await fetchAll(), 'rollback', 'version 2, with other content');
  assert.is(await report(), '200');
  assert.is(await fetchAll(), 'taken');
  assert.is(held!.targets, 3);
});

test('what was decided before the restore and is not installed is withdrawn, and waits (MET-07, CUS-02)', async () => {
  await report();
  assert.is(await assign('brakes-2.bin'), '200');
  await backUp();
  assert.is(await assign('brakes-3.bin'), '200');
  await fetchAll();
  await restore();
  await report();
  assert.is(await assign('brakes-3.bin'), '400 assignment-refused MET-07', 'not fetched yet');
  assert.is(await fetchAll(), 'taken');
  assert.is(held!.releaseCounter, undefined, 'nothing is assigned');
  await report();
  assert.is(await assign('brakes-3.bin'), '200');
});

test('an assignment of a release older than what an ECU runs is withdrawn (CUS-02)', async () => {
  await report();
  assert.is(await assign('brakes-2.bin'), '200');
  await report();
  await backUp();
  assert.is(await assign('brakes-3.bin'), '200');
  await restore();
  await report(running(brakes3));
  await fetchAll();
  assert.is(held!.releaseCounter, undefined);
  assert.ok((await logged()).some((line) => /^assignment-withdrawn brakes-2.bin/.test(line)));
  assert.is(await assign('brakes-2.bin'), '400 target-rollback CUS-02');
});

test('a release below what an ECU was told to run is not assigned (FV-15)', async () => {
  held = { targets: 1, releaseCounter: 3 };
  await report();
  assert.is(await assign('brakes-2.bin'), '400 target-rollback FV-15');
  assert.is(await assign('brakes-3.bin'), '200');
});

test('versions that nobody can have issued are not believed (MET-07)', async () => {
  held = { timestamp: 2 + maxVersionsRecovered };
  assert.is(await report(), '200');
  await fetchAll();
  assert.ok((await logged()).some((line) => line.startsWith('versions-implausible ')));
  held = { timestamp: 1 + maxVersionsRecovered };
  assert.is(await report(), '200');
  assert.is(await fetchAll(), 'taken');
  assert.is(held!.timestamp, 2 + maxVersionsRecovered);
});

test('a Secondary that claims versions makes numbers rise and takes no assignment away (MET-07)', async () => {
  await report();
  assert.is(await assign('brakes-2.bin'), '200');
  await fetchAll();
  await report({ held: { targets: 40 } });
  await fetchAll();
  assert.equal([held!.targets, held!.releaseCounter], [41, 2]);
  assert.is(await assign('brakes-3.bin'), '200');
});

test.run();
