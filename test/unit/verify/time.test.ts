import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { type Signer, signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { maxTimeSilentSeconds } from '../../../agent/limits.ts';
import { roles } from '../../../agent/metadata/common.ts';
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

function start(
  keyValue = new MemoryKeyValue(),
  more: {
    readonly maxSilentSeconds?: number | undefined;
    readonly provisionedSeconds?: number;
  } = {},
) {
  const clock = {
    milliseconds: 0,
    monotonic: () => clock.milliseconds,
    after: () => ({ cancel() {} }),
  };
  const keeper = new TimeKeeper({ keyValue, clock, crypto, ...more });
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

test('HRD-03: what was not asked for is refused, and named an attack only when it is of the past', () => {
  refused(verifyTime(crypto, attest(now), undefined, authority, now), 'time-unasked', 'HRD-03');
  refused(
    verifyTime(crypto, attest(now - 1), undefined, authority, now),
    'time-backwards',
    'TIM-04',
  );
  const forged = attest(now, [newSigner('ecdsa')]);
  refused(verifyTime(crypto, forged, undefined, authority, now), 'signature-threshold', 'CTG-03');
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

test('TIM-10: a day of cycles of one minute writes time at most once a minute, and not in between', () => {
  const { clock, keyValue, keeper } = start();
  keeper.setAuthority(authority);
  for (let cycle = 0; cycle < 200; cycle++) {
    clock.milliseconds += 20_000;
    assert.ok(!isRefusal(keeper.accept(attest(now + cycle * 20), nonce)));
    keeper.now();
    keeper.lowerBound();
  }
  assert.is(keyValue.changes, 67); // 200 attestations over 4,000 seconds
});

test('HRD-03: a silent source: time serves for its bound, then it is unknown until attested', () => {
  for (const maxSilentSeconds of [undefined, 600]) {
    const bound = maxSilentSeconds ?? maxTimeSilentSeconds;
    const { clock, keeper } = start(new MemoryKeyValue(), { maxSilentSeconds });
    keeper.setAuthority(authority);
    keeper.accept(attest(now), nonce);
    clock.milliseconds += bound * 1_000;
    assert.is(keeper.now(), now + bound);
    clock.milliseconds += 1_000;
    assert.is(keeper.now(), 0);
    assert.is(keeper.lowerBound(), now + bound + 1);
    assert.is(keeper.latest(), now + bound + 1);
    keeper.accept(attest(now + bound + 1), nonce);
    assert.is(keeper.now(), now + bound + 1);
  }
});

test('KEY-04: the time of provisioning is the least that is assumed, but binds no attestation', () => {
  const { clock, keeper } = start(new MemoryKeyValue(), { provisionedSeconds: now });
  clock.milliseconds = 5_000;
  assert.is(keeper.latest(), now + 5);
  assert.is(keeper.lowerBound(), 0);
  assert.is(keeper.now(), 0);
  keeper.setAuthority(authority);
  assert.is(keeper.accept(attest(now - 100), nonce), now - 100);
  assert.is(keeper.latest(), now - 100);
  keeper.setAuthority(authorityFor(newSigner('ecdsa'))); // TIM-08: back to the safe value
  assert.is(keeper.latest(), now + 5);
  assert.is(start().keeper.latest(), 0);
});

test('ATK-11, TIM-08: time driven far ahead ends with its key: nothing of it is left', () => {
  const stolen = start();
  stolen.keeper.setAuthority(authority);
  const year2100 = 4_102_444_800;
  stolen.keeper.accept(attest(year2100), nonce);
  refused(stolen.keeper.accept(attest(now), nonce), 'time-backwards', 'TIM-04');
  const rotated = newSigner('ecdsa');
  const { keeper } = start(stolen.keyValue);
  assert.is(keeper.latest(), year2100);
  keeper.setAuthority(authorityFor(rotated));
  assert.is(keeper.latest(), 0);
  assert.is(keeper.accept(attest(now, [rotated]), nonce), now);
  assert.is(start(stolen.keyValue).keeper.latest(), now);
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

/** A partial verifier with stored Director Targets that list `keys` as time keys. */
function partialWith(keys: readonly Signer[], threshold = 1) {
  const sim = new RepositorySimulator();
  const verifier = new SimulatedVerifier(sim, { everyEcu: false, ecus: [ecu('ecu-1')] });
  const options = {
    crypto,
    format: cborMetadata,
    profile: 'ecdsa',
    store: verifier.store,
  } as const;
  const list = (listed: readonly Signer[], needed = threshold) => {
    sim.director.targets.timeKeys = { keys: listed.map(({ key }) => key), threshold: needed };
    sim.director.release();
    assigned(verifier.partial(), ['ecu-1']);
  };
  const read = (partial: boolean) => {
    const authority = readTimeAuthority({ ...options, partial });
    return isRefusal(authority) ? authority.refused : authority.keys;
  };
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  sim.director.signers.time = keys.slice();
  sim.director.refreshKeyTable();
  sim.director.publishRoot();
  return { sim, verifier, list, read };
}

test('TIM-06, HRD-15: partial verifiers take time keys of their profile from Director Targets first', () => {
  const [first, second] = [newSigner('ecdsa'), newSigner('ecdsa')];
  const foreign = newSigner('ml-dsa');
  const { list, read, sim, verifier } = partialWith([first, second]);
  assert.is(verifier.store.read('director', 'targets.cbor'), undefined);
  list([second, foreign]);
  assert.equal(read(true), [second.key]);
  assert.equal(read(false), [first.key, second.key]);
  const stored = verifier.keyValue.values.get('director/targets')!;
  stored[stored.length - 1]! ^= 1;
  assert.equal(read(true), [first.key, second.key]); // HRD-15
  list([foreign]);
  assert.equal(read(true), [first.key, second.key]);
  list([second], 2);
  assert.equal(read(true), [first.key, second.key]);
  delete sim.director.targets.timeKeys;
  sim.director.release();
  assigned(verifier.partial(), ['ecu-1']);
  assert.equal(read(true), [first.key, second.key]);
});

test('TIM-06: time keys in Targets that the Root does not name count only where it names none', () => {
  const [ofRoot, own] = [newSigner('ecdsa'), newSigner('ecdsa')];
  const { list, read, sim } = partialWith([ofRoot]);
  list([own]);
  assert.equal(read(true), [ofRoot.key]);
  sim.director.root.roles = sim.director.root.roles.filter(({ role }) => role !== roles.time);
  sim.director.publishRoot();
  list([own]);
  assert.equal(read(true), [own.key]);
  assert.is(read(false), 'time-unknown');
});

test('TIM-08: a partial verifier that was off while the time key was replaced follows the Root', () => {
  const { list, read, sim, verifier } = partialWith([newSigner('ecdsa')]);
  list(sim.director.signers.time);
  sim.director.rotate('time');
  verifier.options = { ...verifier.options, now: 0 };
  refused(verifier.partial(), 'time-unknown', 'HRD-03');
  assert.equal(read(true), [sim.director.signers.time[0]!.key]);
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
