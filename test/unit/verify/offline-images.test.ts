import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { maxRootBytes, maxSnapshotBytes, maxTargetsBytes } from '../../../agent/limits.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { judgeOnlineOfflineSnapshot } from '../../../agent/verify/offline-snapshot.ts';
import { loadRoot, partialRoles } from '../../../agent/verify/root.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import { now, PowerCut } from '../../simulator/repository-simulator.ts';
import { image, OfflineRig } from './offline-rig.ts';

const test = suite('Offline updates: Image repository, online check, power');

test('OFF-04: Image Root, Snapshot and Targets are signed by the Image repository’s keys', () => {
  for (const role of ['snapshot', 'targets'] as const) {
    const rig = new OfflineRig();
    rig.sim.images.signers[role] = rig.sim.images.signers.timestamp;
    const row = role === 'snapshot' ? 'OFF-04' : 'CTG-03';
    refused(rig.full(), 'signature-threshold', row);
    rig.sim.images.signers[role] = rig.sim.director.signers['offline-targets'];
    refused(rig.full(), 'signature-threshold', row);
  }
  const rig = new OfflineRig();
  rig.sim.images.publishRoot(rig.sim.director.signers.root);
  refused(rig.full(), 'signature-threshold', 'CRT-03');
});

test('OFF-04: the Image Snapshot’s expiry is not judged, that of Root and Targets is', () => {
  const rig = new OfflineRig();
  const { images } = rig.sim;
  images.expire('snapshot', now - 1_000);
  images.expire('timestamp', now - 1_000);
  assigned(rig.full(), ['ecu-1']);
  images.expire('targets', now);
  refused(rig.full(), 'metadata-expired', 'CTG-05');
  images.expire('targets', now + 1);
  images.root.expires = now;
  images.publishRoot();
  refused(rig.full(), 'metadata-expired', 'CRT-06');
});

test('OFF-04: Image Targets are those of the Snapshot beside them (mixed bundle)', () => {
  const rig = new OfflineRig();
  rig.sim.images.listedVersions['targets'] = 7;
  refused(rig.full(), 'targets-version-mismatch', 'CTG-02');
  rig.sim.images.listedVersions['targets'] = undefined;
  rig.sim.images.delegate(['brakes']);
  refused(rig.full(), 'snapshot-mismatch', 'SNP-01');
});

test('OFF-04, HRD-15: no file of the Image Snapshot that was seen online has vanished from the medium’s', () => {
  const rig = new OfflineRig();
  const { images } = rig.sim;
  images.delegate(['brakes']);
  images.release();
  rig.sim.assign('ecu-2', { filename: 'other.bin', releaseCounter: 1, hardwareIds: ['hw-b'] });
  assigned(rig.verifier.full(), ['ecu-2']);
  assigned(rig.full(), ['ecu-1']);
  images.listedVersions['brakes'] = undefined;
  images.snapshot.version += 1;
  refused(rig.full(), 'snapshot-role-removed', 'OFF-04');
  const stored = rig.verifier.keyValue.values.get('images/snapshot')!;
  stored[stored.length - 1]! ^= 1; // HRD-15: a damaged one is no baseline
  assigned(rig.full(), ['ecu-1']);
  images.rotate('snapshot'); // CRT-07: and new keys end it
  assigned(rig.full(), ['ecu-1']);
});

test('OFF-04: a medium older than what was seen online serves, and replaces nothing stored', () => {
  const rig = new OfflineRig();
  const { images } = rig.sim;
  const old = ['images/snapshot.cbor', 'images/2.targets.cbor'] as const;
  for (const path of old) {
    rig.medium.overrides[path] = images.fetch(path.slice('images/'.length).replace(/^s/, '1.s'))!;
  }
  rig.sim.assign('ecu-2', { filename: 'other.bin', releaseCounter: 1 });
  assigned(rig.verifier.full(), ['ecu-2']);
  const before = rig.store.read('images', '3.targets.cbor');
  assigned(rig.full(), ['ecu-1']);
  assert.equal(rig.store.read('images', '3.targets.cbor'), before);
});

test('MET-04, HRD-01: a Director’s Snapshot is none of the Image repository', () => {
  const rig = new OfflineRig();
  rig.sim.images.snapshot.vehicleId = 'vehicle-1';
  refused(rig.full(), 'vehicle-mismatch', 'HRD-01');
  delete rig.sim.images.snapshot.vehicleId;
  rig.medium.overrides['images/snapshot.cbor'] = rig.sim.images.timestampFile();
  rig.sim.images.signers.timestamp = rig.sim.images.signers.snapshot;
  rig.medium.overrides['images/snapshot.cbor'] = rig.sim.images.timestampFile();
  refused(rig.full(), 'metadata-role-type', 'MET-04');
});

test('OFF-04, RDL-07: images are found through delegations on the medium', () => {
  const rig = new OfflineRig();
  const { images } = rig.sim;
  images.delegate(['brakes']);
  images.delegated['brakes']!.targets.targets = images.targets.targets;
  images.targets.targets = [];
  assigned(rig.full(), ['ecu-1']);
  assert.is(rig.medium.requests.at(-1), 'images/1.brakes.cbor');
  rig.medium.overrides['images/1.brakes.cbor'] = new Uint8Array(maxTargetsBytes + 1);
  refused(rig.full(), 'net-endless', 'CTG-01');
  rig.medium.overrides['images/1.brakes.cbor'] = undefined;
  refused(rig.full(), 'delegation-role', 'RDL-02');
  delete rig.medium.overrides['images/1.brakes.cbor'];
  images.delegated['brakes']!.targets.targets = [];
  refused(rig.full(), 'target-not-found', 'RDL-08');
  const { keys, delegations } = images.targets.delegations!;
  const [first] = delegations;
  const twice = { ...first!, roles: first!.roles.concat(first!.roles), minimumRoles: 1 };
  images.targets.delegations = { keys, delegations: [twice] };
  refused(rig.full(), 'delegation-role', 'RDL-02');
});

test('OFF-04, FV-13, FV-14: Director and Image metadata match', () => {
  const rig = new OfflineRig();
  const { images } = rig.sim;
  const [listed] = images.targets.targets;
  images.targets.targets = [{ ...listed!, length: listed!.length + 1 }];
  refused(rig.full(), 'target-mismatch', 'FV-13');
  const changed = rig.sim.target({ ...image, releaseCounter: 3 }).mustMatch;
  images.targets.targets = [{ ...listed!, mustMatch: changed }];
  refused(rig.full(), 'target-must-match', 'FV-14');
  images.targets.targets = [];
  refused(rig.full(), 'target-not-found', 'RDL-08');
});

test('SNP-01: an Image Snapshot that lists no Targets is refused', () => {
  const rig = new OfflineRig();
  rig.sim.images.listedVersions['targets'] = undefined;
  rig.sim.images.listedVersions['brakes'] = 1;
  refused(rig.full(), 'snapshot-mismatch', 'SNP-01');
});

test('CTG-01, HRD-08: a delegated file past its bound is endless data', () => {
  const rig = new OfflineRig();
  const { images } = rig.sim;
  images.delegate(['brakes']);
  images.targets.targets = [];
  images.release();
  rig.medium.overrides['images/1.brakes.cbor'] = new Uint8Array(maxTargetsBytes + 1);
  refused(rig.full(), 'net-endless', 'CTG-01');
});

test('OFF-04, OFF-03: files past their bound, truncated or not on the medium', () => {
  const files = [
    ['images/2.root.cbor', maxRootBytes, 'CRT-02'],
    ['images/snapshot.cbor', maxSnapshotBytes, 'OFF-04'],
    ['images/2.targets.cbor', maxTargetsBytes, 'OFF-04'],
  ] as const;
  for (const [path, bound, row] of files) {
    const rig = new OfflineRig();
    const { overrides } = rig.medium;
    overrides[path] = new Uint8Array(bound + 1);
    refused(rig.full(), 'net-endless', row);
    overrides[path] = new Uint8Array(bound);
    refused(rig.full(), 'cbor-wrong-type', 'DBP-20');
    if (row === 'CRT-02') continue;
    overrides[path] = undefined;
    refused(rig.full(), 'metadata-absent', 'OFF-03');
  }
  const rig = new OfflineRig();
  rig.verifier.keyValue.values.delete('images/root');
  refused(rig.full(), 'metadata-not-stored', 'KEY-01');
});

test('ROOT-01: an Image Root has to name every role that the medium’s files are signed by', () => {
  const rig = new OfflineRig();
  const { root } = rig.sim.images;
  root.roles = root.roles.filter(({ role }) => role !== roles.timestamp);
  rig.sim.images.publishRoot();
  refused(rig.full(), 'root-threshold', 'ROOT-01');
});

test('OFF-04: a power cut at any change of the store leaves a vehicle that takes the medium', () => {
  let cuts = 0;
  for (let allowed = 0; ; allowed++) {
    const rig = new OfflineRig();
    rig.sim.director.rotate('offline-targets');
    rig.sim.images.rotate('targets');
    const { keyValue } = rig.verifier;
    keyValue.failAfter = keyValue.changes + allowed;
    try {
      assigned(rig.full(), ['ecu-1']);
      break;
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      cuts += 1;
    }
    keyValue.failAfter = Number.POSITIVE_INFINITY;
    assigned(rig.full(), ['ecu-1']);
  }
  assert.is(cuts, 6); // two writes for each Root, one for each offline role
});

function judge(rig: OfflineRig, file: Uint8Array) {
  const root = loadRoot(rig.verifier.options, 'director', partialRoles);
  if (isRefusal(root)) throw new Error(root.detail);
  return judgeOnlineOfflineSnapshot(rig.verifier.options, root, file);
}

test('OFF-05: an Offline Snapshot seen online supersedes an older medium', () => {
  const rig = new OfflineRig();
  const { medium } = rig;
  const old = [medium.snapshotFile(), medium.campaignFile()] as const;
  medium.release();
  assert.equal(judge(rig, medium.snapshotFile()), { goOn: undefined });
  const { changes } = rig.verifier.keyValue;
  assert.equal(judge(rig, medium.snapshotFile()), { goOn: undefined });
  assert.is(rig.verifier.keyValue.changes, changes);
  medium.overrides['director/offline-snapshot.cbor'] = old[0];
  medium.overrides['director/offline-targets.cbor'] = old[1];
  refused(rig.full(), 'targets-version-mismatch', 'OFF-04');
});

test('OFF-05: a bad signature, no offline keys or an expired file are noted, and the cycle goes on', () => {
  const rig = new OfflineRig();
  const { medium, sim } = rig;
  const noted = (file: Uint8Array) => {
    const finding = judge(rig, file);
    return 'goOn' in finding ? finding.goOn : finding.abort;
  };
  const forged = medium.snapshotFile(sim.director.signers.snapshot);
  assert.ok('goOn' in judge(rig, forged));
  refused(noted(forged), 'signature-threshold', 'OFF-05');
  refused(noted(new Uint8Array(3)), 'cbor-wrong-type', 'DBP-20');
  medium.snapshot.expires = now;
  assert.ok('goOn' in judge(rig, medium.snapshotFile()));
  refused(noted(medium.snapshotFile()), 'metadata-expired', 'OFF-05');
  assert.is(rig.store.read('director', 'offline-snapshot.cbor'), undefined);
  sim.director.root.roles = sim.director.root.roles.filter(({ role }) => role < 6);
  sim.director.publishRoot();
  assigned(rig.verifier.full(), []);
  assert.ok('goOn' in judge(rig, medium.snapshotFile()));
  refused(noted(medium.snapshotFile()), 'root-threshold', 'OFF-01');
});

test('OFF-05: a rollback ends the cycle', () => {
  const rig = new OfflineRig();
  const { medium } = rig;
  const aborts = (code: Parameters<typeof refused>[1], row: string) => {
    const finding = judge(rig, medium.snapshotFile());
    refused('abort' in finding ? finding.abort : undefined, code, row);
  };
  medium.snapshot.version = 5;
  medium.listed['winter'] = 3;
  assert.equal(judge(rig, medium.snapshotFile()), { goOn: undefined });
  medium.snapshot.version = 4;
  aborts('metadata-rollback', 'OFF-05');
  medium.snapshot.version = 5;
  medium.snapshot.expires += 1;
  aborts('metadata-changed-in-place', 'HRD-02');
  medium.snapshot.version = 6;
  medium.listed['winter'] = 2;
  aborts('metadata-rollback', 'OFF-05');
  medium.listed['winter'] = undefined;
  aborts('snapshot-role-removed', 'OFF-05');
});

test.run();
