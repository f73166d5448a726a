import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  now,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import { newSigner } from '../../simulator/simulated-repository.ts';

const test = suite('Timestamp and Snapshot metadata');

/** A verifier with one image to install, so that a cycle reaches both repositories. */
function start(repository: 'director' | 'images' = 'director') {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  return { sim, repo: sim.repository(repository), verifier: new SimulatedVerifier(sim) };
}

for (const side of ['director', 'images'] as const) {
  for (const [role, row] of [
    ['timestamp', 'CTS-02'],
    ['snapshot', 'CSN-03'],
    ['targets', 'CTG-03'],
  ] as const) {
    test(`${row}: ${side} ${role} without signature, or by another key, is refused`, () => {
      const { repo, verifier } = start(side);
      repo.signers[role] = [];
      refused(verifier.full(), 'signature-missing', row);
      repo.signers[role] = [newSigner('ecdsa')];
      repo.timestamp.version += 1;
      refused(verifier.full(), 'signature-threshold', row);
      assert.is(verifier.store.read(side, `2.${role}.cbor`), undefined);
    });

    test(`${row}: ${side} ${role} below its threshold, or by one key twice, is refused`, () => {
      const { repo, verifier } = start(side);
      const [first, second] = [repo.signers[role][0]!, newSigner('ecdsa')];
      repo.signers[role] = [first, second];
      repo.thresholds[role] = 2;
      repo.refreshKeyTable();
      repo.publishRoot();
      repo.signers[role] = [first];
      refused(verifier.full(), 'signature-threshold', row);
      repo.signers[role] = [first, first];
      repo.timestamp.version += 1;
      refused(verifier.full(), 'signature-threshold', row);
      repo.signers[role] = [first, second];
      repo.timestamp.version += 1;
      assigned(verifier.full(), ['ecu-1']);
    });
  }

  for (const [role, row] of [
    ['timestamp', 'CTS-04'],
    ['snapshot', 'CSN-07'],
    ['targets', 'CTG-05'],
  ] as const) {
    test(`${row}: ${side} ${role} is good until the second before it expires, then frozen`, () => {
      const { repo, verifier } = start(side);
      repo.expire(role, now);
      refused(verifier.full(), 'metadata-expired', row);
      repo.expire(role, now + 1);
      repo.timestamp.version += 1;
      assigned(verifier.full(), ['ecu-1']);
    });

    test(`${row}: stored ${side} ${role} that expired meanwhile is refused when nothing changed`, () => {
      const { repo, verifier } = start(side);
      repo.expire(role, now + 10);
      assigned(verifier.full(), ['ecu-1']);
      verifier.options = { ...verifier.options, now: now + 10 };
      refused(verifier.full(), 'metadata-expired', row);
    });
  }

  for (const [role, row] of [
    ['timestamp', 'CTS-03'],
    ['snapshot', 'CSN-04'],
  ] as const) {
    test(`${row}: an older ${side} ${role} is refused, in every later cycle too`, () => {
      const { repo, verifier } = start(side);
      assigned(verifier.full(), ['ecu-1']);
      repo[role].version -= 1;
      if (role === 'snapshot') repo.timestamp.version += 1;
      refused(verifier.full(), 'metadata-rollback', row);
      refused(verifier.full(), 'metadata-rollback', row);
    });
  }

  test(`HRD-02: ${side} timestamp of the same version with other content is refused`, () => {
    const { repo, verifier } = start(side);
    assigned(verifier.full(), ['ecu-1']);
    repo.timestamp.expires += 1;
    refused(verifier.full(), 'metadata-changed-in-place', 'HRD-02');
  });

  test(`HRD-02: ${side} snapshot of the same version with other content is refused`, () => {
    const { repo, verifier } = start(side);
    assigned(verifier.full(), ['ecu-1']);
    repo.snapshot.expires += 1;
    repo.timestamp.version += 1;
    refused(verifier.full(), 'metadata-changed-in-place', 'HRD-02');
  });

  test(`CSN-02: a ${side} snapshot that the Timestamp does not name is refused`, () => {
    const { repo, verifier } = start(side);
    const old = repo.snapshotFile();
    repo.snapshot.version += 1;
    repo.timestamp.version += 1;
    repo.overrides['3.snapshot.cbor'] = old;
    refused(verifier.full(), 'snapshot-mismatch', 'CSN-02');
  });

  test(`CTG-02: ${side} targets of another version than the Snapshot says are refused`, () => {
    const { repo, verifier } = start(side);
    repo.listedVersions['targets'] = 3;
    refused(verifier.full(), 'targets-version-mismatch', 'CTG-02');
  });

  for (const name of ['timestamp.cbor', '2.snapshot.cbor', '2.targets.cbor']) {
    test(`FNM-01: ${side} ${name} that is not there ends the cycle`, () => {
      const { repo, verifier } = start(side);
      repo.overrides[name] = undefined;
      refused(verifier.full(), 'metadata-absent', 'FNM-01');
      delete repo.overrides[name];
      assigned(verifier.full(), ['ecu-1']);
    });
  }

  test(`CSN-05: a ${side} snapshot that takes a version back is refused`, () => {
    const { repo, verifier } = start(side);
    repo.listedVersions['extra'] = 7;
    assigned(verifier.full(), ['ecu-1']);
    repo.listedVersions['extra'] = 6;
    repo.release();
    refused(verifier.full(), 'metadata-rollback', 'CSN-05');
  });

  test(`CSN-06: a ${side} snapshot that no longer lists a role is refused`, () => {
    const { repo, verifier } = start(side);
    repo.listedVersions['extra'] = 7;
    assigned(verifier.full(), ['ecu-1']);
    delete repo.listedVersions['extra'];
    repo.release();
    refused(verifier.full(), 'snapshot-role-removed', 'CSN-06');
  });
}

for (const role of ['timestamp', 'snapshot', 'targets'] as const) {
  test(`HRD-01: Director ${role} for another vehicle, or for none, is refused`, () => {
    const { repo, verifier } = start();
    repo[role].vehicleId = 'vehicle-2';
    refused(verifier.full(), 'vehicle-mismatch', 'HRD-01');
    delete repo[role].vehicleId;
    repo.timestamp.version += 1;
    refused(verifier.full(), 'vehicle-mismatch', 'HRD-01');
  });

  test(`HRD-01: Image repository ${role} for one vehicle is refused`, () => {
    const { repo, verifier } = start('images');
    repo[role].vehicleId = 'vehicle-1';
    refused(verifier.full(), 'vehicle-mismatch', 'HRD-01');
  });
}

test.run();
