/** Trials end one way or the other: confirmed, or given up and told with their reason. */
import './agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { type EcuState, settleTrials } from '../../../agent/ecu/start-up.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { maxFailedTrials, trialWatchdogMilliseconds } from '../../../agent/limits.ts';
import { repositoryName } from '../../../agent/metadata/common.ts';
import type { VerificationStep } from '../../../agent/metadata/vehicle-messages.ts';
import { makeImage, slotBytes, type TestImage } from '../install/rig.ts';
import { EcuRig, ecuId } from './ecu-rig.ts';

const test = suite('Trials');

function verify(rig: EcuRig, session: UpdateSession): VerificationStep {
  session.checkTime(rig.attest(session.newNonce()));
  let step = session.startVerification();
  while (step.ask !== undefined) {
    const { repository, name, maxBytes } = step.ask;
    const file = { repository: repositoryName(repository), name, maxBytes };
    step = session.supplyFile(rig.sim.fetch(file));
  }
  return step;
}

function install(rig: EcuRig, state: EcuState, image: TestImage, keyObject: Uint8Array): void {
  const session = new UpdateSession(state);
  assert.is(verify(rig, session).refusal, undefined);
  const offset = session.prepare(ecuId, keyObject);
  assert.is(offset, 0);
  assert.is(session.write(image.ciphertext), undefined);
  assert.is(session.finish(), undefined);
  assert.is(session.activate(ecuId), undefined);
}

const codesOf = (state: EcuState) => state.detections.of(ecuId).map(({ code }) => code);

/** Starts the installed image, whose release the program does not have: the self-test fails. */
function failOnce(rig: EcuRig, keyObject: Uint8Array): EcuState {
  install(rig, rig.start(), rig.update, keyObject);
  settleTrials(rig.start());
  const after = rig.start();
  settleTrials(after);
  return after;
}

test('INS-13: a self-test that fails rolls back and is reported with its reason', () => {
  const rig = new EcuRig();
  const after = failOnce(rig, rig.publish());
  assert.is(rig.reboots, 1);
  assert.is(after.ecus[0]!.running?.filename, 'app-1.bin');
  assert.equal(codesOf(after), ['self-test-failed']);
  assert.ok(rig.lines.includes('rolled-back ecu=ecu-1 image=app-2.bin reason=self-test'));
});

test('INS-12: power lost during the one trial ends it; exactly one start was granted', () => {
  const rig = new EcuRig();
  install(rig, rig.start(), rig.update, rig.publish());
  assert.is(rig.start().ecus[0]!.running?.filename, 'app-2.bin');
  const after = rig.start();
  assert.is(after.ecus[0]!.running?.filename, 'app-1.bin');
  settleTrials(after);
  assert.equal(codesOf(after), ['trial-rolled-back']);
});

test('INS-13: a self-test that hangs is ended by the watchdog and reported as hung', () => {
  const rig = new EcuRig();
  install(rig, rig.start(), rig.update, rig.publish());
  rig.start();
  rig.byWatchdog = true;
  const after = rig.start();
  settleTrials(after);
  assert.is(after.ecus[0]!.running?.filename, 'app-1.bin');
  assert.equal(codesOf(after), ['self-test-hung']);
  // While trials are settled the watchdog runs, and not after them.
  assert.equal(rig.watchdog, [`opened ${trialWatchdogMilliseconds}`, 'closed']);
});

test('INS-12: an image that keeps failing is not retried for ever, a new release is installed', () => {
  const rig = new EcuRig();
  const keyObject = rig.publish();
  for (let n = 1; n <= maxFailedTrials; n++) {
    const after = failOnce(rig, keyObject);
    assert.is(after.ecus[0]!.boot.status().failedTrials?.count, n);
  }
  const state = rig.start();
  const before = slotBytes(rig.rig, 1);
  const session = new UpdateSession(state);
  const refusal = verify(rig, session).refusal;
  assert.equal([refusal?.code, refusal?.row], ['update-given-up', 'INS-12']);
  assert.ok(isRefusal(session.prepare(ecuId, keyObject)));
  assert.equal(slotBytes(rig.rig, 1), before);
  assert.ok(codesOf(state).includes('update-given-up'));
  const next = makeImage('app-3.bin', 40_000, 3);
  install(rig, rig.start(), next, rig.publish(next));
  assert.is(rig.start().ecus[0]!.running?.filename, 'app-3.bin');
});

test('INS-12: activated but not yet restarted, the same image is accepted again', () => {
  const rig = new EcuRig();
  const keyObject = rig.publish();
  const state = rig.start();
  install(rig, state, rig.update, keyObject);
  const session = new UpdateSession(state);
  assert.is(verify(rig, session).refusal, undefined);
  assert.is(session.prepare(ecuId, keyObject), rig.update.ciphertext.length);
  assert.is(session.activate(ecuId), undefined);
  assert.is(rig.start().ecus[0]!.running?.filename, 'app-2.bin');
});

test.run();
