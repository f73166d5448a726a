/** What an ECU's version report says (Uptane §5.4.2.1.2), and how it is signed. */
import './agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { verifyEnvelope } from '../../../agent/crypto/verify-envelope.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { hashAlgorithms } from '../../../agent/metadata/common.ts';
import { now } from '../../simulator/repository-simulator.ts';
import { crypto } from '../install/rig.ts';
import { EcuRig, ecuId, hardwareId } from './ecu-rig.ts';
import { reportOf, resume } from './session-steps.ts';

const test = suite('Version reports');

test('EVR-01, HRD-19: a signature entry names key, algorithm, payload hash and hash function', () => {
  const rig = new EcuRig();
  const envelope = decodeEnvelope(new UpdateSession(rig.start()).reports()[0]!, 8_192);
  if (isRefusal(envelope)) throw new Error(envelope.detail);
  assert.is(envelope.signatures.length, 1);
  const { header } = envelope.signatures[0]!;
  assert.equal(header.keyId, keyId(crypto, rig.signingKey.key));
  assert.is(header.algorithm, -9);
  assert.equal(header.payloadHash, [
    hashAlgorithms['SHA-256'],
    crypto.digest('SHA-256', envelope.payload),
  ]);
  const options = { domain: 'report', payloadHash: 'required' } as const;
  const own = { keys: [rig.signingKey.key], threshold: 1 };
  assert.is(verifyEnvelope(crypto, envelope, own, options), undefined);
});

test('EVR-02, EVR-03: it names the ECU, and filename, length and hash of the image that runs', () => {
  const rig = new EcuRig();
  const report = reportOf(new UpdateSession(rig.start()));
  assert.is(report.ecuId, ecuId);
  assert.is(report.hardwareId, hardwareId);
  const { filename, plaintextLength, plaintextSha256, releaseCounter } = rig.factory.request;
  assert.equal(report.installed, {
    filename,
    length: plaintextLength,
    hashes: [{ key: hashAlgorithms['SHA-256'], value: plaintextSha256 }],
    releaseCounter,
  });
});

test('EVR-05: it says the latest time that the ECU could verify, 0 before the first', () => {
  const rig = new EcuRig();
  assert.is(reportOf(new UpdateSession(rig.start())).time, 0);
  assert.is(reportOf(resume(rig)).time, now);
  assert.is(
    reportOf(new UpdateSession(rig.start())).time,
    now,
    'after a restart, as a lower bound',
  );
});

test('EVR-06: its counter rises with every report, also across a restart', () => {
  const rig = new EcuRig();
  const session = new UpdateSession(rig.start());
  const counters = [reportOf(session), reportOf(session), reportOf(new UpdateSession(rig.start()))];
  assert.equal(
    counters.map(({ counter }) => counter),
    [1, 2, 3],
  );
});

test.run();
