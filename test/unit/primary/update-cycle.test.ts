/** One cycle of the Primary with its vehicle (Uptane §5.4.2), over real sessions of its Secondaries. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { verifyEnvelope } from '../../../agent/crypto/verify-envelope.ts';
import { hashAlgorithms } from '../../../agent/metadata/common.ts';
import { manifest as manifestSchema } from '../../../agent/metadata/report.ts';
import { checkAccepted, handOverMetadata } from '../../../agent/primary/metadata-handover.ts';
import { openReports } from '../../../agent/primary/vehicle.ts';
import { now, vehicleId } from '../../simulator/repository-simulator.ts';
import { crypto, makeImage } from '../install/rig.ts';
import { type AgentName, ecuIds, VehicleRig } from './vehicle-rig.ts';

const test = suite('Update cycle');
const agents = ['primary', 'full', 'partial'] as const;

/** A vehicle for which release 2 is assigned to these ECUs. */
function assigned(...names: AgentName[]): VehicleRig {
  const rig = new VehicleRig();
  for (const name of names) rig.assign(name, makeImage(`app-2-${name}`, 41_000, 2));
  return rig;
}

function codeOf(refusal: Refusal | undefined): string | undefined {
  return refusal && `${refusal.refused} ${refusal.row}`;
}

/** The latest manifest, opened as the Director does. */
function manifestOf(rig: VehicleRig) {
  const envelope = decodeEnvelope(rig.manifest!, 65_536);
  if (isRefusal(envelope)) throw new Error(envelope.detail);
  const value = decode(manifestSchema, envelope.payload, 65_536);
  if (isRefusal(value)) throw new Error(value.detail);
  const reports = openReports(value.reports);
  if (isRefusal(reports)) throw new Error(reports.detail);
  return { envelope, value, reports };
}

/** Steps of one kind each, repetitions left out. */
function order(steps: readonly string[]): string[] {
  const kinds = steps.map((step) =>
    step.replace(/^(director|images)\/.*/, 'metadata').replace(/^image .*/, 'image'),
  );
  return kinds.filter((kind, i) => kind !== kinds[i - 1]);
}

test('PRI-01, PRI-11: manifest, time, metadata, images; then time, metadata and image to a Secondary', async () => {
  const rig = assigned('full');
  assert.is(codeOf(await rig.cycle()), undefined);
  const steps = order(rig.steps);
  assert.equal(
    steps.slice(0, 3),
    ['time', 'manifest', 'metadata'],
    'the manifest may wait (PRI-04)',
  );
  const rest = steps.slice(3);
  assert.equal(rest.slice(0, 2), ['full: time', 'full: metadata']);
  assert.ok(rest.indexOf('image') < rest.indexOf('full: image'), rest.join());
  assert.ok(rest.indexOf('full: metadata') < rest.indexOf('full: image'));
  assert.equal(rig.releases(), { primary: 1, full: 2, partial: 1 });
});

test('PRI-04, VVM-01: the manifest is signed by the Primary; its entry names payload hash and function', async () => {
  const rig = new VehicleRig();
  assert.is(codeOf(await rig.cycle()), undefined);
  const { envelope } = manifestOf(rig);
  const { key } = rig.ecus.primary.signingKey;
  const own = { keys: [key], threshold: 1 };
  const options = { domain: 'manifest', payloadHash: 'required' } as const;
  assert.is(verifyEnvelope(crypto, envelope, own, options), undefined);
  assert.is(envelope.signatures.length, 1);
  const { header } = envelope.signatures[0]!;
  assert.equal(header.keyId, keyId(crypto, key));
  assert.equal(header.payloadHash, [
    hashAlgorithms['SHA-256'],
    crypto.digest('SHA-256', envelope.payload),
  ]);
});

test('VVM-02, VVM-03, VVM-04, VVM-05: vehicle, Primary, and a report of every ECU, its own first', async () => {
  const rig = new VehicleRig();
  await rig.cycle();
  const { value, reports } = manifestOf(rig);
  assert.is(value.vehicleId, vehicleId);
  assert.is(value.primaryEcuId, ecuIds.primary);
  assert.equal(
    reports.map(({ report }) => report.ecuId),
    agents.map((name) => ecuIds[name]),
  );
  for (const [i, name] of agents.entries()) {
    const envelope = decodeEnvelope(reports[i]!.envelope, 8_192);
    if (isRefusal(envelope)) throw new Error(envelope.detail);
    const own = { keys: [rig.ecus[name].signingKey.key], threshold: 1 };
    const options = { domain: 'report', payloadHash: 'required' } as const;
    assert.is(verifyEnvelope(crypto, envelope, own, options), undefined, name);
  }
});

test('PRI-06, TIM-01, TIM-02: one attestation gives Primary and Secondaries their time', async () => {
  const rig = new VehicleRig();
  assert.is(rig.state('primary').time.now(), 0, 'no clock of its own');
  await rig.cycle();
  for (const name of agents) assert.is(rig.state(name).time.now(), now, name);
  rig.restart(36_000);
  assert.is(rig.state('full').time.now(), 0, 'unknown again after a start');
  await rig.cycle();
  for (const name of agents) assert.is(rig.state(name).time.now(), now + 36_000, name);
});

test('PRI-07, ECU-05: metadata that the Primary refuses reaches no Secondary', async () => {
  const rig = assigned('full', 'partial');
  const { images } = rig.sim;
  images.targets.targets = images.targets.targets.slice(1); // not listed for `full` any more
  images.release();
  assert.is(codeOf(await rig.cycle()), 'target-not-found RDL-08');
  assert.equal(
    rig.steps.filter((step) => /: (?:metadata|image)/.test(step)),
    [],
  );
  assert.equal(rig.releases(), { primary: 1, full: 1, partial: 1 });
  const told = manifestOf(rig).reports[0]!.report.detections.map(({ code }) => code);
  assert.equal(told, ['target-not-found']);
});

test('PRI-08, PRI-09: images of every ECU are fetched, and one that differs is handed to none', async () => {
  const rig = assigned('full', 'partial');
  const wanted = ['app-2-full', 'app-2-partial'];
  const altered = rig.files.get(`targets/${wanted[1]}`)!.slice();
  altered[20_000]! ^= 1;
  rig.files.set(`targets/${wanted[1]}`, altered);
  assert.is(codeOf(await rig.cycle()), 'image-hash PRI-09');
  const fetched = rig.steps
    .filter((step) => step.startsWith('image '))
    .map((step) => step.slice(6));
  assert.equal(fetched, wanted);
  assert.equal(
    rig.steps.filter((step) => step.endsWith(': image')),
    [],
  );
  assert.equal(rig.releases(), { primary: 1, full: 1, partial: 1 });
});

test('PRI-12, PRI-14: each Secondary gets and keeps the metadata of its own verification', async () => {
  const rig = assigned('full', 'partial');
  assert.is(codeOf(await rig.cycle()), undefined);
  const { full, partial } = rig.ecus;
  for (const repository of ['director', 'images'] as const) {
    for (const role of ['timestamp', 'snapshot', 'targets']) {
      const key = `${repository}/${role}`;
      assert.equal(
        full.keyValue.values.get(key),
        rig.ecus.primary.keyValue.values.get(key),
        `full: ${key}`,
      );
    }
  }
  assert.ok(partial.keyValue.values.get('director/targets'));
  assert.is(partial.keyValue.values.get('images/targets'), undefined);
});

test('PRI-12: a Secondary that finds no image where the Primary wants one ends the cycle', async () => {
  const rig = assigned('full');
  const installed = rig.state('full').ecus[0]!;
  const own = installed.verifierEcu.bind(installed);
  // A Secondary that has it already, unlike what it had reported.
  installed.verifierEcu = () => {
    const { filename, mustMatch } = rig.sim.director.targets.targets[0]!;
    const { plaintextSha256: sha256, releaseCounter } = mustMatch;
    return { ...own(), installed: { filename, sha256, releaseCounter } };
  };
  assert.is(codeOf(await rig.cycle()), 'secondary-disagrees PRI-12');
});

test('PRI-15: an image reaches the Secondary that it is for, whole, and runs there', async () => {
  const rig = assigned('full', 'partial');
  assert.is(codeOf(await rig.cycle()), undefined);
  assert.equal(rig.releases(), { primary: 1, full: 2, partial: 2 });
  await rig.cycle();
  assert.equal(
    manifestOf(rig).reports.map(({ report }) => report.installed.filename),
    ['app-1.bin', 'app-2-full', 'app-2-partial'],
  );
});

test('HRD-03: a silent time source is told in the next manifest', async () => {
  const rig = new VehicleRig();
  await rig.cycle();
  rig.timeSilent = true;
  await rig.cycle();
  await rig.cycle();
  const told = manifestOf(rig).reports[0]!.report.detections.map(({ code, row }) => [code, row]);
  assert.equal(told, [['time-silent', 'HRD-03']]);
});

test('HRD-13: what a Secondary has no room for is not sent to it', async () => {
  const asked: string[] = [];
  const secondary = {
    ecuIds: ['ecu-2'],
    supplyFile: (file: Uint8Array | undefined) => {
      asked.push(`${file?.length}`);
      return Promise.resolve({ assignments: [] });
    },
  } as unknown as Parameters<typeof handOverMetadata>[0];
  const ask = { repository: 1 as const, name: '2.targets.cbor', maxBytes: 100 };
  const give = (bytes: number) =>
    handOverMetadata(secondary, Promise.resolve({ ask }), () => new Uint8Array(bytes));
  assert.equal(await give(100), { ecuIds: [], givenUp: undefined });
  const refusal = await give(101);
  assert.is(isRefusal(refusal) && `${refusal.refused} ${refusal.row}`, 'body-too-large HRD-13');
  assert.equal(asked, ['100']);
});

test('INS-12: an image that its Secondary neither takes nor gives up is a disagreement', () => {
  type Given = Parameters<typeof checkAccepted>;
  const secondary = { ecuIds: ['ecu-2'] } as unknown as Given[0];
  const assignments = [{ assignment: { ecuId: 'ecu-2' } }] as unknown as Given[1];
  const given: Given[3] = new Map();
  const nothing = { ecuIds: [], givenUp: undefined };
  const refusal = checkAccepted(secondary, assignments, nothing, given);
  assert.is(refusal?.refused, 'secondary-disagrees');
  assert.is(given.size, 0);
});

test.run();
