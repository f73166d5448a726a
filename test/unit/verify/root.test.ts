import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxRootBytes, maxRootRotationsPerCycle } from '../../../agent/limits.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  now,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import { newSigner } from '../../simulator/simulated-repository.ts';

const test = suite('Root metadata');

function start() {
  const sim = new RepositorySimulator();
  return { sim, director: sim.director, verifier: new SimulatedVerifier(sim) };
}

test('CRT-01: a verifier without a stored Root refuses', () => {
  const { verifier } = start();
  verifier.keyValue.values.delete('director/root');
  refused(verifier.full(), 'metadata-not-stored', 'KEY-01');
});

test('CRT-01: a stored Root whose file is lost is refused', () => {
  const { verifier } = start();
  verifier.keyValue.values.delete('director/1.root');
  refused(verifier.full(), 'metadata-not-stored', 'KEY-01');
});

test('HRD-15: a stored Root that no longer verifies is refused', () => {
  const { verifier } = start();
  const file = verifier.keyValue.values.get('director/1.root')!.slice();
  file[file.length - 1]! ^= 1;
  verifier.keyValue.values.set('director/1.root', file);
  refused(verifier.full(), 'metadata-not-stored', 'HRD-15');
});

test('HRD-15: a stored Root of another version than the store says is refused', () => {
  const { director, verifier } = start();
  verifier.keyValue.values.set('director/1.root', director.publishRoot());
  refused(verifier.full(), 'metadata-not-stored', 'HRD-15');
});

test('CRT-02, CRT-05: every newer Root is asked for by number, and the last one kept', () => {
  const { director, verifier } = start();
  director.rotate('root');
  director.rotate('targets');
  director.rotate('root');
  assigned(verifier.full(), []);
  assert.equal(verifier.sim.requests.slice(0, 4), [
    'director/2.root.cbor',
    'director/3.root.cbor',
    'director/4.root.cbor',
    'director/5.root.cbor',
  ]);
  assert.is(verifier.store.rootVersion('director'), 4);
});

test('CRT-02: a Root larger than the bound is endless data', () => {
  const { director, verifier } = start();
  director.overrides['2.root.cbor'] = new Uint8Array(maxRootBytes + 1);
  refused(verifier.full(), 'net-endless', 'CRT-02');
  director.overrides['2.root.cbor'] = new Uint8Array(maxRootBytes);
  refused(verifier.full(), 'cbor-wrong-type', 'DBP-20');
});

test('CRT-03: a Root without the old keys is refused, and the next cycle restarts at N', () => {
  const { director, verifier } = start();
  director.signers.root = [newSigner('ecdsa')];
  director.refreshKeyTable();
  director.publishRoot();
  refused(verifier.full(), 'signature-threshold', 'CRT-03');
  assert.is(verifier.store.rootVersion('director'), 1);
  delete director.overrides['2.root.cbor'];
  director.publishedRoots.pop();
  assigned(verifier.full(), []);
});

test('CRT-03, HRD-05: a Root without its own new keys is refused', () => {
  const { director, verifier } = start();
  const old = director.signers.root;
  director.signers.root = [newSigner('ecdsa')];
  director.refreshKeyTable();
  director.publishRoot(old);
  refused(verifier.full(), 'signature-threshold', 'CRT-03');
});

test('CRT-03: both thresholds count, each by its own number', () => {
  const { director, verifier } = start();
  const [first, second] = [director.signers.root[0]!, newSigner('ecdsa')];
  director.signers.root = [first, second];
  director.thresholds.root = 2;
  director.refreshKeyTable();
  director.publishRoot([first]);
  refused(verifier.full(), 'signature-threshold', 'CRT-03');
  director.publishedRoots.pop();
  director.root.version -= 1;
  director.publishRoot([first, second]);
  assigned(verifier.full(), []);
  assert.is(verifier.store.rootVersion('director'), 2);
});

test('CRT-03: an unsigned Root is refused', () => {
  const { director, verifier } = start();
  director.publishRoot([]);
  refused(verifier.full(), 'signature-missing', 'CRT-03');
});

for (const step of [-1, 0, 2]) {
  test(`CRT-04: a Root that is version N + ${step} under the name N + 1 is refused`, () => {
    const { director, verifier } = start();
    director.rotate('targets'); // version 2
    verifier.full();
    director.root.version = 2 + step - 1;
    director.overrides['3.root.cbor'] = director.publishRoot();
    refused(verifier.full(), 'root-version', 'CRT-04');
    assert.is(verifier.store.rootVersion('director'), 2);
  });
}

test('CRT-06: an intermediate Root may be expired, the final one may not', () => {
  const { director, verifier } = start();
  director.expire('root', now - 1);
  director.publishRoot();
  director.expire('root', now + 1);
  director.publishRoot();
  assigned(verifier.full(), []);
  director.expire('root', now);
  director.publishRoot();
  refused(verifier.full(), 'metadata-expired', 'CRT-06');
});

for (const role of ['timestamp', 'snapshot'] as const) {
  test(`CRT-07: after fast-forward of ${role}, new keys let lower versions in again`, () => {
    const { sim, director, verifier } = start();
    const high = 4_000_000_000;
    director[role].version = high;
    if (role === 'snapshot') director.timestamp.version = 5;
    assigned(verifier.full(), []);
    director.snapshot.version = 2;
    director.timestamp.version = role === 'snapshot' ? 6 : 2;
    refused(verifier.full(), 'metadata-rollback', role === 'snapshot' ? 'CSN-04' : 'CTS-03');
    director.rotate(role);
    director.timestamp.version = 2;
    assigned(verifier.full(), []);
    assert.ok(sim.requests.includes('director/2.snapshot.cbor'));
  });
}

test('CRT-07: after fast-forward of Targets, new Targets and Snapshot keys let lower versions in', () => {
  const { director, verifier } = start();
  director.targets.version = 4_000_000_000;
  assigned(verifier.full(), []);
  director.targets.version = 2;
  director.rotate('snapshot');
  refused(verifier.full(), 'metadata-rollback', 'CTG-04');
  director.rotate('targets');
  director.timestamp.version += 1;
  director.snapshot.version += 1;
  assigned(verifier.full(), []);
});

test('HRD-14: a cut between a new Root and what it deletes leaves no fast-forwarded state', () => {
  const { director, verifier } = start();
  director.timestamp.version = 4_000_000_000;
  assigned(verifier.full(), []);
  director.rotate('timestamp');
  director.timestamp.version = 2;
  verifier.keyValue.failAfter = verifier.keyValue.changes + 2; // the Root's file and its number
  assert.throws(() => verifier.full());
  assert.is(verifier.store.rootVersion('director'), 2);
  verifier.keyValue.failAfter = Number.POSITIVE_INFINITY;
  assigned(verifier.full(), []);
});

test('HRD-13: the bound of rotations in one cycle, and one more, which the next cycle takes', () => {
  const at = start();
  for (let i = 0; i < maxRootRotationsPerCycle; i++) at.director.publishRoot();
  assigned(at.verifier.full(), []);
  const past = start();
  for (let i = 0; i <= maxRootRotationsPerCycle; i++) past.director.publishRoot();
  refused(past.verifier.full(), 'root-too-many', 'HRD-13');
  assigned(past.verifier.full(), []);
  assert.is(past.verifier.store.rootVersion('director'), maxRootRotationsPerCycle + 2);
});

test('MET-04: a Timestamp signed by the root key is no Root', () => {
  const { director, verifier } = start();
  director.signers.timestamp = director.signers.root;
  director.overrides['2.root.cbor'] = director.timestampFile();
  refused(verifier.full(), 'metadata-role-type', 'MET-04');
});

test('HRD-03, FV-01, PV-01: without time, Roots are followed but nothing is judged', () => {
  const { director, verifier } = start();
  director.rotate('time');
  verifier.options = { ...verifier.options, now: 0 };
  refused(verifier.full(), 'time-unknown', 'HRD-03');
  assert.is(verifier.store.rootVersion('director'), 2);
  refused(verifier.partial(), 'time-unknown', 'HRD-03');
  assert.not(verifier.sim.requests.includes('director/targets.cbor'));
});

test.run();
