/** Takes a Secondary's session through its steps, as a Primary would. */
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { repositoryName } from '../../../agent/metadata/common.ts';
import { type Report, report } from '../../../agent/metadata/report.ts';
import type { VerificationStep } from '../../../agent/metadata/vehicle-messages.ts';
import { EcuRig, ecuId } from './ecu-rig.ts';

/** The next version report of the session's own ECU. */
export function reportOf(session: UpdateSession): Report {
  const envelope = decodeEnvelope(session.reports()[0]!, 8_192);
  if (isRefusal(envelope)) throw new Error(envelope.detail);
  const payload = decode(report, envelope.payload, 8_192);
  if (isRefusal(payload)) throw new Error(payload.detail);
  return payload;
}

/** Hands over every file that the session asks for. */
export function verify(rig: EcuRig, session: UpdateSession): VerificationStep {
  let step = session.startVerification();
  while (step.ask !== undefined) {
    const { repository, name, maxBytes } = step.ask;
    step = session.supplyFile(
      rig.sim.fetch({ repository: repositoryName(repository), name, maxBytes }),
    );
  }
  return step;
}

/** A rig with an update listed for it, and a session that knows the time. */
export function ready(): { rig: EcuRig; session: UpdateSession; keyObject: Uint8Array } {
  const rig = new EcuRig();
  const keyObject = rig.publish();
  return { rig, keyObject, session: resume(rig) };
}

/** The session of a restarted program, with the time attested anew. */
export function resume(rig: EcuRig): UpdateSession {
  const session = new UpdateSession(rig.start());
  assert.is(session.checkTime(rig.attest(session.newNonce())), undefined);
  return session;
}

/** Sends the listed ciphertext, from `prepare` to the check of what the flash holds. */
export function send(rig: EcuRig, session: UpdateSession, keyObject: Uint8Array): void {
  assert.is(session.prepare(ecuId, keyObject), 0);
  const { ciphertext } = rig.update;
  for (let at = 0; at < ciphertext.length; at += 7_000) {
    assert.is(session.write(ciphertext.subarray(at, at + 7_000)), undefined);
  }
  assert.is(session.finish(), undefined);
}
