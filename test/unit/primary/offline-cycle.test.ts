/** Offline updates on a whole vehicle: no repository answers, a medium is plugged in (PURE-2). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { OfflineCycle } from '../../../agent/primary/offline-cycle.ts';
import type { Medium } from '../../../hal/types.ts';
import { now } from '../../simulator/repository-simulator.ts';
import { makeImage } from '../install/rig.ts';
import { type AgentName, VehicleRig } from './vehicle-rig.ts';

const test = suite('Offline updates of a vehicle');
const agents = ['primary', 'full', 'partial'] as const;
const bytes = { primary: 41_000, full: 42_000, partial: 43_000 } as const;

function campaign(
  on: readonly AgentName[] = agents,
  provisioned: number | undefined = now - 1_000,
) {
  const rig = new VehicleRig(provisioned);
  rig.offline = true;
  for (const name of on) rig.addToCampaign(name, makeImage(`app-2-${name}`, bytes[name], 2));
  rig.plugIn();
  return rig;
}

async function refusedWith(rig: VehicleRig, code: string, row: string) {
  const refusal = await new OfflineCycle(rig.context()).run();
  assert.ok(isRefusal(refusal), 'taken');
  assert.is(`${refusal!.refused} ${refusal!.row}`, `${code} ${row}`, refusal!.detail);
  assert.equal(rig.releases(), { primary: 1, full: 1, partial: 1 });
}

test('OFF-04, OFF-06, HRD-03: Primary, full and partial Secondary are updated from a medium alone', async () => {
  const rig = campaign();
  const cycle = new OfflineCycle(rig.context());
  assert.is(await cycle.run(), undefined);
  assert.is(rig.ecus.primary.reboots, 1);
  rig.restart();
  assert.equal(rig.releases(), { primary: 2, full: 2, partial: 2 });
  // HRD-03: expiry was judged by the time of provisioning, and the next manifest says so
  assert.equal(rig.detections('primary'), ['time-silent HRD-03']);
  const again = new OfflineCycle(rig.context());
  assert.is(await again.run(), undefined);
  assert.equal(rig.releases(), { primary: 2, full: 2, partial: 2 });
  assert.is(rig.manifests, 0);
});

test('OFF-04: with a time attested since the start nothing is to be told', async () => {
  const rig = campaign(['full']);
  rig.offline = false;
  assert.is(await rig.cycle(), undefined);
  rig.offline = true;
  assert.is(await new OfflineCycle(rig.context()).run(), undefined);
  assert.equal(rig.releases(), { primary: 1, full: 2, partial: 1 });
  assert.equal(rig.detections('primary'), []);
});

test('HRD-03, OFF-04: an ECU that knows no time at all takes nothing from a medium', async () => {
  const rig = campaign(['full'], 0);
  await refusedWith(rig, 'time-unknown', 'HRD-03');
  assert.equal(rig.detections('primary'), ['time-unknown HRD-03']);
});

test('OFF-04: a Secondary judges the medium itself, by its own time', async () => {
  const rig = campaign(['full']);
  rig.campaign.campaign.expires = now + 500;
  rig.plugIn();
  const { time } = rig.state('full');
  assert.ok(time.latest() < now);
  rig.offline = false;
  await rig.cycle(); // attested on all: now
  rig.offline = true;
  rig.pass(400);
  assert.is(await new OfflineCycle(rig.context()).run(), undefined);
  const late = campaign(['full']);
  late.campaign.campaign.expires = now - 1_000;
  late.plugIn();
  await refusedWith(late, 'metadata-expired', 'OFF-04');
});

test('OFF-03: a medium pulled out in mid-transfer is no attack, and the image goes on where it was', async () => {
  const whole = campaign(['full']);
  const cycle = new OfflineCycle(whole.context());
  let reads = 0;
  whole.readsLeft = 1_000;
  await cycle.run();
  reads = 1_000 - whole.readsLeft;
  let resumed = 0;
  for (let left = 1; left < reads; left++) {
    const rig = campaign(['full']);
    rig.readsLeft = left;
    const first = new OfflineCycle(rig.context());
    const refusal = await first.run();
    if (refusal !== undefined) assert.is(refusal.refused, 'medium-removed', `after ${left} reads`);
    assert.equal(rig.releases(), { primary: 1, full: 1, partial: 1 });
    for (const name of agents) {
      const told = rig.detections(name).filter((one) => one !== 'time-silent HRD-03');
      assert.equal(told, [], `${name} after ${left} reads`);
    }
    rig.readsLeft = Number.POSITIVE_INFINITY;
    if (left % 2 === 0) rig.restart(); // with a power loss too
    rig.pluggedIn = true;
    const before = rig.ecus.primary.lines.length;
    assert.is(await new OfflineCycle(rig.context()).run(), undefined);
    assert.equal(rig.releases(), { primary: 1, full: 2, partial: 1 });
    const progress = rig.ecus.primary.lines
      .slice(before)
      .filter((one) => /stage=download/.test(one));
    const firstBytes = Number(/bytes=(\d+)/.exec(progress[0] ?? 'bytes=99999')![1]);
    if (firstBytes > 16_384) resumed += 1;
  }
  assert.ok(resumed > 0, 'no transfer was resumed');
});

test('OFF-03, INS-09: files that are not on the medium, of another length, or damaged', async () => {
  const paths = (rig: VehicleRig) => [...rig.files.keys()];
  const missingKey = campaign(['full']);
  missingKey.files.delete(paths(missingKey).find((path) => path.startsWith('keys/'))!);
  await refusedWith(missingKey, 'key-object-hash', 'CUS-05');
  const missingImage = campaign(['full']);
  missingImage.files.delete(paths(missingImage).find((path) => path.startsWith('targets/'))!);
  await refusedWith(missingImage, 'metadata-absent', 'OFF-03');
  const truncated = campaign(['full']);
  const image = paths(truncated).find((path) => path.startsWith('targets/'))!;
  truncated.files.set(image, truncated.files.get(image)!.subarray(0, -1));
  await refusedWith(truncated, 'image-length', 'VIM-09');
  for (const [prefix, code, row] of [
    ['targets/', 'image-hash', 'PRI-09'],
    ['keys/', 'key-object-hash', 'CUS-05'],
  ] as const) {
    const corrupt = campaign(['full']);
    const path = paths(corrupt).find((one) => one.startsWith(prefix))!;
    const file = corrupt.files.get(path)!.slice();
    file[100]! ^= 1;
    corrupt.files.set(path, file);
    await refusedWith(corrupt, code, row);
  }
});

test('ECU-05: a file that changed since the Primary verified it is handed to nobody', async () => {
  const rig = campaign(['full']);
  const medium = rig.state('primary').hal.medium as { read: Medium['read'] };
  const read = medium.read.bind(medium);
  let reads = 0;
  medium.read = (path, buffer, offset) => {
    const good = read(path, buffer, offset);
    if (path === 'director/offline-targets.cbor') reads += 1;
    if (reads === 3) buffer[buffer.length - 1]! ^= 1; // found, verified, and now handed over
    return good;
  };
  await refusedWith(rig, 'medium-removed', 'OFF-03');
  assert.equal(rig.detections('full'), []);
});

test('OFF-04: a refused medium is reported once, and stands until another one comes', async () => {
  const rig = campaign(['full']);
  rig.sim.director.signers['offline-targets'] = rig.sim.director.signers.targets;
  rig.plugIn();
  const cycle = new OfflineCycle(rig.context());
  assert.is((await cycle.run())?.refused, 'signature-threshold');
  assert.equal(rig.detections('primary'), ['signature-threshold OFF-04']);
  assert.is(await cycle.run(), undefined);
  rig.pluggedIn = false;
  assert.is(await cycle.run(), undefined);
  rig.pluggedIn = true;
  assert.is((await cycle.run())?.refused, 'signature-threshold');
});

test('OFF-04: an older bundle is refused after a newer one was seen, on a medium or online (OFF-05)', async () => {
  for (const online of [true, false]) {
    const rig = campaign(['full']);
    const old = campaign(['full']);
    old.plugIn();
    const kept = ['director/offline-snapshot.cbor', 'director/offline-targets.cbor'] as const;
    const files = kept.map((path) => {
      const [, name] = path.split('/');
      return rig.campaign.fetch({ repository: 'director', name: name!, maxBytes: 0 });
    });
    rig.campaign.release();
    if (online) {
      rig.offline = false;
      assert.is(await rig.cycle(), undefined);
      rig.offline = true;
    } else {
      rig.campaign.campaign.targets = [];
      rig.campaign.campaign.assignments = [];
      rig.addToCampaign('partial', makeImage('app-2-partial', bytes.partial, 2));
      rig.plugIn();
      assert.is(await new OfflineCycle(rig.context()).run(), undefined);
    }
    kept.forEach((path, i) => {
      rig.campaign.overrides[path] = files[i];
    });
    rig.plugIn();
    const refusal = await new OfflineCycle(rig.context()).run();
    assert.is(`${refusal?.refused} ${refusal?.row}`, 'targets-version-mismatch OFF-04');
  }
});

test('OFF-05: a rollback of the Offline Snapshot ends an online cycle, a bad signature does not', async () => {
  const rig = new VehicleRig();
  const { campaign: medium, sim } = rig;
  rig.addToCampaign('full', makeImage('app-2-full', bytes.full, 2));
  medium.snapshot.version = 5;
  assert.is(await rig.cycle(), undefined);
  medium.snapshot.version = 4;
  const refusal = await rig.cycle();
  assert.is(`${refusal?.refused} ${refusal?.row}`, 'metadata-rollback OFF-05');
  const said = /^refused ecu=ecu-1 code=metadata-rollback row=OFF-05 attack=rollback/;
  assert.ok(rig.ecus.primary.lines.some((line) => said.test(line)));
  medium.snapshot.version = 6;
  const own = sim.director.signers['offline-snapshot'];
  sim.director.signers['offline-snapshot'] = sim.director.signers.snapshot;
  assert.is(await rig.cycle(), undefined);
  assert.ok(rig.ecus.primary.lines.some((line) => /^offline-snapshot code=signature-/.test(line)));
  sim.director.signers['offline-snapshot'] = own;
  medium.overrides['director/offline-snapshot.cbor'] = undefined;
  assert.is(await rig.cycle(), undefined);
});

test.run();
