/**
 * Root metadata (Uptane §5.4.4.3): from the trusted version N to N+1, N+2 … as far as there is one.
 */

import { sameBytes } from '../codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxRootBytes, maxRootRotationsPerCycle } from '../limits.ts';
import { profiles, type RepositoryName, type RoleName, roles } from '../metadata/common.ts';
import { type Root, root as rootSchema } from '../metadata/root.ts';
import { authorityOf, checkKeyTable, identify, type RoleAuthority } from './authority.ts';
import {
  checkExpiry,
  decodePayload,
  type VerificationContext,
  verifySignatures,
} from './signed-file.ts';
import type { FileRequest } from './verification.ts';

/** Top-level roles that a full verifier relies on. */
export const fullRoles: readonly RoleName[] = ['root', 'timestamp', 'snapshot', 'targets'];
/** What a partial verifier relies on: Director Root and Targets. */
export const partialRoles: readonly RoleName[] = ['root', 'targets'];

/** Verifies one Root by its own keys: its key table, then a threshold of itself. */
function checkOwnSignatures(
  context: VerificationContext,
  file: Uint8Array,
  needed: readonly RoleName[],
): Root | Refusal {
  const { crypto, format, profile } = context;
  const envelope = format.open(file, maxRootBytes);
  if (isRefusal(envelope)) return envelope;
  const root = decodePayload(format, rootSchema, envelope, 'root', maxRootBytes);
  if (isRefusal(root)) return root;
  const table = checkKeyTable(crypto, root, profile, needed);
  if (table !== undefined) return table;
  const authority = requireAuthority(context, root, 'root');
  if (isRefusal(authority)) return authority;
  const signed = { role: 'root', authority, row: 'CRT-03' } as const;
  return verifySignatures(crypto, envelope, signed) ?? root;
}

/**
 * Judges the successor of a trusted Root.
 * @param current the trusted Root, version N
 * @param file bytes of the file called N+1
 * @param needed roles that it has to name for this verifier's profile
 * @returns codes `signature-…` and `root-version` (CRT-03, CRT-04), `root-threshold`,
 *   `key-duplicate`, `metadata-role-type`, `cbor-…`
 */
export function checkNextRoot(
  context: VerificationContext,
  current: Root,
  file: Uint8Array,
  needed: readonly RoleName[],
): Root | Refusal {
  const envelope = context.format.open(file, maxRootBytes);
  if (isRefusal(envelope)) return envelope;
  const authority = requireAuthority(context, current, 'root');
  if (isRefusal(authority)) return authority;
  // CRT-03: a threshold of the keys of N; only then is the payload read
  const old = { role: 'root', authority, row: 'CRT-03' } as const;
  const refused = verifySignatures(context.crypto, envelope, old);
  if (refused !== undefined) return refused;
  const next = decodePayload(context.format, rootSchema, envelope, 'root', maxRootBytes);
  if (isRefusal(next)) return next;
  // CRT-04, HRD-05: exactly N+1
  if (next.version !== current.version + 1) {
    return refuse('root-version', `version ${next.version} where ${current.version + 1} is due`);
  }
  // CRT-03, HRD-05: and a threshold of the keys of N+1
  return checkOwnSignatures(context, file, needed);
}

/**
 * The trusted Root from the store, verified again by its own keys (HRD-15).
 * Code `metadata-not-stored`.
 */
export function loadRoot(
  context: VerificationContext,
  repository: RepositoryName,
  needed: readonly RoleName[],
): Root | Refusal {
  // CRT-01: start from the stored Root
  const version = context.store.rootVersion(repository);
  const file = context.store.root(repository);
  if (version === undefined || file === undefined) {
    return refuse('metadata-not-stored', `no ${repository} Root`);
  }
  const root = checkOwnSignatures(context, file, needed);
  // HRD-15: flash may have changed it since
  if (isRefusal(root) || root.version !== version) {
    const found = isRefusal(root) ? `${root.refused} ${root.detail}` : `version ${root.version}`;
    return refuse('metadata-not-stored', `stored ${repository} Root: ${found}`, 'HRD-15');
  }
  return root;
}

/** A role's authority in a Root that passed `checkKeyTable` with that role among the needed. */
export function requireAuthority(
  { crypto, profile }: VerificationContext,
  root: Root,
  role: RoleName,
): RoleAuthority | Refusal {
  return (
    authorityOf(crypto, root, role, profile) ??
    refuse('root-threshold', `no ${role} keys for profile ${profile}`, 'ROOT-01')
  );
}

/**
 * What a verifier needs of a trusted Root, in memory of its own: what was decoded is a view into its
 * file, which would stay as long, and a Root of 30 KB is a twentieth of a small ECU's heap.
 */
function relevantPart(
  { crypto, profile }: VerificationContext,
  root: Root,
  kept: readonly RoleName[],
): Root {
  const entries = root.roles
    .filter((one) => one.profile === profiles[profile])
    .filter((one) => kept.some((name) => roles[name] === one.role))
    .map((one) => ({ ...one, keyIds: one.keyIds.map((id) => id.slice()) }));
  const isNamed = (id: Uint8Array) =>
    entries.some(({ keyIds }) => keyIds.some((other) => sameBytes(other, id)));
  const keys = identify(crypto, root.keys)
    .filter(({ id }) => isNamed(id))
    .map(({ key, id }) => ({ algorithm: key.algorithm, bytes: key.bytes.slice(), id }));
  return { ...root, keys, roles: entries };
}

/** The loop of §5.4.4.3 in ask / supply form. Each accepted Root is stored at once (CRT-05). */
export class RootUpdate {
  private readonly context: VerificationContext;
  private readonly repository: RepositoryName;
  private readonly needed: readonly RoleName[];
  private readonly kept: readonly RoleName[];
  private trusted: Root | undefined;
  private rotations = 0;
  private ended = false;

  /**
   * @param needed roles that every Root has to name
   * @param further roles that are looked up where it names them
   */
  constructor(
    context: VerificationContext,
    repository: RepositoryName,
    needed: readonly RoleName[],
    further: readonly RoleName[] = [],
  ) {
    this.context = context;
    this.repository = repository;
    this.needed = needed;
    this.kept = [...needed, ...further];
  }

  /** Loads the stored Root. Code `metadata-not-stored`. */
  start(): Refusal | undefined {
    const root = loadRoot(this.context, this.repository, this.needed);
    if (isRefusal(root)) return root;
    this.trusted = relevantPart(this.context, root, this.kept);
    return undefined;
  }

  /** The newest trusted Root. */
  root(): Root {
    if (this.trusted === undefined) throw new Error('root: not started');
    return this.trusted;
  }

  done(): boolean {
    return this.ended;
  }

  /** CRT-02: the next version by its fixed name. */
  ask(): FileRequest | undefined {
    if (this.ended) return undefined;
    const name = `${this.root().version + 1}.root.cbor`;
    return { repository: this.repository, name, maxBytes: maxRootBytes };
  }

  /** Codes of `checkNextRoot`, `root-too-many`, `time-unknown`, `metadata-expired` (CRT-06). */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    const current = this.root();
    if (file === undefined) {
      // CRT-05: no newer one, so this one is the latest
      this.ended = true;
      return this.judgeFinal();
    }
    // HRD-13: what was reached stays stored, so the next cycle goes on from there
    if (this.rotations >= maxRootRotationsPerCycle) {
      return refuse('root-too-many', `more than ${maxRootRotationsPerCycle} in one cycle`);
    }
    const next = checkNextRoot(this.context, current, file, this.needed);
    if (isRefusal(next)) return next;
    this.context.store.writeRoot(this.repository, next.version, file);
    this.trusted = relevantPart(this.context, next, this.kept);
    this.rotations += 1;
    return undefined;
  }

  private judgeFinal(): Refusal | undefined {
    const { now } = this.context;
    // HRD-03: rotations need no time (one may bring the time key that is missing); expiry does
    if (!(now > 0)) return refuse('time-unknown', 'no attested time to judge expiry by');
    // CRT-06: expiry of the final Root only
    return checkExpiry(this.root().expires, now, 'CRT-06');
  }
}
