/** The Director signs for many vehicles at once by Merkle batches, and at once for what is urgent. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { roles } from '../../agent/metadata/common.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import { assignmentAnswer, assignmentRequest } from '../../backend/http/messages.ts';
import {
  codeOf,
  crypto,
  directorTable,
  expectValue,
  makeImage,
  opened,
  payloadOf,
  signRoot,
  startSeconds,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('signing');
const vehicles = ['v-1', 'v-2', 'v-3'].map((id) => new TestVehicle(id));
const schemas = { targets, snapshot, timestamp } as const;
let backend: TestBackend;

test.before.each(async () => {
  backend = await TestBackend.start();
  for (const vehicle of vehicles) await backend.register(vehicle);
  await backend.release(1, [makeImage('brakes-2.bin', new Uint8Array(9), ['hw-brakes'])]);
});
test.after.each(() => backend.stop());

interface File {
  readonly form: 'plain' | 'merkle';
  readonly version: number;
  readonly batch: string;
}

/** Fetches a file and verifies it as a vehicle does, under the key that the Director's Root names. */
async function fetchFile(
  vehicleId: string,
  role: keyof typeof schemas,
  name: string,
): Promise<File> {
  const { body } = await backend.director(`/metadata/${vehicleId}/${name}`);
  const envelope = opened(decodeEnvelope(body, body.length));
  const { key } = backend.keys.online[`director-${role}`];
  const authority = { keys: [key], threshold: 1 };
  const options = { domain: 'metadata', role: roles[role], now: backend.now } as const;
  assert.is(
    verifyEnvelope(crypto, envelope, authority, options),
    undefined,
    `${vehicleId} ${name}`,
  );
  const payload = payloadOf<{ readonly version: number; readonly vehicleId?: string }>(
    schemas[role] as never,
    body,
  );
  assert.is(payload.vehicleId, vehicleId);
  const [signature] = envelope.signatures;
  const form = signature!.header.merkle === undefined ? 'plain' : 'merkle';
  const batch = Buffer.from(signature!.proof?.[3] ?? []).toString('hex');
  return { form, version: payload.version, batch };
}

/** All three files of a vehicle, the newest. */
async function filesOf(vehicleId: string): Promise<readonly File[]> {
  const newest = await fetchFile(vehicleId, 'timestamp', 'timestamp.cbor');
  const { version } = newest;
  return [
    await fetchFile(vehicleId, 'targets', `${version}.targets.cbor`),
    await fetchFile(vehicleId, 'snapshot', `${version}.snapshot.cbor`),
    newest,
  ];
}

const signatures = (form: string) =>
  backend.backend.metrics.valueOf('ota_signatures_total', { form });

function assignment(vehicleId: string, urgent?: boolean): Uint8Array {
  return encode(assignmentRequest, {
    vehicleId,
    assignments: [{ ecuId: `${vehicleId}-brakes`, filename: 'brakes-2.bin' }],
    ...(urgent && { urgent }),
  });
}

const assignTo = (vehicleId: string, urgent?: boolean) =>
  backend.operator('/assignments', { method: 'POST', body: assignment(vehicleId, urgent) });

test('assignments of one window share one signature a role, and every vehicle verifies its own', async () => {
  const before = await signatures('merkle');
  const answers = await Promise.all(vehicles.map(({ vehicleId }) => assignTo(vehicleId)));
  assert.equal(
    answers.map((answer) => expectValue(assignmentAnswer, answer).version),
    [2, 2, 2],
  );
  assert.is((await signatures('merkle')) - before, 3, 'Targets, Snapshot, Timestamp');
  const files = await Promise.all(vehicles.map(({ vehicleId }) => filesOf(vehicleId)));
  for (const i of [0, 1, 2]) {
    assert.ok(files.every((ofVehicle) => ofVehicle[i]!.form === 'merkle'));
    assert.is(new Set(files.map((ofVehicle) => ofVehicle[i]!.batch)).size, 1, 'one batch a role');
  }
});

test('a single vehicle in its window is signed plainly', async () => {
  expectValue(assignmentAnswer, await assignTo('v-1'));
  assert.equal(
    (await filesOf('v-1')).map(({ form }) => form),
    ['plain', 'plain', 'plain'],
  );
});

test('an urgent vehicle is signed at once and alone, whatever else waits', async () => {
  const slow = vehicles.slice(1).map(({ vehicleId }) => assignTo(vehicleId));
  const urgent = await assignTo('v-1', true);
  assert.is(expectValue(assignmentAnswer, urgent).version, 2);
  assert.is((await filesOf('v-1'))[2]!.form, 'plain');
  for (const answer of await Promise.all(slow)) expectValue(assignmentAnswer, answer);
  assert.is((await filesOf('v-2'))[2]!.form, 'merkle');
});

test('a refused assignment leaves nothing, and those of its window are signed', async () => {
  const wrong = encode(assignmentRequest, {
    vehicleId: 'v-2',
    assignments: [{ ecuId: 'v-2-brakes', filename: 'unknown.bin' }],
  });
  const answers = await Promise.all([
    assignTo('v-1'),
    backend.operator('/assignments', { method: 'POST', body: wrong }),
    assignTo('v-3'),
  ]);
  assert.equal(answers.map(codeOf), ['200', '400 image-not-listed', '200']);
  assert.is((await fetchFile('v-2', 'timestamp', 'timestamp.cbor')).version, 1);
  assert.is((await filesOf('v-1'))[0]!.batch, (await filesOf('v-3'))[0]!.batch);
});

test('two assignments to one vehicle in one window end in one new version', async () => {
  const answers = await Promise.all([assignTo('v-1'), assignTo('v-1'), assignTo('v-2')]);
  assert.equal(
    answers.map((answer) => expectValue(assignmentAnswer, answer).version),
    [2, 2, 2],
  );
});

test('vehicles that poll when their metadata is due get it from one batch (DBP-03)', async () => {
  backend.now = startSeconds + 43_201;
  const files = await Promise.all(
    vehicles.map(({ vehicleId }) => fetchFile(vehicleId, 'timestamp', 'timestamp.cbor')),
  );
  assert.equal(new Set(files.map(({ batch }) => batch)).size, 1);
  assert.is(await signatures('merkle'), 3);
  assert.equal(
    files.map(({ version }) => version),
    [2, 2, 2],
  );
  const again = await fetchFile('v-1', 'timestamp', 'timestamp.cbor');
  assert.is(again.version, 2, 'fresh ones are not signed again');
});

test('a batch made under an older Root is made anew', async () => {
  await Promise.all(vehicles.map(({ vehicleId }) => assignTo(vehicleId)));
  const body = signRoot(2, directorTable(backend.keys), backend.keys.directorRoot);
  const put = await backend.operator('/director/metadata/2.root.cbor', { method: 'PUT', body });
  assert.is(codeOf(put), '200');
  assert.is((await fetchFile('v-1', 'timestamp', 'timestamp.cbor')).version, 3);
});

test('a file of one vehicle is not valid for another, nor after the batch has expired', async () => {
  await Promise.all(vehicles.map(({ vehicleId }) => assignTo(vehicleId)));
  const { body } = await backend.director('/metadata/v-1/timestamp.cbor');
  const other = (await backend.director('/metadata/v-2/timestamp.cbor')).body;
  const envelope = opened(decodeEnvelope(body, body.length));
  const foreign = opened(decodeEnvelope(other, other.length));
  const authority = { keys: [backend.keys.online['director-timestamp'].key], threshold: 1 };
  const options = { domain: 'metadata', role: roles.timestamp, now: backend.now } as const;
  const mixed = { payload: envelope.payload, signatures: foreign.signatures };
  const refused = verifyEnvelope(crypto, mixed, authority, options);
  assert.ok(isRefusal(refused) && refused.refused === 'merkle-proof-invalid');
  const late = { ...options, now: backend.now + 86_400 };
  const expired = verifyEnvelope(crypto, envelope, authority, late);
  assert.ok(isRefusal(expired) && expired.refused === 'metadata-expired');
});

test.run();
