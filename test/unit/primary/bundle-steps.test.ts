/** A bundle for several ECUs: in the order of its steps, and what becomes of it when one fails. */
import '../ecu/agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bundleFailures } from '../../../agent/metadata/targets.ts';
import { type Assignment, BundleRig } from './bundle-rig.ts';

const test = suite('Bundle in steps');

const all: readonly Assignment[] = ['gateway', 'display', 'brakes', 'pump', 'engine'].map(
  (ecuId) => ({ ecuId, release: 2 }),
);

test('every ECU is updated; nothing is activated before all hold a checked image', async () => {
  const rig = new BundleRig();
  rig.assign(all);
  await rig.cycle();
  assert.is(rig.running(), '2+2 2+2 2');
  const asked = [...rig.links.brakes.asked, '|', ...rig.links.engine.asked];
  const activation = rig.links.brakes.asked.indexOf('activate brakes');
  assert.ok(rig.links.brakes.asked.indexOf('exit pump') < activation, asked.join());
  await rig.cycle();
  const last = rig.manifests.at(-1)!;
  assert.equal(
    last.reports.map(({ ecuId, installed }) => `${ecuId} ${installed.releaseCounter}`),
    ['gateway 2', 'display 2', 'brakes 2', 'pump 2', 'engine 2'],
  );
  assert.equal(last.absent, []);
  assert.equal(
    last.reports.flatMap(({ detections }) => detections),
    [],
  );
});

test('INS-12: ECUs of a lower step have confirmed before a higher step begins', async () => {
  const rig = new BundleRig();
  const order: string[] = [];
  rig.links.brakes.before = (request) => {
    if (request.startsWith('prepare')) order.push(`${request}: ${rig.running()}`);
  };
  rig.links.engine.before = rig.links.brakes.before;
  rig.assign([
    { ecuId: 'engine', release: 2, step: 1 },
    { ecuId: 'brakes', release: 2, step: 7 },
    { ecuId: 'pump', release: 2, step: 3 },
  ]);
  await rig.cycle();
  assert.equal(order, [
    'prepare engine: 1+1 1+1 1',
    'prepare pump: 1+1 1+1 2',
    'prepare brakes: 1+1 1+2 2',
  ]);
  assert.is(rig.running(), '1+1 2+2 2');
});

test('a step of the Primary itself comes in its turn, across its restart', async () => {
  const rig = new BundleRig();
  rig.assign([
    { ecuId: 'engine', release: 2, step: 2 },
    { ecuId: 'gateway', release: 2, step: 1 },
    { ecuId: 'brakes', release: 2, step: 0 },
  ]);
  await rig.cycle();
  assert.is(rig.running(), '2+1 2+1 1', 'the Primary has restarted, the last step is to come');
  const before = rig.downloaded;
  await rig.cycle();
  assert.is(rig.running(), '2+1 2+1 2');
  assert.is(rig.downloaded, before, 'what was downloaded has stayed');
});

test('DBP-18 stop: after a failed trial nothing more is begun, and the report says so', async () => {
  const rig = new BundleRig();
  rig.failing['brakes'] = 2;
  rig.assign([
    { ecuId: 'brakes', release: 2, step: 0 },
    { ecuId: 'engine', release: 2, step: 1 },
  ]);
  const refusal = await rig.cycle();
  assert.is(refusal?.refused, 'trial-rolled-back');
  assert.is(rig.running(), '1+1 1+1 1');
  assert.ok(rig.reported('brakes').includes('self-test-failed'));
  assert.ok(rig.reported('gateway').includes('trial-rolled-back'));
  assert.ok(!rig.links.engine.asked.some((request) => request.startsWith('prepare')));
  // Neither later cycles nor a restart nor metadata signed anew begin it again …
  const starts = rig.brakes.starts;
  await rig.cycles(2);
  rig.restartPrimary();
  rig.sim.director.release();
  await rig.cycles(2);
  assert.is(rig.brakes.starts, starts);
  assert.is(rig.running(), '1+1 1+1 1');
  // … but a new assignment does.
  rig.failing['brakes'] = undefined;
  rig.assign([{ ecuId: 'brakes', release: 2 }]);
  await rig.cycles(2);
  assert.is(rig.running(), '1+1 2+1 2');
});

test('DBP-18 retry: a failing ECU is tried again, so many times', async () => {
  for (const attempts of [2, 3]) {
    const rig = new BundleRig();
    rig.failing['pump'] = 2;
    rig.assign([{ ecuId: 'pump', release: 2 }], { onFailure: bundleFailures.retry, attempts });
    await rig.cycles(attempts + 2);
    const prepared = rig.links.brakes.asked.filter((request) => request === 'prepare pump');
    assert.is(prepared.length, attempts);
    assert.is(rig.running(), '1+1 1+1 1');
  }
});

test('DBP-18 retry: the second try may succeed', async () => {
  const rig = new BundleRig();
  rig.failing['engine'] = 2;
  rig.assign(all, { onFailure: bundleFailures.retry, attempts: 2 });
  await rig.cycle();
  rig.failing['engine'] = undefined;
  await rig.cycles(2);
  assert.is(rig.running(), '2+2 2+2 2');
});

test('a failed image of the Primary itself stops the bundle as well', async () => {
  const rig = new BundleRig();
  rig.failing['gateway'] = 2;
  rig.assign([
    { ecuId: 'gateway', release: 2, step: 0 },
    { ecuId: 'engine', release: 2, step: 1 },
  ]);
  await rig.cycles(4);
  assert.is(rig.running(), '1+1 1+1 1');
  assert.ok(rig.reported('gateway').includes('self-test-failed'));
  assert.is(rig.primary.starts, 3, 'one trial: on, into it, back');
});

test('VER-01: a silent Secondary is named, the others are updated, later steps wait', async () => {
  const rig = new BundleRig();
  rig.links.brakes.down = true;
  rig.assign([
    { ecuId: 'brakes', release: 2, step: 1 },
    { ecuId: 'engine', release: 2, step: 1 },
    { ecuId: 'gateway', release: 2, step: 2 },
  ]);
  await rig.cycles(2);
  assert.is(rig.running(), '1+1 1+1 2');
  assert.equal(rig.manifests.at(-1)!.absent, [
    { ecuId: 'brakes', code: 'secondary-silent' },
    { ecuId: 'pump', code: 'secondary-silent' },
  ]);
  assert.equal(
    rig.manifests.at(-1)!.reports.map(({ ecuId }) => ecuId),
    ['gateway', 'display', 'engine'],
  );
  rig.links.brakes.down = false;
  await rig.cycles(2);
  assert.is(rig.running(), '2+1 2+1 2');
  assert.equal(rig.manifests.at(-1)!.absent, []);
});

test('a Secondary that falls silent in a transfer goes on from there, and no failure is counted', async () => {
  const rig = new BundleRig();
  let transfers = 0;
  rig.links.brakes.before = (request) => {
    if (request === 'transfer pump') rig.links.brakes.down = ++transfers === 2;
  };
  rig.assign([
    { ecuId: 'pump', release: 2 },
    { ecuId: 'engine', release: 2 },
  ]);
  assert.is(await rig.cycle(), undefined);
  assert.is(rig.running(), '1+1 1+1 2');
  assert.equal(rig.manifests.at(-1)!.absent, [], 'the next manifest says it');
  await rig.cycle();
  assert.equal(
    rig.manifests.at(-1)!.absent.map(({ ecuId }) => ecuId),
    ['brakes', 'pump'],
  );
  rig.links.brakes.down = false;
  await rig.cycles(2);
  assert.is(rig.running(), '1+1 1+2 2');
});

test('INV-03, DIR-10: an ECU with other keys in the place of a Secondary is named, and is given nothing', async () => {
  const rig = new BundleRig();
  const other = new BundleRig();
  // Same ids, same code; its keys are of another vehicle.
  Object.assign(rig.brakes, { keyValue: other.brakes.keyValue });
  rig.brakes.restart();
  rig.assign([
    { ecuId: 'brakes', release: 2 },
    { ecuId: 'engine', release: 2 },
  ]);
  await rig.cycle();
  assert.is(rig.running(), '1+1 1+1 2');
  assert.equal(rig.manifests.at(-1)!.absent, [
    { ecuId: 'brakes', code: 'secondary-replaced' },
    { ecuId: 'pump', code: 'secondary-replaced' },
  ]);
  assert.not.ok(rig.links.brakes.asked.includes('prepare brakes'));
});

test('DIR-10: a Secondary that reports for other ECUs than its own is left out whole', async () => {
  const answers = {
    'one missing': ([first]: readonly Uint8Array[]) => [first!],
    'one twice': ([first]: readonly Uint8Array[]) => [first!, first!],
    'one more': (all: readonly Uint8Array[]) => [...all, all[0]!],
  };
  for (const [name, change] of Object.entries(answers)) {
    const rig = new BundleRig();
    const { session } = rig.brakes;
    const reports = session.reports.bind(session);
    Object.assign(session, { reports: () => change(reports()) });
    await rig.cycle();
    const { absent, reports: received } = rig.manifests.at(-1)!;
    assert.equal(
      absent.map(({ ecuId, code }) => `${ecuId} ${code}`),
      ['brakes secondary-replaced', 'pump secondary-replaced'],
      name,
    );
    assert.equal(
      received.map(({ ecuId }) => ecuId),
      ['gateway', 'display', 'engine'],
      name,
    );
  }
});

test('a download that is cut goes on in the next cycle, after a restart too', async () => {
  const rig = new BundleRig();
  rig.assign([{ ecuId: 'pump', release: 2 }]);
  let cut = 16_000;
  rig.onDownload = (_target, offset) =>
    offset >= cut ? { refused: 'net-closed', row: 'VER-01', detail: 'cut' } : undefined;
  await rig.cycle();
  rig.restartPrimary();
  cut = Number.POSITIVE_INFINITY;
  const before = rig.downloaded;
  await rig.cycle();
  assert.is(rig.running(), '1+1 1+2 1');
  const total = 12_345 * 2 + 56 + 2 * 16;
  assert.ok(before >= 16_000 && before + (rig.downloaded - before) - total < 16_400);
});

test.run();
