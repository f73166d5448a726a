/** What the Director keeps of vehicles and ECUs, and its two interfaces (Uptane §5.3.2, §5.3.2.2). */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keyId } from '../../agent/crypto/key-id.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { vehicleView } from '../../backend/http/messages.ts';
import {
  codeOf,
  crypto,
  expectValue,
  makeImage,
  payloadOf,
  refusalOf,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('inventory of the Director');
const brakes = makeImage('brakes-2.bin', new Uint8Array(10).fill(2), ['hw-brakes'], 2);
const path = () => join(backend.folder, 'state', 'director.sqlite');
let backend: TestBackend;
let vehicle: TestVehicle;

test.before(async () => {
  backend = await TestBackend.start();
  await backend.release(1, [brakes]);
  vehicle = new TestVehicle('vehicle-1');
  await backend.register(vehicle);
});
test.after(() => backend.stop());

const view = async () =>
  expectValue(vehicleView, await backend.operator(`/vehicles/${vehicle.vehicleId}`));

test('the inventory outlives the process and is for the operator alone (INV-01)', async () => {
  const before = await view();
  await backend.backend.close();
  await backend.open();
  assert.equal(await view(), before);
  assert.is(statSync(join(backend.folder, 'state')).mode & 0o077, 0, 'nobody else may read it');
  const open = await backend.director(`/vehicles/${vehicle.vehicleId}`);
  assert.match(codeOf(open), /^404 /, 'the device plane shows none of it');
});

test('per ECU: its vehicle, key, key identifier, role and hardware (INV-04, INV-05, INV-07, INV-08, INV-09)', async () => {
  const { ecus } = await view();
  assert.equal(
    ecus.map(({ ecuId, role, hardwareId }) => [ecuId, role, hardwareId]),
    vehicle.ecus.map(({ description: { ecuId, role, hardwareId } }) => [ecuId, role, hardwareId]),
  );
  for (const [i, ecu] of ecus.entries()) {
    const { signingKey } = vehicle.ecus[i]!.description;
    assert.equal(new Uint8Array(ecu.signingKey.bytes), new Uint8Array(signingKey.bytes));
    assert.equal(new Uint8Array(ecu.signingKeyId), keyId(crypto, signingKey));
  }
  const other = new TestVehicle('vehicle-2');
  await backend.register(other);
  const answer = await backend.assign('vehicle-2', ecus[1]!.ecuId, 'brakes-2.bin');
  assert.is(codeOf(answer), '400 ecu-unknown', 'an ECU belongs to one vehicle');
});

test('firmware is never directed to other hardware (INV-09)', async () => {
  const { ecuId } = vehicle.primary.description;
  const answer = await backend.assign(vehicle.vehicleId, ecuId, 'brakes-2.bin');
  assert.is(`${codeOf(answer)} ${refusalOf(answer).row}`, '400 target-hardware INV-09');
});

test('no private key of an ECU is in the store (INV-06)', () => {
  const store = new DatabaseSync(path(), { readOnly: true });
  const tables = store.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  const secrets = vehicle.ecus.flatMap((ecu) => [ecu.signing.secret, ecu.wrapping.secret]);
  let seen = 0;
  for (const { name } of tables) {
    for (const row of store.prepare(`SELECT * FROM ${String(name)}`).all()) {
      for (const value of Object.values(row)) {
        if (!(value instanceof Uint8Array)) continue;
        seen += 1;
        for (const secret of secrets)
          assert.not.ok(Buffer.from(value).includes(Buffer.from(secret)));
      }
    }
  }
  store.close();
  assert.ok(seen > 0);
});

test('a Primary uploads manifests and downloads metadata without a token (DIR-01, DIR-02)', async () => {
  const { vehicleId } = vehicle;
  assert.is(codeOf(await backend.manifest(vehicleId, vehicle.manifest({ counter: 1 }))), '200');
  const answer = await backend.director(`/metadata/${vehicleId}/1.targets.cbor`);
  assert.is(payloadOf(targets, answer.body).vehicleId, vehicleId);
});

test('what the Director generates is stored by itself (DIR-04)', async () => {
  const { vehicleId, secondary } = vehicle;
  const version = await backend.assigned(vehicleId, secondary.description.ecuId, 'brakes-2.bin');
  await backend.backend.close();
  await backend.open();
  const answer = await backend.director(`/metadata/${vehicleId}/${version}.targets.cbor`);
  assert.is(payloadOf(targets, answer.body).targets[0]!.filename, 'brakes-2.bin');
});

test('a manifest that fails one check changes nothing (DIR-07)', async () => {
  const before = await view();
  const answer = await backend.manifest(vehicle.vehicleId, vehicle.manifest({ counter: 0 }));
  assert.is(codeOf(answer), '409 report-replayed');
  assert.equal(await view(), before);
});

test.run();
