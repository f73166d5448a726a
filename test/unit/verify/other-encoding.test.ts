/**
 * The verifier over repositories in another encoding (TUF's JSON, with its own signed bytes): the
 * same scenarios have to end in the same way, with the same code and row, as in CBOR.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { cborMetadata } from '../../../agent/verify/cbor-metadata.ts';
import { FullVerification } from '../../../agent/verify/full-verification.ts';
import { PartialVerification } from '../../../agent/verify/partial-verification.ts';
import type { Decision, FileRequest } from '../../../agent/verify/verification.ts';
import {
  now,
  RepositorySimulator,
  runVerification,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import { newSigner } from '../../simulator/simulated-repository.ts';
import { tufJson } from '../../simulator/tuf-json.ts';
import { TufRepositories } from '../../simulator/tuf-repository.ts';

const test = suite('Another encoding');

/** One verifier and the repositories that it sees. */
class Rig {
  readonly sim = new RepositorySimulator();
  readonly verifier: SimulatedVerifier;
  private readonly source: { fetch(request: FileRequest): Uint8Array | undefined };

  constructor(encoding: 'cbor' | 'json') {
    const json = encoding === 'json';
    this.source = json ? new TufRepositories(this.sim) : this.sim;
    this.verifier = new SimulatedVerifier(this.sim, { format: json ? tufJson : cborMetadata });
    for (const repository of ['director', 'images'] as const) {
      const first = { repository, name: '1.root.cbor', maxBytes: 65_536 };
      this.verifier.store.writeRoot(repository, 1, this.source.fetch(first)!);
    }
    this.sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 5 });
    this.sim.assign('ecu-2', { filename: 'app-2.bin', releaseCounter: 7 });
  }

  full(): string {
    return told(runVerification(new FullVerification(this.verifier.options), this.source));
  }

  partial(): string {
    return told(runVerification(new PartialVerification(this.verifier.options), this.source));
  }
}

function told(outcome: Decision | Refusal): string {
  if (isRefusal(outcome)) return `${outcome.refused} ${outcome.row}`;
  return outcome.assignments
    .map(({ filename, assignment }) => `${assignment?.ecuId}=${filename}`)
    .join();
}

const both = 'ecu-1=app-1.bin,ecu-2=app-2.bin';

/** `act` runs after a first verification; what the second says is `expected`. */
const scenarios: readonly (readonly [string, string, (rig: Rig) => void])[] = [
  ['nothing changed', both, () => undefined],
  ['a new Root', both, ({ sim }) => sim.images.rotate('root')],
  ['new online keys', both, ({ sim }) => sim.director.rotate('timestamp')],
  [
    'CRT-03: a Root without the old keys',
    'signature-threshold CRT-03',
    ({ sim }) => {
      sim.director.signers.root = [newSigner('ecdsa')];
      sim.director.refreshKeyTable();
      sim.director.publishRoot();
    },
  ],
  [
    'CRT-04: a Root that skips a version',
    'root-version CRT-04',
    ({ sim }) => {
      sim.director.root.version += 1;
      sim.director.overrides['2.root.cbor'] = sim.director.publishRoot();
    },
  ],
  [
    'CTS-02: a Timestamp of another key',
    'signature-threshold CTS-02',
    ({ sim }) => {
      sim.images.signers.timestamp = [newSigner('ecdsa')];
    },
  ],
  [
    'MET-03: no signature',
    'signature-missing CTS-02',
    ({ sim }) => {
      sim.images.signers.timestamp = [];
    },
  ],
  [
    'HRD-07: one key twice for a threshold of 2',
    'signature-threshold CTS-02',
    ({ sim }) => {
      const { signers, thresholds } = sim.images;
      const [one] = signers.timestamp;
      signers.timestamp = [one!, newSigner('ecdsa')];
      thresholds.timestamp = 2;
      sim.images.refreshKeyTable();
      sim.images.publishRoot();
      signers.timestamp = [one!, one!];
    },
  ],
  [
    'CTS-03: a Timestamp that goes back',
    'metadata-rollback CTS-03',
    ({ sim }) => {
      sim.images.timestamp.version -= 1;
    },
  ],
  [
    'HRD-02: a Timestamp changed in place',
    'metadata-changed-in-place HRD-02',
    ({ sim }) => {
      sim.images.timestamp.expires += 1;
    },
  ],
  [
    'CTS-04: an expired Timestamp',
    'metadata-expired CTS-04',
    ({ sim }) => {
      sim.images.timestamp.version += 1;
      sim.images.expire('timestamp', now);
    },
  ],
  [
    'CSN-02: another Snapshot than named',
    'snapshot-mismatch CSN-02',
    ({ sim }) => {
      const { images } = sim;
      const older = images.snapshotFile();
      images.release();
      images.overrides[`${images.snapshot.version}.snapshot.cbor`] = older;
    },
  ],
  [
    'CTG-02: other Targets than the Snapshot lists',
    'targets-version-mismatch CTG-02',
    ({ sim }) => {
      sim.images.release();
      sim.images.listedVersions['targets'] = sim.images.targets.version + 1;
    },
  ],
  [
    'CTG-06: a Director that delegates',
    'targets-delegation CTG-06',
    ({ sim }) => {
      sim.director.delegate(['a']);
      sim.director.release();
    },
  ],
  [
    'HRD-01: another vehicle',
    'vehicle-mismatch HRD-01',
    ({ sim }) => {
      sim.director.targets.vehicleId = 'vehicle-2';
      sim.director.release();
    },
  ],
  [
    'MET-04: Targets of a key that signs Snapshots',
    'metadata-role-type MET-04',
    ({ sim }) => {
      const { images } = sim;
      images.signers.targets = images.signers.snapshot;
      images.refreshKeyTable();
      images.publishRoot();
      images.release();
      images.overrides[`${images.targets.version}.targets.cbor`] = images.snapshotFile();
    },
  ],
  [
    'FV-14: repositories that disagree',
    'target-must-match FV-14',
    ({ sim }) => {
      const [first, ...others] = sim.images.targets.targets;
      const mustMatch = { ...first!.mustMatch, releaseCounter: 6 };
      sim.images.targets.targets = [{ ...first!, mustMatch }, ...others];
      sim.images.release();
    },
  ],
  [
    'RDL-07: an image behind delegations',
    both,
    ({ sim }) => {
      const { images } = sim;
      const listed = images.targets.targets;
      images.targets.targets = [];
      images.delegate(['a'], { hardwareIds: ['hw-b'] });
      images.delegate(['b'], { paths: ['app-*'] });
      images.delegated['a']!.targets.targets = listed;
      images.delegated['b']!.targets.targets = listed;
      images.release();
    },
  ],
  [
    'CTG-03: a delegated role of another key',
    'signature-threshold CTG-03',
    ({ sim }) => {
      const { images } = sim;
      images.targets.targets = [];
      images.delegate(['a']);
      images.delegated['a']!.signers = [newSigner('ecdsa')];
      images.release();
    },
  ],
];

for (const [name, expected, act] of scenarios) {
  test(`${name}: ${expected}, in CBOR and in JSON`, () => {
    for (const encoding of ['cbor', 'json'] as const) {
      const rig = new Rig(encoding);
      assert.is(rig.full(), both, encoding);
      act(rig);
      assert.is(rig.full(), expected, encoding);
    }
  });
}

test('partial verification reads the other encoding too', () => {
  assert.is(new Rig('json').partial(), both);
});

test('a file in the wrong encoding is refused, not misread', () => {
  const rig = new Rig('json');
  rig.verifier.options = { ...rig.verifier.options, format: cborMetadata };
  assert.is(rig.full(), 'metadata-not-stored HRD-15');
});

test('the checks know no encoding: only the format, the stored records and the time do', () => {
  const folder = 'agent/verify';
  const decoders = /^import \{[^}]*\b(?:decode|decodeEnvelope|Reader|Writer)\b[^}]*\} from/m;
  const found = readdirSync(folder)
    .filter((name) => decoders.test(readFileSync(`${folder}/${name}`, 'utf8')))
    .sort();
  assert.equal(found, ['cbor-metadata.ts', 'held-metadata.ts', 'metadata-store.ts', 'time.ts']);
});

test.run();
