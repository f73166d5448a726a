/** Which bundles the Director gives a vehicle: what images require and refuse (Uptane §5.3.2.1 (5)). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import type { Report } from '../../agent/metadata/report.ts';
import { type MustMatch, targets as targetsSchema } from '../../agent/metadata/targets.ts';
import { type AssignmentRequest, assignmentRequest, logPage } from '../../backend/http/messages.ts';
import {
  codeOf,
  expectValue,
  makeImage,
  makeReport,
  payloadOf,
  refusalOf,
  signManifest,
  signReport,
  TestBackend,
  type TestImage,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('bundles of the Director');

type Rules = Pick<MustMatch, 'requires' | 'conflicts'>;
let filled = 0;

/** An image NAME-RELEASE.bin for hw-NAME. */
function image(name: string, release: number, rules: Rules = {}): TestImage {
  filled += 1;
  const plain = new Uint8Array(50 + filled).fill(filled);
  const made = makeImage(`${name}-${release}.bin`, plain, [`hw-${name}`], release);
  return { ...made, target: { ...made.target, mustMatch: { ...made.target.mustMatch, ...rules } } };
}

const onGateway = (min: number, max?: number) => ({
  hardwareId: 'hw-gateway',
  min,
  ...(max !== undefined && { max }),
});
const onBrakes = (min: number, max?: number) => ({
  ...onGateway(min, max),
  hardwareId: 'hw-brakes',
});

const images = {
  gateway2: image('gateway', 2),
  gateway3: image('gateway', 3),
  brakes2: image('brakes', 2, { requires: [onGateway(2)] }),
  brakes3: image('brakes', 3, { requires: [onGateway(3)] }),
  brakes4: image('brakes', 4, { requires: [{ hardwareId: 'hw-lidar', min: 1 }] }),
  brakes5: image('brakes', 5, { requires: [onGateway(9)] }),
  brakes6: image('brakes', 6, { conflicts: [onGateway(3)] }),
  // These two have to change together: each refuses the other's old release.
  brakes7: image('brakes', 7, { requires: [onGateway(7)] }),
  gateway7: image('gateway', 7, { requires: [onBrakes(7)] }),
};

let backend: TestBackend;
let vehicle: TestVehicle;
let vehicles = 0;
let counter = 0;

test.before(async () => {
  backend = await TestBackend.start();
  await backend.release(1, Object.values(images));
});
test.after(() => backend.stop());
test.before.each(async () => {
  vehicles += 1;
  vehicle = new TestVehicle(`vehicle-${vehicles}`);
  await backend.register(vehicle);
});

const ids = () => ({
  gateway: vehicle.primary.description.ecuId,
  brakes: vehicle.secondary.description.ecuId,
});

/** Asks for images by ECU; the answer as `status code row detail`. */
async function request(wanted: Partial<Record<'gateway' | 'brakes', TestImage>>): Promise<string> {
  const assignments = Object.entries(wanted).map(([name, { target }]) => ({
    ecuId: ids()[name as 'gateway' | 'brakes'],
    filename: target.filename,
  }));
  const bundle: AssignmentRequest = { vehicleId: vehicle.vehicleId, assignments };
  const body = encode(assignmentRequest, bundle);
  const answer = await backend.operator('/assignments', { method: 'POST', body });
  if (answer.status < 400) return '200';
  const { row, detail } = refusalOf(answer);
  return `${codeOf(answer)} ${row} ${detail}`;
}

/** A manifest in which ECUs run images; the factory's release 1 where none is named. */
async function report(
  running: Partial<Record<'gateway' | 'brakes', TestImage>> = {},
): Promise<string> {
  counter += 1;
  const { primary, secondary, vehicleId } = vehicle;
  const installed = (one: TestImage | undefined): Partial<Report> =>
    one === undefined
      ? {}
      : {
          installed: {
            filename: one.target.filename,
            length: one.target.mustMatch.plaintextLength,
            hashes: [{ key: -16, value: one.target.mustMatch.plaintextSha256 }],
            releaseCounter: one.target.mustMatch.releaseCounter,
          },
        };
  const reports = [
    signReport(
      makeReport(primary, vehicleId, { counter, ...installed(running.gateway) }),
      primary.signing,
    ),
    signReport(
      makeReport(secondary, vehicleId, { counter, ...installed(running.brakes) }),
      secondary.signing,
    ),
  ];
  const manifest = signManifest(vehicleId, ids().gateway, reports, primary.signing);
  return codeOf(await backend.manifest(vehicleId, manifest));
}

/** `ecu filename step` of the current Targets. */
async function assigned(): Promise<readonly string[]> {
  const answer = await backend.director(`/manifest/${vehicle.vehicleId}`);
  const { targets } = payloadOf(targetsSchema, answer.body);
  return targets.map(({ filename, assignment }) => {
    const name = assignment!.ecuId === ids().brakes ? 'brakes' : 'gateway';
    return `${name} ${filename} ${assignment!.installStep ?? 0}`;
  });
}

async function logged(): Promise<readonly string[]> {
  const answer = await backend.operator(`/log?vehicle=${vehicle.vehicleId}`);
  return expectValue(logPage, answer).map(({ code }) => code);
}

test('an image whose requirement is missed is refused, naming what would resolve it (DIR-13, DIR-14)', async () => {
  await report();
  const { brakes, gateway } = ids();
  assert.is(
    await request({ brakes: images.brakes2 }),
    `400 assignment-refused DIR-13 brakes-2.bin on ${brakes} requires hw-gateway release 2 or ` +
      `newer; ${gateway} has factory.bin (release 1). Resolved by also assigning gateway-3.bin ` +
      `to ${gateway}`,
  );
  assert.equal(await assigned(), []);
  assert.ok((await logged()).includes('assignment-refused'));
});

test('of several images that would resolve it, those that need the fewest changes are named (DIR-14)', async () => {
  await report();
  assert.match(await request({ brakes: images.brakes3 }), /also assigning gateway-3.bin to /);
  assert.match(await request({ gateway: images.gateway7 }), /also assigning brakes-7.bin to /);
});

test('where no published image resolves it, what to leave out is named (DIR-13, DIR-14)', async () => {
  await report();
  const bundle = { brakes: images.brakes6, gateway: images.gateway3 };
  assert.match(
    await request(bundle),
    /conflicts with hw-gateway release 3 or newer; .*possible without (brakes-6|gateway-3).bin for/,
  );
  assert.match(
    await request({ brakes: images.brakes5 }),
    /No published images resolve it; possible without brakes-5.bin for /,
  );
});

test('hardware that the vehicle does not have cannot be required (DIR-13)', async () => {
  await report();
  assert.match(await request({ brakes: images.brakes4 }), /DIR-13 .*the vehicle has no such ECU/);
});

test('what an image needs is installed in an earlier step (DIR-13)', async () => {
  await report();
  assert.is(await request({ brakes: images.brakes2, gateway: images.gateway2 }), '200');
  assert.equal(await assigned(), ['brakes brakes-2.bin 1', 'gateway gateway-2.bin 0']);
});

test('images that need each other share a step (DIR-13)', async () => {
  await report();
  assert.is(await request({ brakes: images.brakes7, gateway: images.gateway7 }), '200');
  assert.equal(await assigned(), ['brakes brakes-7.bin 0', 'gateway gateway-7.bin 0']);
});

test('nothing is built on an assignment that no manifest has confirmed (DBP-12)', async () => {
  await report();
  assert.is(await request({ gateway: images.gateway2 }), '200');
  assert.match(
    await request({ brakes: images.brakes2 }),
    /DBP-12 .*has factory.bin \(release 1\). Wait for the manifest that confirms/,
  );
  await report();
  assert.match(await request({ brakes: images.brakes2 }), /DBP-12/, 'it still runs the old one');
  await report({ gateway: images.gateway2 });
  assert.is(await request({ brakes: images.brakes2 }), '200');
});

test('what has to change at once does so only from a state that a manifest confirms (DBP-12)', async () => {
  await report();
  assert.is(await request({ gateway: images.gateway3 }), '200');
  // The gateway runs release 1 or 3 by now, and brakes-7.bin bears neither.
  const bundle = { gateway: images.gateway7, brakes: images.brakes7 };
  assert.match(await request(bundle), /DBP-12 .*gateway-3.bin \(release 3\)/);
  await report({ gateway: images.gateway3 });
  assert.is(await request(bundle), '200');
});

test('a vehicle that has never reported may run anything (DBP-12)', async () => {
  assert.match(await request({ brakes: images.brakes2 }), /DBP-12 .*what .* runs is unknown/);
  assert.is(await request({ brakes: images.brakes2, gateway: images.gateway2 }), '200');
});

test('a bundle that stays installed in part is an anomaly, once (DBP-09, DBP-12)', async () => {
  await report();
  await request({ brakes: images.brakes2, gateway: images.gateway2 });
  const half = { gateway: images.gateway2 };
  const mixed = async () => (await logged()).filter((code) => code === 'bundle-mixed').length;
  await report(half);
  assert.is(await mixed(), 0, 'an installation may be under way');
  await report(half);
  await report(half);
  assert.is(await mixed(), 1);
  await report({ ...half, brakes: images.brakes2 });
  assert.is(await mixed(), 1);
});

test('a release below one that was assigned is refused: the vehicle would (FV-15)', async () => {
  await report();
  assert.is(await request({ gateway: images.gateway3 }), '200');
  assert.match(await request({ gateway: images.gateway2 }), /target-rollback FV-15/);
});

test.run();
