/** A bundle for several ECUs: in the order of its steps, and what becomes of it when one fails. */
import '../ecu/agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxFailedTrials, maxRestartsPerCycle } from '../../../agent/limits.ts';
import { bundleFailures } from '../../../agent/metadata/targets.ts';
import { type Assignment, BundleRig } from './bundle-rig.ts';

const test = suite('Bundle in steps');

const all: readonly Assignment[] = ['gateway', 'display', 'brakes', 'pump', 'engine'].map(
  (ecuId) => ({ ecuId, release: 2 }),
);

const updated = '2+2 2+2 2';

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

test('VER-01: a Secondary that restarts before any request goes on at once, and no attempt is used up', async () => {
  const clean = new BundleRig();
  clean.assign(all);
  await clean.cycle();
  const requests = clean.links.brakes.asked;
  assert.ok(requests.length > 20, requests.join());
  for (let at = 0; at < requests.length; at++) {
    const rig = new BundleRig();
    let asked = 0;
    rig.links.brakes.before = () => {
      if (asked++ === at) rig.brakes.restart();
    };
    rig.assign(all);
    assert.is(await rig.cycle(), undefined);
    assert.is(rig.running(), updated, `restart before request ${at}, ${requests[at]}`);
    assert.ok(asked > at);
    await rig.cycle();
    const { absent, reports } = rig.manifests.at(-1)!;
    assert.equal(absent, []);
    const named = reports.flatMap(({ detections }) => detections.map(({ attack }) => attack));
    assert.equal(
      named.filter((attack) => attack !== undefined),
      [],
      `restart before request ${at}, ${requests[at]}`,
    );
  }
});

test('VER-01: a Secondary that restarts for ever ends no cycle for the others, nor makes it endless', async () => {
  const rig = new BundleRig();
  rig.links.brakes.before = (request) => {
    if (request.startsWith('transfer')) rig.brakes.restart();
  };
  rig.assign(all);
  await rig.cycle();
  assert.is(rig.running(), '2+2 1+1 2');
  const transfers = rig.links.brakes.asked.filter((request) => request.startsWith('transfer'));
  assert.is(transfers.length, 1 + maxRestartsPerCycle);
  rig.links.brakes.before = () => {};
  await rig.cycle();
  assert.is(rig.running(), updated);
});

/** A vehicle in which `ecuId` has given release 2 up; nothing else was begun. */
async function withGivenUp(ecuId: string): Promise<BundleRig> {
  const rig = new BundleRig();
  rig.failing[ecuId] = 2;
  const policy = { onFailure: bundleFailures.retry, attempts: maxFailedTrials };
  rig.assign([{ ecuId, release: 2 }], policy);
  await rig.cycles(2 * maxFailedTrials);
  assert.is(rig.running(), '1+1 1+1 1');
  return rig;
}

for (const ecuId of ['pump', 'display']) {
  test(`INS-12: what ${ecuId} has given up is not fetched again, and keeps no other ECU of its step`, async () => {
    const rig = await withGivenUp(ecuId);
    const { downloaded } = rig;
    rig.assign(
      [
        { ecuId, release: 2 },
        { ecuId: 'engine', release: 2 },
        { ecuId: 'brakes', release: 2, step: 1 },
      ],
      { onFailure: bundleFailures.retry, attempts: 2 },
    );
    await rig.cycles(4);
    assert.is(rig.running(), '1+1 1+1 2', 'a later step may need it');
    assert.is(rig.downloaded - downloaded, 2 * (12_345 + 56 + 16), 'the two others, once');
    assert.ok(rig.reported(ecuId).concat(rig.reported('gateway')).includes('update-given-up'));
    rig.failing[ecuId] = undefined;
    rig.assign([{ ecuId, release: 3 }]);
    await rig.cycles(4);
    const fixed = ecuId === 'pump' ? '1+1 2+3 2' : '1+3 2+1 2';
    assert.is(rig.running(), fixed, 'a new release is installed, then the later step');
  });
}

for (const onFailure of [bundleFailures.stop, bundleFailures['two-phase']]) {
  test(`INS-12, DBP-18: an image given up fails a bundle of policy ${onFailure}, and is told`, async () => {
    const rig = await withGivenUp('pump');
    rig.assign(
      [
        { ecuId: 'pump', release: 2 },
        { ecuId: 'engine', release: 2 },
      ],
      { onFailure, attempts: 2 },
    );
    const asked = rig.links.engine.asked.length;
    const refusal = await rig.cycle();
    assert.is(refusal?.refused, 'update-given-up');
    await rig.cycles(2);
    assert.is(rig.running(), '1+1 1+1 1');
    const requests = rig.links.engine.asked.slice(asked);
    assert.not.ok(requests.some((request) => request.startsWith('prepare')));
    // Time and metadata are every ECU's, whatever becomes of the bundle.
    assert.is(requests.filter((request) => request === 'checkTime').length, 3);
    assert.ok(requests.includes('startVerification'));
    assert.ok(rig.reported('pump').includes('update-given-up'));
  });
}

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
