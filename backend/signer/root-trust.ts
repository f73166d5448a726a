/**
 * Which Roots the backend accepts, and whose keys they name (Uptane §5.2.2, §5.4.4.3): what it
 * publishes is judged here as every vehicle will judge it.
 */
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { type Authority, verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { maxRootBytes } from '../../agent/limits.ts';
import type { ProfileName, RepositoryName, RoleName } from '../../agent/metadata/common.ts';
import { type Root, root as rootSchema } from '../../agent/metadata/root.ts';
import type { DelegatedRole } from '../../agent/metadata/targets.ts';
import {
  authorityOf,
  checkKeyTable,
  identify,
  resolveAuthority,
} from '../../agent/verify/authority.ts';
import type { Crypto } from '../../hal/types.ts';

/** The profile of every signature that the backend makes or takes. */
const profile: ProfileName = 'composite';

const neededRoles: Readonly<Record<RepositoryName, readonly RoleName[]>> = {
  director: ['root', 'targets', 'snapshot', 'timestamp', 'time'],
  images: ['root', 'targets', 'snapshot', 'timestamp'],
};

/** Who signs a role by this Root. Code `root-threshold` when the Root does not name the role. */
export function roleAuthority(crypto: Crypto, root: Root, role: RoleName): Authority | Refusal {
  return (
    authorityOf(crypto, root, role, profile) ??
    refuse('root-threshold', `no ${role} keys for profile ${profile}`, 'ROOT-01')
  );
}

/** Who signs a delegated role: its keys by id out of the delegating file's list. */
export function delegatedAuthority(
  crypto: Crypto,
  keys: readonly PublicKey[],
  role: DelegatedRole,
): Authority | Refusal {
  return resolveAuthority(identify(crypto, keys), role, profile);
}

/**
 * Checks the Root that is to follow `previous` (or to be the first).
 * @param version the version that its name says
 * @returns the Root; codes `cbor-…`, `signature-…`, `root-version`, `metadata-not-next`,
 *   `root-threshold`, `key-duplicate`, `metadata-expired`
 */
export function verifyNextRoot(
  crypto: Crypto,
  repository: RepositoryName,
  previous: Root | undefined,
  version: number,
  bytes: Uint8Array,
  now: number,
): Root | Refusal {
  const expected = (previous?.version ?? 0) + 1;
  if (version !== expected) {
    return refuse('metadata-not-next', `version ${version} where ${expected} is next`, 'CRT-04');
  }
  const envelope = decodeEnvelope(bytes, maxRootBytes);
  if (isRefusal(envelope)) return envelope;
  // CRT-03: a threshold of the Root before …
  if (previous !== undefined) {
    const before = roleAuthority(crypto, previous, 'root');
    if (isRefusal(before)) return before;
    const refused = verifyEnvelope(crypto, envelope, before, signedMetadata);
    if (refused !== undefined) return refuse(refused.refused, refused.detail, 'CRT-03');
  }
  // The new Root names its own keys, so it has to be decoded before those can be checked.
  const next = decode(rootSchema, envelope.payload, maxRootBytes);
  if (isRefusal(next)) return next;
  const table = checkKeyTable(crypto, next, profile, neededRoles[repository]);
  if (table !== undefined) return table;
  // CRT-03: … and a threshold of its own
  const own = roleAuthority(crypto, next, 'root');
  if (isRefusal(own)) return own;
  const refused = verifyEnvelope(crypto, envelope, own, signedMetadata);
  if (refused !== undefined) return refuse(refused.refused, refused.detail, 'CRT-03');
  // CRT-04: exactly the next version, as signed
  if (next.version !== version) {
    return refuse('root-version', `signed version ${next.version}, named ${version}`);
  }
  // CRT-06: one that expired would stop every vehicle
  if (next.expires <= now) return refuse('metadata-expired', 'this Root has expired', 'CRT-06');
  return next;
}

/** Repository metadata is checked in plain form: Merkle batches are made by the Director alone. */
export const signedMetadata = { domain: 'metadata', payloadHash: 'forbidden' } as const;
