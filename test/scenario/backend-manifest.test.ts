/** What the Director checks in a vehicle version manifest (Uptane §5.3.2.1), over HTTP. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { maxReportClockSkewSeconds, maxReportTimeBehindSeconds } from '../../agent/limits.ts';
import { manifestAnswer, updateAnswer, updateQuery } from '../../agent/metadata/device-messages.ts';
import { type Report, report as reportSchema } from '../../agent/metadata/report.ts';
import { anomalyHistory, manifestHistory, vehicleView } from '../../backend/http/messages.ts';
import { signerOf } from '../../hal/node/signing.ts';
import {
  type Answer,
  codeOf,
  crypto,
  expectValue,
  makeEcu,
  makeReport,
  refusalOf,
  signManifest,
  signReport,
  startSeconds,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('manifest');
let backend: TestBackend;
let vehicle: TestVehicle;
let counter = 0;
let vehicles = 0;

test.before(async () => {
  backend = await TestBackend.start();
});
test.after(() => backend.stop());
test.before.each(async () => {
  vehicles += 1;
  counter = 0;
  vehicle = new TestVehicle(`vehicle-${vehicles}`);
  await backend.register(vehicle);
});

const send = (body: Uint8Array): Promise<Answer> => backend.manifest(vehicle.vehicleId, body);

/** A manifest with the next counter, whose reports are changed or signed otherwise per ECU. */
function compose(
  changes: { readonly primary?: Partial<Report>; readonly secondary?: Partial<Report> },
  signers = { primary: vehicle.primary.signing, secondary: vehicle.secondary.signing },
): Uint8Array {
  counter += 1;
  const { primary, secondary, vehicleId } = vehicle;
  const reports = [
    signReport(makeReport(primary, vehicleId, { counter, ...changes.primary }), signers.primary),
    signReport(
      makeReport(secondary, vehicleId, { counter, ...changes.secondary }),
      signers.secondary,
    ),
  ];
  return signManifest(vehicleId, primary.description.ecuId, reports, primary.signing);
}

/** Expects a refusal that left nothing but an anomaly. */
async function expectDropped(body: Uint8Array, code: string, row: string): Promise<void> {
  const before = expectValue(vehicleView, await backend.operator(`/vehicles/${vehicle.vehicleId}`));
  const answer = await send(body);
  assert.is(codeOf(answer), code);
  assert.is(refusalOf(answer).row, row);
  const after = expectValue(vehicleView, await backend.operator(`/vehicles/${vehicle.vehicleId}`));
  assert.equal(after, before, 'a bad manifest is dropped whole');
  const last = expectValue(anomalyHistory, await backend.operator('/anomalies')).at(-1)!;
  assert.equal([last.vehicleId, last.code, last.row], [vehicle.vehicleId, code.slice(4), row]);
}

test('a good manifest is accepted and its contents are shown', async () => {
  const detections = [{ code: 'metadata-expired', row: 'CTS-04', attack: 'freeze' }];
  const answer = await send(compose({ secondary: { detections } }));
  assert.equal(expectValue(manifestAnswer, answer), {
    accepted: true,
    updateAvailable: false,
    timestampVersion: 1,
  });
  const path = `/vehicles/${vehicle.vehicleId}`;
  const view = expectValue(vehicleView, await backend.operator(path));
  assert.is(view.lastManifest, startSeconds);
  assert.equal(
    view.ecus.map((ecu) => ecu.installed?.filename),
    ['factory.bin', 'factory.bin'],
  );
  assert.equal(view.ecus[1]!.detections, detections);
  const history = expectValue(manifestHistory, await backend.operator(`${path}/manifests`));
  const ecuId = vehicle.secondary.description.ecuId;
  assert.equal(history, [{ received: startSeconds, detections: [{ ecuId, ...detections[0]! }] }]);
});

test('an unknown vehicle is refused (DIR-05)', async () => {
  const body = compose({});
  assert.is(codeOf(await backend.manifest('nobody', body)), '404 vehicle-unknown');
});

test('a replayed manifest is refused (DIR-12, HRD-17)', async () => {
  const body = compose({});
  assert.is(codeOf(await send(body)), '200');
  await expectDropped(body, '409 report-replayed', 'DIR-12');
});

test('one old report among new ones drops the whole manifest (HRD-17)', async () => {
  assert.is(codeOf(await send(compose({}))), '200');
  await expectDropped(compose({ secondary: { counter: 1 } }), '409 report-replayed', 'DIR-12');
  assert.is(codeOf(await send(compose({ secondary: { counter: 2 } }))), '200');
});

test('a manifest that another key signed is refused (DIR-09)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const report = signReport(makeReport(primary, vehicleId, {}), primary.signing);
  const signed = signManifest(vehicleId, primary.description.ecuId, [report], secondary.signing);
  await expectDropped(signed, '400 signature-threshold', 'DIR-09');
});

test('an altered manifest is refused (DIR-09)', async () => {
  const body = compose({});
  body[body.length - 1]! ^= 1;
  await expectDropped(body, '400 signature-invalid', 'DIR-09');
});

test('a report that the Primary signed for a Secondary is refused (DIR-10)', async () => {
  const { primary } = vehicle;
  const signers = { primary: primary.signing, secondary: primary.signing };
  await expectDropped(compose({}, signers), '400 signature-threshold', 'DIR-10');
});

test('a report that a Secondary signed for the Primary is refused (DIR-10)', async () => {
  const { secondary } = vehicle;
  const signers = { primary: secondary.signing, secondary: secondary.signing };
  await expectDropped(compose({}, signers), '400 signature-threshold', 'DIR-10');
});

test('a report without the hash of its payload is refused (HRD-19, EVR-01)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const payload = encode(reportSchema, makeReport(secondary, vehicleId, {}));
  const bare = signEnvelope(crypto, [signerOf(secondary.signing)], 'report', payload);
  const own = signReport(makeReport(primary, vehicleId, {}), primary.signing);
  const body = signManifest(vehicleId, primary.description.ecuId, [own, bare], primary.signing);
  await expectDropped(body, '400 payload-hash-mismatch', 'DIR-10');
});

test('every ECU of the inventory has to be represented (DIR-08)', async () => {
  const { primary, vehicleId } = vehicle;
  const own = signReport(makeReport(primary, vehicleId, {}), primary.signing);
  const body = signManifest(vehicleId, primary.description.ecuId, [own], primary.signing);
  await expectDropped(body, '400 ecu-missing', 'DIR-08');
});

/** A manifest of the Primary's report alone, with these statements about other ECUs. */
function stating(...ecuIds: readonly string[]): Uint8Array {
  counter += 1;
  const { primary, vehicleId } = vehicle;
  const own = signReport(makeReport(primary, vehicleId, { counter }), primary.signing);
  const absent = ecuIds.map((ecuId) => ({ ecuId, code: 'secondary-silent' }));
  return signManifest(vehicleId, primary.description.ecuId, [own], primary.signing, absent);
}

test('an ECU that did not answer is represented by what the Primary signs (DIR-08)', async () => {
  const { ecuId } = vehicle.secondary.description;
  const path = `/vehicles/${vehicle.vehicleId}`;
  const absence = async () =>
    expectValue(vehicleView, await backend.operator(path)).ecus.map((ecu) => ecu.absent);
  assert.is(codeOf(await send(stating(ecuId))), '200');
  assert.equal(await absence(), [undefined, { code: 'secondary-silent', since: startSeconds }]);
  const history = expectValue(manifestHistory, await backend.operator(`${path}/manifests`));
  assert.equal(history[0]!.detections, [
    { ecuId, code: 'secondary-silent', row: 'PRI-15', attack: 'drop-request' },
  ]);
  backend.now += 60;
  assert.is(codeOf(await send(stating(ecuId))), '200');
  assert.is((await absence())[1]!.since, startSeconds, 'since the first manifest that said so');
  assert.is(codeOf(await send(compose({}))), '200');
  assert.equal(await absence(), [undefined, undefined], 'its own report ends the absence');
  backend.now = startSeconds;
});

test('a statement of absence is for one ECU of the vehicle that has no report (DIR-08)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const other = secondary.description.ecuId;
  await expectDropped(stating(other, other), '400 report-mismatch', 'DIR-06');
  await expectDropped(stating(other, 'stranger'), '400 ecu-unknown', 'DIR-06');
  await expectDropped(
    stating(other, primary.description.ecuId),
    ...(['400 report-mismatch', 'DIR-06'] as const),
  );
  const reports = [primary, secondary].map((ecu) =>
    signReport(makeReport(ecu, vehicleId, { counter: 50 }), ecu.signing),
  );
  const absent = [{ ecuId: other, code: 'secondary-silent' }];
  const both = signManifest(vehicleId, primary.description.ecuId, reports, primary.signing, absent);
  await expectDropped(both, '400 report-mismatch', 'DIR-06');
});

test('an ECU of no or of another vehicle is refused (DIR-06)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const stranger = makeEcu('stranger');
  const reports = [primary, secondary, stranger].map((ecu) =>
    signReport(makeReport(ecu, vehicleId, {}), ecu.signing),
  );
  const body = signManifest(vehicleId, primary.description.ecuId, reports, primary.signing);
  await expectDropped(body, '400 ecu-unknown', 'DIR-06');
});

test('two reports of one ECU are refused (DIR-06)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const reports = [primary, secondary, secondary].map((ecu, i) =>
    signReport(makeReport(ecu, vehicleId, { counter: i + 1 }), ecu.signing),
  );
  const body = signManifest(vehicleId, primary.description.ecuId, reports, primary.signing);
  await expectDropped(body, '400 report-mismatch', 'DIR-06');
});

test('a report for another vehicle, hardware or host is refused (DIR-06)', async () => {
  const elsewhere = compose({ secondary: { vehicleId: 'vehicle-x' } });
  await expectDropped(elsewhere, '400 vehicle-mismatch', 'DIR-06');
  const otherHardware = compose({ secondary: { hardwareId: 'hw-x' } });
  await expectDropped(otherHardware, '400 report-mismatch', 'DIR-06');
  const hosted = compose({ secondary: { hostedBy: vehicle.primary.description.ecuId } });
  await expectDropped(hosted, '400 report-mismatch', 'DIR-06');
});

test('a manifest of another vehicle is refused under this one (DIR-06, VVM-02)', async () => {
  const other = new TestVehicle('vehicle-other');
  const { primary } = vehicle;
  const body = signManifest(
    'vehicle-other',
    primary.description.ecuId,
    [signReport(makeReport(other.primary, 'vehicle-other', {}), other.primary.signing)],
    primary.signing,
  );
  await expectDropped(body, '400 vehicle-mismatch', 'DIR-06');
});

test('a manifest that names another Primary is refused (DIR-06, VVM-03)', async () => {
  const { primary, secondary, vehicleId } = vehicle;
  const reports = [primary, secondary].map((ecu) =>
    signReport(makeReport(ecu, vehicleId, {}), ecu.signing),
  );
  const other = secondary.description.ecuId;
  const body = signManifest(vehicleId, other, reports, primary.signing);
  await expectDropped(body, '400 report-mismatch', 'DIR-06');
});

test('the time of a report is not ahead of the Director nor far behind the last one (DIR-11)', async () => {
  const ahead = startSeconds + maxReportClockSkewSeconds;
  await expectDropped(compose({ primary: { time: ahead + 1 } }), '400 report-time', 'DIR-11');
  assert.is(codeOf(await send(compose({ primary: { time: ahead } }))), '200');
  const behind = ahead - maxReportTimeBehindSeconds;
  await expectDropped(compose({ primary: { time: behind - 1 } }), '400 report-time', 'DIR-11');
  assert.is(codeOf(await send(compose({ primary: { time: behind } }))), '200');
  assert.is(codeOf(await send(compose({ primary: { time: 0 } }))), '200', 'none verified yet');
});

test('a vehicle that asks without a manifest learns whether there is something new', async () => {
  const ask = (vehicleId: string) => {
    const body = encode(updateQuery, { vehicleId, timestampVersion: 0 });
    return backend.director('/check_updates', { method: 'POST', body });
  };
  assert.equal(expectValue(updateAnswer, await ask(vehicle.vehicleId)), {
    updateAvailable: false,
    timestampVersion: 1,
  });
  assert.is(codeOf(await ask('nobody')), '404 vehicle-unknown');
});

test.run();
