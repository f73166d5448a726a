/** The Director's log: each decision, detection and anomaly, for ever (DBP-09). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { logKinds, logPage } from '../../backend/http/messages.ts';
import {
  codeOf,
  expectValue,
  makeImage,
  startSeconds,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('log of the Director');
const brakes = makeImage('brakes-2.bin', new Uint8Array(10).fill(2), ['hw-brakes'], 2);
let backend: TestBackend;
let vehicle: TestVehicle;

test.before.each(async () => {
  backend = await TestBackend.start();
  await backend.release(1, [brakes]);
  vehicle = new TestVehicle('vehicle-1');
  await backend.register(vehicle);
});
test.after.each(() => backend.stop());

async function entries(query = '') {
  return expectValue(logPage, await backend.operator(`/log${query}`));
}

async function summary(query = ''): Promise<readonly string[]> {
  const names = Object.keys(logKinds);
  return (await entries(query)).map(({ kind, code, row, attack, ecuId = '-' }) =>
    [names[kind - 1], ecuId, code, row, attack ?? '-'].join(' '),
  );
}

test('decisions, detections and anomalies are recorded in their order (DBP-09)', async () => {
  const { vehicleId, secondary } = vehicle;
  const { ecuId } = secondary.description;
  const detections = [{ code: 'metadata-expired', row: 'CTS-04', attack: 'freeze' }];
  await backend.manifest(vehicleId, vehicle.manifest({ counter: 1, detections }));
  await backend.manifest(vehicleId, vehicle.manifest({ counter: 1 }));
  await backend.assign(vehicleId, ecuId, 'nothing.bin');
  await backend.assign(vehicleId, ecuId, 'brakes-2.bin');
  const primary = vehicle.primary.description.ecuId;
  assert.equal(await summary(), [
    'decision - enrolment-token-made INV-01 -',
    'decision - vehicle-registered INV-02 -',
    `detection ${primary} metadata-expired CTS-04 freeze`,
    `detection ${ecuId} metadata-expired CTS-04 freeze`,
    'anomaly - report-replayed DIR-12 report-replay',
    'decision - assignment-refused DIR-13 -',
    `decision ${ecuId} image-assigned DIR-13 -`,
  ]);
  const [refused] = (await entries()).slice(-2);
  assert.match(refused!.detail!, /image-not-listed \(TGT-01\): nothing.bin for vehicle-1-brakes/);
});

test('the log outlives the process, and is read from any entry on (DBP-09)', async () => {
  const before = await entries();
  await backend.backend.close();
  await backend.open();
  assert.equal(await entries(), before);
  assert.equal(await entries(`?after=${before[0]!.id}`), before.slice(1));
  assert.equal(await entries('?vehicle=vehicle-1'), before.slice(1));
  assert.is(codeOf(await backend.operator('/log?after=x')), '400 request-malformed');
  const unknown = await backend.director('/log');
  assert.match(codeOf(unknown), /^404 /, 'only operators read it');
});

test('whoever sends bad manifests without end fills one hour with so many entries (DBP-09)', async () => {
  const send = () => backend.manifest('vehicle-1', new Uint8Array([1]));
  for (let i = 0; i < 105; i++) await send();
  const found = (await summary('?vehicle=vehicle-1')).filter((line) => line.startsWith('anomaly'));
  assert.is(found.length, 101);
  assert.is(found.at(-1), 'anomaly - log-limit DBP-09 -');
  await backend.assign('vehicle-1', vehicle.secondary.description.ecuId, 'brakes-2.bin');
  assert.match((await summary()).at(-1)!, /^decision .* image-assigned/);
  backend.now += 3_600;
  await send();
  assert.match((await summary()).at(-1)!, /^anomaly - cbor-/, 'the next hour begins anew');
  backend.now = startSeconds;
});

test('a vehicle that no longer sends manifests is noticed, once (DIR-08, DBP-09)', async () => {
  const silent = async () =>
    (await summary()).filter((line) => line.includes('vehicle-silent')).length;
  const look = async () => {
    await backend.backend.close();
    await backend.open();
  };
  backend.now += 86_400 * 2;
  await look();
  assert.is(await silent(), 0);
  backend.now += 1;
  await look();
  await look();
  assert.is(await silent(), 1);
  assert.match((await summary()).at(-1)!, /vehicle-silent DIR-08 drop-request/);
  await backend.manifest('vehicle-1', vehicle.manifest({ counter: 1, time: backend.now }));
  backend.now += 86_400 * 2 + 1;
  await look();
  assert.is(await silent(), 2);
});

test.run();
