/** What images require of each other, as a Primary judges it again (DIR-13). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  ecu,
  plaintextHash,
  RepositorySimulator,
  type SimulatedImage,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';

const test = suite('Compatibility');
const gateway1 = { filename: 'gateway-1.bin', releaseCounter: 1 };

/** What a vehicle of two ECUs says to an image for ecu-1 beside gateway 1 on ecu-2 (hw-b). */
function judge(rules: Partial<SimulatedImage>, gateway: SimulatedImage | undefined = gateway1) {
  const sim = new RepositorySimulator('ecdsa');
  const runs = gateway && { ...gateway, sha256: plaintextHash(gateway) };
  const other = ecu('ecu-2', { hardwareId: 'hw-b', installed: runs });
  const verifier = new SimulatedVerifier(sim, { ecus: [ecu('ecu-1'), other] });
  sim.assign('ecu-1', { filename: 'app-2.bin', releaseCounter: 2, ...rules });
  return { sim, verifier };
}

const range = (min: number, max?: number) => [
  { hardwareId: 'hw-b', min, ...(max !== undefined && { max }) },
];

for (const [what, rules] of [
  ['a newer release is required', { requires: range(2) }],
  ['an older release is required', { requires: range(0, 0) }],
  ['hardware is required that the vehicle lacks', { requires: [{ hardwareId: 'hw-c', min: 0 }] }],
  ['the release is refused', { conflicts: range(1, 1) }],
  ['the release is in a refused range', { conflicts: range(0) }],
] as const) {
  test(`a Primary takes no bundle in which ${what} (DIR-13)`, () => {
    refused(judge(rules).verifier.full(), 'bundle-incompatible', 'DIR-13');
  });
}

for (const [what, rules] of [
  ['the release is the least of a required range', { requires: range(1, 3) }],
  ['the release is the greatest of a required range', { requires: range(0, 1) }],
  ['the refused range begins one above', { conflicts: range(2) }],
] as const) {
  test(`a Primary takes a bundle in which ${what} (DIR-13)`, () => {
    assigned(judge(rules).verifier.full(), ['ecu-1']);
  });
}

test('what the bundle gives the other ECU counts, not what it runs (DIR-13)', () => {
  const { sim, verifier } = judge({ requires: range(2) });
  sim.assign('ecu-2', { filename: 'gateway-2.bin', releaseCounter: 2 });
  assigned(verifier.full(), ['ecu-1', 'ecu-2']);
});

test('an ECU that did not report is taken to fit: its absence is no attack (DIR-13)', () => {
  const { verifier } = judge({ requires: range(2), conflicts: range(3) });
  const [first, second] = verifier.options.ecus;
  const silent = { ...second!, installed: undefined };
  verifier.options = { ...verifier.options, ecus: [first!, silent] };
  assigned(verifier.full(), ['ecu-1']);
});

test('a Secondary judges its own image and leaves the bundle to its Primary (FV-11)', () => {
  const { verifier } = judge({ requires: range(2) });
  verifier.options = { ...verifier.options, everyEcu: false };
  const decision = verifier.full();
  assert.ok(!('refused' in decision));
});

test.run();
