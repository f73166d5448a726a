/** Everything inside the must-match section has to be equal in both repositories (§5.2.3.1.1). */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { imageKinds, type MustMatch, mustMatch } from '../../../agent/metadata/targets.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import { RepositorySimulator, SimulatedVerifier } from '../../simulator/repository-simulator.ts';

const image = { filename: 'app-2.bin', releaseCounter: 2 };

/** Another value for each field; both repositories stay well-formed. */
const others: { readonly [K in keyof MustMatch]?: MustMatch[K] } = {
  plaintextLength: 99_999,
  plaintextSha256: new Uint8Array(32).fill(7),
  hardwareIds: ['hw-a'],
  releaseCounter: 3,
  kind: imageKinds.runtime,
  encryption: 'none',
  bytecodeVersion: 1,
  halVersion: 1,
  requires: [{ hardwareId: 'hw-b', min: 0 }],
  conflicts: [{ hardwareId: 'hw-b', min: 9 }],
};

for (const [field, value] of Object.entries(others)) {
  test(`CUS-01, CUS-02, CUS-03, FV-14: repositories that disagree on ${field} install nothing`, () => {
    const sim = new RepositorySimulator();
    const verifier = new SimulatedVerifier(sim);
    sim.assign('ecu-1', image);
    const [listed] = sim.images.targets.targets;
    sim.images.targets.targets = [
      { ...listed!, mustMatch: { ...listed!.mustMatch, [field]: value } },
    ];
    refused(verifier.full(), 'target-must-match', 'FV-14');
    sim.images.targets.targets = [listed!];
    sim.images.release();
    assigned(verifier.full(), ['ecu-1']);
  });
}

test('CUS-01: no field of the must-match section is left out of this test', () => {
  const listed = Object.keys(others).sort();
  assert.equal(listed, Object.keys(mustMatch.fields).sort());
});

test.run();
