import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxDirectorTargetsBytes, maxImageBytes, maxTargetsBytes } from '../../../agent/limits.ts';
import { imageKinds, type MustMatch } from '../../../agent/metadata/targets.ts';
import { matchesPattern } from '../../../agent/verify/path-pattern.ts';
import type { VerifierEcu } from '../../../agent/verify/verification.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  ecu,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';

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
  [
    'a runtime of other bytecode',
    'FV-14',
    'target-kind',
    { kind: imageKinds.runtime, bytecodeVersion: 29, halVersion: 1 },
    { kinds: ['runtime'] },
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

test('CTG-06, ROL-08, DEL-01: Director Targets with a delegation are refused', () => {
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
