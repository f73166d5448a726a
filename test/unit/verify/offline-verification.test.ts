import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import {
  maxKeyObjectBytes,
  maxOfflineSnapshotBytes,
  maxOfflineTargetsBytes,
  maxRootBytes,
} from '../../../agent/limits.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { offlineTargets } from '../../../agent/metadata/offline.ts';
import { OfflineFullVerification } from '../../../agent/verify/offline-full-verification.ts';
import { OfflinePartialVerification } from '../../../agent/verify/offline-partial-verification.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import { ecu, now, plaintextHash } from '../../simulator/repository-simulator.ts';
import { crypto } from '../../simulator/simulated-repository.ts';
import { image, OfflineRig } from './offline-rig.ts';

const test = suite('Offline updates: full and partial verification');
const kinds = ['full', 'partial'] as const;
const installed = { ...image, sha256: plaintextHash(image) };

test('OFF-04: Director Root, Offline Snapshot, Offline Targets, then the Image repository', () => {
  const rig = new OfflineRig();
  assigned(rig.full(), ['ecu-1']);
  assert.equal(rig.medium.requests, [
    'director/2.root.cbor',
    'director/offline-snapshot.cbor',
    'director/offline-targets.cbor',
    'images/2.root.cbor',
    'images/snapshot.cbor',
    'images/2.targets.cbor',
  ]);
  const outcome = rig.full();
  if (isRefusal(outcome)) return assert.unreachable(outcome.detail);
  const { assignment, filename } = outcome.assignments[0]!;
  const { keyObjectSha256, keyObjectLength } = rig.medium.campaign.assignments[0]!;
  assert.is(filename, image.filename);
  assert.equal(assignment, { ecuId: 'ecu-1', keyObjectSha256, keyObjectLength });
});

test('OFF-04: a partial verifier takes the Director’s part, with the Offline Snapshot', () => {
  const rig = new OfflineRig({ everyEcu: false, ecus: [ecu('ecu-1')] });
  assigned(rig.partial(), ['ecu-1']);
  assert.equal(rig.medium.requests, [
    'director/2.root.cbor',
    'director/offline-snapshot.cbor',
    'director/offline-targets.cbor',
  ]);
});

test('OFF-04, HRD-03: without any known time nothing of a medium is taken but Roots', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    rig.sim.director.rotate('offline-targets');
    refused(rig[kind]({ now: 0 }), 'time-unknown', 'HRD-03');
    assert.is(rig.store.rootVersion('director'), 2);
    assert.is(rig.store.read('director', 'offline-snapshot.cbor'), undefined);
  }
});

test('OFF-04: Root 1 to n of the medium are walked, the expired ones between too', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { director } = rig.sim;
    const { expires } = director.root;
    director.root.expires = now - 1_000;
    director.rotate('offline-snapshot');
    director.rotate('offline-targets');
    director.root.expires = expires;
    director.rotate('root');
    assigned(rig[kind](), ['ecu-1']);
    assert.is(rig.store.rootVersion('director'), 4);
    director.root.expires = now;
    director.publishRoot();
    refused(rig[kind](), 'metadata-expired', 'CRT-06');
  }
});

test('OFF-01: a Root that names no offline keys takes no offline update', () => {
  for (const missing of ['offline-snapshot', 'offline-targets'] as const) {
    for (const kind of kinds) {
      const rig = new OfflineRig();
      const { root } = rig.sim.director;
      root.roles = root.roles.filter(({ role }) => role !== roles[missing]);
      rig.sim.director.publishRoot();
      refused(rig[kind](), 'root-threshold', 'OFF-01');
    }
  }
});

test('OFF-04: the offline roles are signed by their own keys; online keys do not count', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { signers } = rig.sim.director;
    const offline = [signers['offline-snapshot'], signers['offline-targets']] as const;
    for (const role of ['targets', 'snapshot', 'timestamp', 'time', 'root'] as const) {
      rig.medium.release();
      signers['offline-snapshot'] = signers[role];
      refused(rig[kind](), 'signature-threshold', 'OFF-04');
      signers['offline-snapshot'] = offline[0];
      signers['offline-targets'] = signers[role];
      refused(rig[kind](), 'signature-threshold', 'OFF-04');
      signers['offline-targets'] = offline[1];
    }
    signers['offline-targets'] = offline[0];
    refused(rig[kind](), 'signature-threshold', 'OFF-04');
    signers['offline-targets'] = [];
    refused(rig[kind](), 'signature-missing', 'OFF-04');
    signers['offline-snapshot'] = [];
    signers['offline-targets'] = offline[1];
    rig.medium.release();
    refused(rig[kind](), 'signature-missing', 'OFF-04');
  }
});

test('OFF-01: offline keys do not count for the online roles', () => {
  for (const role of ['targets', 'snapshot', 'timestamp'] as const) {
    const rig = new OfflineRig();
    const { director } = rig.sim;
    director.signers[role] = director.signers['offline-targets'];
    const row = { targets: 'CTG-03', snapshot: 'CSN-03', timestamp: 'CTS-02' }[role];
    refused(rig.verifier.full(), 'signature-threshold', row);
  }
});

test('MET-04: an Offline Snapshot is no Offline Targets, whoever signed it', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { signers } = rig.sim.director;
    rig.medium.overrides['director/offline-targets.cbor'] = rig.medium.snapshotFile(
      signers['offline-targets'],
    );
    refused(rig[kind](), 'metadata-role-type', 'MET-04');
  }
});

test('OFF-04: a replayed older bundle: the stored Offline Snapshot stands, the campaign is superseded', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { medium } = rig;
    const old = [medium.snapshotFile(), medium.campaignFile()] as const;
    medium.release();
    assigned(rig[kind](), ['ecu-1']);
    medium.overrides['director/offline-snapshot.cbor'] = old[0];
    medium.overrides['director/offline-targets.cbor'] = old[1];
    refused(rig[kind](), 'targets-version-mismatch', 'OFF-04');
    medium.overrides['director/offline-targets.cbor'] = medium.campaignFile();
    assigned(rig[kind](), ['ecu-1']);
  }
});

test('OFF-04: an Offline Snapshot not newer than the stored one is skipped, its expiry included', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { medium } = rig;
    medium.snapshot.expires = now + 10;
    assigned(rig[kind](), ['ecu-1']);
    assigned(rig[kind]({ now: now + 10 }), ['ecu-1']);
    const other = new OfflineRig();
    other.medium.snapshot.expires = now;
    refused(other[kind](), 'metadata-expired', 'OFF-04');
  }
});

test('HRD-02: the Offline Snapshot of one version has one content', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    assigned(rig[kind](), ['ecu-1']);
    rig.medium.snapshot.expires += 1;
    refused(rig[kind](), 'metadata-changed-in-place', 'HRD-02');
  }
});

test('OFF-04: a newer Offline Snapshot lists no older campaign, and none has vanished', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { listed, snapshot } = rig.medium;
    listed['winter'] = 4;
    assigned(rig[kind](), ['ecu-1']);
    snapshot.version += 1;
    listed['winter'] = 3;
    refused(rig[kind](), 'metadata-rollback', 'OFF-04');
    listed['winter'] = undefined;
    refused(rig[kind](), 'snapshot-role-removed', 'OFF-04');
    listed['winter'] = 4;
    assigned(rig[kind](), ['ecu-1']);
  }
});

test('CRT-07: rotated Offline Snapshot keys recover from versions driven up with the old ones', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { medium, sim } = rig;
    medium.listed['recall'] = 1_000;
    medium.campaign.version = 1_000;
    medium.snapshot.version = 1_000;
    assigned(rig[kind](), ['ecu-1']);
    sim.director.rotate('offline-snapshot');
    sim.director.rotate('offline-targets');
    medium.listed['recall'] = 2;
    medium.campaign.version = 2;
    medium.snapshot.version = 2;
    assigned(rig[kind](), ['ecu-1']);
  }
});

test('OFF-04: a campaign does not go back, though new keys forget the Offline Snapshot', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { medium, sim } = rig;
    medium.listed['recall'] = 7;
    medium.campaign.version = 7;
    assigned(rig[kind](), ['ecu-1']);
    sim.director.rotate('offline-snapshot');
    medium.listed['recall'] = 6;
    medium.campaign.version = 6;
    refused(rig[kind](), 'metadata-rollback', 'OFF-04');
  }
});

test('HRD-15: a stored Offline Snapshot of a forged, high version is no baseline', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    assigned(rig[kind](), ['ecu-1']);
    const before = rig.medium.snapshot.version;
    rig.medium.snapshot.version = 4_000_000_000;
    rig.medium.listed['recall'] = 9;
    const signers = rig.sim.director.signers['offline-snapshot'];
    rig.sim.director.signers['offline-snapshot'] = rig.sim.director.signers.timestamp;
    const forged = rig.medium.fetch({
      repository: 'director',
      name: 'offline-snapshot.cbor',
      maxBytes: 65_536,
    })!;
    rig.sim.director.signers['offline-snapshot'] = signers;
    const digest = rig.verifier.keyValue.values.get('director/offline-snapshot')!.slice(3, 35);
    rig.store.write('director', 'offline-snapshot', 4_000_000_000, forged, digest);
    rig.medium.snapshot.version = before;
    delete rig.medium.listed['recall'];
    assigned(rig[kind](), ['ecu-1']);
  }
});

test('HRD-15: a damaged stored Offline Snapshot counts as absent', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    assigned(rig[kind](), ['ecu-1']);
    const stored = rig.verifier.keyValue.values.get('director/offline-snapshot')!;
    stored[stored.length - 1]! ^= 1;
    assigned(rig[kind](), ['ecu-1']);
  }
});

test('OFF-04: mixed bundle: Offline Targets of another version, or of another campaign', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    rig.medium.listed['recall'] = 2;
    refused(rig[kind](), 'targets-version-mismatch', 'OFF-04');
    const other = new OfflineRig();
    other.medium.listed['winter'] = 1;
    other.medium.overrides['director/offline-snapshot.cbor'] = other.medium.snapshotFile();
    other.medium.campaign.name = 'summer';
    refused(other[kind](), 'targets-version-mismatch', 'OFF-04');
  }
});

test('OFF-04, HRD-02: Offline Targets: expiry, and one content for one version', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { campaign } = rig.medium;
    campaign.expires = now;
    refused(rig[kind](), 'metadata-expired', 'OFF-04');
    campaign.expires = now + 1;
    assigned(rig[kind](), ['ecu-1']);
    campaign.expires = now + 2;
    refused(rig[kind](), 'metadata-changed-in-place', 'HRD-02');
  }
});

test('OFF-04: two targets for one ECU are refused, be it an ECU of another vehicle', () => {
  for (const kind of kinds) {
    for (const owner of ['vehicle-1', 'vehicle-2']) {
      const rig = new OfflineRig();
      const other = { filename: 'app-3.bin', releaseCounter: 3 };
      rig.medium.assign('ecu-2', other, 'vehicle-2');
      rig.medium.assign('ecu-1', other, owner);
      if (owner === 'vehicle-2') rig.medium.assign('ecu-2', other, owner);
      refused(rig[kind](), 'targets-ecu-repeated', 'OFF-04');
    }
  }
});

test('HRD-01: a campaign for other vehicles is refused; entries of others beside are not', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    rig.medium.assign('ecu-1', { filename: 'app-3.bin', releaseCounter: 3 }, 'vehicle-2');
    assigned(rig[kind](), ['ecu-1']);
    refused(rig[kind]({ vehicleId: 'vehicle-3' }), 'vehicle-mismatch', 'HRD-01');
  }
});

test('CTG-08: a Primary refuses a campaign for an ECU that is not in its vehicle', () => {
  const rig = new OfflineRig();
  rig.medium.assign('ecu-9', { filename: 'app-3.bin', releaseCounter: 3 });
  refused(rig.full(), 'targets-ecu-unknown', 'CTG-08');
  const secondary = { everyEcu: false, ecus: [ecu('ecu-1')] };
  for (const kind of kinds) assigned(rig[kind](secondary), ['ecu-1']);
});

test('VIM-02: a campaign for other hardware is refused', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    refused(
      rig[kind]({ ecus: [ecu('ecu-1', { hardwareId: 'hw-c' })] }),
      'target-hardware',
      'VIM-02',
    );
  }
});

test('VIM-04, HRD-04: a campaign never lowers the release below what the ECU has had', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const run = (counter: number) => rig[kind]({ ecus: [ecu('ecu-1', { counter })] });
    refused(run(3), 'target-rollback', 'HRD-04');
    assigned(run(2), ['ecu-1']);
  }
});

test('OFF-02: Offline Targets that delegate are refused as malformed', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const payload = encode(offlineTargets, rig.medium.campaign);
    assert.is(payload[0], 0xa7); // a map of 7 entries; one more, with the key of delegations
    const delegating = Uint8Array.of(0xa8, ...payload.subarray(1), 20, 0xa0);
    rig.medium.overrides['director/offline-targets.cbor'] = signEnvelope(
      crypto,
      rig.sim.director.signers['offline-targets'],
      'metadata',
      delegating,
    );
    refused(rig[kind](), 'cbor-unknown-field', 'DBP-20');
  }
});

test('OFF-04, CUS-06, HRD-12, HRD-13: entries without a target, hash or bound', () => {
  for (const kind of kinds) {
    const rig = new OfflineRig();
    const { campaign } = rig.medium;
    const [target] = campaign.targets;
    const [entry] = campaign.assignments;
    campaign.targets = [rig.sim.assigned(target!, 'ecu-1')];
    refused(rig[kind](), 'targets-ecu-unknown', 'CUS-06');
    campaign.targets = [{ ...target!, hashes: [{ key: -16, value: new Uint8Array(64) }] }];
    refused(rig[kind](), 'hash-missing', 'HRD-12');
    campaign.targets = [target!];
    campaign.assignments = [{ ...entry!, target: 1 }];
    refused(rig[kind](), 'targets-ecu-unknown', 'OFF-04');
    campaign.assignments = [{ ...entry!, keyObjectLength: maxKeyObjectBytes + 1 }];
    refused(rig[kind](), 'target-too-large', 'INS-09');
    campaign.assignments = [{ ...entry!, keyObjectLength: maxKeyObjectBytes }];
    assigned(rig[kind](), ['ecu-1']);
  }
});

test('OFF-04, OFF-03: files past their bound, truncated or not on the medium', () => {
  const files = [
    ['director/2.root.cbor', maxRootBytes, 'CRT-02'],
    ['director/offline-snapshot.cbor', maxOfflineSnapshotBytes, 'OFF-04'],
    ['director/offline-targets.cbor', maxOfflineTargetsBytes, 'OFF-04'],
  ] as const;
  for (const kind of kinds) {
    for (const [path, bound, row] of files) {
      const rig = new OfflineRig();
      const { overrides } = rig.medium;
      overrides[path] = new Uint8Array(bound + 1);
      refused(rig[kind](), 'net-endless', row);
      overrides[path] = new Uint8Array(bound);
      refused(rig[kind](), 'cbor-wrong-type', 'DBP-20');
      if (row === 'CRT-02') continue;
      overrides[path] = undefined;
      refused(rig[kind](), 'metadata-absent', 'OFF-03');
      const whole = path.includes('snapshot')
        ? rig.medium.snapshotFile()
        : rig.medium.campaignFile();
      overrides[path] = whole.subarray(0, whole.length - 1);
      refused(rig[kind](), 'cbor-truncated', 'DBP-20');
    }
  }
});

test('OFF-04: stops when nothing is new', () => {
  const rig = new OfflineRig();
  assigned(rig.full({ ecus: [ecu('ecu-1', { installed })] }), []);
  assert.is(rig.medium.requests.length, 3);
  assigned(rig.partial({ ecus: [ecu('ecu-1', { installed })] }), []);
});

test('KEY-01: without a stored Root there is nothing to begin from', () => {
  for (const machine of [OfflineFullVerification, OfflinePartialVerification]) {
    const rig = new OfflineRig();
    rig.verifier.keyValue.values.clear();
    const verification = new machine(rig.verifier.options);
    assert.is(verification.ask(), undefined);
    refused(verification.decision(), 'metadata-not-stored', 'KEY-01');
    assert.throws(() => verification.supply(undefined), /nothing was asked for/);
    assert.throws(() => new machine(new OfflineRig().verifier.options).decision(), /not ended/);
  }
});

test.run();
