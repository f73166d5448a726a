/** The Primary's session with a Secondary, with the shipped programs on a virtual bus. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { service } from '../../../agent/can/uds.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { SecondaryClient } from '../../../agent/primary/secondary-client.ts';
import { createNodeRandom } from '../../../hal/node/random.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import { BusVehicle } from '../../simulator/bus-vehicle.ts';
import { vehicleId } from '../../simulator/repository-simulator.ts';
import { ecuId } from '../ecu/ecu-rig.ts';
import { signerOf } from '../ecu/uds-tester.ts';
import { crypto } from '../install/rig.ts';

const test = suite('Session with a Secondary');
const minute = 60_000;

interface Bench extends Pick<BusVehicle, 'clock' | 'secondary'> {
  readonly vehicle: BusVehicle;
  /** How often a service was asked for, in single and first frames. */
  count(serviceId: number): number;
}

function bench(): Bench {
  const rates = { nominal: 500_000, data: 2_000_000 };
  const vehicle = new BusVehicle({ rates, flexibleData: true, imageBytes: 1_000 });
  const asked: number[] = [];
  const port = vehicle.bus.node().open({
    port: 'can0',
    filters: [0x700],
    onReadable: () => {
      for (let frame = port.read(); frame !== undefined; frame = port.read()) {
        const [first, second, third] = frame.data;
        if (first === 0) asked.push(third ?? 0);
        else if (first! < 0x10) asked.push(second ?? 0);
        else if (first! < 0x20) asked.push(third ?? 0);
      }
    },
  });
  const { clock, secondary } = vehicle;
  const count = (serviceId: number) => asked.filter((one) => one === serviceId).length;
  return { vehicle, clock, secondary, count };
}

test('the first request opens the session, the next ones use it', async () => {
  const { vehicle, secondary, count } = bench();
  assert.is(count(service.authentication), 0);
  assert.not.ok(isRefusal(await vehicle.run(secondary.nonce())));
  assert.not.ok(isRefusal(await vehicle.run(secondary.reports())));
  assert.is(count(service.diagnosticSessionControl), 1);
  assert.is(count(service.authentication), 2);
});

test('the status needs no session', async () => {
  const { vehicle, secondary, count } = bench();
  assert.not.ok(isRefusal(await vehicle.run(secondary.status())));
  assert.is(count(service.diagnosticSessionControl), 0);
});

test('a session is kept while the Primary is busy elsewhere', async () => {
  const { vehicle, secondary, clock, count } = bench();
  await vehicle.run(secondary.nonce());
  clock.advanceTo(clock.now + minute);
  assert.not.ok(isRefusal(await vehicle.run(secondary.nonce())));
  assert.is(count(service.authentication), 2);
  assert.ok(count(service.testerPresent) >= 29);
});

test('a Secondary that restarted meanwhile gets a new session by itself', async () => {
  const { vehicle, secondary, count } = bench();
  await vehicle.run(secondary.nonce());
  vehicle.powerOn();
  assert.not.ok(isRefusal(await vehicle.run(secondary.nonce())));
  assert.is(count(service.authentication), 4);
});

test('a released Secondary is in the default session, and hears nothing more', async () => {
  const { vehicle, secondary, clock, count } = bench();
  await vehicle.run(secondary.nonce());
  await vehicle.run(secondary.release());
  assert.is(count(service.diagnosticSessionControl), 2);
  clock.advanceTo(clock.now + minute);
  assert.is(count(service.testerPresent), 0);
  assert.not.ok(isRefusal(await vehicle.run(secondary.nonce())));
  assert.is(count(service.authentication), 4);
});

test('a reset ends the session; the Secondary restarts when its answer has left', async () => {
  const { vehicle, secondary, clock } = bench();
  assert.is(await vehicle.run(secondary.reset()), undefined);
  clock.advanceTo(clock.now + 1_000);
  assert.is(vehicle.ecu.reboots, 1);
});

test('when the answer to the proof is lost, a new one is made', async () => {
  const { vehicle, secondary, count } = bench();
  vehicle.bus.faults = { lost: 0.2 };
  let opened = 0;
  for (let i = 0; i < 20; i++) {
    if (!isRefusal(await vehicle.run(secondary.nonce()))) opened++;
    await vehicle.run(secondary.release());
  }
  assert.ok(vehicle.bus.struck.lost > 0);
  assert.ok(opened > 10, `${opened}`);
  vehicle.bus.faults = {};
  assert.not.ok(isRefusal(await vehicle.run(secondary.nonce())));
  assert.ok(count(service.authentication) > 40);
});

test('INV-03: without the right key nothing is answered, and nothing is kept alive', async () => {
  const { vehicle, clock, count } = bench();
  const forger = new SecondaryClient(vehicle.client, [ecuId], {
    vehicleId,
    signer: signerOf(generateKeyPair('ESP256')),
    crypto,
    random: createNodeRandom(),
  });
  const codes: string[] = [];
  for (const request of [
    () => forger.nonce(),
    () => forger.startVerification(),
    () => forger.reset(),
  ]) {
    codes.push(((await vehicle.run<unknown>(request())) as Refusal).refused);
  }
  // Seen from the Primary, an ECU that does not know its key is not the vehicle's
  assert.is(codes[0], 'secondary-replaced');
  for (const code of codes) assert.match(code, /^(secondary-replaced|uds-negative-response)$/);
  clock.advanceTo(clock.now + minute);
  assert.is(count(service.testerPresent), 0);
  assert.is(vehicle.ecu.reboots, 0);
});

test.run();
