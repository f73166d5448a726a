import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxDirectorTargetsBytes, maxRootBytes } from '../../../agent/limits.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  ecu,
  now,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';

const test = suite('Partial verification');
const image = { filename: 'app-1.bin', releaseCounter: 5 };

function start() {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', image);
  return { sim, director: sim.director, images: sim.images, verifier: new SimulatedVerifier(sim) };
}

test('PV-03, ECU-08: a partial verifier takes its own entry by Director Targets alone', () => {
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

test('HRD-01: Targets of another vehicle are named as that, whatever their version', () => {
  const { sim, director } = start();
  const partial = new SimulatedVerifier(sim, { everyEcu: false });
  director.targets.version = 5;
  assigned(partial.partial(), ['ecu-1']);
  director.targets.vehicleId = 'vehicle-2';
  for (const version of [4, 5, 6]) {
    director.targets.version = version;
    refused(partial.partial(), 'vehicle-mismatch', 'HRD-01');
  }
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
  const { timestamp, snapshot } = roles;
  const kept = director.root.roles.filter(({ role }) => role !== timestamp && role !== snapshot);
  director.root.roles = kept;
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

test.run();
