/** Registration of vehicles over HTTP (Uptane §5.3.2.2). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import { anomalyHistory, vehicleList, vehicleView } from '../../backend/http/messages.ts';
import {
  codeOf,
  expectValue,
  makeEcu,
  payloadOf,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('registration');
let backend: TestBackend;

test.before(async () => {
  backend = await TestBackend.start();
});
test.after(() => backend.stop());

const register = (body: Uint8Array) => backend.director('/register', { method: 'POST', body });

test('a vehicle is registered with all its ECUs (INV-02, INV-04, INV-05, INV-08)', async () => {
  const vehicle = new TestVehicle('vehicle-1');
  assert.is(codeOf(await register(vehicle.registration(await backend.token()))), '201');
  const view = expectValue(vehicleView, await backend.operator('/vehicles/vehicle-1'));
  assert.equal(
    view.ecus.map((ecu) => [ecu.ecuId, ecu.hardwareId, ecu.role, ecu.verification]),
    [
      ['vehicle-1-primary', 'hw-gateway', 1, 1],
      ['vehicle-1-brakes', 'hw-brakes', 2, 1],
    ],
  );
  assert.equal(new Uint8Array(view.ecus[1]!.signingKey.bytes), vehicle.secondary.signing.key.bytes);
  const list = expectValue(vehicleList, await backend.operator('/vehicles'));
  assert.equal(
    list.map((line) => line.vehicleId),
    ['vehicle-1'],
  );
  assert.equal(expectValue(vehicleList, await backend.operator('/vehicles?after=vehicle-1')), []);
});

test('its first metadata names it and lists nothing (TGT-03, HRD-01)', async () => {
  await backend.register(new TestVehicle('vehicle-2'));
  const get = async (name: string) => (await backend.director(`/metadata/vehicle-2/${name}`)).body;
  const first = payloadOf(timestamp, await get('timestamp.cbor'));
  assert.is(first.version, 1);
  assert.is(first.vehicleId, 'vehicle-2');
  assert.is(payloadOf(snapshot, await get('1.snapshot.cbor')).vehicleId, 'vehicle-2');
  const listed = payloadOf(targets, await get('1.targets.cbor'));
  assert.is(listed.vehicleId, 'vehicle-2');
  assert.equal(listed.targets, []);
  assert.is(listed.timeKeys?.threshold, 1, 'TIM-06: partial verifiers learn the time key');
});

test('a token enrols once, for its own vehicle, and only if it exists (INV-01)', async () => {
  const token = await backend.token();
  assert.is(codeOf(await register(new TestVehicle('vehicle-3').registration(token))), '201');
  const refused = '403 enrolment-token-invalid';
  assert.is(codeOf(await register(new TestVehicle('vehicle-4').registration(token))), refused);
  assert.is(codeOf(await register(new TestVehicle('vehicle-4').registration('guess'))), refused);
  const bound = await backend.token('vehicle-5');
  assert.is(codeOf(await register(new TestVehicle('vehicle-4').registration(bound))), refused);
  assert.is(codeOf(await register(new TestVehicle('vehicle-5').registration(bound))), '201');
});

test('a refused registration leaves the token unused and nothing behind', async () => {
  const token = await backend.token();
  const vehicle = new TestVehicle('vehicle-6');
  const twice = [vehicle.primary, vehicle.secondary, vehicle.secondary];
  const ecus = twice.map((ecu) => ecu.description);
  assert.is(codeOf(await register(vehicle.registration(token, { ecus }))), '409 ecu-registered');
  assert.is(codeOf(await backend.operator('/vehicles/vehicle-6')), '404 vehicle-unknown');
  assert.is(codeOf(await register(vehicle.registration(token))), '201');
});

test('vehicle ids and ECU ids are unique across vehicles (INV-02, INV-03)', async () => {
  const again = new TestVehicle('vehicle-1');
  const known = codeOf(await register(again.registration(await backend.token())));
  assert.is(known, '409 vehicle-registered');
  const other = new TestVehicle('vehicle-7');
  const ecus = [other.primary.description, again.secondary.description];
  const taken = codeOf(await register(other.registration(await backend.token(), { ecus })));
  assert.is(taken, '409 ecu-registered');
});

test('two ECUs cannot share a key (KEY-05)', async () => {
  const vehicle = new TestVehicle('vehicle-8');
  const { signingKey } = vehicle.primary.description;
  const ecus = [vehicle.primary.description, { ...vehicle.secondary.description, signingKey }];
  const answer = await register(vehicle.registration(await backend.token(), { ecus }));
  assert.is(codeOf(answer), '400 key-duplicate');
});

test('keys that cannot be used are refused (INV-05, KEY-06)', async () => {
  const vehicle = new TestVehicle('vehicle-9');
  const { primary, secondary } = vehicle;
  const bytes = Uint8Array.from(secondary.signing.key.bytes);
  bytes[64]! ^= 1; // off the curve
  const attempts = [
    { ...secondary.description, signingKey: { algorithm: 'ESP256', bytes } as const },
    { ...secondary.description, signingKey: secondary.wrapping.key },
    { ...secondary.description, wrappingKey: secondary.signing.key },
    {
      ...secondary.description,
      wrappingKey: { algorithm: 'MLKEM768-P256', bytes: new Uint8Array(1249).fill(255) } as const,
    },
  ];
  for (const attempt of attempts) {
    const ecus = [primary.description, attempt];
    const answer = await register(vehicle.registration(await backend.token(), { ecus }));
    assert.is(codeOf(answer), '400 key-malformed');
  }
});

test('there is one fully verifying primary, and hosts are agents of the vehicle (INV-08, GEN-03, ECU-06, PRI-03, HRD-13)', async () => {
  const { primary, secondary } = new TestVehicle('vehicle-10');
  const hosted = makeEcu('vehicle-10-hosted').description;
  const vehicle = new TestVehicle('vehicle-10');
  const layouts = [
    [secondary.description],
    [primary.description, makeEcu('vehicle-10-second', 'primary').description],
    [{ ...primary.description, verification: 2 as const }, secondary.description],
    [primary.description, { ...hosted, hostedBy: 'elsewhere' }],
    [primary.description, { ...hosted, hostedBy: hosted.ecuId }],
    [
      primary.description,
      { ...hosted, hostedBy: primary.description.ecuId, verification: 2 as const },
    ],
  ];
  const crowd = [1, 2, 3, 4, 5].map((n) => makeEcu(`vehicle-10-${n}`).description);
  const hostedBy = primary.description.ecuId;
  layouts.push([primary.description, ...crowd.map((one) => ({ ...one, hostedBy }))]);
  for (const ecus of layouts) {
    const answer = await register(vehicle.registration(await backend.token(), { ecus }));
    assert.is(codeOf(answer), '400 request-malformed');
  }
  const ecus = [primary.description, { ...hosted, hostedBy: primary.description.ecuId }];
  assert.is(codeOf(await register(vehicle.registration(await backend.token(), { ecus }))), '201');
});

test('registrations are no manifests: none of this is an anomaly', async () => {
  assert.equal(expectValue(anomalyHistory, await backend.operator('/anomalies')), []);
});

test.run();
