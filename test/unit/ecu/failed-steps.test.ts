/** Whatever step of an installation fails, the next version report says so (Uptane §5.4.3). */
import './agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { settleTrials } from '../../../agent/ecu/start-up.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { now } from '../../simulator/repository-simulator.ts';
import { ecuId } from './ecu-rig.ts';
import { ready, reportOf, resume, send, verify } from './session-steps.ts';

const test = suite('Failed steps');

function detections(session: UpdateSession): string[] {
  return reportOf(session).detections.map(({ code, row }) => `${code} ${row}`);
}

test('INS-03, INS-04: metadata that fails ends in the report, and nothing is offered', () => {
  const { rig, session, keyObject } = ready();
  rig.sim.director.snapshot.version += 1; // not the Snapshot of any Timestamp that was signed before
  rig.sim.director.overrides['timestamp.cbor'] = rig.sim.director.timestampFile();
  rig.sim.director.snapshot.expires += 1;
  assert.is(verify(rig, session).refusal?.code, 'snapshot-mismatch');
  assert.ok(isRefusal(session.prepare(ecuId, keyObject)));
  assert.ok(detections(session).includes('snapshot-mismatch CSN-02'));
});

test('INS-11: a download that fails ends in the report', () => {
  const { rig, session, keyObject } = ready();
  verify(rig, session);
  const wrong = keyObject.slice(1);
  assert.ok(isRefusal(session.prepare(ecuId, wrong)));
  assert.equal(detections(session), ['key-object-hash CUS-05']);
});

test('INS-11, VIM-11: an image that fails ends in the report, and is never activated', () => {
  const { rig, session, keyObject } = ready();
  verify(rig, session);
  session.prepare(ecuId, keyObject);
  const altered = rig.update.ciphertext.slice();
  altered[altered.length - 1]! ^= 1;
  assert.ok(isRefusal(session.write(altered) ?? session.finish()));
  assert.ok(isRefusal(session.activate(ecuId)));
  assert.is(detections(session)[0], 'image-chunk VIM-06');
  assert.is(reportOf(session).installed.releaseCounter, 1);
});

test('VIM-08, VIM-09: an image that ends early is not taken for whole', () => {
  const { rig, session, keyObject } = ready();
  verify(rig, session);
  session.prepare(ecuId, keyObject);
  assert.is(session.write(rig.update.ciphertext.subarray(0, 20_000)), undefined);
  assert.ok(isRefusal(session.finish()));
  assert.ok(isRefusal(session.activate(ecuId)));
  assert.is(detections(session)[0], 'image-truncated VIM-09');
});

test('INS-07: only the ECU that verified Targets name is installed, under its listed name', () => {
  const { rig, session, keyObject } = ready();
  const step = verify(rig, session);
  assert.equal(step.assignments, [[ecuId, rig.update.request.filename]]);
  for (const other of ['ecu-2', '']) {
    const outcome = session.prepare(other, keyObject);
    assert.is(isRefusal(outcome) && outcome.refused, 'install-out-of-order', other);
  }
  assert.is(session.prepare(ecuId, keyObject), 0);
});

test('VIM-01: an ECU takes no entry of another ECU, whoever hands it over', () => {
  const { rig, keyObject } = ready();
  const state = rig.start();
  const listed = rig.sim.director.targets.targets[0]!;
  const ecu = state.ecus[0]!;
  const { assignment, ...unassigned } = listed;
  const others = [unassigned, { ...listed, assignment: { ...assignment!, ecuId: 'ecu-2' } }];
  for (const other of others) {
    const outcome = ecu.prepare(other, keyObject);
    assert.is(isRefusal(outcome) && outcome.refused, 'install-out-of-order');
  }
  assert.is(ecu.prepare(listed, keyObject), 0);
});

test('INS-14: after an installation the report names the new image, signed and counted on', () => {
  const { rig, session, keyObject } = ready();
  const before = reportOf(session);
  verify(rig, session);
  send(rig, session, keyObject);
  assert.is(session.activate(ecuId), undefined);
  const after = reportOf(new UpdateSession(rig.start()));
  assert.is(after.installed.filename, rig.update.request.filename);
  assert.is(after.installed.releaseCounter, 2);
  assert.ok(after.counter > before.counter);
});

test('HRD-15: after a restart an installation goes on only over metadata verified again', () => {
  const { rig, session, keyObject } = ready();
  verify(rig, session);
  session.prepare(ecuId, keyObject);
  session.write(rig.update.ciphertext.subarray(0, 35_000));
  const stored = rig.keyValue.values.get('director/1.root')!;
  const again = resume(rig);
  assert.ok(isRefusal(again.prepare(ecuId, keyObject)), 'not before verification');
  stored[stored.length - 1]! ^= 1;
  assert.is(verify(rig, again).refusal?.code, 'metadata-not-stored');
  assert.ok(isRefusal(again.prepare(ecuId, keyObject)), 'nor over metadata that was changed');
  stored[stored.length - 1]! ^= 1;
  assert.is(verify(rig, again).assignments?.length, 1);
  assert.type(again.prepare(ecuId, keyObject), 'number');
});

test('HRD-15: an image that is pending is confirmed, though its metadata expired meanwhile', () => {
  const { rig, session, keyObject } = ready();
  verify(rig, session);
  send(rig, session, keyObject);
  assert.is(session.activate(ecuId), undefined);
  const state = rig.start();
  const later = new UpdateSession(state);
  assert.is(later.checkTime(rig.attest(later.newNonce(), now + 365 * 86_400)), undefined);
  assert.is(verify(rig, later).refusal?.code, 'metadata-expired');
  const status = state.ecus[0]!.boot.status();
  assert.is(status.pending, status.active, 'on trial');
  state.ecus[0]!.boot.confirm();
  assert.is(reportOf(later).installed.releaseCounter, 2);
  settleTrials(rig.start());
  assert.is(reportOf(new UpdateSession(rig.start())).installed.releaseCounter, 2, 'for good');
});

test.run();
