/** Time on a whole vehicle without any clock of its own: Primary, full and partial Secondary. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxTimeSilentSeconds } from '../../../agent/limits.ts';
import { now } from '../../simulator/repository-simulator.ts';
import { makeImage } from '../install/rig.ts';
import { type AgentName, VehicleRig } from './vehicle-rig.ts';

const test = suite('Time of a vehicle');
const agents: readonly AgentName[] = ['primary', 'full', 'partial'];
const year = 31_536_000;

/** Cycles until one passes; the Director's files live as long as the simulated world needs. */
async function healthy(rig: VehicleRig): Promise<void> {
  const refusal = await rig.cycle();
  assert.is(refusal, undefined, JSON.stringify(refusal));
  for (const name of agents) {
    assert.is(rig.state(name).time.now(), rig.seconds, name);
    assert.equal(rig.detections(name), [], name);
  }
}

/** Everything that the repositories serve expires `seconds` from the world's present. */
function renew(rig: VehicleRig, seconds: number): void {
  for (const repository of [rig.sim.director, rig.sim.images]) {
    for (const role of ['timestamp', 'snapshot', 'targets'] as const) {
      repository.expire(role, rig.seconds + seconds);
    }
    repository.root.expires = rig.seconds + seconds;
    repository.release();
  }
  rig.sim.director.publishRoot();
  rig.sim.images.publishRoot();
}

test('TIM-01, TIM-02, ECU-02, INS-02, SRV-01: one attestation gives every ECU the time', async () => {
  const rig = new VehicleRig();
  for (const name of agents) assert.is(rig.state(name).time.now(), 0);
  await healthy(rig);
  rig.pass(90);
  for (const name of agents) assert.is(rig.state(name).time.now(), now + 90, name);
});

test('FV-01, PV-01, PV-02: each ECU judges the attestation itself, by its own nonce and keys', async () => {
  const rig = new VehicleRig();
  const attest = rig.attest.bind(rig);
  // a Primary that answers with the time of its own nonce alone
  rig.attest = (nonces) => attest(nonces.slice(0, 1));
  const refusal = await rig.cycle();
  assert.is(`${refusal?.refused} ${refusal?.row}`, 'time-nonce HRD-03');
  for (const name of ['full', 'partial'] as const) assert.is(rig.state(name).time.now(), 0, name);
  rig.attest = attest;
  rig.restart();
  assert.is(await rig.cycle(), undefined);
});

test('TIM-08: a device off for a year finds the time key that was replaced meanwhile', async () => {
  for (const rotations of [0, 1, 3]) {
    const rig = new VehicleRig();
    await healthy(rig);
    for (let i = 0; i < rotations; i++) {
      // each Root in between has expired when the device comes back
      rig.sim.director.root.expires = now + (i + 1) * 1_000;
      rig.sim.director.rotate('time');
    }
    rig.restart(year);
    renew(rig, 86_400);
    await healthy(rig);
    for (const name of agents) {
      assert.is(rig.state(name).store.rootVersion('director'), 2 + rotations, name);
    }
  }
});

test('TIM-08, ROOT-01: Root and time keys replaced by one and the same Root, with the vehicle on or off', async () => {
  for (const rotations of [1, 3]) {
    for (const off of [false, true]) {
      const rig = new VehicleRig();
      await healthy(rig);
      for (let i = 0; i < rotations; i++) rig.sim.director.rotate('root', 'time');
      if (off) rig.restart(year);
      renew(rig, 86_400);
      await healthy(rig);
      for (const name of agents) {
        assert.is(rig.state(name).store.rootVersion('director'), 2 + rotations, name);
      }
    }
  }
});

test('TIM-08, ATK-11: stolen Root and time keys replaced together; what the thief signs counts no more', async () => {
  const rig = new VehicleRig();
  await healthy(rig);
  const { director } = rig.sim;
  const stolen = { root: director.signers.root.slice(), time: director.signers.time };
  director.rotate('root', 'time');
  rig.pass(60);
  await healthy(rig);
  const honest = director.signers.time;
  director.signers.time = stolen.time;
  const refusal = await rig.cycle();
  assert.is(refusal?.refused, 'signature-threshold');
  for (const name of agents) assert.is(rig.state(name).time.now(), rig.seconds, name);
  director.signers.time = honest;
  director.publishRoot(stolen.root);
  const next = await rig.cycle();
  assert.is(`${next?.refused} ${next?.row}`, 'signature-threshold CRT-03');
});

test('TIM-08: the power of a Secondary cut between Root and time, both new, costs nothing', async () => {
  const rig = new VehicleRig();
  await healthy(rig);
  rig.sim.director.rotate('root', 'time');
  const attest = rig.attest.bind(rig);
  const context = rig.context();
  const [full] = context.secondaries;
  const nonce = (await full!.nonce()) as Uint8Array;
  const refusal = await full!.checkTime(attest([nonce]));
  assert.is(refusal?.refused, 'signature-threshold');
  const step = await full!.startVerification();
  assert.is('ask' in step && step.ask?.name, '2.root.cbor');
  await full!.supplyFile(rig.sim.director.publishedRoots[1]);
  rig.restart(60);
  await healthy(rig);
});

test('TIM-08, TIM-06: a partial Secondary is not kept by the time key of its old Targets', async () => {
  const rig = new VehicleRig();
  const { director } = rig.sim;
  const list = () => {
    director.targets.timeKeys = { keys: director.signers.time.map(({ key }) => key), threshold: 1 };
  };
  list();
  rig.addToCampaign('partial', makeImage('app-2-partial', 40_000, 2));
  await healthy(rig);
  director.rotate('time');
  list();
  rig.restart(year);
  renew(rig, 86_400);
  await healthy(rig);
});

test('ATK-11, TIM-08: time driven ahead with a stolen key is undone by its rotation, in one cycle', async () => {
  const rig = new VehicleRig();
  const honest = rig.seconds;
  rig.seconds = 4_102_444_800; // 2100, attested by the thief: every file seems expired
  const frozen = await rig.cycle();
  assert.is(frozen?.refused, 'metadata-expired');
  rig.seconds = honest;
  rig.restart(60);
  const back = await rig.cycle();
  assert.is(`${back?.refused} ${back?.row}`, 'time-backwards TIM-04');
  rig.sim.director.rotate('time');
  assert.is(await rig.cycle(), undefined);
  for (const name of agents) assert.is(rig.state(name).time.now(), rig.seconds, name);
});

test('TIM-07: a bad attestation keeps the old time, and only the version report follows', async () => {
  const rig = new VehicleRig();
  await healthy(rig);
  rig.pass(100);
  const { director } = rig.sim;
  const honest = director.signers.time;
  director.signers.time = director.signers.targets;
  const asked = rig.sim.requests.length;
  const refusal = await rig.cycle();
  assert.is(refusal?.refused, 'signature-threshold');
  assert.is(rig.state('primary').time.now(), now + 100);
  const fetched = rig.sim.requests.slice(asked);
  assert.equal(fetched, ['director/2.root.cbor'], 'Roots, and nothing else');
  assert.is(rig.manifests, 3, 'the cycle’s manifest, and the one that reports');
  director.signers.time = honest;
  rig.pass(1);
  assert.is(await rig.cycle(), undefined);
});

test('TIM-07: a Secondary with a bad attestation takes nothing but Roots, and reports it', async () => {
  const rig = new VehicleRig();
  const attest = rig.attest.bind(rig);
  await healthy(rig);
  const context = rig.context();
  const [full] = context.secondaries;
  const nonce = await full!.nonce();
  const honest = rig.sim.director.signers.time;
  rig.sim.director.signers.time = rig.sim.director.signers.targets;
  const forged = attest([nonce as Uint8Array]);
  rig.sim.director.signers.time = honest;
  const refusal = await full!.checkTime(forged);
  assert.is(refusal?.refused, 'signature-threshold');
  const step = await full!.startVerification();
  assert.is('ask' in step && step.ask?.name, '2.root.cbor');
  const end = await full!.supplyFile(undefined);
  assert.is('refusal' in end && end.refusal?.code, 'time-unknown');
  assert.is(rig.state('full').time.now(), now, 'the old time stays');
  assert.equal(rig.detections('full'), [], 'not before it is known that nothing puts it right');
  await full!.reports();
  assert.equal(rig.detections('full'), ['signature-threshold CTG-03']);
});

test('HRD-03: while the source is silent all goes on for its bound, then nothing, and it is told', async () => {
  const rig = new VehicleRig();
  await healthy(rig);
  renew(rig, 10 * maxTimeSilentSeconds);
  rig.timeSilent = true;
  rig.pass(maxTimeSilentSeconds);
  assert.is(await rig.cycle(), undefined);
  const told = rig.ecus.primary.lines.filter((line) => /code=time-silent row=HRD-03/.test(line));
  assert.is(told.length, 1);
  assert.equal(rig.detections('primary'), ['time-silent HRD-03'], 'in the next manifest');
  rig.pass(1);
  const refusal = await rig.cycle();
  assert.is(`${refusal?.refused} ${refusal?.row}`, 'time-unknown HRD-03');
  rig.timeSilent = false;
  assert.is(await rig.cycle(), undefined);
});

test('HRD-03: after a start without a time only Roots are taken; with the Director away nothing is told', async () => {
  const rig = new VehicleRig();
  rig.timeSilent = true;
  rig.sim.director.rotate('snapshot');
  const refusal = await rig.cycle();
  assert.is(`${refusal?.refused} ${refusal?.row}`, 'time-unknown HRD-03');
  assert.is(rig.state('primary').store.rootVersion('director'), 2);
  assert.is(rig.state('primary').store.read('director', 'timestamp.cbor'), undefined);
  rig.restart();
  rig.timeSilent = false;
  rig.offline = true;
  const before = rig.ecus.primary.lines.length;
  assert.is((await rig.cycle())?.refused, 'net-unreachable');
  const lines = rig.ecus.primary.lines.slice(before);
  assert.not.ok(lines.some((line) => line.includes('time-silent')));
});

test('TIM-10: a day of cycles writes time to flash once a minute at most', async () => {
  const rig = new VehicleRig();
  await healthy(rig);
  const { keyValue } = rig.ecus.full;
  const write = keyValue.write.bind(keyValue);
  let writes = 0;
  keyValue.write = (key, value) => {
    if (key === 'time') writes += 1;
    write(key, value);
  };
  for (let cycle = 0; cycle < 40; cycle++) {
    rig.pass(15);
    assert.is(await rig.cycle(), undefined);
  }
  assert.is(writes, 10); // 600 seconds, 40 attestations
});

test.run();
