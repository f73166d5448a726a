import { suite } from 'uvu';
import { assigned, refused } from '../../simulator/assertions.ts';
import { RepositorySimulator, SimulatedVerifier } from '../../simulator/repository-simulator.ts';

const test = suite('Multi-role delegations');
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

test('MRD-01, MRD-02: a multi-role delegation needs so many roles that agree', () => {
  const { images, list, good, wrong, verifier } = start();
  images.delegate(['a', 'b', 'c'], { minimumRoles: 2 });
  list('a', wrong);
  list('b');
  refused(verifier.full(), 'target-not-found', 'RDL-08');
  images.delegate(['below'], {}, images.delegated['c']!.targets);
  list('below', good);
  images.delegated['c']!.targets.version += 1;
  images.release();
  assigned(verifier.full(), ['ecu-1']);
});

test('MRD-02: agreement is on length, hashes and must-match, not on one of them', () => {
  for (const change of [
    { length: 1 },
    { hashes: [{ key: -16 as const, value: new Uint8Array(32) }] },
    { mustMatch: { ...start().good.mustMatch, releaseCounter: 1 } },
  ]) {
    const { images, list, good, verifier } = start();
    images.delegate(['a', 'b']);
    list('a');
    list('b', { ...good, ...change });
    refused(verifier.full(), 'target-not-found', 'RDL-08');
  }
});

test('MRD-03: of two sets that are large enough, the one with the earliest role counts', () => {
  for (const [first, second] of [
    ['good', 'wrong'],
    ['wrong', 'good'],
  ] as const) {
    const s = start();
    s.images.delegate(['a', 'b', 'c', 'd'], { minimumRoles: 2 });
    s.list('a', s[first]);
    s.list('b', s[second]);
    s.list('c', s[second]);
    s.list('d', s[first]);
    if (first === 'good') assigned(s.verifier.full(), ['ecu-1']);
    else refused(s.verifier.full(), 'target-mismatch', 'FV-13');
  }
});

test('MRD-04: a single set that is large enough counts, though an earlier role disagrees', () => {
  const { images, list, wrong, verifier } = start();
  images.delegate(['a', 'b', 'c'], { minimumRoles: 2 });
  list('a', wrong);
  list('b');
  list('c');
  assigned(verifier.full(), ['ecu-1']);
});

test('MRD-05, RDL-06: without a set the next delegation counts, unless terminating', () => {
  for (const terminating of [false, true]) {
    const { images, list, wrong, verifier } = start();
    images.delegate(['a', 'b'], { terminating });
    images.delegate(['c']);
    list('a', wrong);
    list('b');
    list('c');
    if (terminating) refused(verifier.full(), 'target-not-found', 'RDL-08');
    else assigned(verifier.full(), ['ecu-1']);
  }
});

for (const minimumRoles of [0, 3]) {
  test(`HRD-06: a multi-role delegation with minimum ${minimumRoles} of 2 is refused`, () => {
    const { images, verifier } = start();
    images.delegate(['a', 'b'], { minimumRoles });
    refused(verifier.full(), 'root-threshold', 'HRD-06');
  });
}

test('MRD-01: one role twice in a multi-role delegation is refused', () => {
  const { images, verifier } = start();
  images.delegate(['a', 'a'], { minimumRoles: 2 });
  refused(verifier.full(), 'delegation-role', 'RDL-02');
});

test.run();
