/** `ota offline bundle`: what a person plugs into a vehicle, written and judged; and what is refused. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../agent/codes.ts';
import { unwrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { CobblestoneDecryptor } from '../../agent/image/cobblestone.ts';
import { imageContext } from '../../agent/image/image-context.ts';
import { maxOfflineTargetsBytes } from '../../agent/limits.ts';
import { hashAlgorithms } from '../../agent/metadata/common.ts';
import { emptyAnswer } from '../../agent/metadata/device-messages.ts';
import { offlineSnapshot, offlineTargets } from '../../agent/metadata/offline.ts';
import { judgeMedium } from '../../backend/cli/offline-medium.ts';
import { vehicleView } from '../../backend/http/messages.ts';
import { createFolderMedium } from '../../hal/emulated/medium.ts';
import {
  call,
  crypto,
  expectValue,
  opened,
  operatorToken,
  payloadOf,
  refusalOf,
  TestVehicle,
  toHex,
} from './backend-fixture.ts';
import { CliFixture } from './cli-fixture.ts';

const test = suite('ota: offline updates');
const fixture = new CliFixture();
const vehicles = [new TestVehicle('vehicle-1'), new TestVehicle('vehicle-2')];
const content = Buffer.from(Uint8Array.from({ length: 20_000 }, (_, i) => (i * 31) % 253));
const medium = fixture.path('medium');

interface Made {
  readonly version: number;
  readonly assignments: readonly { readonly vehicleId: string; readonly ecuId: string }[];
}

function bundle(out: string, ...more: string[]): string[] {
  return ['offline', 'bundle', '--out', out, '--campaign', 'recall', ...more];
}
const images = ['--image', 'gateway-2.bin', '--image', 'brakes-2.bin'];

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('/'))
    .sort();
}

function bytesOf(name: string, folder = medium): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, name)));
}

const operator = (path: string, body?: Uint8Array) =>
  call(fixture.ports.operator, path, {
    headers: { authorization: `Bearer ${operatorToken}` },
    ...(body === undefined ? {} : { method: 'PUT', body }),
  });

async function judge(folder: string, vehicleId: string, wanted: number) {
  const view = expectValue(vehicleView, await operator(`/vehicles/${vehicleId}`));
  return judgeMedium(crypto, folder, view, wanted, Math.floor(Date.now() / 1_000));
}

test.before(async () => {
  await fixture.done(['ceremony']);
  await fixture.startBackend();
  for (const vehicle of vehicles) {
    const words = ['vehicle', 'token', '--vehicle', vehicle.vehicleId];
    const { token } = await fixture.done<{ token: string }>(words);
    const body = vehicle.registration(token);
    const answer = await call(fixture.ports.director, '/register', { method: 'POST', body });
    expectValue(emptyAnswer, answer);
  }
  writeFileSync(fixture.path('image'), content);
  for (const name of ['gateway', 'brakes']) {
    const words = ['image', 'publish', fixture.path('image'), '--filename', `${name}-2.bin`];
    const numbers = ['--release', '2', '--kind', 'opaque', '--hardware', `hw-${name}`];
    await fixture.done([...words, ...numbers]);
  }
});
test.after(() => fixture.stop());

test('OFF-05: before the first campaign a vehicle is told that there is none', async () => {
  const path = '/metadata/vehicle-1/offline-snapshot.cbor';
  assert.is((await call(fixture.ports.director, path)).status, 404);
  assert.is(refusalOf(await operator('/offline/snapshot')).code, 'metadata-absent');
});

test('OFF-03: a medium holds all Roots, the campaign, the Image metadata, keys and images', async () => {
  const made = await fixture.done<Made>(bundle(medium, ...images));
  assert.is(made.version, 1);
  assert.equal(
    made.assignments.map(({ vehicleId, ecuId }) => `${vehicleId} ${ecuId}`),
    vehicles.flatMap(({ ecus, vehicleId }) =>
      ecus.map(({ description }) => `${vehicleId} ${description.ecuId}`),
    ),
  );
  const files = filesOf(medium);
  assert.equal(
    files.filter((name) => /^(director|images)\//.test(name)),
    [
      'director/1.root.cbor',
      'director/offline-snapshot.cbor',
      'director/offline-targets.cbor',
      'images/1.root.cbor',
      'images/3.targets.cbor',
      'images/snapshot.cbor',
    ],
  );
  assert.is(files.filter((name) => name.startsWith('keys/')).length, 4);
  assert.is(files.filter((name) => name.startsWith('targets/')).length, 2);
  assert.is(files.length, 12);
});

test('OFF-04: every vehicle of the campaign takes it, another one does not', async () => {
  assert.is(await judge(medium, 'vehicle-1', 2), undefined);
  assert.is(await judge(medium, 'vehicle-2', 2), undefined);
  assert.is((await judge(medium, 'vehicle-2', 3))?.refused, 'assignment-refused');
  const view = expectValue(vehicleView, await operator('/vehicles/vehicle-1'));
  const foreign = judgeMedium(crypto, medium, { ...view, vehicleId: 'vehicle-9' }, 2, 1);
  assert.is(foreign?.refused, 'vehicle-mismatch');
});

test('OFF-06: a key object opens at its ECU alone, and gives the image that the medium carries', () => {
  const campaign = payloadOf(offlineTargets, bytesOf('director/offline-targets.cbor'));
  const all = vehicles.flatMap(({ ecus }) => ecus);
  for (const { ecuId, keyObjectSha256, target: at, vehicleId } of campaign.assignments) {
    const target = campaign.targets[at]!;
    const { releaseCounter, plaintextSha256 } = target.mustMatch;
    const digest = target.hashes.find(({ key }) => key === hashAlgorithms['SHA-256'])!.value;
    const wrapped = bytesOf(`keys/${toHex(keyObjectSha256)}`);
    const context = [vehicleId, ecuId, target.filename, digest] as const;
    const own = all.find(({ description }) => description.ecuId === ecuId)!;
    for (const other of all.filter((one) => one !== own)) {
      assert.ok(isRefusal(unwrapContentKey(crypto, other.wrapping.secret, wrapped, context)));
    }
    const pieces: Buffer[] = [];
    const decryptor = new CobblestoneDecryptor({
      crypto,
      contentKey: opened(unwrapContentKey(crypto, own.wrapping.secret, wrapped, context)),
      context: imageContext(target.filename, releaseCounter, plaintextSha256),
      ciphertextLength: target.length,
      onPlaintext: (bytes) => pieces.push(Buffer.from(bytes)),
    });
    const ciphertext = bytesOf(`targets/${toHex(digest)}.${target.filename}`);
    assert.is(decryptor.write(ciphertext), undefined);
    assert.is(decryptor.finish(), undefined);
    assert.ok(Buffer.concat(pieces).equals(content));
  }
});

test('OFF-05: the Director gives out the Offline Snapshot that lists the campaign', async () => {
  const answer = await call(fixture.ports.director, '/metadata/vehicle-1/offline-snapshot.cbor');
  assert.is(answer.status, 200);
  assert.equal(answer.body, bytesOf('director/offline-snapshot.cbor'));
  const { version, versions } = payloadOf(offlineSnapshot, answer.body);
  assert.is(version, 1);
  assert.equal(versions, [{ key: 'recall', value: 1 }]);
});

test('OFF-04: a newer edition ends the older one; the Director takes no older Snapshot back', async () => {
  const old = bytesOf('director/offline-snapshot.cbor');
  const second = fixture.path('medium-2');
  const made = await fixture.done<Made>(bundle(second, '--image', 'brakes-2.bin'));
  assert.is(made.version, 2);
  assert.is(made.assignments.length, 2);
  const refused = await operator('/offline/snapshot', old);
  assert.is(refusalOf(refused).code, 'metadata-not-next');
  const other = ['offline', 'bundle', '--campaign', 'winter', '--out', fixture.path('winter')];
  const words = [...other, ...images, '--vehicle', 'vehicle-2', '--hardware', 'hw-brakes'];
  const winter = await fixture.done<Made>(words);
  assert.is(winter.version, 1);
  assert.is(winter.assignments.length, 1);
  const now = payloadOf(offlineSnapshot, (await operator('/offline/snapshot')).body);
  assert.equal(now.versions, [
    { key: 'recall', value: 2 },
    { key: 'winter', value: 1 },
  ]);
});

test('OFF-01, OFF-02: the Director publishes no Offline Snapshot of other keys or contents', async () => {
  const campaign = bytesOf('director/offline-targets.cbor');
  assert.is(refusalOf(await operator('/offline/snapshot', campaign)).code, 'signature-threshold');
  const broken = bytesOf('director/offline-snapshot.cbor');
  broken[broken.length - 1]! ^= 1;
  const { code, row } = refusalOf(await operator('/offline/snapshot', broken));
  assert.ok(/^(signature|cbor)-/.test(code), `${code} ${row}`);
});

test('OFF-01: after a rotation of its key a campaign brings the Roots that name it', async () => {
  for (const role of ['offline-snapshot', 'offline-targets']) {
    await fixture.done(['root', 'rotate', '--repository', 'director', '--role', role]);
  }
  const third = fixture.path('medium-3');
  await fixture.done<Made>(bundle(third, ...images));
  const roots = filesOf(third).filter((name) => name.includes('root'));
  assert.equal(roots, [1, 2, 3].map((n) => `director/${n}.root.cbor`).concat('images/1.root.cbor'));
  assert.is(await judge(third, 'vehicle-1', 2), undefined);
});

test('OFF-04: a campaign has one image for an ECU', async () => {
  const words = ['image', 'publish', fixture.path('image'), '--filename', 'brakes-3.bin'];
  const numbers = ['--release', '3', '--kind', 'opaque', '--hardware', 'hw-brakes'];
  await fixture.done([...words, ...numbers]);
  const out = fixture.path('twice');
  const found = await fixture.refused(bundle(out, ...images, '--image', 'brakes-3.bin'));
  assert.is(found, '2 argument-invalid');
  assert.not.ok(existsSync(out));
});

test('what cannot be made is refused, and nothing is left behind', async () => {
  const out = fixture.path('none');
  const cases: [string[], string][] = [
    [bundle(medium, ...images), '2 argument-invalid'],
    [bundle(out, '--image', 'no-such.bin'), '1 image-not-listed'],
    [bundle(out, ...images, '--vehicle', 'vehicle-9'), '1 vehicle-unknown'],
    [bundle(out, ...images, '--hardware', 'hw-none'), '2 argument-invalid'],
    [bundle(out, '--image', 'a.bin', '--image', 'a.bin'), '2 argument-invalid'],
  ];
  for (const [words, expected] of cases) {
    assert.is(await fixture.refused(words), expected, words.join(' '));
  }
  const wrong = { OTA_PASSPHRASE: 'another' };
  assert.is(await fixture.refused(bundle(out, ...images), wrong), '1 passphrase-wrong');
  assert.not.ok(existsSync(out));
  assert.equal(
    readdirSync(fixture.folder).filter((name) => name.includes('incomplete')),
    [],
  );
});

test('HRD-10: a medium is read by its names only, never by a path', () => {
  const reader = createFolderMedium(medium);
  const campaign = 'director/offline-targets.cbor';
  const length = bytesOf(campaign).length;
  assert.ok(length <= maxOfflineTargetsBytes);
  assert.is(reader.length(campaign), length);
  const whole = new Uint8Array(length);
  assert.ok(reader.read(campaign, whole, 0));
  assert.equal(whole, bytesOf(campaign));
  assert.not.ok(reader.read(campaign, whole, 1), 'past the end');
  for (const name of ['../image', 'director', 'director/../../image', 'keys/.x', 'a/b/c', '']) {
    assert.is(reader.length(name), undefined, name);
    assert.not.ok(reader.read(name, new Uint8Array(1), 0), name);
  }
  assert.is(createFolderMedium(fixture.path('not-there')).length(campaign), undefined);
});

test.run();
