/** Partial verification by hash-based signatures, as the smallest ECUs do it (profile `tiny`). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { profiles, roles } from '../../../agent/metadata/common.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import { RepositorySimulator, SimulatedVerifier } from '../../simulator/repository-simulator.ts';
import { crypto, newSigner } from '../../simulator/simulated-repository.ts';

const test = suite('Tiny profile');
const signatureBytes = 7_856;
const sim = new RepositorySimulator('tiny');
const { director } = sim;
sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 5 });

test('ECU-08, PV-04: SLH-DSA carries Director Root to new keys, and their Targets', () => {
  const verifier = new SimulatedVerifier(sim, { everyEcu: false });
  const stolen = director.signers.targets;
  director.rotate('targets');
  const { targets } = director.signers;
  assigned(verifier.partial(), ['ecu-1']);
  assert.is(verifier.store.rootVersion('director'), 2);
  director.signers.targets = stolen;
  refused(verifier.partial(), 'signature-threshold', 'CTG-03');
  director.signers.targets = targets;
});

test('CTG-03: no bit of an SLH-DSA signature may be another one', () => {
  const verifier = new SimulatedVerifier(sim, { everyEcu: false });
  const file = director.targetsFile();
  const signature = file.length - signatureBytes;
  // Randomizer, a FORS secret, the hypertree, the last node beside the path.
  for (const at of [0, 16, signatureBytes / 2, signatureBytes - 1]) {
    const forged = file.slice();
    forged[signature + at]! ^= 1;
    director.overrides['targets.cbor'] = forged;
    refused(verifier.partial(), 'signature-invalid', 'CTG-03');
  }
  delete director.overrides['targets.cbor'];
});

test('ROOT-03: a key that the same Root names for another profile signs nothing for this one', () => {
  const elliptic = newSigner('ecdsa');
  const { keys, roles: entries } = director.root;
  director.root.keys = keys.concat(elliptic.key);
  director.root.roles = entries.concat({
    role: roles.targets,
    profile: profiles.ecdsa,
    keyIds: [keyId(crypto, elliptic.key)],
    threshold: 1,
  });
  director.publishRoot();
  const verifier = new SimulatedVerifier(sim, { everyEcu: false });
  assigned(verifier.partial(), ['ecu-1']);
  director.signers.targets = [elliptic];
  refused(verifier.partial(), 'signature-threshold', 'CTG-03');
});

test.run();
