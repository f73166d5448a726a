import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { FullVerification } from '../../../agent/verify/full-verification.ts';
import { PartialVerification } from '../../../agent/verify/partial-verification.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  ecu,
  now,
  PowerCut,
  plaintextHash,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';

const test = suite('Full verification');
const image = { filename: 'app-1.bin', releaseCounter: 1 };

function start(profile: 'ecdsa' | 'composite' = 'ecdsa') {
  const sim = new RepositorySimulator(profile);
  sim.assign('ecu-1', image);
  return { sim, verifier: new SimulatedVerifier(sim) };
}

const wholeOrder = [
  'director/2.root.cbor',
  'director/timestamp.cbor',
  'director/2.snapshot.cbor',
  'director/2.targets.cbor',
  'images/2.root.cbor',
  'images/timestamp.cbor',
  'images/2.snapshot.cbor',
  'images/2.targets.cbor',
];

for (const profile of ['ecdsa', 'composite'] as const) {
  test(`FV-02, FV-03, FV-05, FV-07, FV-08, FV-10: files are asked for in order (${profile})`, () => {
    const { sim, verifier } = start(profile);
    assigned(verifier.full(), ['ecu-1']);
    assert.equal(sim.requests, wholeOrder);
  });
}

test('FV-04, FV-09: nothing changed: two files a repository, the assignment is still found', () => {
  const { sim, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  const { changes } = verifier.keyValue;
  assigned(verifier.full(), ['ecu-1']);
  assert.equal(sim.requests, [
    'director/2.root.cbor',
    'director/timestamp.cbor',
    'images/2.root.cbor',
    'images/timestamp.cbor',
  ]);
  assert.is(verifier.keyValue.changes, changes, 'nothing is written again');
});

test('FV-05, FV-06: everything installed: the Image repository is not asked', () => {
  const { sim, verifier } = start();
  const installed = { ...image, sha256: plaintextHash(image) };
  verifier.options = { ...verifier.options, ecus: [ecu('ecu-1', { installed, counter: 1 })] };
  assigned(verifier.full(), []);
  assert.equal(sim.requests, wholeOrder.slice(0, 4));
});

for (const [name, change] of [
  ['another filename', { filename: 'app-0.bin' }],
  ['another plaintext', { sha256: new Uint8Array(32) }],
  ['another release', { releaseCounter: 0 }],
] as const) {
  test(`FV-06: ${name} installed: the listed image is not installed yet`, () => {
    const { verifier } = start();
    const installed = { ...image, sha256: plaintextHash(image), ...change };
    verifier.options = { ...verifier.options, ecus: [ecu('ecu-1', { installed })] };
    assigned(verifier.full(), ['ecu-1']);
  });
}

test('FV-11: images of several ECUs, some installed', () => {
  const { sim, verifier } = start();
  sim.assign('ecu-2', { filename: 'app-2.bin', releaseCounter: 3 });
  assigned(verifier.full(), ['ecu-1', 'ecu-2']);
  const installed = { ...image, sha256: plaintextHash(image) };
  const two = ecu('ecu-2', { hardwareId: 'hw-b' });
  verifier.options = { ...verifier.options, ecus: [ecu('ecu-1', { installed }), two] };
  assigned(verifier.full(), ['ecu-2']);
});

test('FV-09: the Snapshot is new, Targets are not: only the Snapshot is fetched', () => {
  const { sim, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  sim.director.snapshot.version += 1;
  sim.director.timestamp.version += 1;
  assigned(verifier.full(), ['ecu-1']);
  assert.ok(sim.requests.includes('director/3.snapshot.cbor'));
  assert.not(sim.requests.includes('director/2.targets.cbor'));
});

test('HRD-15: a damaged stored Snapshot or Targets file is fetched again', () => {
  for (const name of ['snapshot', 'targets']) {
    const { sim, verifier } = start();
    assigned(verifier.full(), ['ecu-1']);
    const stored = verifier.keyValue.values.get(`director/${name}`)!;
    stored[stored.length - 1]! ^= 1;
    assigned(verifier.full(), ['ecu-1']);
    assert.ok(sim.requests.includes(`director/2.${name}.cbor`));
  }
});

test('ATK-09: Director files of two different releases are never mixed', () => {
  const { sim, verifier } = start();
  const [oldSnapshot, oldTargets] = [sim.director.snapshotFile(), sim.director.targetsFile()];
  sim.assign('ecu-1', { ...image, releaseCounter: 2 });
  sim.director.overrides['3.targets.cbor'] = oldTargets;
  refused(verifier.full(), 'targets-version-mismatch', 'CTG-02');
  sim.director.overrides['3.snapshot.cbor'] = oldSnapshot;
  sim.director.timestamp.version += 1;
  sim.director.snapshot.version += 1;
  sim.director.overrides['4.snapshot.cbor'] = oldSnapshot;
  refused(verifier.full(), 'snapshot-mismatch', 'CSN-02');
});

test('ATK-04: a frozen repository is refused once its Timestamp has expired', () => {
  const { verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  verifier.options = { ...verifier.options, now: now + 86_400 };
  refused(verifier.full(), 'metadata-expired', 'CRT-06');
});

test('ATK-13: a whole Director bundle of another vehicle is refused', () => {
  const { verifier } = start();
  verifier.options = { ...verifier.options, vehicleId: 'vehicle-2' };
  refused(verifier.full(), 'vehicle-mismatch', 'HRD-01');
  refused(verifier.partial(), 'vehicle-mismatch', 'HRD-01');
});

test('ATK-10: the Director alone installs nothing, nor does the Image repository', () => {
  const { sim, verifier } = start();
  sim.images.targets.targets = [];
  refused(verifier.full(), 'target-not-found', 'RDL-08');
  const other = start();
  other.sim.director.targets.targets = [];
  assigned(other.verifier.full(), []);
});

test('profile: a composite verifier does not count signatures of another profile', () => {
  const { sim } = start('ecdsa');
  const composite = new SimulatedVerifier(sim, { profile: 'composite' });
  refused(composite.full(), 'metadata-not-stored', 'HRD-15');
});

test('VER-01, VER-03: each refusal has its code, and the next cycle can succeed', () => {
  const { sim, verifier } = start();
  for (const name of wholeOrder.map((path) => path.split('/') as ['director' | 'images', string])) {
    const { overrides } = sim.repository(name[0]);
    overrides[name[1]] = new Uint8Array([0x80]);
    assert.ok(isRefusal(verifier.full()), name[1]);
    delete overrides[name[1]];
  }
  assigned(verifier.full(), ['ecu-1']);
});

test('ask may be repeated; supply and decision out of order are bugs', () => {
  const { verifier } = start();
  for (const Machine of [FullVerification, PartialVerification]) {
    const machine = new Machine(verifier.options);
    assert.equal(machine.ask(), machine.ask());
    assert.throws(() => machine.decision(), /not ended/);
    machine.supply(new Uint8Array([0x80]));
    assert.is(machine.ask(), undefined);
    assert.ok(isRefusal(machine.decision()));
    assert.throws(() => machine.supply(undefined), /nothing was asked for/);
  }
});

/** Runs a cycle that writes much, cut at every change of the store; then the cycle after it. */
function cutEverywhere(kind: 'full' | 'partial'): number {
  for (let cut = 0; ; cut++) {
    const { sim, verifier } = start();
    assigned(verifier[kind](), ['ecu-1']);
    sim.director.rotate('timestamp');
    sim.director.rotate('root');
    sim.director.rotate('targets');
    sim.images.rotate('snapshot');
    sim.images.delegate(['brakes']);
    sim.assign('ecu-1', { ...image, releaseCounter: 2 });
    sim.images.delegated['brakes']!.targets.targets = [sim.images.targets.targets[0]!];
    sim.images.targets.targets = [];
    const { keyValue } = verifier;
    keyValue.failAfter = keyValue.changes + cut;
    let fired = false;
    try {
      assigned(verifier[kind](), ['ecu-1']);
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      fired = true;
    }
    keyValue.failAfter = Number.POSITIVE_INFINITY;
    assigned(verifier[kind](), ['ecu-1']);
    assert.equal(verifier.store.read('director', 'targets.cbor'), sim.director.targetsFile());
    // What was reached cannot be taken back
    sim.director.targets.version -= 1;
    sim.director.snapshot.version += 1;
    sim.director.timestamp.version += 1;
    assert.ok(isRefusal(verifier[kind]()), 'rollback after recovery');
    if (!fired) return cut;
  }
}

test('HRD-14, VER-02: a cut at any change of the store is recovered from (full)', () => {
  const points = cutEverywhere('full');
  // 3 + 1 Roots of two changes each, three roles of both repositories, one delegated role
  assert.is(points, 4 * 2 + 6 + 1);
});

test('HRD-14, VER-02: a cut at any change of the store is recovered from (partial)', () => {
  assert.is(cutEverywhere('partial'), 3 * 2 + 1);
});

test('the simulator writes all its files to a folder', () => {
  const { sim } = start();
  sim.images.delegate(['brakes']);
  const folder = mkdtempSync(join(tmpdir(), 'simulator-'));
  sim.dump(folder);
  for (const name of wholeOrder.filter((path) => !path.includes('2.root'))) {
    assert.ok(existsSync(join(folder, name)), name);
  }
  assert.ok(existsSync(join(folder, 'images/1.brakes.cbor')));
  rmSync(folder, { recursive: true });
});

test.run();
