import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { profiles, roles } from '../../../agent/metadata/common.ts';
import { requireAuthority } from '../../../agent/verify/root.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { refused } from '../../simulator/assertions.ts';
import { RepositorySimulator, SimulatedVerifier } from '../../simulator/repository-simulator.ts';
import type { SimulatedRepository } from '../../simulator/simulated-repository.ts';

const test = suite('Key table of Root');

function start() {
  const sim = new RepositorySimulator();
  return { sim, director: sim.director, verifier: new SimulatedVerifier(sim) };
}

/** Publishes a Root after `change` and says how the next cycle ends. */
function publish(change: (director: SimulatedRepository) => void) {
  const { director, verifier } = start();
  change(director);
  director.publishRoot();
  return verifier.full();
}

for (const threshold of [0, 2]) {
  test(`HRD-06: a role with threshold ${threshold} of 1 key is refused`, () => {
    const outcome = publish((director) => {
      director.thresholds.snapshot = threshold;
      director.refreshKeyTable();
    });
    refused(outcome, 'root-threshold', 'HRD-06');
  });
}

test('ROOT-02, HRD-05: a key listed twice is refused', () => {
  const outcome = publish(({ root }) => {
    root.keys = root.keys.concat(root.keys[0]!);
  });
  refused(outcome, 'key-duplicate', 'ROOT-02');
});

test('ROOT-02, HRD-05: one key id twice in a role is refused', () => {
  const outcome = publish(({ root }) => {
    const entry = root.roles[1]!;
    const twice = { ...entry, keyIds: [entry.keyIds[0]!, entry.keyIds[0]!], threshold: 2 };
    root.roles = root.roles.map((other) => (other === entry ? twice : other));
  });
  refused(outcome, 'key-duplicate', 'ROOT-02');
});

test('ROOT-03: a role named twice for one profile is refused', () => {
  const outcome = publish(({ root }) => {
    root.roles = root.roles.concat(root.roles[0]!);
  });
  refused(outcome, 'root-threshold', 'ROOT-03');
});

test('ROOT-03: a key id without its key is refused', () => {
  const outcome = publish(({ root }) => {
    root.keys = root.keys.slice(0, -1);
  });
  refused(outcome, 'key-malformed', 'DEL-03');
});

for (const role of ['timestamp', 'snapshot', 'targets'] as const) {
  test(`ROOT-01: a Root without ${role} keys for the profile is refused`, () => {
    const { director, verifier } = start();
    director.root.roles = director.root.roles.filter((entry) => entry.role !== roles[role]);
    director.publishRoot();
    refused(verifier.full(), 'root-threshold', 'ROOT-01');
    assert.is(verifier.store.rootVersion('director'), 1);
  });
}

test('ROOT-01: keys of another profile do not stand in for missing ones', () => {
  const pair = signerOf(generateKeyPair('ML-DSA-44'));
  const outcome = publish((director) => {
    director.signers.targets = [pair];
    director.refreshKeyTable();
    director.root.roles = director.root.roles.map((entry) =>
      entry.role === roles.targets ? { ...entry, profile: profiles['ml-dsa'] } : entry,
    );
  });
  refused(outcome, 'root-threshold', 'ROOT-01');
});

test('ROOT-01: keys of a further profile may stand beside', () => {
  const pair = signerOf(generateKeyPair('ML-DSA-44'));
  const outcome = publish((director) => {
    const before = director.root.roles;
    director.signers.targets = [pair];
    const key = director.root.keys;
    director.refreshKeyTable();
    const extra = director.root.roles.filter((entry) => entry.role === roles.targets);
    director.root.keys = key.concat(pair.key);
    director.root.roles = before.concat(extra.map((e) => ({ ...e, profile: profiles['ml-dsa'] })));
    director.signers.targets = [];
  });
  refused(outcome, 'signature-missing', 'CTG-03'); // the Root itself was taken
});

for (const [profile, algorithm] of [
  ['ecdsa', 'ML-DSA-65'],
  ['ml-dsa', 'ESP256'],
  ['composite', 'ESP256'],
  ['tiny', 'ESP256'],
] as const) {
  test(`ROOT-03: ${algorithm} keys under profile ${profile} are refused`, () => {
    const outcome = publish((director) => {
      const pair = signerOf(generateKeyPair(algorithm));
      director.signers.time = [pair];
      director.refreshKeyTable();
      director.root.roles = director.root.roles.map((entry) =>
        entry.role === roles.time ? { ...entry, profile: profiles[profile] } : entry,
      );
    });
    refused(outcome, 'signature-algorithm', 'MET-02');
  });
}

test('HRD-18: a half of a composite key beside it is refused', () => {
  const sim = new RepositorySimulator('composite');
  const verifier = new SimulatedVerifier(sim);
  const bytes = sim.director.signers.targets[0]!.key.bytes;
  sim.director.root.keys = sim.director.root.keys.concat({
    algorithm: 'ESP256',
    bytes: bytes.slice(1952),
  });
  sim.director.publishRoot();
  refused(verifier.full(), 'key-duplicate', 'ROOT-02');
});

test('ROOT-01: a role that a Root does not name has no authority, whoever asks', () => {
  const sim = new RepositorySimulator();
  const { options } = new SimulatedVerifier(sim);
  const { root } = sim.images;
  assert.not(isRefusal(requireAuthority(options, root, 'snapshot')));
  const left = { ...root, roles: root.roles.filter(({ role }) => role !== roles.snapshot) };
  refused(requireAuthority(options, left, 'snapshot'), 'root-threshold', 'ROOT-01');
});

test.run();
