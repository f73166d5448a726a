/**
 * The checks that every metadata file shares (Uptane §5.4.4.3 to §5.4.4.6): signatures before
 * decoding, role type, version against the stored file, expiry, vehicle, hashes.
 */
import type { Crypto } from '../../hal/types.ts';
import type { Envelope } from '../codec/cose-sign.ts';
import { sameBytes } from '../codec/reader.ts';
import type { Schema } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { type Authority, verifyEnvelope } from '../crypto/verify-envelope.ts';
import {
  hashAlgorithms,
  type ProfileName,
  type RepositoryName,
  type RoleName,
  roles,
} from '../metadata/common.ts';
import type { MetadataFormat } from './metadata-format.ts';
import type { MetadataStore } from './metadata-store.ts';

/** What a whole verification holds fixed. */
export interface VerificationContext {
  readonly crypto: Crypto;
  readonly format: MetadataFormat;
  readonly profile: ProfileName;
  readonly vehicleId: string;
  readonly store: MetadataStore;
  readonly now: number;
}

/** A file whose signatures were verified. */
export interface Opened<T> {
  readonly value: T;
  /** What was signed. */
  readonly payload: Uint8Array;
  /** The whole file, as received. */
  readonly bytes: Uint8Array;
}

/** What it takes to read a signed file at all. */
type Reading = Pick<VerificationContext, 'crypto' | 'format'>;

interface Versioned {
  readonly version: number;
}

export interface OpenOptions {
  readonly role: RoleName;
  readonly authority: Authority;
  readonly maxBytes: number;
  /** Unix seconds for the expiry of a Merkle batch; absent: Merkle signatures are refused. */
  readonly now?: number;
  /** The requirement that a failed signature check is reported under. */
  readonly row: string;
}

/**
 * Opens a file: signatures first, then role type, then the payload.
 * @returns codes of `verifyEnvelope`, `metadata-role-type`, `cbor-…`
 */
export function openSigned<T>(
  { crypto, format }: Reading,
  schema: Schema<T>,
  file: Uint8Array,
  options: OpenOptions,
): Opened<T> | Refusal {
  const envelope = format.open(file, options.maxBytes);
  if (isRefusal(envelope)) return envelope;
  const refused = verifySignatures(crypto, envelope, options);
  if (refused !== undefined) return refused;
  const value = decodePayload(format, schema, envelope, options.role, options.maxBytes);
  if (isRefusal(value)) return value;
  return { value, payload: envelope.payload, bytes: file };
}

/** `verifyEnvelope` for a metadata file, its refusals under the row of the role at hand. */
export function verifySignatures(
  crypto: Crypto,
  envelope: Envelope,
  { role, authority, now, row }: Omit<OpenOptions, 'maxBytes'>,
): Refusal | undefined {
  const refused = verifyEnvelope(crypto, envelope, authority, {
    domain: 'metadata',
    role: roles[role],
    payloadHash: 'forbidden',
    ...(now !== undefined && { now }),
  });
  if (refused === undefined || refused.refused === 'signature-half') return refused;
  return { refused: refused.refused, detail: `${role}: ${refused.detail}`, row };
}

/** Decodes a payload whose signatures hold. Codes `metadata-role-type` (MET-04), `cbor-…`. */
export function decodePayload<T>(
  format: MetadataFormat,
  schema: Schema<T>,
  envelope: Envelope,
  role: RoleName,
  maxBytes: number,
): T | Refusal {
  const type = format.roleType(envelope.payload);
  // MET-04: one key may sign for several roles; the payload says for which one it did
  if (type !== undefined && type !== roles[role]) {
    return refuse('metadata-role-type', `role type ${type} where ${role} is expected`);
  }
  return format.decode(schema, envelope.payload, maxBytes);
}

/**
 * A stored file of a role as the baseline of rollback checks (HRD-11), verified again (HRD-15).
 * Expiry is not judged: an expired file is still the newest one seen. A file that no longer
 * verifies is damaged and counts as absent, so that bad storage cannot end all updates (VER-02).
 * @param next the file at hand, verified already: nothing is verified twice when it is the same
 */
export function loadVerified<T>(
  context: VerificationContext,
  schema: Schema<T>,
  repository: RepositoryName,
  key: string,
  digest: Uint8Array,
  options: Omit<OpenOptions, 'now' | 'row'>,
  next: Opened<T>,
): Opened<T> | undefined {
  const stored = context.store.load(repository, key, digest);
  if (stored === undefined) return undefined;
  if (sameBytes(stored.bytes, next.bytes)) return next;
  const opened = openSigned(context, schema, stored.bytes, {
    ...options,
    now: 0,
    row: 'HRD-15',
  });
  return isRefusal(opened) ? undefined : opened;
}

/**
 * A file must not be older than the stored one, and the same version must be the same content.
 * What is compared is the signed payload: fresh signatures over it change nothing.
 * @param row the role's rollback requirement
 * @returns codes `metadata-rollback`, `metadata-changed-in-place`
 */
export function checkSuccession<T extends Versioned>(
  previous: Opened<T> | undefined,
  next: Opened<T>,
  row: string,
): Refusal | undefined {
  if (previous === undefined) return undefined;
  const stored = previous.value.version;
  if (next.value.version < stored) {
    return refuse('metadata-rollback', `version ${next.value.version} after ${stored}`, row);
  }
  // HRD-02: same version, other content
  if (next.value.version === stored && !sameBytes(previous.payload, next.payload)) {
    return refuse('metadata-changed-in-place', `version ${stored} has other content than stored`);
  }
  return undefined;
}

/** Freeze: current time < expiry. Code `metadata-expired`. */
export function checkExpiry(expires: number, now: number, row: string): Refusal | undefined {
  return now < expires
    ? undefined
    : refuse('metadata-expired', `expired at ${expires}, now ${now}`, row);
}

/**
 * HRD-01: everything of the Director is made for one vehicle; the Image repository is for all.
 * Code `vehicle-mismatch`.
 */
export function checkVehicle(
  repository: RepositoryName,
  vehicleId: string,
  stated: string | undefined,
): Refusal | undefined {
  const expected = repository === 'director' ? vehicleId : undefined;
  return stated === expected
    ? undefined
    : refuse(
        'vehicle-mismatch',
        `${stated ?? 'no vehicle'} where ${expected ?? 'none'} is expected`,
      );
}

type Hashes = readonly { readonly key: number; readonly value: Uint8Array }[];

/**
 * HRD-12: at least one hash, each of a known function and of its length.
 * Code `hash-missing`.
 */
export function checkHashList(hashes: Hashes): Refusal | undefined {
  if (hashes.length === 0) return refuse('hash-missing', 'no hash is listed');
  for (const { key, value } of hashes) {
    const length =
      key === hashAlgorithms['SHA-256'] ? 32 : key === hashAlgorithms['SHA-512'] ? 64 : -1;
    if (value.length !== length) {
      return refuse('hash-missing', `hash function ${key} with ${value.length} bytes`);
    }
  }
  return undefined;
}

/** True when every listed hash is the file's. The list was checked by `checkHashList`. */
export function hashesMatch(crypto: Crypto, hashes: Hashes, file: Uint8Array): boolean {
  for (const { key, value } of hashes) {
    const name = key === hashAlgorithms['SHA-256'] ? 'SHA-256' : 'SHA-512';
    if (!sameBytes(crypto.digest(name, file), value)) return false;
  }
  return true;
}
