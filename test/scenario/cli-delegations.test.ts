/** Delegations and the splitting of large Targets, from the operator's command line to a vehicle. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxTargetsBytes } from '../../agent/limits.ts';
import { emptyAnswer } from '../../agent/metadata/device-messages.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { type Targets, targets as targetsSchema } from '../../agent/metadata/targets.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import { call, expectValue, payloadOf, TestVehicle } from './backend-fixture.ts';
import { CliFixture } from './cli-fixture.ts';

const test = suite('ota: delegations');
const fixture = new CliFixture();
const vehicle = new TestVehicle('vehicle-1');
const gateway = vehicle.primary.description;
const brakes = vehicle.secondary.description;
let copies = 0;

test.before(async () => {
  await fixture.done(['ceremony', '--out', fixture.keys]);
  await fixture.startBackend();
  const { token } = await fixture.done<{ token: string }>([
    'vehicle',
    'token',
    '--vehicle',
    'vehicle-1',
  ]);
  const body = vehicle.registration(token);
  const answer = await call(fixture.ports.director, '/register', { method: 'POST', body });
  expectValue(emptyAnswer, answer);
});
test.after(() => fixture.stop());

let release = 1;

function publishWords(name: string, hardware: string, more: readonly string[] = []): string[] {
  writeFileSync(fixture.path(name), `content of ${name}`);
  const given = ['--filename', name, '--hardware', hardware, '--kind', 'opaque'];
  return ['image', 'publish', fixture.path(name), ...given, '--release', `${release++}`, ...more];
}

interface Published {
  readonly role: string;
  readonly split: readonly string[];
  readonly targetsVersion: number | null;
}

/** Downloads all metadata of one repository into a folder, as a mirror would. */
async function mirror(port: number, prefix: string): Promise<string> {
  const folder = fixture.path(`mirror-${copies++}`);
  mkdirSync(folder);
  const keep = async (name: string) => {
    const { status, body } = await call(port, `${prefix}/${name}`);
    if (status === 200) writeFileSync(join(folder, name), body);
    return body;
  };
  for (const version of [1, 2]) await keep(`${version}.root.cbor`);
  const named = payloadOf(timestamp, await keep('timestamp.cbor')).snapshot.version;
  const { versions } = payloadOf(snapshot, await keep(`${named}.snapshot.cbor`));
  for (const { key, value } of versions) await keep(`${value}.${key}.cbor`);
  return folder;
}

/** What a vehicle says now: the filenames for its two ECUs, or code and row. */
async function verdict(): Promise<string> {
  const director = await mirror(fixture.ports.director, '/metadata/vehicle-1');
  const images = await mirror(fixture.ports.images, '/metadata');
  const ecus = [gateway, brakes].flatMap((ecu) => [
    '--ecu',
    ecu.ecuId,
    '--hardware',
    ecu.hardwareId,
  ]);
  const time = ['--time', String(Math.floor(Date.now() / 1_000))];
  const folders = ['--director', director, '--images', images, '--vehicle', 'vehicle-1'];
  const { out, error } = await fixture.run([
    'verify-repo',
    ...folders,
    ...time,
    ...ecus,
    '--primary',
  ]);
  assert.is(error, '');
  const { result, code, row, targets } = JSON.parse(out);
  const names = targets.map(({ filename }: { filename: string }) => filename);
  return result === 'ok' ? names.join(' ') : `${code} ${row}`;
}

const assign = (ecuId: string, image: string) =>
  fixture.run(['assign', '--vehicle', 'vehicle-1', '--ecu', ecuId, '--image', image, '--json']);

async function served(role: string): Promise<Targets> {
  const stamp = await call(fixture.ports.images, '/metadata/timestamp.cbor');
  const { version } = payloadOf(timestamp, stamp.body).snapshot;
  const listing = await call(fixture.ports.images, `/metadata/${version}.snapshot.cbor`);
  const { versions } = payloadOf(snapshot, listing.body);
  const listed = versions.find(({ key }) => key === role)?.value;
  const file = await call(fixture.ports.images, `/metadata/${listed}.${role}.cbor`);
  assert.ok(file.body.length <= maxTargetsBytes);
  return payloadOf(targetsSchema, file.body);
}

test('DEL-05, DEL-06, IMG-05: a role lists images within its patterns and hardware, and vehicles find them', async () => {
  const words = [
    'delegation',
    'add',
    'brakes-supplier',
    '--path',
    'brakes-*',
    '--hardware',
    'hw-brakes',
  ];
  const added = await fixture.done<{ published: string[] }>(words);
  assert.equal(added.published, ['brakes-supplier']);
  assert.is((await served('brakes-supplier')).version, 1);
  const role = ['--role', 'brakes-supplier'];
  const published = await fixture.done<Published>(publishWords('brakes-1.bin', 'hw-brakes', role));
  assert.is(published.role, 'brakes-supplier');
  assert.is(published.targetsVersion, 2);
  assert.is(
    await fixture.refused(publishWords('lamps-1.bin', 'hw-brakes', role)),
    '1 target-filename',
  );
  assert.is(
    await fixture.refused(publishWords('brakes-2.bin', 'hw-lamps', role)),
    '1 target-filename',
  );
  assert.is(
    await fixture.refused(publishWords('x.bin', 'hw-brakes', ['--role', 'nobody'])),
    '1 delegation-role',
  );
  assert.is((await assign(brakes.ecuId, 'brakes-1.bin')).status, 0);
  assert.is(await verdict(), 'brakes-1.bin');
});

test('DEL-02: delegations keep their order, and --before changes it', async () => {
  await fixture.done(['delegation', 'add', 'lamps', '--path', 'lamps-*', '--terminating']);
  await fixture.done([
    'delegation',
    'add',
    'first',
    '--path',
    'none',
    '--before',
    'brakes-supplier',
  ]);
  const listed = await fixture.done<{ roles: { role: string }[]; terminating: boolean }[]>([
    'delegation',
    'list',
  ]);
  const order = listed.map(({ roles, terminating }) => `${roles[0]!.role} ${terminating}`);
  assert.equal(order, ['first false', 'brakes-supplier false', 'lamps true']);
});

test('ROL-07, MRD-02: several roles have to list the same image', async () => {
  await fixture.done([
    'delegation',
    'add',
    'maker,auditor',
    '--path',
    'safety-*',
    '--new-keys',
    '1',
  ]);
  const words = publishWords('safety-1.bin', 'hw-gateway', ['--role', 'maker']);
  await fixture.done(words);
  const alone = await assign(gateway.ecuId, 'safety-1.bin');
  assert.is(JSON.parse(alone.out).code, 'image-not-listed');
  const again = words.map((word) => (word === 'maker' ? 'auditor' : word));
  const second = await fixture.done<Published>(again);
  assert.equal([second.role, second.targetsVersion], ['auditor', 2]);
  assert.is((await assign(gateway.ecuId, 'safety-1.bin')).status, 0);
  assert.is(await verdict(), 'brakes-1.bin safety-1.bin');
});

test('DBP-15, DEL-03: a delegation taken back stays in the Snapshot and leads nowhere', async () => {
  const keysBefore = (await served('targets')).delegations!.keys.length;
  await fixture.done(['delegation', 'remove', 'brakes-supplier']);
  assert.is(
    await fixture.refused(['delegation', 'remove', 'brakes-supplier']),
    '1 delegation-role',
  );
  assert.is((await served('brakes-supplier')).version, 2);
  assert.is((await served('targets')).delegations!.keys.length, keysBefore - 2);
  assert.is(await verdict(), 'target-not-found RDL-08');
  await fixture.done(['delegation', 'add', 'brakes-supplier', '--path', 'brakes-*']);
  assert.is(await verdict(), 'brakes-1.bin safety-1.bin');
});

test('DEL-08: thresholds, names and numbers that cannot be are refused', async () => {
  for (const [words, expected] of [
    [['targets'], '1 delegation-role'],
    [['lamps'], '1 delegation-role'],
    [['new', '--threshold', '3'], '1 root-threshold'],
    [['new,new'], '2 argument-invalid'],
    [['a/b'], '2 argument-invalid'],
    [['new', '--minimum', '2'], '2 argument-invalid'],
    [['new', '--before', 'nobody'], '1 delegation-role'],
    [['new', '--from', 'nobody'], '1 delegation-role'],
  ] as const) {
    assert.is(await fixture.refused(['delegation', 'add', ...words]), expected, words.join(' '));
  }
});

test('a list that outgrows a Secondary is split by hardware, and every image is still found', async () => {
  const ids = (name: string) =>
    [`hw-${name}`, ...Array.from({ length: 31 }, (_, i) => `${name}-${i}`.padEnd(64, '.'))].join();
  const results: Published[] = [];
  for (let i = 0; results.every(({ split }) => split.length === 0); i++) {
    for (const name of ['gateway', 'brakes']) {
      results.push(await fixture.done<Published>(publishWords(`${name}-big-${i}.bin`, ids(name))));
    }
  }
  const split = results.findIndex((one) => one.split.length > 0);
  assert.ok(results.slice(0, split).every(({ role }) => role === 'targets'));
  assert.equal(results[split]!.split, ['hardware-1', 'hardware-2']);
  assert.ok(results.slice(split).every(({ role }) => role.startsWith('hardware-')));
  assert.equal((await served('targets')).targets, []);
  assert.is((await assign(gateway.ecuId, 'gateway-big-0.bin')).status, 0);
  assert.is((await assign(brakes.ecuId, 'brakes-big-1.bin')).status, 0);
  assert.is(await verdict(), 'brakes-big-1.bin gateway-big-0.bin');
  const wide = publishWords('wide.bin', 'hw-gateway,hw-brakes');
  assert.is(await fixture.refused(wide), '1 delegation-limit');
});

test('images of delegated roles are removed and renewed where they are listed', async () => {
  const removed = await fixture.done<{ versions: Record<string, number> }>([
    'image',
    'remove',
    'brakes-big-0.bin',
  ]);
  assert.equal(Object.keys(removed.versions).length, 1);
  const renewed = await fixture.done<{ versions: Record<string, number> }>(['image', 'renew']);
  for (const role of ['targets', 'hardware-1', 'hardware-2', 'maker', 'auditor']) {
    assert.ok(role in renewed.versions, role);
  }
  assert.is(await verdict(), 'brakes-big-1.bin gateway-big-0.bin');
});

test.run();
