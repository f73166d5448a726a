/** From an assignment to what a vehicle fetches: Targets, key objects, time (Uptane §5.3.2). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { encode, type Infer, type Schema } from '../../agent/codec/schema.ts';
import { unwrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { CobblestoneDecryptor } from '../../agent/image/cobblestone.ts';
import { imageContext } from '../../agent/image/image-context.ts';
import { hashAlgorithms } from '../../agent/metadata/common.ts';
import { manifestAnswer, updateAnswer, updateQuery } from '../../agent/metadata/device-messages.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import {
  bundleFailures,
  installStepOf,
  type Target,
  type Targets,
  targets,
} from '../../agent/metadata/targets.ts';
import { timeAttestation, timeRequest } from '../../agent/metadata/time.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import {
  assignmentRequest,
  refreshAnswer,
  statusAnswer,
  vehicleView,
} from '../../backend/http/messages.ts';
import type { OnlineKeyName } from '../../backend/signer/online-keys.ts';
import {
  type Answer,
  codeOf,
  crypto,
  expectValue,
  makeImage,
  opened,
  payloadOf,
  refusalOf,
  startSeconds,
  TestBackend,
  TestVehicle,
  toHex,
} from './backend-fixture.ts';

const test = suite('updates');
const plaintext = new Uint8Array(40_000).map((_, i) => i % 251);
const brakes = makeImage('brakes-2.bin', plaintext, ['hw-brakes']);
const gateway = makeImage('gateway-2.bin', new Uint8Array(100), ['hw-gateway', 'hw-x']);
const older = makeImage('brakes-0.bin', new Uint8Array(10).fill(7), ['hw-brakes'], 0);
const unhashed = makeImage('unhashed.bin', new Uint8Array(10).fill(9), ['hw-brakes']);
const keyless = makeImage('keyless.bin', new Uint8Array(10).fill(8), ['hw-brakes']);

let backend: TestBackend;
let vehicle: TestVehicle;
let vehicles = 0;

test.before(async () => {
  backend = await TestBackend.start();
  await backend.release(1, [brakes, gateway, older]);
  await backend.upload(keyless.target.filename, keyless.ciphertext);
  await backend.upload(unhashed.target.filename, unhashed.ciphertext);
  const sha512Only = { ...unhashed.target, hashes: [unhashed.target.hashes[1]!] };
  const listed = [...[brakes, gateway, older, keyless].map(({ target }) => target), sha512Only];
  const published = backend.signTargets(2, { targets: listed });
  assert.is(codeOf(await backend.publish('2.targets.cbor', published)), '200');
});
test.after(() => backend.stop());
test.before.each(async () => {
  vehicles += 1;
  vehicle = new TestVehicle(`vehicle-${vehicles}`);
  await backend.register(vehicle);
});

/** Fetches a file of the vehicle and checks its signature by the key that Root names. */
async function fetchVerified<T>(name: string, schema: Schema<T>, key: OnlineKeyName): Promise<T> {
  const answer = await backend.director(`/metadata/${vehicle.vehicleId}/${name}`);
  assert.is(codeOf(answer), '200', name);
  const authority = { keys: [backend.keys.online[key].key], threshold: 1 };
  const envelope = opened(decodeEnvelope(answer.body, answer.body.length));
  const options = { domain: 'metadata', payloadHash: 'forbidden' } as const;
  assert.is(verifyEnvelope(crypto, envelope, authority, options), undefined, name);
  return payloadOf(schema, answer.body);
}

/** Walks Timestamp → Snapshot → Targets as a vehicle does. */
async function fetchTargets() {
  const first = await fetchVerified('timestamp.cbor', timestamp, 'director-timestamp');
  const snapshotName = `${first.snapshot.version}.snapshot.cbor`;
  const file = await backend.director(`/metadata/${vehicle.vehicleId}/${snapshotName}`);
  assert.is(file.body.length, first.snapshot.length);
  assert.equal(
    new Uint8Array(first.snapshot.hashes[0]!.value),
    crypto.digest('SHA-256', file.body),
  );
  const second = await fetchVerified(snapshotName, snapshot, 'director-snapshot');
  assert.equal(
    second.versions.map((entry) => entry.key),
    ['targets'],
  );
  const name = `${second.versions[0]!.value}.targets.cbor`;
  const third = await fetchVerified(name, targets, 'director-targets');
  for (const file of [first, second, third]) assert.is(file.vehicleId, vehicle.vehicleId);
  return { timestamp: first, snapshot: second, targets: third };
}

const fetchKeyObject = (target: Target): Promise<Answer> =>
  backend.director(`/keys/${vehicle.vehicleId}/${toHex(target.assignment!.keyObjectSha256)}`);

test('an assigned image reaches its ECU: Targets, key object, ciphertext, plaintext (CUS-05, CUS-06, ROL-02)', async () => {
  const { secondary, vehicleId } = vehicle;
  const { ecuId } = secondary.description;
  assert.is(await backend.assigned(vehicleId, ecuId, 'brakes-2.bin'), 2);
  const { targets: signed } = await fetchTargets();
  assert.is(signed.targets.length, 1);
  const target = signed.targets[0]!;
  const { assignment, ...asListed } = target;
  const { encoded: _encoded, ...mustMatch } = asListed.mustMatch;
  const plain = (entry: Target) =>
    entry.hashes.map((hash) => ({ key: hash.key, value: toHex(hash.value) }));
  assert.equal(plain(target), plain(brakes.target));
  assert.is(mustMatch.releaseCounter, brakes.target.mustMatch.releaseCounter);
  assert.is(assignment?.ecuId, ecuId);

  const keyObject = (await fetchKeyObject(target)).body;
  assert.is(keyObject.length, assignment!.keyObjectLength);
  assert.equal(crypto.digest('SHA-256', keyObject), new Uint8Array(assignment!.keyObjectSha256));
  const context = [vehicleId, ecuId, target.filename, target.hashes[0]!.value] as const;
  const { secret } = secondary.wrapping;
  const contentKey = opened(unwrapContentKey(crypto, secret, keyObject, context));
  assert.equal(contentKey, brakes.contentKey);
  const stranger = vehicle.primary.wrapping.secret;
  const stolen = unwrapContentKey(crypto, stranger, keyObject, context);
  assert.ok('refused' in stolen, 'no other ECU of the vehicle can open it');

  const name = `${toHex(target.hashes[0]!.value)}.${target.filename}`;
  const ciphertext = (await backend.images(`/targets/${name}`)).body;
  const pieces: number[] = [];
  const decryptor = new CobblestoneDecryptor({
    crypto,
    contentKey,
    context: imageContext(
      target.filename,
      mustMatch.releaseCounter,
      new Uint8Array(mustMatch.plaintextSha256),
    ),
    ciphertextLength: target.length,
    onPlaintext: (bytes) => pieces.push(...bytes),
  });
  assert.is(decryptor.write(ciphertext), undefined);
  assert.is(decryptor.finish(), undefined);
  assert.equal(new Uint8Array(pieces), plaintext);
});

test('step and policy of an assignment are in the signed Targets, and stay (DBP-18)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const send = async (request: Infer<typeof assignmentRequest>) => {
    const answer = await backend.operator('/assignments', {
      method: 'POST',
      body: encode(assignmentRequest, request),
    });
    assert.is(codeOf(answer), '200');
    return (await fetchTargets()).targets;
  };
  const [ecuId, other] = [secondary.description.ecuId, primary.description.ecuId];
  const steps = (of: Targets) =>
    of.targets.map((entry) => [entry.assignment!.ecuId, installStepOf(entry)]);
  const brakesAssignment = { ecuId, filename: 'brakes-2.bin' };
  const plain = await send({ vehicleId, assignments: [brakesAssignment] });
  assert.equal(steps(plain), [[ecuId, 0]]);
  assert.is(plain.bundlePolicy, undefined);
  const policy = { onFailure: bundleFailures['two-phase'], attempts: 3 };
  const ordered = await send({
    vehicleId,
    assignments: [{ ...brakesAssignment, installStep: 7 }],
    bundlePolicy: policy,
  });
  assert.equal(steps(ordered), [[ecuId, 7]]);
  assert.equal(ordered.bundlePolicy, policy);
  const more = await send({
    vehicleId,
    assignments: [{ ecuId: other, filename: 'gateway-2.bin', installStep: 1 }],
  });
  assert.equal(steps(more), [
    [ecuId, 7],
    [other, 1],
  ]);
  assert.equal(more.bundlePolicy, policy, 'a policy that is not named stays');
});

test('an assignment keeps what the other ECUs have, and versions only rise (DIR-15)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const before = await fetchTargets();
  await backend.assigned(vehicleId, secondary.description.ecuId, 'brakes-2.bin');
  const middle = await fetchTargets();
  await backend.assigned(vehicleId, primary.description.ecuId, 'gateway-2.bin');
  const after = await fetchTargets();
  assert.equal(after.targets.targets.map((target) => target.filename).sort(), [
    'brakes-2.bin',
    'gateway-2.bin',
  ]);
  for (const file of ['timestamp', 'snapshot', 'targets'] as const) {
    assert.equal(
      [before, middle, after].map((set) => set[file].version),
      [1, 2, 3],
    );
  }
});

test('an ECU never has two images: a new assignment replaces the old one (CTG-07)', async () => {
  const { secondary, vehicleId } = vehicle;
  const { ecuId } = secondary.description;
  await backend.assigned(vehicleId, ecuId, 'brakes-0.bin');
  await backend.assigned(vehicleId, ecuId, 'brakes-2.bin');
  const { targets: signed } = await fetchTargets();
  assert.equal(
    signed.targets.map((target) => target.filename),
    ['brakes-2.bin'],
  );
  const twice = encode(assignmentRequest, {
    vehicleId,
    assignments: [
      { ecuId, filename: 'brakes-2.bin' },
      { ecuId, filename: 'brakes-0.bin' },
    ],
  });
  const answer = await backend.operator('/assignments', { method: 'POST', body: twice });
  assert.is(codeOf(answer), '400 targets-ecu-repeated');
});

test('what cannot be installed is not assigned, and nothing changes (TGT-01, INV-09, CUS-05)', async () => {
  const { secondary, vehicleId } = vehicle;
  const { ecuId } = secondary.description;
  const attempt = async (vehicleId: string, ecu: string, filename: string) => {
    const answer = await backend.assign(vehicleId, ecu, filename);
    return `${codeOf(answer)} ${refusalOf(answer).row}`;
  };
  assert.is(
    await attempt(vehicleId, ecuId, 'gateway-2.bin'),
    '400 target-hardware INV-09',
    'for other hardware',
  );
  assert.is(await attempt(vehicleId, ecuId, 'nothing.bin'), '400 image-not-listed TGT-01');
  assert.is(await attempt(vehicleId, ecuId, 'keyless.bin'), '400 assignment-refused CUS-05');
  assert.is(await attempt(vehicleId, ecuId, 'unhashed.bin'), '400 assignment-refused CUS-05');
  assert.is(await attempt(vehicleId, 'nobody', 'brakes-2.bin'), '400 ecu-unknown DIR-06');
  assert.is(await attempt('nobody', ecuId, 'brakes-2.bin'), '404 vehicle-unknown DIR-05');
  assert.is((await fetchTargets()).targets.version, 1);
});

test('one bad assignment in a request drops all of it', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const body = encode(assignmentRequest, {
    vehicleId,
    assignments: [
      { ecuId: secondary.description.ecuId, filename: 'brakes-2.bin' },
      { ecuId: primary.description.ecuId, filename: 'brakes-2.bin' },
    ],
  });
  const answer = await backend.operator('/assignments', { method: 'POST', body });
  assert.is(codeOf(answer), '400 target-hardware');
  const view = expectValue(vehicleView, await backend.operator(`/vehicles/${vehicleId}`));
  assert.equal(
    view.ecus.map((ecu) => ecu.assigned),
    [undefined, undefined],
  );
});

test('a release older than the installed one is not assigned (CUS-02)', async () => {
  const { secondary, vehicleId } = vehicle;
  await backend.manifest(vehicleId, vehicle.manifest({ counter: 1 })); // reports release 1
  const answer = await backend.assign(vehicleId, secondary.description.ecuId, 'brakes-0.bin');
  assert.is(codeOf(answer), '400 target-rollback');
});

test('an update is available until the manifest says that it is installed', async () => {
  const { secondary, vehicleId } = vehicle;
  const { ecuId } = secondary.description;
  const report = async (counter: number, installed?: Uint8Array) => {
    const changes = installed
      ? {
          installed: {
            filename: 'brakes-2.bin',
            length: plaintext.length,
            hashes: [
              { key: hashAlgorithms['SHA-256'], value: crypto.digest('SHA-256', installed) },
            ],
            releaseCounter: 2,
          },
        }
      : {};
    const answer = await backend.manifest(vehicleId, vehicle.manifest({ counter, ...changes }));
    return expectValue(manifestAnswer, answer).updateAvailable;
  };
  assert.is(await report(1), false);
  await backend.assigned(vehicleId, ecuId, 'brakes-2.bin');
  const body = encode(updateQuery, { vehicleId, timestampVersion: 1 });
  const asked = await backend.director('/check_updates', { method: 'POST', body });
  assert.equal(expectValue(updateAnswer, asked), { updateAvailable: true, timestampVersion: 2 });
  assert.is(await report(2), true);
  assert.is(await report(3, plaintext.subarray(1)), true, 'the name alone is not the image');
  assert.is(await report(4, plaintext), false);
  const view = expectValue(vehicleView, await backend.operator(`/vehicles/${vehicleId}`));
  assert.is(view.updateAvailable, false);
  assert.is(view.ecus[1]!.assigned?.filename, 'brakes-2.bin');
  assert.is(view.ecus[1]!.installed?.filename, 'brakes-2.bin');
});

test('another vehicle cannot fetch a key object under its own name', async () => {
  const { secondary, vehicleId } = vehicle;
  await backend.assigned(vehicleId, secondary.description.ecuId, 'brakes-2.bin');
  const { targets: signed } = await fetchTargets();
  const other = new TestVehicle(`${vehicleId}-other`);
  await backend.register(other);
  const digest = toHex(signed.targets[0]!.assignment!.keyObjectSha256);
  const answer = await backend.director(`/keys/${other.vehicleId}/${digest}`);
  assert.is(codeOf(answer), '404 not-found');
});

test('GET /manifest shows the vehicle its current Targets', async () => {
  const { secondary, vehicleId } = vehicle;
  await backend.assigned(vehicleId, secondary.description.ecuId, 'brakes-2.bin');
  const answer = await backend.director(`/manifest/${vehicleId}`);
  assert.is(payloadOf(targets, answer.body).version, 2);
  assert.is(codeOf(await backend.director('/manifest/nobody')), '404 vehicle-unknown');
});

test('time is attested over the nonces that were sent (HRD-03)', async () => {
  const nonces = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
  const body = encode(timeRequest, nonces);
  const answer = await backend.director('/time', { method: 'POST', body });
  const envelope = opened(decodeEnvelope(answer.body, answer.body.length));
  const authority = { keys: [backend.keys.online['director-time'].key], threshold: 1 };
  assert.is(verifyEnvelope(crypto, envelope, authority, { domain: 'time' }), undefined);
  const [signed, seconds] = payloadOf(timeAttestation, answer.body);
  assert.equal(
    signed.map((nonce) => new Uint8Array(nonce)),
    nonces,
  );
  assert.is(seconds, startSeconds);
});

test('a refresh makes a new Timestamp over the same Snapshot', async () => {
  const path = `/vehicles/${vehicle.vehicleId}/refresh`;
  const answer = await backend.operator(path, { method: 'POST' });
  assert.equal(expectValue(refreshAnswer, answer), { timestampVersion: 2 });
  const after = await fetchTargets();
  assert.equal([after.timestamp.version, after.snapshot.version], [2, 1]);
  const unknown = await backend.operator('/vehicles/nobody/refresh', { method: 'POST' });
  assert.is(codeOf(unknown), '404 vehicle-unknown');
});

test('metadata past half of its life is made anew before it is served', async () => {
  const before = await fetchTargets();
  backend.now += 86_400 / 2 + 1;
  try {
    const after = await fetchTargets();
    assert.is(after.targets.version, before.targets.version + 1);
    assert.is(after.timestamp.expires, backend.now + 86_400);
    const again = await fetchTargets();
    assert.is(again.timestamp.version, after.timestamp.version, 'and only once');
  } finally {
    backend.now = startSeconds;
  }
});

test('old versions stay for a vehicle in the middle of a download, then go (DBP-10)', async () => {
  const { secondary, vehicleId } = vehicle;
  for (let i = 0; i < 16; i++) {
    await backend.assigned(vehicleId, secondary.description.ecuId, 'brakes-2.bin');
  }
  const get = async (name: string) =>
    codeOf(await backend.director(`/metadata/${vehicleId}/${name}`));
  assert.is(await get('17.targets.cbor'), '200');
  assert.is(await get('2.targets.cbor'), '200');
  assert.is(await get('1.targets.cbor'), '404 metadata-absent');
  assert.is(await get('18.targets.cbor'), '404 metadata-absent');
  assert.is(await get('1.root.cbor'), '200');
  assert.is(await get('2.root.cbor'), '404 metadata-absent');
  assert.is(await get('1.brakes.cbor'), '404 metadata-absent');
});

test('the status counts what there is', async () => {
  const status = expectValue(statusAnswer, await backend.operator('/status'));
  assert.is(status.images, 5);
  assert.is(status.ecus, status.vehicles * 2);
  assert.equal(status.imagesVersions, [
    { key: 'targets', value: 2 },
    { key: 'snapshot', value: 2 },
    { key: 'timestamp', value: 2 },
  ]);
});

test.run();
