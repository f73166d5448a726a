import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope, encodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { signBatch } from '../../../agent/crypto/sign-batch.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { maxSnapshotBytes, maxTimestampBytes } from '../../../agent/limits.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { type Timestamp, timestamp as timestampSchema } from '../../../agent/metadata/timestamp.ts';
import { checkHashList, hashesMatch } from '../../../agent/verify/signed-file.ts';
import { assigned, refused } from '../../simulator/assertions.ts';
import {
  now,
  RepositorySimulator,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';
import {
  crypto,
  newSigner,
  type SimulatedRepository,
} from '../../simulator/simulated-repository.ts';

const test = suite('Metadata types, sizes and hashes');

/** A verifier with one image to install, so that a cycle reaches both repositories. */
function start(repository: 'director' | 'images' = 'director') {
  const sim = new RepositorySimulator();
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  return { sim, repo: sim.repository(repository), verifier: new SimulatedVerifier(sim) };
}

for (const [role, name] of [
  ['snapshot', 'timestamp.cbor'],
  ['timestamp', '2.targets.cbor'],
] as const) {
  test(`MET-04: a ${role} in place of ${name} is refused, though one key signs both`, () => {
    const { repo, verifier } = start();
    const signers = repo.signers.root;
    Object.assign(repo.signers, { timestamp: signers, snapshot: signers, targets: signers });
    repo.refreshKeyTable();
    repo.publishRoot();
    repo.overrides[name] = role === 'snapshot' ? repo.snapshotFile() : repo.timestampFile();
    refused(verifier.full(), 'metadata-role-type', 'MET-04');
  });
}

test('MET-04: a Timestamp named as the Snapshot is refused, though one key signs both', () => {
  const { repo, verifier } = start();
  repo.signers.snapshot = repo.signers.timestamp;
  repo.refreshKeyTable();
  repo.publishRoot();
  const file = repo.timestampFile();
  const hashes = [{ key: -16 as const, value: crypto.digest('SHA-256', file) }];
  repo.overrides['2.snapshot.cbor'] = file;
  timestampNaming(repo, { version: 2, length: file.length, hashes });
  refused(verifier.full(), 'metadata-role-type', 'MET-04');
});

test('SNP-01: a Snapshot that lists no Targets is refused', () => {
  const { repo, verifier } = start();
  repo.listedVersions['targets'] = undefined;
  repo.listedVersions['extra'] = 1;
  refused(verifier.full(), 'snapshot-mismatch', 'SNP-01');
});

test('CSN-04: a newer Timestamp that names an older Snapshot is refused before the download', () => {
  const { sim, repo, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  repo.snapshot.version -= 1;
  repo.timestamp.version += 1;
  refused(verifier.full(), 'metadata-rollback', 'CSN-04');
  assert.is(sim.requests.at(-1), 'director/timestamp.cbor');
});

test('CSN-04: a Snapshot older than the stored one is refused without a stored Timestamp too', () => {
  const { repo, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  verifier.keyValue.values.delete('director/timestamp');
  repo.snapshot.version -= 1;
  refused(verifier.full(), 'metadata-rollback', 'CSN-04');
});

test('CTS-01: a Timestamp at the bound is read, one byte more is endless data', () => {
  const { repo, verifier } = start();
  repo.overrides['timestamp.cbor'] = new Uint8Array(maxTimestampBytes);
  refused(verifier.full(), 'cbor-wrong-type', 'DBP-20');
  repo.overrides['timestamp.cbor'] = new Uint8Array(maxTimestampBytes + 1);
  refused(verifier.full(), 'net-endless', 'CTS-01');
});

test('CSN-01: a Snapshot one byte longer than the Timestamp says is endless data', () => {
  const { repo, verifier } = start();
  const file = repo.snapshotFile();
  const longer = new Uint8Array(file.length + 1);
  longer.set(file);
  repo.overrides['2.snapshot.cbor'] = longer;
  refused(verifier.full(), 'net-endless', 'CSN-01');
  repo.overrides['2.snapshot.cbor'] = file.subarray(1);
  refused(verifier.full(), 'snapshot-mismatch', 'CSN-02');
});

/** Serves a Timestamp, properly signed, that says this of its Snapshot. */
function timestampNaming(repo: SimulatedRepository, snapshot: Timestamp['snapshot']): void {
  const payload = encode(timestampSchema, { ...repo.timestamp, snapshot });
  const file = signEnvelope(crypto, repo.signers.timestamp, 'metadata', payload);
  repo.overrides['timestamp.cbor'] = file;
}

test('CSN-01: a Timestamp that names a Snapshot above the bound is refused', () => {
  const { sim, repo, verifier } = start();
  const hashes = [{ key: -16 as const, value: new Uint8Array(32) }];
  timestampNaming(repo, { version: 2, length: maxSnapshotBytes + 1, hashes });
  refused(verifier.full(), 'cbor-too-large', 'CSN-01');
  assert.is(sim.requests.at(-1), 'director/timestamp.cbor');
  repo.timestamp.version += 1;
  timestampNaming(repo, { version: 2, length: maxSnapshotBytes, hashes });
  refused(verifier.full(), 'snapshot-mismatch', 'CSN-02');
});

test('CSN-02: a Snapshot of the right hash but of another version is refused', () => {
  const { repo, verifier } = start();
  const file = repo.snapshotFile();
  const hashes = [{ key: -16 as const, value: crypto.digest('SHA-256', file) }];
  timestampNaming(repo, { version: 3, length: file.length, hashes });
  repo.overrides['3.snapshot.cbor'] = file;
  refused(verifier.full(), 'snapshot-mismatch', 'CSN-02');
});

test('CSN-02: a Snapshot of the right version and signature but of other bytes is refused', () => {
  const { repo, verifier } = start();
  repo.overrides['timestamp.cbor'] = repo.timestampFile();
  repo.expire('snapshot', repo.snapshot.expires + 1);
  refused(verifier.full(), 'snapshot-mismatch', 'CSN-02');
});

test('HRD-12: a Timestamp whose Snapshot hash has the wrong length is refused', () => {
  const { repo, verifier } = start();
  const { length } = repo.snapshotFile();
  timestampNaming(repo, { version: 2, length, hashes: [{ key: -44, value: new Uint8Array(32) }] });
  refused(verifier.full(), 'hash-missing', 'HRD-12');
});

test('HRD-12: a hash list that is empty, unknown or of the wrong length is refused', () => {
  refused(checkHashList([]), 'hash-missing', 'HRD-12');
  refused(checkHashList([{ key: -44, value: new Uint8Array(32) }]), 'hash-missing', 'HRD-12');
  refused(checkHashList([{ key: -16, value: new Uint8Array(64) }]), 'hash-missing', 'HRD-12');
  refused(checkHashList([{ key: -15, value: new Uint8Array(32) }]), 'hash-missing', 'HRD-12');
  assert.is(checkHashList([{ key: -16, value: new Uint8Array(32) }]), undefined);
});

test('HRD-12, PRI-10: every listed hash has to be the file’s', () => {
  const file = new Uint8Array([1, 2, 3]);
  const [short, long] = [crypto.digest('SHA-256', file), crypto.digest('SHA-512', file)];
  const listed = (first: Uint8Array, second: Uint8Array) => [
    { key: -16, value: first },
    { key: -44, value: second },
  ];
  assert.ok(hashesMatch(crypto, listed(short, long), file));
  assert.not(hashesMatch(crypto, listed(new Uint8Array(32), long), file));
  assert.not(hashesMatch(crypto, listed(short, new Uint8Array(64)), file));
});

test('HRD-18: a composite signature with one half stripped is refused by its name', () => {
  const sim = new RepositorySimulator('composite');
  const verifier = new SimulatedVerifier(sim);
  const opened = decodeEnvelope(sim.director.timestampFile(), maxTimestampBytes);
  if (isRefusal(opened)) return assert.unreachable();
  const { payload, signatures } = opened;
  const halves = [
    signatures[0]!.signature.subarray(0, 3309),
    signatures[0]!.signature.subarray(3309),
  ];
  for (const signature of halves) {
    const entry = { ...signatures[0]!, signature };
    sim.director.overrides['timestamp.cbor'] = encodeEnvelope({ payload, signatures: [entry] });
    refused(verifier.full(), 'signature-half', 'HRD-18');
  }
  delete sim.director.overrides['timestamp.cbor'];
  assigned(verifier.full(), []);
});

test('MET-07: fresh signatures over the same content are no change', () => {
  const { repo, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  const [first, second] = [repo.signers.timestamp[0]!, newSigner('ecdsa')];
  repo.signers.timestamp = [first, second];
  assigned(verifier.full(), ['ecu-1']);
});

test('CTS-03: a Merkle-signed Timestamp whose batch has expired still guards against rollback', () => {
  const { repo, verifier } = start();
  const opened = decodeEnvelope(repo.timestampFile(), maxTimestampBytes);
  if (isRefusal(opened)) return assert.unreachable();
  const [file] = signBatch(
    crypto,
    repo.signers.timestamp,
    [{ payload: opened.payload, salt: new Uint8Array(16) }],
    { role: roles.timestamp, batchId: new Uint8Array(16), expires: now + 10 },
  );
  repo.overrides['timestamp.cbor'] = file;
  assigned(verifier.full(), ['ecu-1']);
  verifier.options = { ...verifier.options, now: now + 10 };
  refused(verifier.full(), 'metadata-expired', 'CTS-02');
  delete repo.overrides['timestamp.cbor'];
  repo.timestamp.version -= 1;
  refused(verifier.full(), 'metadata-rollback', 'CTS-03');
});

test('HRD-11, VER-02: a damaged stored Timestamp counts as absent', () => {
  const { repo, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  const key = 'director/timestamp';
  const damaged = verifier.keyValue.values.get(key)!.slice();
  damaged[damaged.length - 1]! ^= 1;
  verifier.keyValue.values.set(key, damaged);
  assigned(verifier.full(), ['ecu-1']);
  repo.timestamp.version += 1;
  assigned(verifier.full(), ['ecu-1']);
});

test('HRD-11, HRD-15: a stored file of a forged, low version is no baseline', () => {
  const { repo, verifier } = start();
  assigned(verifier.full(), ['ecu-1']);
  const opened = decodeEnvelope(repo.timestampFile(), maxTimestampBytes);
  if (isRefusal(opened)) return assert.unreachable();
  const hashes = [{ key: -16 as const, value: new Uint8Array(32) }];
  const version = 4_000_000_000;
  const payload = encode(timestampSchema, {
    ...repo.timestamp,
    version,
    snapshot: { version, length: 1, hashes },
  });
  const forged = encodeEnvelope({ payload, signatures: opened.signatures });
  const digest = verifier.keyValue.values.get('director/timestamp')!.slice(3, 35);
  verifier.store.write('director', 'timestamp', version, forged, digest);
  assigned(verifier.full(), ['ecu-1']);
});

test.run();
