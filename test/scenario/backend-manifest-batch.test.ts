/** Manifests in batches, and what a manifest costs before it is refused. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import { maxManifestsPerBatch } from '../../agent/limits.ts';
import { anomalyHistory, manifestBatch, manifestBatchAnswer } from '../../backend/http/messages.ts';
import {
  type Answer,
  codeOf,
  expectValue,
  makeReport,
  signManifest,
  signReport,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('manifest batches');
const count = 24;
const vehicles = Array.from({ length: count }, (_, i) => new TestVehicle(`v-${i}`));
let backend: TestBackend;
let counter = 0;

test.before(async () => {
  backend = await TestBackend.start();
  for (const vehicle of vehicles) await backend.register(vehicle);
});
test.after(() => backend.stop());
test.before.each(() => {
  counter += 1;
});

function send(items: readonly { readonly vehicleId: string; readonly manifest: Uint8Array }[]) {
  const body = encode(manifestBatch, items);
  return backend.director('/manifests', { method: 'POST', body });
}

const whole = () =>
  vehicles.map((vehicle) => ({
    vehicleId: vehicle.vehicleId,
    manifest: vehicle.manifest({ counter }),
  }));

function codesOf(answer: Answer): readonly string[] {
  return expectValue(manifestBatchAnswer, answer).map(({ taken, refused }) => {
    assert.ok((taken === undefined) !== (refused === undefined), 'one of the two');
    return refused?.code ?? 'taken';
  });
}

const verified = async () => backend.backend.metrics.valueOf('ota_signature_verifications_total');

test('a batch of manifests is taken, each by its own vehicle, verified by the pool', async () => {
  const before = await verified();
  const pooled = await backend.backend.metrics.valueOf('ota_signature_verifications_total', {
    where: 'pool',
  });
  assert.equal(codesOf(await send(whole())), new Array(count).fill('taken'));
  // The Primary's signature and two reports.
  assert.is((await verified()) - before, 3 * count);
  const after = await backend.backend.metrics.valueOf('ota_signature_verifications_total', {
    where: 'pool',
  });
  assert.is(after - pooled, 3 * count);
  const again = await backend.manifest('v-3', vehicles[3]!.manifest({ counter }));
  assert.is(codeOf(again), '409 report-replayed', 'it is stored');
});

test('bad items are refused by the codes that each would get alone; their neighbours stand', async () => {
  const items = whole();
  const flip = (i: number) => {
    items[i]!.manifest[items[i]!.manifest.length - 1]! ^= 1;
  };
  flip(4);
  const forged = vehicles[7]!;
  const { primary, secondary, vehicleId } = forged;
  // The Secondary's report has a signature of the right form and key id, over other bytes.
  const reports = [primary, secondary].map((ecu) =>
    signReport(makeReport(ecu, vehicleId, { counter }), ecu.signing),
  );
  reports[1]![reports[1]!.length - 1]! ^= 1;
  const manifest = signManifest(vehicleId, primary.description.ecuId, reports, primary.signing);
  items[7] = { vehicleId, manifest };
  items[9] = { vehicleId: 'nobody', manifest: items[9]!.manifest };
  items[11] = { vehicleId: 'v-12', manifest: items[11]!.manifest };
  items[13] = { vehicleId: 'v-13', manifest: Uint8Array.of(0xf6) };
  const expected = new Array(count).fill('taken');
  expected[4] = 'signature-invalid';
  expected[7] = 'signature-invalid';
  expected[9] = 'vehicle-unknown';
  expected[11] = 'signature-threshold';
  expected[13] = 'cbor-wrong-type';
  assert.equal(codesOf(await send(items)), expected);
  const anomalies = expectValue(anomalyHistory, await backend.operator('/anomalies'));
  const rows = anomalies.map(({ vehicleId: id, code, row }) => `${id} ${code} ${row}`);
  assert.ok(rows.includes('v-4 signature-invalid DIR-09'), rows.join());
  assert.ok(rows.includes('v-7 signature-invalid DIR-10'), rows.join());
});

test('one manifest twice in a batch, or from two senders at once, is taken once (DIR-12, HRD-17)', async () => {
  const [first] = whole();
  assert.equal(codesOf(await send([first!, first!])), ['taken', 'report-replayed']);
  counter += 1;
  const manifest = vehicles[0]!.manifest({ counter });
  const answers = await Promise.all([1, 2, 3].map(() => backend.manifest('v-0', manifest)));
  assert.equal(answers.map(codeOf).sort(), ['200', '409 report-replayed', '409 report-replayed']);
});

test('what can be refused without a signature costs none (DIR-05, DIR-06, DIR-08, DIR-11, DIR-12)', async () => {
  const [vehicle] = vehicles;
  const { primary, secondary, vehicleId } = vehicle!;
  const report = (changes = {}) =>
    signReport(makeReport(primary, vehicleId, { counter, ...changes }), primary.signing);
  const other = signReport(makeReport(secondary, vehicleId, { counter }), secondary.signing);
  const signed = (reports: readonly Uint8Array[]) =>
    signManifest(vehicleId, primary.description.ecuId, reports, primary.signing);
  const cheap: readonly (readonly [string, Uint8Array, string])[] = [
    ['nobody', signed([report(), other]), '404 vehicle-unknown'],
    [vehicleId, signed([report(), other]).subarray(1), '400 cbor-wrong-type'],
    [vehicleId, signed([report()]), '400 ecu-missing'],
    [vehicleId, signed([report({ hardwareId: 'other' }), other]), '400 report-mismatch'],
    [vehicleId, signed([report({ time: 4_000_000_000 }), other]), '400 report-time'],
    [vehicleId, signed([report({ counter: 1 }), other]), '409 report-replayed'],
    ['v-1', signed([report(), other]), '400 signature-threshold'],
  ];
  const before = await verified();
  for (const [id, body, code] of cheap) assert.is(codeOf(await backend.manifest(id, body)), code);
  assert.is(await verified(), before, 'no signature was verified');
  assert.is(codeOf(await backend.manifest(vehicleId, signed([report(), other]))), '200');
  assert.is(await verified(), before + 3);
});

test('manifests of one turn share a commit', async () => {
  const { metrics } = backend.backend;
  const commits = async () => {
    const values = (await metrics.commitItems.get()).values;
    return values.find(({ metricName }) => metricName === 'ota_commit_group_size_count')!.value;
  };
  const before = await commits();
  assert.equal(codesOf(await send(whole())), new Array(count).fill('taken'));
  const used = (await commits()) - before;
  assert.ok(used < count / 2, `${used} commits for ${count} manifests`);
});

test('a batch has bounds, and is one body like any other (HRD-13)', async () => {
  const item = { vehicleId: 'v-0', manifest: Uint8Array.of(0) };
  const full = new Array(maxManifestsPerBatch).fill(item);
  assert.is(codesOf(await send(full)).length, maxManifestsPerBatch);
  // One item more: the head of the array by hand, since the encoder refuses.
  const good = encode(manifestBatch, full);
  const tail = encode(manifestBatch, [item]).subarray(1);
  const head = Uint8Array.of(good[0]!, 0x04, 0x01);
  const over = Uint8Array.from([...head, ...good.subarray(3), ...tail]);
  const refused = await backend.director('/manifests', { method: 'POST', body: over });
  assert.is(codeOf(refused), '400 cbor-too-large');
  const large = new Uint8Array(4_194_305);
  const answer = await backend.director('/manifests', { method: 'POST', body: large });
  assert.is(codeOf(answer), '413 body-too-large');
  for (const body of [Uint8Array.of(0x80), Uint8Array.of(0xf6), new Uint8Array(0)]) {
    const none = await backend.director('/manifests', { method: 'POST', body });
    assert.match(codeOf(none), /^400 cbor-/);
  }
});

test.run();
