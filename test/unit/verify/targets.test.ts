import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  maxDirectorTargetsBytes,
  maxImageBytes,
  maxRootBytes,
  maxTargetsBytes,
} from '../../../agent/limits.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { imageKinds, type MustMatch, type Target } from '../../../agent/metadata/targets.ts';
import { matchesPattern } from '../../../agent/verify/path-pattern.ts';
import type { VerifierEcu } from '../../../agent/verify/verification.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  ecu,
  now,
  plaintextHash,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import type { Mutable } from '../../simulator/simulated-repository.ts';

const test = suite('Targets metadata and agreement');
/** The plaintext whose ciphertext is as long as any may be: beyond what 32 bits count. */
const largestPlaintext = 4_290_777_016;
const image = { filename: 'app-1.bin', releaseCounter: 5 };

function start() {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', image);
  return { sim, director: sim.director, images: sim.images, verifier: new SimulatedVerifier(sim) };
}

/** How both kinds of verifier judge an entry changed on both repositories alike. */
function judge(change: Partial<MustMatch>, options: Partial<VerifierEcu> = {}, length?: number) {
  const { sim, verifier } = start();
  for (const { targets } of [sim.director, sim.images]) {
    targets.targets = targets.targets.map((target) => ({
      ...target,
      length: length ?? target.length,
      mustMatch: { ...target.mustMatch, ...change },
    }));
  }
  const ecus = [ecu('ecu-1', options), ecu('ecu-2', { hardwareId: 'hw-b' })];
  verifier.options = { ...verifier.options, ecus };
  const full = verifier.full();
  const partial = new SimulatedVerifier(sim, { ecus, everyEcu: false }).partial();
  return { full, partial };
}

for (const [name, row, code, change, options, length] of [
  ['other hardware', 'VIM-02', 'target-hardware', { hardwareIds: ['hw-b'] }, {}, undefined],
  ['a kind the ECU does not run', 'FV-14', 'target-kind', { kind: imageKinds.runtime }, {}],
  [
    'other bytecode',
    'FV-14',
    'target-kind',
    { kind: imageKinds.agent, bytecodeVersion: 29, halVersion: 1 },
    {},
  ],
  [
    'another HAL interface',
    'FV-14',
    'target-kind',
    { kind: imageKinds.agent, bytecodeVersion: 28, halVersion: 2 },
    {},
  ],
  ['agent image without versions', 'FV-14', 'target-kind', { kind: imageKinds.agent }, {}],
  ['another encryption', 'CUS-05', 'target-format', { encryption: 'none' }, {}],
  ['a length one short', 'CUS-05', 'target-format', {}, {}, 100_167],
  ['a length one long', 'CUS-05', 'target-format', {}, {}, 100_169],
  ['more than the slot holds', 'INS-09', 'target-too-large', {}, { maxPlaintextBytes: 99_999 }],
  [
    'more than any image may have',
    'INS-09',
    'target-too-large',
    { plaintextLength: largestPlaintext + 1 },
    { maxPlaintextBytes: 2 * maxImageBytes },
    maxImageBytes + 1,
  ],
  ['a release below the counter', 'HRD-04', 'target-rollback', {}, { counter: 6 }],
  [
    'a release below the installed one',
    'HRD-04',
    'target-rollback',
    {},
    { installed: { filename: 'app-1.bin', sha256: new Uint8Array(32), releaseCounter: 6 } },
  ],
  ['a filename of others', 'VIM-03', 'target-filename', {}, { filenamePattern: 'brakes-*' }],
] as const) {
  test(`${row}: ${name} is refused by full and partial verification`, () => {
    const { full, partial } = judge(change, options, length);
    refused(full, code, row);
    refused(partial, code, row);
  });
}

for (const [name, change, options, length] of [
  ['exactly the slot', {}, { maxPlaintextBytes: 100_000 }],
  ['the counter itself', {}, { counter: 5 }],
  ['an agent of this ECU', { kind: imageKinds.agent, bytecodeVersion: 28, halVersion: 1 }, {}],
  ['a full last chunk', { plaintextLength: 16_384 }, {}, 56 + 16_384 + 32],
  [
    'the largest image there may be',
    { plaintextLength: largestPlaintext },
    { maxPlaintextBytes: 2 * maxImageBytes },
    maxImageBytes,
  ],
  ['an empty image', { plaintextLength: 0 }, {}, 56 + 16],
  ['a filename of its own', {}, { filenamePattern: 'app-*' }],
] as const) {
  test(`FV-11: ${name} is accepted by full and partial verification`, () => {
    const { full, partial } = judge(change, options, length);
    assigned(full, ['ecu-1']);
    assigned(partial, ['ecu-1']);
  });
}

test('CTG-01: Targets at the bound are read, one byte more is endless data', () => {
  const { director, images, verifier } = start();
  director.overrides['2.targets.cbor'] = new Uint8Array(maxDirectorTargetsBytes + 1);
  refused(verifier.full(), 'net-endless', 'CTG-01');
  verifier.options = { ...verifier.options, maxDirectorTargets: 1_000 };
  director.overrides['2.targets.cbor'] = new Uint8Array(1_000);
  refused(verifier.full(), 'cbor-wrong-type', 'DBP-20');
  director.overrides['2.targets.cbor'] = new Uint8Array(1_001);
  refused(verifier.full(), 'net-endless', 'CTG-01');
  delete director.overrides['2.targets.cbor'];
  images.overrides['2.targets.cbor'] = new Uint8Array(maxTargetsBytes + 1);
  refused(verifier.full(), 'net-endless', 'CTG-01');
});

test('CTG-04: older Targets are refused, also when the stored Snapshot was lost', () => {
  const { director, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  director.targets.version -= 1;
  director.snapshot.version += 1;
  director.timestamp.version += 1;
  refused(verifier.full(), 'metadata-rollback', 'CSN-05');
  verifier.keyValue.values.delete('director/snapshot');
  refused(verifier.full(), 'metadata-rollback', 'CTG-04');
});

test('HRD-02: Targets of the same version with other content are refused', () => {
  const { sim, director, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  director.targets.targets = [sim.assigned(sim.target({ ...image, releaseCounter: 6 }), 'ecu-1')];
  verifier.keyValue.values.delete('director/timestamp');
  verifier.keyValue.values.delete('director/snapshot');
  assigned(verifier.full(), ['ecu-1']); // the stored file is still the one the Snapshot names
  const partial = new SimulatedVerifier(sim, { everyEcu: false });
  assigned(partial.partial(), ['ecu-1']);
  director.targets.expires += 1;
  refused(partial.partial(), 'metadata-changed-in-place', 'HRD-02');
});

test('CTG-06: Director Targets with a delegation are refused', () => {
  const { director, verifier } = start();
  director.delegate(['brakes']);
  refused(verifier.full(), 'targets-delegation', 'CTG-06');
  refused(verifier.partial(), 'targets-delegation', 'CTG-06');
});

test('CTG-07: an ECU listed twice is refused, by those it does not concern too', () => {
  const { sim, director, verifier } = start();
  const twice = ['ecu-9', 'ecu-8', 'ecu-9'].map((id) => sim.assigned(sim.target(image), id));
  director.targets.targets = twice;
  refused(verifier.full(), 'targets-ecu-repeated', 'CTG-07');
  refused(verifier.partial(), 'targets-ecu-repeated', 'CTG-07');
});

test('CTG-08: a Primary refuses an unknown ECU, a Secondary does not know them all', () => {
  const { sim, verifier } = start();
  sim.assign('ecu-3', { ...image, filename: 'other.bin' });
  refused(verifier.full(), 'targets-ecu-unknown', 'CTG-08');
  const secondary = new SimulatedVerifier(sim, { everyEcu: false, ecus: [ecu('ecu-1')] });
  assigned(secondary.full(), ['ecu-1']);
});

test('CUS-06: Director entries need an assignment, Image repository entries must not have one', () => {
  const one = start();
  one.director.targets.targets = [one.sim.target(image)];
  refused(one.verifier.full(), 'targets-ecu-unknown', 'CUS-06');
  const other = start();
  other.images.targets.targets = [other.sim.assigned(other.sim.target(image), 'ecu-1')];
  refused(other.verifier.full(), 'targets-ecu-unknown', 'CUS-06');
});

test('CUS-05: a key object larger than its bound is refused', () => {
  const { sim, director, verifier } = start();
  const entry = sim.assigned(sim.target(image), 'ecu-1');
  for (const keyObjectLength of [4_097, 4_096]) {
    entry.assignment = { ...entry.assignment!, keyObjectLength };
    director.targets.targets = [{ ...entry }];
    if (keyObjectLength > 4_096) refused(verifier.full(), 'target-too-large', 'INS-09');
    else assigned(verifier.full(), ['ecu-1']);
  }
});

test('HRD-12: a target with a hash of the wrong length is refused', () => {
  const { sim, director, verifier } = start();
  const entry = sim.assigned(sim.target(image), 'ecu-1');
  entry.hashes = [{ key: -44, value: new Uint8Array(32) }];
  director.targets.targets = [entry];
  refused(verifier.full(), 'hash-missing', 'HRD-12');
});

for (const [name, row, code, change] of [
  ['length', 'FV-13', 'target-mismatch', (t: Mutable<Target>) => (t.length += 1)],
  [
    'hash',
    'FV-13',
    'target-mismatch',
    (t: Mutable<Target>) => (t.hashes = [{ key: -16, value: new Uint8Array(32) }]),
  ],
  [
    'number of hashes',
    'FV-13',
    'target-mismatch',
    (t: Mutable<Target>) =>
      (t.hashes = [{ key: -16, value: t.hashes[0]!.value }].concat({
        key: -44,
        value: new Uint8Array(64),
      } as never) as never),
  ],
  [
    'release counter',
    'FV-14',
    'target-must-match',
    (t: Mutable<Target>) => (t.mustMatch = { ...t.mustMatch, releaseCounter: 4 }),
  ],
  [
    'hardware list',
    'FV-14',
    'target-must-match',
    (t: Mutable<Target>) => (t.mustMatch = { ...t.mustMatch, hardwareIds: ['hw-a'] }),
  ],
  [
    'plaintext hash',
    'FV-14',
    'target-must-match',
    (t: Mutable<Target>) => (t.mustMatch = { ...t.mustMatch, plaintextSha256: new Uint8Array(32) }),
  ],
] as const) {
  test(`${row}: repositories that disagree on the ${name} install nothing`, () => {
    const { sim, images, verifier } = start();
    const target = sim.target(image);
    change(target);
    images.targets.targets = [target];
    refused(verifier.full(), code, row);
  });
}

test('FV-12: an image that the Image repository does not list, or under another name, is not found', () => {
  const { sim, images, verifier } = start();
  images.targets.targets = [sim.target({ ...image, filename: 'app-2.bin' })];
  refused(verifier.full(), 'target-not-found', 'RDL-08');
});

test('FV-11: a Primary refuses the bundle for one image of a Secondary, the Secondary takes its own', () => {
  const { sim, images, verifier } = start();
  sim.assign('ecu-2', { filename: 'app-2.bin', releaseCounter: 1 });
  images.targets.targets = images.targets.targets.filter((t) => t.filename === 'app-1.bin');
  refused(verifier.full(), 'target-not-found', 'RDL-08');
  const secondary = new SimulatedVerifier(sim, { everyEcu: false, ecus: [ecu('ecu-1')] });
  assigned(secondary.full(), ['ecu-1']);
});

test('FV-15: a release below the previous metadata is refused, in the next try too', () => {
  const { sim, verifier } = start();
  const secondary = new SimulatedVerifier(sim, { everyEcu: false });
  assigned(verifier.full(), ['ecu-1']);
  assigned(secondary.partial(), ['ecu-1']);
  sim.assign('ecu-1', { ...image, releaseCounter: 4 });
  for (let i = 0; i < 2; i++) {
    refused(verifier.full(), 'target-rollback', 'FV-15');
    refused(secondary.partial(), 'target-rollback', 'FV-15');
  }
});

test('HRD-04: a bundle without the ECU does not reset its release counter', () => {
  const { sim, director, verifier } = start();
  const sha256 = plaintextHash(image);
  const installed = { filename: image.filename, sha256, releaseCounter: 5 };
  const ecus = [ecu('ecu-1', { installed, counter: 5 })];
  verifier.options = { ...verifier.options, ecus };
  assigned(verifier.full(), []);
  director.targets.targets = [];
  director.release();
  assigned(verifier.full(), []);
  sim.assign('ecu-1', { ...image, releaseCounter: 4 });
  refused(verifier.full(), 'target-rollback', 'HRD-04');
});

test('PV-03: a partial verifier takes its own entry by Director Targets alone', () => {
  const { sim } = start();
  sim.assign('ecu-2', { filename: 'app-2.bin', releaseCounter: 1 });
  const partial = new SimulatedVerifier(sim, { everyEcu: false, ecus: [ecu('ecu-1')] });
  assigned(partial.partial(), ['ecu-1']);
  assert.equal(sim.requests, ['director/2.root.cbor', 'director/targets.cbor']);
  assert.equal(partial.store.read('director', 'targets.cbor'), sim.director.targetsFile());
});

test('PV-03: rollback, expiry, vehicle and signature of Director Targets', () => {
  const { sim, director } = start();
  const partial = new SimulatedVerifier(sim, { everyEcu: false });
  assigned(partial.partial(), ['ecu-1']);
  director.overrides['targets.cbor'] = undefined;
  refused(partial.partial(), 'metadata-absent', 'FNM-01');
  director.overrides['targets.cbor'] = new Uint8Array(maxDirectorTargetsBytes);
  refused(partial.partial(), 'cbor-wrong-type', 'DBP-20');
  director.overrides['targets.cbor'] = new Uint8Array(maxDirectorTargetsBytes + 1);
  refused(partial.partial(), 'net-endless', 'CTG-01');
  delete director.overrides['targets.cbor'];
  director.targets.version -= 1;
  refused(partial.partial(), 'metadata-rollback', 'CTG-04');
  director.targets.version += 2;
  director.expire('targets', now);
  refused(partial.partial(), 'metadata-expired', 'CTG-05');
  director.expire('targets', now + 1);
  director.targets.vehicleId = 'vehicle-2';
  refused(partial.partial(), 'vehicle-mismatch', 'HRD-01');
  director.targets.vehicleId = 'vehicle-1';
  director.signers.targets = director.signers.time;
  refused(partial.partial(), 'signature-threshold', 'CTG-03');
});

test('PV-04, HRD-16: a partial verifier follows Director Root to new Targets keys', () => {
  const { sim, director } = start();
  const partial = new SimulatedVerifier(sim, { everyEcu: false });
  assigned(partial.partial(), ['ecu-1']);
  const stolen = director.signers.targets;
  director.rotate('targets');
  director.release();
  assigned(partial.partial(), ['ecu-1']);
  director.signers.targets = stolen;
  director.release();
  refused(partial.partial(), 'signature-threshold', 'CTG-03');
});

test('PV-04: a Root without Timestamp and Snapshot keys serves partial verification alone', () => {
  const { sim, director, verifier } = start();
  const partial = new SimulatedVerifier(sim, { everyEcu: false });
  const { targets, timestamp, snapshot } = roles;
  const kept = director.root.roles.filter(({ role }) => role !== timestamp && role !== snapshot);
  const more = kept.filter(({ role }) => role === targets);
  director.root.roles = kept.concat(more.map((e) => ({ ...e, role: roles['offline-targets'] })));
  director.publishRoot();
  assigned(partial.partial(), ['ecu-1']);
  refused(verifier.full(), 'root-threshold', 'ROOT-01');
});

test('CRT-02: an endless Root is cut for partial verification too', () => {
  const { sim, director } = start();
  const partial = new SimulatedVerifier(sim, { everyEcu: false });
  director.overrides['2.root.cbor'] = new Uint8Array(maxRootBytes + 1);
  refused(partial.partial(), 'net-endless', 'CRT-02');
});

test('INS-08: without an entry for it a Secondary keeps its previous Targets, but no older version', () => {
  const { sim, director } = start();
  for (const kind of ['full', 'partial'] as const) {
    const other = start();
    const secondary = new SimulatedVerifier(other.sim, { everyEcu: false, ecus: [ecu('ecu-1')] });
    assigned(secondary[kind](), ['ecu-1']);
    const previous = other.director.targetsFile();
    other.director.targets.targets = [];
    other.director.release();
    other.director.release();
    assigned(secondary[kind](), []);
    assert.equal(secondary.store.read('director', 'targets.cbor'), previous);
    assigned(secondary[kind](), []);
    if (kind === 'full') continue;
    other.director.targets.version -= 1;
    refused(secondary.partial(), 'metadata-rollback', 'CTG-04');
    other.director.targets.version += 1;
    other.director.targets.expires += 1;
    refused(secondary.partial(), 'metadata-changed-in-place', 'HRD-02');
  }
  const primary = new SimulatedVerifier(sim);
  assigned(primary.full(), ['ecu-1']);
  director.targets.targets = [];
  director.release();
  assigned(primary.full(), []);
  assert.equal(primary.store.read('director', 'targets.cbor'), director.targetsFile());
});

test('INS-08, FV-15: the entry kept still bounds the release counter', () => {
  const { sim, director } = start();
  const secondary = new SimulatedVerifier(sim, { everyEcu: false, ecus: [ecu('ecu-1')] });
  assigned(secondary.partial(), ['ecu-1']);
  director.targets.targets = [];
  director.release();
  assigned(secondary.partial(), []);
  sim.assign('ecu-1', { ...image, releaseCounter: 4 });
  refused(secondary.partial(), 'target-rollback', 'FV-15');
});

test('DEL-05: * matches any run, everything else itself', () => {
  for (const [pattern, text, expected] of [
    ['*', 'a.bin', true],
    ['a*', 'a', true],
    ['*.bin', 'a.bin', true],
    ['*.bin', 'a.bin2', false],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbYbZ', false],
    ['a.bin', 'a.bin', true],
    ['a.bin', 'aXbin', false],
    ['a?', 'ab', false],
    ['', 'a', false],
    ['**a', 'bba', true],
  ] as const) {
    assert.is(matchesPattern(pattern, text), expected, `${pattern} ${text}`);
  }
  assert.not(matchesPattern(`${'*a'.repeat(60)}b`, 'a'.repeat(128)));
});

test.run();
