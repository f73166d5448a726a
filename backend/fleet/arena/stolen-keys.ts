/**
 * What an attacker does with the online keys of one repository: answers the vehicle with metadata
 * that is changed and signed again, each file fitting the next.
 */
import { join } from 'node:path';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode, encode, type Schema } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { hashAlgorithms, type RepositoryName } from '../../../agent/metadata/common.ts';
import { type Snapshot, snapshot as snapshotSchema } from '../../../agent/metadata/snapshot.ts';
import { type Targets, targets as targetsSchema } from '../../../agent/metadata/targets.ts';
import { timeAttestation, timeRequest } from '../../../agent/metadata/time.ts';
import { type Timestamp, timestamp as timestampSchema } from '../../../agent/metadata/timestamp.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { type KeyPair, signerOf } from '../../../hal/node/signing.ts';
import { readKeyFile } from '../../signer/key-file.ts';
import type { Interceptor } from '../attacks/attacker-proxy.ts';
import type { Arena } from './arena.ts';

const crypto = createNodeCrypto();

/** Changes of one chain; what is absent follows from the rest. */
export interface Forgery {
  readonly repository: RepositoryName;
  /** Director: changes and signs Targets again. The Image repository's Targets keys are offline. */
  targets?(honest: Targets): Targets;
  snapshot?(next: Snapshot): Snapshot;
  timestamp?(next: Timestamp): Timestamp;
}

/** One of the keys that lie on the backend, opened. */
export function stolenKey({ keysFolder, passphrase }: Arena, name: string): KeyPair {
  const pair = readKeyFile(join(keysFolder, 'online', `${name}.key`), passphrase);
  if (isRefusal(pair)) throw new Error(`${pair.refused}: ${pair.detail}`);
  return pair;
}

/** Signs a document with one key, as metadata or time. */
export function signWith<T>(
  pair: KeyPair,
  schema: Schema<T>,
  document: T,
  domain: 'metadata' | 'time' = 'metadata',
): Uint8Array {
  return signEnvelope(crypto, [signerOf(pair)], domain, encode(schema, document));
}

/** The document in a signed file. */
export function documentOf<T>(schema: Schema<T>, file: Uint8Array): T {
  const envelope = decodeEnvelope(file, file.length);
  if (isRefusal(envelope)) throw new Error(envelope.detail);
  const document = decode(schema, envelope.payload, envelope.payload.length);
  if (isRefusal(document)) throw new Error(document.detail);
  return document;
}

/** An attacker with the time key, who answers the ECUs' nonces with a time of its choice. */
export function attestTime(arena: Arena, seconds: () => number): Interceptor {
  const pair = stolenKey(arena, 'director-time');
  return async ({ path, body: asked }) => {
    if (path !== '/time') return undefined;
    const nonces = decode(timeRequest, asked, asked.length);
    if (isRefusal(nonces)) throw new Error(nonces.detail);
    const body = signWith(pair, timeAttestation, [nonces, seconds()], 'time');
    return { status: 200, headers: { 'content-type': 'application/cbor' }, body };
  };
}

/** An attacker before `forgery.repository` who holds its Snapshot and Timestamp keys, and Targets. */
export function forgeChain(arena: Arena, forgery: Forgery): Interceptor {
  const { repository } = forgery;
  const key = (role: string) => stolenKey(arena, `${repository}-${role}`);
  const keys = {
    timestamp: key('timestamp'),
    snapshot: key('snapshot'),
    ...(forgery.targets && { targets: key('targets') }),
  };
  const base = repository === 'director' ? `/metadata/${arena.vehicleId}/` : '/metadata/';
  const files = new Map<string, Uint8Array>();

  const forge = async (): Promise<void> => {
    const honest = documentOf(timestampSchema, await arena.fetch(repository, 'timestamp.cbor'));
    const before = honest.snapshot.version;
    const listed = documentOf(
      snapshotSchema,
      await arena.fetch(repository, `${before}.snapshot.cbor`),
    );
    let { versions } = listed;
    if (forgery.targets !== undefined) {
      const { value } = versions.find(({ key: name }) => name === 'targets')!;
      const known = documentOf(
        targetsSchema,
        await arena.fetch(repository, `${value}.targets.cbor`),
      );
      const next = forgery.targets({ ...known, version: value + 1 });
      files.set(`${next.version}.targets.cbor`, signWith(keys.targets!, targetsSchema, next));
      versions = versions.map((one) =>
        one.key === 'targets' ? { ...one, value: next.version } : one,
      );
    }
    const snapshot = { ...listed, version: listed.version + 1, versions };
    const changed = forgery.snapshot?.(snapshot) ?? snapshot;
    const snapshotFile = signWith(keys.snapshot, snapshotSchema, changed);
    files.set(`${changed.version}.snapshot.cbor`, snapshotFile);
    const sha256 = crypto.digest('SHA-256', snapshotFile);
    const timestamp: Timestamp = {
      ...honest,
      version: honest.version + 1,
      snapshot: {
        version: changed.version,
        length: snapshotFile.length,
        hashes: [{ key: hashAlgorithms['SHA-256'], value: sha256 }],
      },
    };
    const last = forgery.timestamp?.(timestamp) ?? timestamp;
    files.set('timestamp.cbor', signWith(keys.timestamp, timestampSchema, last));
  };

  return async ({ repository: asked, path }) => {
    if (asked !== repository || !path.startsWith(base)) return undefined;
    const name = path.slice(base.length);
    if (name === 'timestamp.cbor') await forge();
    const body = files.get(name);
    if (body === undefined) return undefined;
    return { status: 200, headers: { 'content-type': 'application/cbor' }, body };
  };
}
