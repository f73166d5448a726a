/**
 * Metadata in the JSON of TUF 1.0 (canonical JSON signed, ECDSA signatures in DER, hexadecimal key
 * ids), with Uptane's own fields under `custom` and `vehicle_id`: a second encoding for the verifier
 * that ships, as other projects' repositories have it. Signed is the canonical form of `signed`.
 */
import { createHash, createPublicKey } from 'node:crypto';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { type Envelope, noAlgorithm } from '../../agent/codec/cose-sign.ts';
import type { Schema } from '../../agent/codec/schema.ts';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { ecdsaFromDer } from '../../agent/crypto/ecdsa-der.ts';
import {
  hashAlgorithms,
  type ProfileName,
  profiles,
  type RoleName,
  roles,
} from '../../agent/metadata/common.ts';
import { type Root, root } from '../../agent/metadata/root.ts';
import { type Snapshot, snapshot } from '../../agent/metadata/snapshot.ts';
import { type Target, type Targets, targets } from '../../agent/metadata/targets.ts';
import { type Timestamp, timestamp } from '../../agent/metadata/timestamp.ts';
import type { MetadataFormat } from '../../agent/verify/metadata-format.ts';
import { exportPublicKey } from '../../hal/node/key-format.ts';

// biome-ignore lint/suspicious/noExplicitAny: what JSON.parse returns
export type Json = any;

/** Canonical JSON: sorted names, no white space. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
}

export function canonicalBytes(value: Json): Uint8Array {
  return new Uint8Array(Buffer.from(canonical(value)));
}

/** TUF's key id: SHA-256 of the key's canonical form. */
export function keyIdOf(key: Json): Uint8Array {
  return new Uint8Array(createHash('sha256').update(canonicalBytes(key)).digest());
}

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const seconds = (text: string): number => Date.parse(text) / 1_000;

function keysOf(keys: Json): PublicKey[] {
  return Object.values(keys).map((key: Json) => ({
    algorithm: 'ESP256',
    bytes: exportPublicKey('ESP256', createPublicKey(key.keyval.public)),
    // Computed, not taken from the name that the file gives it
    id: keyIdOf(key),
  }));
}

function hashesOf(hashes: Json): Target['hashes'] {
  return Object.keys(hashes).map((name) => ({
    key: hashAlgorithms[name === 'sha256' ? 'SHA-256' : 'SHA-512'],
    value: bytesOf(hashes[name]),
  }));
}

function common(signed: Json) {
  const { version, expires, vehicle_id: vehicleId } = signed;
  const vehicle = vehicleId === undefined ? {} : { vehicleId };
  return { formatVersion: 1, version, expires: seconds(expires), ...vehicle } as const;
}

function rootOf(signed: Json, profile: ProfileName): Root {
  const named = Object.keys(signed.roles) as RoleName[];
  return {
    type: roles.root,
    ...common(signed),
    keys: keysOf(signed.keys),
    roles: named.map((role) => ({
      role: roles[role],
      profile: profiles[profile],
      keyIds: signed.roles[role].keyids.map(bytesOf),
      threshold: signed.roles[role].threshold,
    })),
  };
}

function timestampOf(signed: Json): Timestamp {
  const { version, length, hashes } = signed.meta['snapshot.json'];
  const named = { version, length, hashes: hashesOf(hashes) };
  return { type: roles.timestamp, ...common(signed), snapshot: named };
}

function snapshotOf(signed: Json): Snapshot {
  const versions = Object.keys(signed.meta).map((name) => ({
    key: name.slice(0, -'.json'.length),
    value: signed.meta[name].version,
  }));
  return { type: roles.snapshot, ...common(signed), versions };
}

function targetOf(filename: string, { length, hashes, custom }: Json): Target {
  const { must_match: must, assignment } = custom;
  return {
    filename,
    length,
    hashes: hashesOf(hashes),
    mustMatch: {
      ...must,
      plaintextSha256: bytesOf(must.plaintextSha256),
      encoded: canonicalBytes(must),
    },
    ...(assignment && {
      assignment: { ...assignment, keyObjectSha256: bytesOf(assignment.keyObjectSha256) },
    }),
  };
}

function targetsOf(signed: Json): Targets {
  const { delegations } = signed;
  return {
    type: roles.targets,
    ...common(signed),
    // A name may be listed for several ECUs: then the value is an array.
    targets: Object.keys(signed.targets).flatMap((name) =>
      [signed.targets[name]].flat().map((one: Json) => targetOf(name, one)),
    ),
    ...(delegations && {
      delegations: {
        keys: keysOf(delegations.keys),
        delegations: delegations.roles.map((role: Json) => ({
          paths: role.paths,
          ...(role.hardware_ids && { hardwareIds: role.hardware_ids }),
          terminating: role.terminating,
          roles: [{ name: role.name, keyIds: role.keyids.map(bytesOf), threshold: role.threshold }],
          minimumRoles: 1,
        })),
      },
    }),
  };
}

function open(file: Uint8Array, maxBytes: number): Envelope | Refusal {
  if (file.length > maxBytes) return refuse('cbor-too-large', `${file.length} bytes`);
  try {
    const { signed, signatures } = JSON.parse(Buffer.from(file).toString('utf8'));
    const payload = canonicalBytes(signed);
    return {
      payload,
      signatures: signatures.map(({ keyid, sig }: Json) => ({
        header: { algorithm: noAlgorithm, keyId: bytesOf(keyid) },
        protectedBytes: new Uint8Array(0),
        signedBytes: payload,
        signature: ecdsaFromDer(bytesOf(sig)) ?? new Uint8Array(0),
      })),
    };
  } catch (error) {
    return refuse('cbor-wrong-type', String(error));
  }
}

/** A profile's repositories in this encoding; only ECDSA keys are known here. */
export const tufJson: MetadataFormat = {
  open,
  roleType(payload) {
    const { _type: type } = JSON.parse(Buffer.from(payload).toString('utf8'));
    return roles[type as RoleName];
  },
  decode<T>(record: Schema<T>, payload: Uint8Array): T | Refusal {
    const decoders = new Map<unknown, (signed: Json) => unknown>([
      [root, (signed) => rootOf(signed, 'ecdsa')],
      [timestamp, timestampOf],
      [snapshot, snapshotOf],
      [targets, targetsOf],
    ]);
    try {
      return decoders.get(record)!(JSON.parse(Buffer.from(payload).toString('utf8'))) as T;
    } catch (error) {
      return refuse('cbor-wrong-type', String(error));
    }
  },
};
