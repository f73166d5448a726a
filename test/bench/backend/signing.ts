/** Signatures for a fleet: Merkle batches against one native composite signature each. */
import { randomBytes } from 'node:crypto';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { encode } from '../../../agent/codec/schema.ts';
import { verifyEnvelope } from '../../../agent/crypto/verify-envelope.ts';
import { hashAlgorithms, roles } from '../../../agent/metadata/common.ts';
import { root } from '../../../agent/metadata/root.ts';
import { timestamp } from '../../../agent/metadata/timestamp.ts';
import { maxVehiclesPerBatch } from '../../../backend/director/signing.ts';
import { Metrics } from '../../../backend/metrics.ts';
import { keyPairProvider } from '../../../backend/signer/key-pairs.ts';
import { OnlineKeys } from '../../../backend/signer/online-keys.ts';
import {
  type Ceremony,
  crypto,
  directorTable,
  holdCeremony,
  imagesTable,
  opened,
  payloadOf,
  signRoot,
} from '../../scenario/backend-fixture.ts';
import { median, type Result } from '../measure.ts';

const vehicles = maxVehiclesPerBatch;
const plainSignatures = 100;
/** The first ones run before the code is compiled for good. */
const rounds = 15;
const now = 1_790_000_000;
const expires = now + 86_400;
const key = 'director-timestamp';

/** The online keys as the backend holds them. */
async function onlineKeys(keys: Ceremony, metrics: Metrics): Promise<OnlineKeys> {
  const online = new OnlineKeys(
    crypto,
    keyPairProvider(crypto, (name) => keys.online[name]),
    metrics,
  );
  const roots = {
    director: payloadOf(root, signRoot(1, directorTable(keys), keys.directorRoot)),
    images: payloadOf(root, signRoot(1, imagesTable(keys), keys.imagesRoot)),
  };
  const refused = await online.fit(roots);
  if (refused !== undefined) throw new Error(refused.detail);
  return online;
}

/** What tells a vehicle what to do, as `issueTogether` encodes it. */
function timestampOf(vehicle: number, version: number, sha256: Uint8Array): Uint8Array {
  return encode(timestamp, {
    ...{ type: roles.timestamp, formatVersion: 1, version, expires },
    vehicleId: `vehicle-${vehicle}`,
    snapshot: {
      version: 7,
      length: 5_000,
      hashes: [{ key: hashAlgorithms['SHA-256'], value: sha256 }],
    },
  });
}

export async function benchSigning(): Promise<Result[]> {
  const metrics = new Metrics();
  const ceremony = holdCeremony();
  const keys = await onlineKeys(ceremony, metrics);
  const sha256 = new Uint8Array(randomBytes(32));
  const batch = Array.from({ length: vehicles }, (_, i) => i);
  const batchRates: number[] = [];
  const plainRates: number[] = [];
  const batchCosts: number[] = [];
  let signed: Uint8Array[] = [];
  // Side by side, since the machine is not the same from one minute to the next.
  for (let round = 1; round <= rounds; round++) {
    let started = performance.now();
    for (const i of batch.slice(0, plainSignatures)) {
      await keys.sign(key, 'metadata', timestampOf(i, round, sha256));
    }
    plainRates.push(plainSignatures / ((performance.now() - started) / 1_000));
    const before = process.cpuUsage();
    started = performance.now();
    const documents = batch.map((i) => timestampOf(i, round, sha256));
    signed = await keys.signTogether(key, roles.timestamp, expires, documents);
    batchRates.push(vehicles / ((performance.now() - started) / 1_000));
    const { user, system } = process.cpuUsage(before);
    batchCosts.push((user + system) / vehicles);
  }
  metrics.close();
  // Every vehicle of the last batch verifies what it gets.
  const authority = { keys: [ceremony.online[key].key], threshold: 1 };
  for (const [i, bytes] of signed.entries()) {
    const envelope = opened(decodeEnvelope(bytes, bytes.length));
    const options = { domain: 'metadata', role: roles.timestamp, now } as const;
    const refused = verifyEnvelope(crypto, envelope, authority, options);
    if (refused !== undefined) throw new Error(`vehicle ${i}: ${refused.refused}`);
  }
  const batchRate = median(batchRates);
  const plainRate = median(plainRates);
  const bytes = signed[0]!.length - timestampOf(0, rounds, sha256).length;
  return [
    {
      name: 'manifests signed, one signature each',
      value: plainRate,
      unit: '/s',
      note: 'native ML-DSA-65 + P-256',
    },
    {
      name: 'manifests signed by Merkle batch',
      value: batchRate,
      unit: '/s',
      note: `${(batchRate / plainRate).toFixed(0)}x; encoded and signed, ${vehicles} a batch, each of the last one verified; ${bytes} B of signature and proof`,
    },
    {
      name: 'a manifest in a Merkle batch',
      value: median(batchCosts),
      unit: 'CPU us',
      note: `of the process, its collection of garbage on another core included; median of ${rounds} batches, as the rates are`,
    },
    {
      name: 'signatures per manifest',
      value: 1 / vehicles,
      unit: '',
      note: `1 for ${vehicles}`,
    },
  ];
}
