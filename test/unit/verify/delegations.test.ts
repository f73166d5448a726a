import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxTargetsBytes } from '../../../agent/limits.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  now,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import { newSigner } from '../../simulator/simulated-repository.ts';

const test = suite('Delegations');
const image = { filename: 'app-1.bin', releaseCounter: 5 };

/** The Director assigns an image which the Image repository's top level does not list. */
function start() {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', image);
  sim.images.targets.targets = [];
  const good = sim.target(image);
  const wrong = sim.target({ ...image, releaseCounter: 6 });
  const list = (role: string, target = good) => {
    sim.images.delegated[role]!.targets.targets = [target];
  };
  return { sim, images: sim.images, good, wrong, list, verifier: new SimulatedVerifier(sim) };
}

/** The requests for delegated roles of the last cycle. */
function rolesAsked(sim: RepositorySimulator): string[] {
  return sim.requests
    .filter((name) => name.startsWith('images/') && !/root|timestamp|snapshot|targets/.test(name))
    .map((name) => name.slice('images/1.'.length, -'.cbor'.length));
}

test('RDL-01, RDL-07, ROL-04, DEL-02: the search goes depth first in listed order, to the first that lists it', () => {
  const { sim, images, list, verifier } = start();
  images.delegate(['a']);
  images.delegate(['b']);
  images.delegate(['c'], {}, images.delegated['a']!.targets);
  images.delegate(['d'], {}, images.delegated['a']!.targets);
  list('b');
  assigned(verifier.full(), ['ecu-1']);
  assert.equal(rolesAsked(sim), ['a', 'c', 'd', 'b']);
});

test('RDL-03: the entry of a file outranks its delegations, the first delegation the next', () => {
  const { images, list, wrong, good, verifier } = start();
  images.delegate(['a']);
  images.delegate(['b']);
  images.delegate(['c'], {}, images.delegated['a']!.targets);
  list('a', wrong);
  list('b');
  list('c');
  refused(verifier.full(), 'target-mismatch', 'FV-13');
  images.targets.targets = [good];
  images.release();
  assigned(verifier.full(), ['ecu-1']);
});

test('RDL-04, ROL-05, DEL-07: what a terminating delegation leads to must list the image itself', () => {
  const { sim, images, list, verifier } = start();
  images.delegate(['a'], { terminating: true });
  images.delegate(['b']);
  images.delegate(['c'], {}, images.delegated['a']!.targets);
  list('b');
  list('c');
  refused(verifier.full(), 'target-not-found', 'RDL-08');
  assert.equal(rolesAsked(sim), ['a']);
  list('a');
  images.delegated['a']!.targets.version += 1;
  images.release();
  assigned(verifier.full(), ['ecu-1']);
});

test('RDL-04: a terminating delegation further down ends the whole search', () => {
  const { images, list, verifier } = start();
  images.delegate(['a']);
  images.delegate(['b']);
  images.delegate(['c'], { terminating: true }, images.delegated['a']!.targets);
  list('b');
  refused(verifier.full(), 'target-not-found', 'RDL-08');
});

test('RDL-05, DEL-06: a delegation counts only with path and hardware, terminating or not', () => {
  const { sim, images, list, wrong, verifier } = start();
  images.delegate(['a'], { paths: ['brakes-*', 'app-2*'], terminating: true });
  images.delegate(['b'], { hardwareIds: ['hw-b'], terminating: true });
  images.delegate(['c'], { paths: ['none', 'app-*'], hardwareIds: ['hw-b', 'hw-a'] });
  images.delegate(['d'], { hardwareIds: ['hw-a'] });
  list('a', wrong);
  list('b', wrong);
  list('c');
  assigned(verifier.full(), ['ecu-1']);
  assert.equal(rolesAsked(sim), ['c']);
  images.delegated['c']!.targets.targets = [];
  images.delegated['c']!.targets.version += 1;
  images.release();
  list('d');
  assigned(verifier.full(), ['ecu-1']);
});

test('RDL-05: a role lists nothing outside the patterns that lead to it', () => {
  const { images, list, verifier } = start();
  images.delegate(['a'], { paths: ['brakes-*'] });
  images.delegate(['c'], { paths: ['*'] }, images.delegated['a']!.targets);
  list('c');
  refused(verifier.full(), 'target-not-found', 'RDL-08');
});

test('RDL-08: at the end of all delegations the image is not found', () => {
  const { images, verifier } = start();
  images.delegate(['a']);
  images.delegate(['b']);
  refused(verifier.full(), 'target-not-found', 'RDL-08');
});

for (const [name, code, row, change] of [
  ['is missing', 'delegation-role', 'RDL-02', (s) => (s.images.overrides['1.a.cbor'] = undefined)],
  [
    'is unsigned',
    'signature-missing',
    'CTG-03',
    (s) => (s.images.delegated['a']!.signers.length = 0),
  ],
  [
    'is signed by another key',
    'signature-threshold',
    'CTG-03',
    (s) => (s.images.delegated['a']!.signers = [newSigner('ecdsa')]),
  ],
  [
    'is expired',
    'metadata-expired',
    'CTG-05',
    (s) => (s.images.delegated['a']!.targets.expires = now),
  ],
  [
    'is not in the Snapshot',
    'delegation-role',
    'ROL-09',
    (s) => (s.images.listedVersions['a'] = undefined),
  ],
  [
    'has another version than the Snapshot says',
    'targets-version-mismatch',
    'CTG-02',
    (s) => (s.images.listedVersions['a'] = 2),
  ],
  [
    'is larger than the bound',
    'net-endless',
    'CTG-01',
    (s) => (s.images.overrides['1.a.cbor'] = new Uint8Array(maxTargetsBytes + 1)),
  ],
  [
    'is garbage of just the bound',
    'cbor-wrong-type',
    'DBP-20',
    (s) => (s.images.overrides['1.a.cbor'] = new Uint8Array(maxTargetsBytes)),
  ],
  [
    'is of another role type',
    'metadata-role-type',
    'MET-04',
    (s) => {
      s.images.delegated['a']!.signers = s.images.signers.timestamp;
      delete s.images.targets.delegations;
      s.images.delegate(['a']);
      s.images.delegate(['b']);
      s.images.overrides['1.a.cbor'] = s.images.timestampFile();
    },
  ],
  [
    'names a vehicle',
    'vehicle-mismatch',
    'HRD-01',
    (s) => (s.images.delegated['a']!.targets.vehicleId = 'vehicle-1'),
  ],
] as [string, 'delegation-role', string, (s: ReturnType<typeof start>) => void][]) {
  test(`RDL-02, HRD-08: a delegated role that ${name} ends the search with ${code}`, () => {
    const s = start();
    s.images.delegate(['a']);
    s.images.delegate(['b']);
    s.list('b');
    change(s);
    refused(s.verifier.full(), code, row);
  });
}

test('HRD-08: a delegated role does not go back, nor change under one version', () => {
  const { sim, images, list, verifier } = start();
  images.delegate(['a']);
  list('a');
  images.delegated['a']!.targets.version = 3;
  assigned(verifier.full(), ['ecu-1']);
  verifier.keyValue.values.delete('images/timestamp');
  verifier.keyValue.values.delete('images/snapshot');
  images.delegated['a']!.targets.version = 2;
  images.release();
  refused(verifier.full(), 'metadata-rollback', 'CTG-04');
  assert.ok(sim.requests.includes('images/2.a.cbor'));
});

test('HRD-08: a stored delegated role is taken again without a download, if it still verifies', () => {
  const { sim, images, list, verifier } = start();
  images.delegate(['a']);
  list('a');
  assigned(verifier.full(), ['ecu-1']);
  assert.equal(rolesAsked(sim), ['a']);
  assigned(verifier.full(), ['ecu-1']);
  assert.equal(rolesAsked(sim), []);
  const damaged = verifier.keyValue.values.get('images/role/a')!;
  damaged[damaged.length - 1]! ^= 1;
  assigned(verifier.full(), ['ecu-1']);
  assert.equal(rolesAsked(sim), ['a']);
});

test('HRD-09: a role verified under one delegator is verified again under another', () => {
  const { images, verifier } = start();
  images.delegate(['a']);
  images.delegate(['b']);
  images.delegate(['shared'], {}, images.delegated['a']!.targets);
  const { signers } = images.delegated['shared']!;
  images.delegated['shared']!.signers = [newSigner('ecdsa')];
  images.delegate(['shared'], {}, images.delegated['b']!.targets);
  images.delegated['shared']!.signers = signers; // what a expects, not what b expects
  refused(verifier.full(), 'signature-threshold', 'CTG-03');
});

test('HRD-09: two roles of one key are still two roles', () => {
  const { images, list, verifier } = start();
  images.delegate(['a']);
  images.delegated['b'] = {
    targets: { ...images.delegated['a']!.targets },
    signers: images.delegated['a']!.signers,
  };
  images.delegate(['b']);
  list('b');
  assigned(verifier.full(), ['ecu-1']);
});

test('PRI-12: a Primary can serve each delegated file that it verified', () => {
  const { images, list, verifier } = start();
  images.delegate(['2.root']); // a name that looks like another file's
  list('2.root');
  assigned(verifier.full(), ['ecu-1']);
  assert.equal(verifier.store.read('images', '1.2.root.cbor'), images.fetch('1.2.root.cbor'));
  assert.is(verifier.store.read('images', '2.root.cbor'), undefined);
});

test.run();
