/**
 * The simulator's repositories rewritten as TUF JSON and signed anew by the same keys: what was
 * served as CBOR is taken apart, written in the other encoding, and signed over its canonical form.
 */
import { createHash } from 'node:crypto';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { compareBytes } from '../../agent/codec/reader.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { ecdsaToDer } from '../../agent/crypto/ecdsa-der.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import type { Signer } from '../../agent/crypto/sign-envelope.ts';
import { type RoleName, roles } from '../../agent/metadata/common.ts';
import { type Root, root } from '../../agent/metadata/root.ts';
import { type Snapshot, snapshot } from '../../agent/metadata/snapshot.ts';
import { type Target, type Targets, targets } from '../../agent/metadata/targets.ts';
import { type Timestamp, timestamp } from '../../agent/metadata/timestamp.ts';
import type { FileRequest } from '../../agent/verify/verification.ts';
import { importPublicKey } from '../../hal/node/key-format.ts';
import type { RepositorySimulator } from './repository-simulator.ts';
import { crypto } from './simulated-repository.ts';
import { canonicalBytes, type Json, keyIdOf } from './tuf-json.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function keyOf({ bytes }: PublicKey): Json {
  const pem = importPublicKey('ESP256', bytes).export({ format: 'pem', type: 'spki' });
  return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem.toString() } };
}

function common({ version, expires, vehicleId }: Json): Json {
  const vehicle = vehicleId === undefined ? {} : { vehicle_id: vehicleId };
  const until = new Date(expires * 1_000).toISOString().replace('.000Z', 'Z');
  return { spec_version: '1.0.31', version, expires: until, ...vehicle };
}

function hashesJson(hashes: Target['hashes']): Json {
  return Object.fromEntries(
    hashes.map(({ key, value }) => [key === -16 ? 'sha256' : 'sha512', hex(value)]),
  );
}

function keysJson(keys: readonly PublicKey[]): Json {
  const named = keys.map((key) => [hex(keyIdOf(keyOf(key))), keyOf(key)]);
  return Object.fromEntries(named);
}

/** The TUF ids of keys that are named by their COSE thumbprints. */
function renamed(keyIds: readonly Uint8Array[], keys: readonly PublicKey[]): string[] {
  return keyIds.map((id) => {
    const key = keys.find((one) => compareBytes(keyId(crypto, one), id) === 0);
    return key === undefined ? hex(id) : hex(keyIdOf(keyOf(key)));
  });
}

function rootJson(value: Root): Json {
  const names = Object.keys(roles) as RoleName[];
  const named = value.roles.map(({ role, keyIds, threshold }) => [
    names.find((name) => roles[name] === role)!,
    { keyids: renamed(keyIds, value.keys), threshold },
  ]);
  const keys = keysJson(value.keys);
  return { _type: 'root', ...common(value), keys, roles: Object.fromEntries(named) };
}

function targetJson({ length, hashes, mustMatch, assignment }: Target): Json {
  const { encoded: _, ...must } = mustMatch;
  return {
    length,
    hashes: hashesJson(hashes),
    custom: {
      must_match: { ...must, plaintextSha256: hex(must.plaintextSha256) },
      ...(assignment && {
        assignment: { ...assignment, keyObjectSha256: hex(assignment.keyObjectSha256) },
      }),
    },
  };
}

function targetsJson(value: Targets): Json {
  const listed: Record<string, Json[]> = {};
  for (const target of value.targets) {
    listed[target.filename] = [...(listed[target.filename] ?? []), targetJson(target)];
  }
  const { delegations } = value;
  return {
    _type: 'targets',
    ...common(value),
    targets: Object.fromEntries(
      Object.entries(listed).map(([name, all]) => [name, all.length === 1 ? all[0] : all]),
    ),
    ...(delegations && {
      delegations: {
        keys: keysJson(delegations.keys),
        roles: delegations.delegations.map(
          ({ paths, hardwareIds, terminating, roles: [role] }) => ({
            name: role!.name,
            keyids: renamed(role!.keyIds, delegations.keys),
            threshold: role!.threshold,
            terminating,
            paths,
            ...(hardwareIds && { hardware_ids: hardwareIds }),
          }),
        ),
      },
    }),
  };
}

/** Serves a simulator's two repositories as TUF JSON. */
export class TufRepositories {
  private readonly sim: RepositorySimulator;
  /** What was rewritten, by its source: a Timestamp has to name the Snapshot that is served. */
  private readonly rewritten = new Map<string, Uint8Array>();
  /** Every key that signed so far: a rotation needs the ones before it too. */
  private readonly signers = new Map<string, Signer>();

  constructor(sim: RepositorySimulator) {
    this.sim = sim;
    this.noteSigners();
  }

  fetch(request: FileRequest): Uint8Array | undefined {
    this.noteSigners();
    const file = this.sim.fetch(request);
    if (file === undefined) return undefined;
    const known = this.rewritten.get(hex(file)) ?? this.rewrite(request, file);
    this.rewritten.set(hex(file), known);
    return known;
  }

  private noteSigners(): void {
    for (const { signers, delegated } of [this.sim.director, this.sim.images]) {
      const roleSigners = Object.values(delegated).map((role) => role.signers);
      for (const signer of [...Object.values(signers), ...roleSigners].flat()) {
        this.signers.set(hex(keyId(crypto, signer.key)), signer);
      }
    }
  }

  /** A file that is none of the simulator's formats is passed on as it is. */
  private rewrite(request: FileRequest, file: Uint8Array): Uint8Array {
    const envelope = decodeEnvelope(file, file.length);
    if (isRefusal(envelope)) return file;
    const { payload } = envelope;
    const signed = this.view(request, payload);
    if (signed === undefined) return file;
    const bytes = canonicalBytes(signed);
    const signatures = envelope.signatures.map(({ header }) => {
      const signer = this.signers.get(hex(header.keyId))!;
      const sig = hex(ecdsaToDer(signer.sign(bytes)));
      return { keyid: hex(keyIdOf(keyOf(signer.key))), sig };
    });
    return new Uint8Array(Buffer.from(JSON.stringify({ signatures, signed }, undefined, 1)));
  }

  private view(request: FileRequest, payload: Uint8Array): Json {
    const read = <T>(schema: Parameters<typeof decode<T>>[0]) => {
      const value = decode(schema, payload, payload.length);
      return isRefusal(value) ? undefined : value;
    };
    const rootValue = read<Root>(root);
    if (rootValue) return rootJson(rootValue);
    const targetsValue = read<Targets>(targets);
    if (targetsValue) return targetsJson(targetsValue);
    const snapshotValue = read<Snapshot>(snapshot);
    if (snapshotValue) {
      const meta = snapshotValue.versions.map(({ key, value }) => [
        `${key}.json`,
        { version: value },
      ]);
      return { _type: 'snapshot', ...common(snapshotValue), meta: Object.fromEntries(meta) };
    }
    const timestampValue = read<Timestamp>(timestamp);
    return timestampValue && this.timestampJson(request, timestampValue);
  }

  /** Names the Snapshot in this encoding; the same one is then served when it is asked for. */
  private timestampJson({ repository }: FileRequest, value: Timestamp): Json {
    const { version } = value.snapshot;
    const name = `${version}.snapshot.cbor`;
    const file = this.fetch({ repository, name, maxBytes: 65_536 })!;
    const sha256 = createHash('sha256').update(file).digest('hex');
    const meta = { 'snapshot.json': { version, length: file.length, hashes: { sha256 } } };
    return { _type: 'timestamp', ...common(value), meta };
  }
}
