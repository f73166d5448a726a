/** DBP-18: all ECUs of a bundle confirm together, or all go back, whatever is cut in between. */
import '../ecu/agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bundleFailures } from '../../../agent/metadata/targets.ts';
import { type Assignment, BundleRig } from './bundle-rig.ts';

const test = suite('Two-phase bundle');

const everywhere: readonly Assignment[] = ['gateway', 'display', 'brakes', 'pump', 'engine'].map(
  (ecuId) => ({ ecuId, release: 2 }),
);
const secondariesOnly = everywhere.slice(2);
const old = '1+1 1+1 1';
const updated = '2+2 2+2 2';

function twoPhase(assignments: readonly Assignment[], attempts = 1): BundleRig {
  const rig = new BundleRig();
  rig.assign(assignments, { onFailure: bundleFailures['two-phase'], attempts });
  return rig;
}

test('no ECU confirms before all have passed; the Primary decides after its own restart', async () => {
  const rig = twoPhase(everywhere);
  const seen: string[] = [];
  for (const link of [rig.links.brakes, rig.links.engine]) {
    link.before = (request) => {
      if (/^(activate|commit|reset)/.test(request)) seen.push(`${request}: ${rig.running()}`);
    };
  }
  await rig.cycle();
  assert.is(rig.running(), '2!+2! 2!+2! 2!', 'all on held trials');
  await rig.cycle();
  assert.is(rig.running(), updated);
  assert.equal(seen, [
    'activate brakes: 1+1 1+1 1',
    'activate pump: 1+1 1!+1 1',
    'reset: 1+1 1!+1! 1',
    'activate engine: 1+1 2!+2! 1',
    'reset: 1+1 2!+2! 1!',
    'commit brakes: 2!+2! 2!+2! 2!',
    'commit pump: 2!+2! 2+2! 2!',
    'commit engine: 2!+2! 2+2 2!',
  ]);
  for (const ecu of rig.agents)
    assert.ok(ecu.state.ecus.every((one) => one.boot.status().counter === 2));
  assert.equal(
    rig.manifests.at(-1)!.reports.flatMap(({ detections }) => detections),
    [],
  );
});

for (const failing of ['gateway', 'display', 'brakes', 'pump', 'engine']) {
  test(`when ${failing} fails its trial, all others return, and the report says so`, async () => {
    const rig = twoPhase(everywhere);
    rig.failing[failing] = 2;
    await rig.cycles(3);
    assert.is(rig.running(), old);
    assert.ok(rig.reported(failing).includes('self-test-failed'), rig.reported(failing).join());
    assert.ok(rig.reported('gateway').includes('trial-rolled-back'));
    const withdrawn = everywhere.filter(({ ecuId }) =>
      rig.reported(ecuId).includes('bundle-rolled-back'),
    );
    assert.not.ok(withdrawn.some(({ ecuId }) => ecuId === failing));
    // Brakes and pump are one agent and begin first: all that had begun has returned.
    const begun = ['brakes', 'pump', 'engine', 'gateway', 'display'].slice(0, -1);
    if (failing === 'display')
      assert.equal(withdrawn.map(({ ecuId }) => ecuId).sort(), begun.sort());
    for (const ecu of rig.agents) {
      for (const one of ecu.state.ecus) assert.is(one.boot.status().counter, 1);
    }
    // Stopped: later cycles begin nothing.
    const starts = rig.agents.map((ecu) => ecu.starts);
    await rig.cycles(2);
    assert.equal(
      rig.agents.map((ecu) => ecu.starts),
      starts,
    );
  });
}

test('a withdrawn image is no failed one: a second round may succeed', async () => {
  const rig = twoPhase(everywhere, 2);
  rig.failing['engine'] = 2;
  await rig.cycle();
  assert.is(rig.running(), old);
  rig.failing['engine'] = undefined;
  await rig.cycles(3);
  assert.is(rig.running(), updated);
  assert.is(rig.brakes.state.ecus[0]!.boot.status().failedTrials, undefined);
});

test('while one ECU does not answer, no other begins', async () => {
  const rig = twoPhase(everywhere);
  rig.links.engine.down = true;
  await rig.cycles(2);
  assert.is(rig.running(), old);
  assert.not.ok(rig.links.brakes.asked.includes('prepare brakes'));
  assert.equal(rig.manifests.at(-1)!.absent, [{ ecuId: 'engine', code: 'secondary-silent' }]);
  rig.links.engine.down = false;
  await rig.cycles(3);
  assert.is(rig.running(), updated);
});

test('an ECU that restarts on a held trial has to pass again, and still waits for the word', async () => {
  const rig = twoPhase(everywhere);
  await rig.cycle();
  for (let i = 0; i < 3; i++) rig.engine.restart();
  assert.is(rig.running(), '2!+2! 2!+2! 2!');
  await rig.cycle();
  assert.is(rig.running(), updated);
});

test('an ECU that is away when all is decided learns it when it is back', async () => {
  const rig = twoPhase(everywhere);
  await rig.cycle();
  rig.links.engine.down = true;
  await rig.cycles(2);
  assert.is(rig.running(), '2+2 2+2 2!');
  rig.restartPrimary();
  rig.engine.restart();
  rig.links.engine.down = false;
  await rig.cycle();
  assert.is(rig.running(), updated);
});

test('an ECU that does not come back from its restart makes all return, itself later', async () => {
  const rig = twoPhase(everywhere);
  rig.links.engine.before = (request) => {
    if (request === 'status' && rig.engine.starts > 1) rig.links.engine.down = true;
  };
  await rig.cycles(2);
  assert.is(rig.running(), '1+1 1+1 2!');
  rig.links.engine.before = () => {};
  rig.links.engine.down = false;
  await rig.cycle();
  assert.is(rig.running(), old);
});

test('a Secondary that restarts before any request goes on at once, and no round is counted', async () => {
  const clean = twoPhase(everywhere);
  await clean.cycles(2);
  const requests = clean.links.brakes.asked;
  for (let at = 0; at < requests.length; at++) {
    const rig = twoPhase(everywhere);
    let asked = 0;
    rig.links.brakes.before = () => {
      if (asked++ === at) rig.brakes.restart();
    };
    await rig.cycles(3);
    assert.is(rig.running(), updated, `restart before request ${at}, ${requests[at]}`);
    assert.ok(asked > at);
  }
  assert.ok(requests.length > 20, requests.join());
});

test('the power of the Primary cut before every other request: all end alike, and nothing stays on trial', async () => {
  // Count the requests of a clean run, then cut before every other of them.
  const clean = twoPhase(everywhere);
  let requests = 0;
  const count = () => void requests++;
  clean.links.brakes.before = count;
  clean.links.engine.before = count;
  await clean.cycles(2);
  assert.is(clean.running(), updated);
  for (let cutAt = 1; cutAt <= requests; cutAt += 2) {
    const rig = twoPhase(everywhere);
    let asked = 0;
    let fired = 0;
    const cut = (): void => {
      asked += 1;
      if (asked === cutAt) {
        fired += 1;
        throw new PowerOff();
      }
    };
    rig.links.brakes.before = cut;
    rig.links.engine.before = cut;
    for (let i = 0; i < 2; i++) {
      try {
        await rig.cycle();
      } catch (error) {
        if (!(error instanceof PowerOff)) throw error;
        rig.restartPrimary();
      }
    }
    assert.is(fired, 1, `cut ${cutAt} fired`);
    await rig.cycles(4);
    assert.is(rig.running(), updated, `cut before request ${cutAt}`);
  }
  assert.ok(requests > 40, `${requests} points`);
});

test('the power of the Primary cut at any change of its key-value store', async () => {
  const clean = twoPhase(secondariesOnly);
  const first = clean.primary.keyValue.changes;
  await clean.cycles(2);
  const changes = clean.primary.keyValue.changes - first;
  assert.is(clean.running(), '1+1 2+2 2');
  for (let cutAt = 0; cutAt < changes; cutAt++) {
    const rig = twoPhase(secondariesOnly);
    const { keyValue } = rig.primary;
    keyValue.failAfter = keyValue.changes + cutAt;
    let fired = 0;
    for (let i = 0; i < 2; i++) {
      try {
        await rig.cycle();
      } catch {
        fired += 1;
        keyValue.failAfter = Number.POSITIVE_INFINITY;
        rig.restartPrimary();
      }
    }
    assert.is(fired, 1, `cut ${cutAt} fired`);
    await rig.cycles(3);
    assert.is(rig.running(), '1+1 2+2 2', `cut at change ${cutAt}`);
  }
  assert.ok(changes > 20, `${changes} points`);
});

class PowerOff extends Error {}

test.run();
