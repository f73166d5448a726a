import { suite } from 'uvu';
import type { Target } from '../../../agent/metadata/targets.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  ecu,
  plaintextHash,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import type { Mutable } from '../../simulator/simulated-repository.ts';

const test = suite('Agreement of the repositories');
const image = { filename: 'app-1.bin', releaseCounter: 5 };

function start() {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', image);
  return { sim, director: sim.director, images: sim.images, verifier: new SimulatedVerifier(sim) };
}

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

test('FV-12, TGT-01: an image that the Image repository does not list, or under another name, is not found', () => {
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

test.run();
