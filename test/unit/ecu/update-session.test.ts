/** A Secondary's session: order, refusals in the report, installation to confirmation. */
import './agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attackOf, isRefusal, type Refusal } from '../../../agent/codes.ts';
import { settleTrials } from '../../../agent/ecu/start-up.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { now } from '../../simulator/repository-simulator.ts';
import { EcuRig, ecuId } from './ecu-rig.ts';
import { ready, reportOf, send, verify } from './session-steps.ts';

const test = suite('Update session');

function expectRefusal(outcome: unknown, code: string): Refusal {
  assert.ok(isRefusal(outcome), 'refused');
  assert.is((outcome as Refusal).refused, code);
  return outcome as Refusal;
}

test('INS-01, ECU-01: nothing is installed before metadata was verified', () => {
  const { session, keyObject } = ready();
  expectRefusal(session.prepare(ecuId, keyObject), 'install-out-of-order');
  expectRefusal(session.write(new Uint8Array(56)), 'install-out-of-order');
  expectRefusal(session.finish(), 'install-out-of-order');
  expectRefusal(session.activate(ecuId), 'install-out-of-order');
  assert.is(session.supplyFile(undefined).refusal?.code, 'install-out-of-order');
});

test('DBP-18: trials are committed and withdrawn for ECUs of this agent only', () => {
  const { session } = ready();
  expectRefusal(session.commitTrial('pump-of-another'), 'ecu-unknown');
  expectRefusal(session.withdrawTrial('pump-of-another'), 'ecu-unknown');
  expectRefusal(session.commitTrial(ecuId), 'install-out-of-order');
  expectRefusal(session.withdrawTrial(ecuId), 'install-out-of-order');
});

test('HRD-03, ECU-02: without attested time no metadata is judged', () => {
  const rig = new EcuRig();
  rig.publish();
  const session = new UpdateSession(rig.start());
  assert.is(verify(rig, session).refusal?.code, 'time-unknown');
});

test('HRD-03, FV-01, PV-01: a nonce counts once, and only the last one', () => {
  const rig = new EcuRig();
  const session = new UpdateSession(rig.start());
  const old = session.newNonce();
  const fresh = session.newNonce();
  expectRefusal(session.checkTime(rig.attest(old)), 'time-nonce');
  expectRefusal(session.checkTime(rig.attest(fresh)), 'time-nonce');
});

test('HRD-03: an ECU that restarted after it had asked names no attack; it asks again', () => {
  const rig = new EcuRig();
  const attestation = rig.attest(new UpdateSession(rig.start()).newNonce());
  const state = rig.start();
  const session = new UpdateSession(state);
  const refusal = expectRefusal(session.checkTime(attestation), 'time-unasked');
  assert.is(attackOf(refusal), undefined);
  assert.is(state.time.now(), 0, 'nothing is accepted that was not asked for');
  assert.equal(reportOf(session).detections, []);
  assert.is(session.checkTime(rig.attest(session.newNonce())), undefined);
});

test('HRD-03, TIM-04: a time of the past is named freeze, also right after a restart', () => {
  const rig = new EcuRig();
  const first = new UpdateSession(rig.start());
  const replayed = rig.attest(first.newNonce());
  const later = new UpdateSession(rig.start());
  assert.is(later.checkTime(rig.attest(later.newNonce(), now + 120)), undefined);
  const session = new UpdateSession(rig.start());
  const refusal = expectRefusal(session.checkTime(replayed), 'time-backwards');
  assert.is(attackOf(refusal), 'freeze');
  assert.equal(
    reportOf(session).detections.map(({ code, attack }) => [code, attack]),
    [['time-backwards', 'freeze']],
  );
  session.newNonce();
  assert.is(attackOf(expectRefusal(session.checkTime(replayed), 'time-nonce')), 'freeze');
});

test('INS-04, EVR-04: a refusal stands in the next report until it is acknowledged', () => {
  const { rig, session } = ready();
  rig.sim.director.expire('timestamp', 1);
  rig.sim.director.timestamp.version += 1;
  assert.is(verify(rig, session).refusal?.code, 'metadata-expired');
  const first = reportOf(session);
  assert.equal(first.detections, [{ code: 'metadata-expired', row: 'CTS-04', attack: 'freeze' }]);
  const second = reportOf(session);
  assert.is(second.counter, first.counter + 1, 'EVR-06');
  assert.is(second.detections.length, 1, 'said again: nobody has confirmed it');
  session.acknowledge([[ecuId, second.counter]]);
  assert.equal(reportOf(session).detections, []);
});

test('CUS-05: a key object other than the listed one is refused', () => {
  const { rig, session, keyObject } = ready();
  assert.is(verify(rig, session).assignments?.length, 1);
  const other = keyObject.slice();
  other[other.length - 1]! ^= 1;
  expectRefusal(session.prepare(ecuId, other), 'key-object-hash');
});

test('VIM-06: a key object for another ECU does not open', () => {
  const { rig, session } = ready();
  const foreign = new EcuRig().publish();
  const { assignment } = rig.sim.director.targets.targets[0]!;
  rig.sim.director.targets.targets = [
    {
      ...rig.sim.director.targets.targets[0]!,
      assignment: {
        ...assignment!,
        keyObjectSha256: rig.start().hal.crypto.digest('SHA-256', foreign),
        keyObjectLength: foreign.length,
      },
    },
  ];
  rig.sim.director.release();
  assert.is(verify(rig, session).assignments?.length, 1);
  expectRefusal(session.prepare(ecuId, foreign), 'key-object-unwrap');
});

function install(rig: EcuRig, session: UpdateSession, keyObject: Uint8Array): void {
  verify(rig, session);
  send(rig, session, keyObject);
  assert.is(session.activate(ecuId), undefined);
}

test('a trial whose self-test fails is given up, and the report says so (INS-12, INS-13)', () => {
  const { rig, session, keyObject } = ready();
  install(rig, session, keyObject);
  // The running program is release 1 while the boot block names release 2: a failed self-test.
  settleTrials(rig.start());
  assert.is(rig.reboots, 1);
  const state = rig.start();
  settleTrials(state);
  const after = reportOf(new UpdateSession(state));
  assert.is(after.installed.releaseCounter, 1, 'the old image runs');
  const codes = after.detections.map((one) => one.code);
  assert.ok(codes.includes('self-test-failed'), codes.join());
});

test('an interrupted installation goes on at the last recorded chunk (INS-05)', () => {
  const { rig, session, keyObject } = ready();
  verify(rig, session);
  session.prepare(ecuId, keyObject);
  session.write(rig.update.ciphertext.subarray(0, 35_000));
  const again = new UpdateSession(rig.start());
  again.checkTime(rig.attest(again.newNonce()));
  verify(rig, again);
  const offset = again.prepare(ecuId, keyObject);
  assert.type(offset, 'number');
  again.write(rig.update.ciphertext.subarray(offset as number));
  assert.is(again.finish(), undefined);
});

test('VIM-08: a changed ciphertext is never activated', () => {
  const { rig, session, keyObject } = ready();
  verify(rig, session);
  session.prepare(ecuId, keyObject);
  const changed = rig.update.ciphertext.slice();
  changed[20_000]! ^= 1;
  expectRefusal(session.write(changed), 'image-chunk');
  expectRefusal(session.activate(ecuId), 'install-out-of-order');
  assert.equal(reportOf(session).detections[0]?.attack, 'tampered-image');
});

test.run();
