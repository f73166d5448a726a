/** ECU-03, ECU-04 on the bus: what a Secondary pulls through the Primary may not drip. */
import './agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { PullRate } from '../../../agent/ecu/pull-rate.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { minimumBytesPerSecond, slowWindowMilliseconds } from '../../../agent/limits.ts';
import { repositoryName } from '../../../agent/metadata/common.ts';
import { report } from '../../../agent/metadata/report.ts';
import { BusVehicle } from '../../simulator/bus-vehicle.ts';
import { VirtualClock } from '../../simulator/virtual-clock.ts';
import { EcuRig, ecuId } from './ecu-rig.ts';

const test = suite('Slow retrieval on the bus');
const window = slowWindowMilliseconds;
const least = (minimumBytesPerSecond * window) / 1000;
const slowRetrieval = { code: 'net-too-slow', row: 'ECU-03', attack: 'slow-retrieval' };

function detections(session: UpdateSession): unknown {
  const envelope = decodeEnvelope(session.reports()[0]!, 8_192);
  if (isRefusal(envelope)) throw new Error(envelope.detail);
  const payload = decode(report, envelope.payload, 8_192);
  if (isRefusal(payload)) throw new Error(payload.detail);
  return payload.detections;
}

/** A session whose image was prepared, on a clock that the test moves. */
function installing() {
  const clock = new VirtualClock();
  const rig = new EcuRig({ hal: { clock } });
  const keyObject = rig.publish();
  const session = new UpdateSession(rig.start());
  session.checkTime(rig.attest(session.newNonce()));
  let step = session.startVerification();
  while (step.ask !== undefined) {
    const { repository, name, maxBytes } = step.ask;
    const ask = { repository: repositoryName(repository), name, maxBytes };
    step = session.supplyFile(rig.sim.fetch(ask));
  }
  assert.is(session.prepare(ecuId, keyObject), 0);
  session.startPull();
  return { clock, session, keyObject, ciphertext: rig.update.ciphertext };
}

test('ECU-03: the minimum rate passes, one byte less does not, and only whole windows are judged', () => {
  for (const [bytes, slow] of [
    [least, false],
    [least - 1, true],
  ] as const) {
    const rate = new PullRate(1_000);
    rate.moved(bytes);
    assert.is(rate.tooSlow(1_000 + window - 1), false);
    assert.is(rate.tooSlow(1_000 + window), slow);
  }
});

test('ECU-03: a pause before the bytes is forgiven once', () => {
  const rate = new PullRate(0, window);
  assert.not.ok(rate.tooSlow(window));
  assert.ok(rate.tooSlow(2 * window));
});

test('ECU-03: a longer time has to move more, and a new window begins with nothing', () => {
  const rate = new PullRate(0);
  rate.moved(2 * least - 1);
  assert.ok(rate.tooSlow(2 * window));
  rate.moved(least);
  assert.not.ok(rate.tooSlow(3 * window));
  assert.ok(rate.tooSlow(4 * window));
});

test('ECU-03, ECU-04: an image that drips is given up, and the report names the attack', () => {
  const { clock, session, keyObject, ciphertext } = installing();
  assert.is(session.write(ciphertext.subarray(0, 56)), undefined);
  clock.now += window;
  session.heard();
  assert.is(session.expected(), undefined);
  assert.is((session.write(ciphertext.subarray(56)) as Refusal).refused, 'install-out-of-order');
  assert.equal(detections(session), [slowRetrieval]);
  assert.is(session.prepare(ecuId, keyObject), 0, 'and may be tried again');
});

test('an image in time, and one whose Primary is silent, are no slow retrieval', () => {
  const { clock, session, ciphertext } = installing();
  session.write(ciphertext.subarray(0, 20_000));
  clock.now += window;
  session.heard();
  // Nobody is heard any more: the session's timeout ends it, without an attack's name.
  clock.now += 10 * window;
  session.suspend();
  assert.equal(detections(session), []);
});

test('ECU-03: a file of metadata that drips is refused', () => {
  const clock = new VirtualClock();
  const rig = new EcuRig({ hal: { clock } });
  rig.publish();
  const session = new UpdateSession(rig.start());
  session.checkTime(rig.attest(session.newNonce()));
  let step = session.startVerification();
  while (step.ask !== undefined) {
    const { repository, name, maxBytes } = step.ask;
    clock.now += 10 * window;
    const ask = { repository: repositoryName(repository), name, maxBytes };
    step = session.supplyFile(rig.sim.fetch(ask));
  }
  assert.is(step.refusal?.code, 'net-too-slow');
  assert.equal(detections(session), [slowRetrieval]);
});

test('ECU-03: a Primary that keeps the session but sends a few bytes a second is stopped', async () => {
  const rates = { nominal: 500_000, data: 2_000_000 };
  const vehicle = new BusVehicle({ rates, flexibleData: true, imageBytes: 100_000 });
  const { client, clock, ecu } = vehicle;
  assert.is(await vehicle.run(vehicle.verify()), undefined);
  assert.is(await vehicle.run(vehicle.prepare()), 0);
  const { ciphertext } = ecu.update;
  let due = true;
  const ended = new Promise<Uint8Array | Refusal>((onDone) => {
    const request = { dataFormat: 1, address: 0, size: ciphertext.length };
    const transfer = client.download(request, {
      read: (into, offset) => {
        if (!due) {
          clock.after(1_000, () => {
            due = true;
            transfer.resume();
          });
          return 0;
        }
        due = false;
        const piece = into.subarray(0, 100);
        piece.set(ciphertext.subarray(offset, offset + piece.length));
        return piece.length;
      },
      onDone,
    });
  });
  const outcome = await vehicle.run(ended);
  assert.ok(isRefusal(outcome));
  assert.ok(clock.now < 3 * window, `${clock.now} ms`);
  const line = ecu.lines.find((one) => one.startsWith('refused'));
  assert.match(line ?? '', 'code=net-too-slow row=ECU-03 attack=slow-retrieval');
});

test.run();
