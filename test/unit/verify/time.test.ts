import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { type Signer, signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { timeAttestation } from '../../../agent/metadata/time.ts';
import { identify, type RoleAuthority } from '../../../agent/verify/authority.ts';
import { cborMetadata } from '../../../agent/verify/cbor-metadata.ts';
import { TimeKeeper, verifyTime } from '../../../agent/verify/time.ts';
import { readTimeAuthority } from '../../../agent/verify/time-authority.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  ecu,
  MemoryKeyValue,
  now,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import { crypto, newSigner } from '../../simulator/simulated-repository.ts';

const test = suite('Attested time');
const nonce = new Uint8Array(16).fill(1);
const otherNonce = new Uint8Array(16).fill(2);
const signer = newSigner('ecdsa');
const authority = authorityFor(signer);

function authorityFor(one: Signer): RoleAuthority {
  const keyIds = identify(crypto, [one.key]).map(({ id }) => id);
  return { keys: [one.key], keyIds, threshold: 1 };
}

function attest(seconds: number, by: readonly Signer[] = [signer], nonces = [otherNonce, nonce]) {
  return signEnvelope(crypto, by, 'time', encode(timeAttestation, [nonces, seconds]));
}

function start(keyValue = new MemoryKeyValue()) {
  const clock = {
    milliseconds: 0,
    monotonic: () => clock.milliseconds,
    after: () => ({ cancel() {} }),
  };
  const keeper = new TimeKeeper({ keyValue, clock, crypto });
  return { keyValue, clock, keeper };
}

test('TIM-07: an attestation with this nonce among its own gives the time', () => {
  assert.is(verifyTime(crypto, attest(now), nonce, authority, 0), now);
  assert.is(verifyTime(crypto, attest(now), nonce, authority, now), now);
});

test('HRD-03: an attestation without this nonce is refused', () => {
  const replayed = attest(now, [signer], [otherNonce]);
  refused(verifyTime(crypto, replayed, nonce, authority, 0), 'time-nonce', 'HRD-03');
});

test('TIM-04: an attestation earlier than the last one is refused', () => {
  refused(verifyTime(crypto, attest(now - 1), nonce, authority, now), 'time-backwards', 'TIM-04');
});

test('TIM-07: unsigned, by another key, or for another purpose is refused', () => {
  refused(verifyTime(crypto, attest(now, []), nonce, authority, 0), 'signature-missing', 'MET-03');
  const forged = attest(now, [newSigner('ecdsa')]);
  refused(verifyTime(crypto, forged, nonce, authority, 0), 'signature-threshold', 'CTG-03');
  const payload = encode(timeAttestation, [[nonce], now]);
  const metadata = signEnvelope(crypto, [signer], 'metadata', payload);
  refused(verifyTime(crypto, metadata, nonce, authority, 0), 'signature-invalid', 'MET-03');
  const other = signEnvelope(crypto, [signer], 'time', new Uint8Array([0x80]));
  refused(verifyTime(crypto, other, nonce, authority, 0), 'cbor-too-short', 'DBP-20');
  refused(verifyTime(crypto, new Uint8Array(2), nonce, authority, 0), 'cbor-wrong-type', 'DBP-20');
});

test('HRD-03: time is unknown until attested, then runs with the monotonic clock', () => {
  const { clock, keeper } = start();
  refused(keeper.accept(attest(now), nonce), 'time-unknown', 'TIM-05');
  keeper.setAuthority(authority);
  assert.is(keeper.now(), 0);
  assert.is(keeper.accept(attest(now), nonce), now);
  clock.milliseconds += 2_999;
  assert.is(keeper.now(), now + 2);
});

test('HRD-03: after a restart time is unknown; the stored one is a lower bound', () => {
  const before = start();
  before.keeper.setAuthority(authority);
  before.keeper.accept(attest(now), nonce);
  const { keeper } = start(before.keyValue);
  keeper.setAuthority(authority);
  assert.is(keeper.now(), 0);
  assert.is(keeper.lowerBound(), now);
  refused(keeper.accept(attest(now - 1), nonce), 'time-backwards', 'TIM-04');
  assert.is(keeper.accept(attest(now), nonce), now);
});

test('TIM-07: a refused attestation changes nothing', () => {
  const { clock, keeper } = start();
  keeper.setAuthority(authority);
  keeper.accept(attest(now), nonce);
  clock.milliseconds += 10_000;
  assert.ok(isRefusal(keeper.accept(attest(now - 5), nonce)));
  assert.ok(isRefusal(keeper.accept(attest(now + 500, []), nonce)));
  assert.is(keeper.now(), now + 10);
});

test('TIM-08: other time keys forget the time, in this run and over a restart', () => {
  const rotated = newSigner('ecdsa');
  const running = start();
  running.keeper.setAuthority(authority);
  running.keeper.accept(attest(now), nonce);
  running.keeper.setAuthority(authority);
  assert.is(running.keeper.now(), now);
  for (const { keeper, keyValue } of [running, start(running.keyValue)]) {
    keeper.setAuthority(authorityFor(rotated));
    assert.is(keeper.now(), 0);
    assert.is(keeper.lowerBound(), 0);
    assert.is(keeper.accept(attest(now - 1_000, [rotated]), nonce), now - 1_000);
    assert.is(start(keyValue).keeper.lowerBound(), now - 1_000);
  }
});

test('TIM-10: time is written when it moved by a minute, or under other keys', () => {
  const { keyValue, keeper } = start();
  keeper.setAuthority(authority);
  const writes = (seconds: number) => {
    const { changes } = keyValue;
    keeper.accept(attest(seconds), nonce);
    return keyValue.changes - changes;
  };
  assert.is(writes(now), 1);
  assert.is(writes(now + 59), 0);
  assert.is(writes(now + 60), 1);
  assert.is(writes(now + 119), 0);
});

test('TIM-05: the time authority is in Director Root, and follows its rotation', () => {
  const sim = new RepositorySimulator();
  const verifier = new SimulatedVerifier(sim);
  const options = {
    crypto,
    format: cborMetadata,
    profile: 'ecdsa',
    store: verifier.store,
    partial: false,
  } as const;
  const before = readTimeAuthority(options);
  if (isRefusal(before)) return assert.unreachable();
  assert.equal(before.keys, [sim.director.signers.time[0]!.key]);
  sim.director.rotate('time');
  assigned(verifier.full(), []);
  const after = readTimeAuthority(options);
  if (isRefusal(after)) return assert.unreachable();
  assert.equal(after.keys, [sim.director.signers.time[0]!.key]);
});

test('TIM-06: partial verifiers take time keys of their profile from Director Targets first', () => {
  const sim = new RepositorySimulator();
  const ecus = [ecu('ecu-1')];
  const partial = new SimulatedVerifier(sim, { everyEcu: false, ecus });
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  const [own, foreign] = [newSigner('ecdsa'), newSigner('ml-dsa')];
  sim.director.targets.timeKeys = { keys: [own.key, foreign.key], threshold: 1 };
  const options = { crypto, format: cborMetadata, profile: 'ecdsa', store: partial.store } as const;
  const initially = readTimeAuthority({ ...options, partial: true });
  assigned(partial.partial(), ['ecu-1']);
  const fromTargets = readTimeAuthority({ ...options, partial: true });
  const fromRoot = readTimeAuthority({ ...options, partial: false });
  if (isRefusal(fromTargets) || isRefusal(fromRoot)) return assert.unreachable();
  assert.equal(initially, fromRoot); // no Targets are stored yet
  assert.equal(fromTargets.keys, [own.key]);
  assert.equal(fromRoot.keys, [sim.director.signers.time[0]!.key]);
  const stored = partial.keyValue.values.get('director/targets')!;
  stored[stored.length - 1]! ^= 1;
  assert.equal(readTimeAuthority({ ...options, partial: true }), fromRoot); // HRD-15
  sim.director.targets.timeKeys = { keys: [foreign.key], threshold: 1 };
  sim.director.release();
  assigned(partial.partial(), ['ecu-1']);
  assert.equal(readTimeAuthority({ ...options, partial: true }), fromRoot);
  delete sim.director.targets.timeKeys;
  sim.director.release();
  assigned(partial.partial(), ['ecu-1']);
  assert.equal(readTimeAuthority({ ...options, partial: true }), fromRoot);
});

test('TIM-05: without a time key in the metadata there is no time', () => {
  const sim = new RepositorySimulator();
  sim.director.root.roles = sim.director.root.roles.filter((entry) => entry.role !== 5);
  sim.director.publishRoot();
  const verifier = new SimulatedVerifier(sim);
  const options = {
    crypto,
    format: cborMetadata,
    profile: 'ecdsa',
    store: verifier.store,
    partial: false,
  } as const;
  assigned(verifier.full(), []);
  refused(readTimeAuthority(options), 'time-unknown', 'TIM-05');
  verifier.keyValue.values.clear();
  refused(readTimeAuthority(options), 'metadata-not-stored', 'KEY-01');
});

test.run();
