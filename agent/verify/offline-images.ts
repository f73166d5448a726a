/**
 * The Image repository's part of an offline update (PURE-2, OFF-04): Root, Snapshot, top-level
 * Targets, from a medium. There is no Timestamp on a medium, so the Snapshot's expiry says nothing
 * and is not judged; what it lists has its own.
 *
 * A medium may be older than what the vehicle last saw online, and still be what the operator wants
 * installed: the Offline Snapshot decides that. So the Roots go on in the store, Snapshot and Targets
 * of the medium never take the place of the stored ones, and no version is compared with theirs.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxSnapshotBytes, maxTargetsBytes } from '../limits.ts';
import type { Root } from '../metadata/root.ts';
import { type Snapshot, snapshot as snapshotSchema } from '../metadata/snapshot.ts';
import type { Targets } from '../metadata/targets.ts';
import { checkDelegations } from './delegations.ts';
import { MetadataStore } from './metadata-store.ts';
import { fullRoles, RootUpdate, requireAuthority } from './root.ts';
import { checkVehicle, openSigned, type VerificationContext } from './signed-file.ts';
import { versionOf } from './snapshot.ts';
import { acceptTargets } from './targets.ts';
import { onlineAuthorityDigest } from './timestamp.ts';
import type { FileRequest, VerificationOptions } from './verification.ts';

/** Holds nothing and keeps nothing. */
const nothing = {
  read: () => undefined,
  write: () => undefined,
  delete: () => undefined,
};

export class OfflineImages {
  /** The verification's context with an empty store, for what is not to be kept. */
  readonly context: VerificationContext;
  private readonly options: VerificationOptions;
  private readonly rootUpdate: RootUpdate;
  private acceptedSnapshot: Snapshot | undefined;
  private acceptedTargets: Targets | undefined;
  private started = false;

  constructor(options: VerificationOptions) {
    this.options = options;
    this.context = { ...options, store: new MetadataStore(nothing) };
    this.rootUpdate = new RootUpdate(options, 'images', fullRoles);
  }

  /** Loads the stored Root. Code `metadata-not-stored`. */
  start(): Refusal | undefined {
    this.started = true;
    return this.rootUpdate.start();
  }

  done(): boolean {
    return this.acceptedTargets !== undefined;
  }

  ask(): FileRequest | undefined {
    if (!this.started || this.done()) return undefined;
    const root = this.rootUpdate.ask();
    if (root !== undefined) return root;
    const repository = 'images';
    if (this.acceptedSnapshot === undefined) {
      return { repository, name: 'snapshot.cbor', maxBytes: maxSnapshotBytes };
    }
    const name = `${versionOf(this.acceptedSnapshot, 'targets')}.targets.cbor`;
    return { repository, name, maxBytes: maxTargetsBytes };
  }

  /** Codes of the roles' checks, `metadata-absent`, `net-endless`. */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    const asked = this.ask();
    if (asked === undefined) throw new Error('supply: nothing was asked for');
    const inRoot = !this.rootUpdate.done();
    // CRT-02, OFF-04: nobody reads more than was asked for
    if (file !== undefined && file.length > asked.maxBytes) {
      const found = `${asked.name}: ${file.length} bytes, at most ${asked.maxBytes}`;
      return refuse('net-endless', found, inRoot ? 'CRT-02' : 'OFF-04');
    }
    if (inRoot) return this.rootUpdate.supply(file);
    // OFF-03: a bundle without one of its files is none
    if (file === undefined) return refuse('metadata-absent', asked.name, 'OFF-03');
    const root = this.rootUpdate.root();
    if (this.acceptedSnapshot === undefined) {
      const snapshot = openSnapshot(this.options, root, file);
      if (isRefusal(snapshot)) return snapshot;
      this.acceptedSnapshot = snapshot;
      return undefined;
    }
    return this.takeTargets(root, this.acceptedSnapshot, file);
  }

  /** The verified Snapshot, once done. */
  snapshot(): Snapshot {
    if (this.acceptedSnapshot === undefined) throw new Error('snapshot: not verified yet');
    return this.acceptedSnapshot;
  }

  /** The verified top-level Targets, once done. */
  targets(): Targets {
    if (this.acceptedTargets === undefined) throw new Error('targets: not verified yet');
    return this.acceptedTargets;
  }

  /** OFF-04: version of the Snapshot, signature, expiry. */
  private takeTargets(root: Root, snapshot: Snapshot, file: Uint8Array): Refusal | undefined {
    const authority = requireAuthority(this.context, root, 'targets');
    if (isRefusal(authority)) return authority;
    const rule = {
      repository: 'images',
      storeKey: 'targets',
      authority,
      maxBytes: maxTargetsBytes,
      version: versionOf(snapshot, 'targets')!,
      judge: (targets: Targets) => checkDelegations(this.context, targets),
    } as const;
    const targets = acceptTargets(this.context, rule, file);
    if (isRefusal(targets)) return targets;
    this.acceptedTargets = targets.value;
    return undefined;
  }
}

/** OFF-04: signature, and no file of the stored Snapshot has vanished; expiry is not judged. */
function openSnapshot(
  context: VerificationContext,
  root: Root,
  file: Uint8Array,
): Snapshot | Refusal {
  const authority = requireAuthority(context, root, 'snapshot');
  if (isRefusal(authority)) return authority;
  const form = { role: 'snapshot', authority, maxBytes: maxSnapshotBytes } as const;
  const next = openSigned(context, snapshotSchema, file, { ...form, row: 'OFF-04' });
  if (isRefusal(next)) return next;
  // MET-04, HRD-01: a Director's Snapshot names a vehicle, the Image repository's never does
  const foreign = checkVehicle('images', context.vehicleId, next.value.vehicleId);
  if (foreign !== undefined) return foreign;
  // SNP-01: the top level at least
  if (versionOf(next.value, 'targets') === undefined) {
    return refuse('snapshot-mismatch', 'no version of targets', 'SNP-01');
  }
  const digest = onlineAuthorityDigest(context, root);
  if (isRefusal(digest)) return digest;
  const stored = context.store.load('images', 'snapshot', digest);
  if (stored === undefined) return next.value;
  const previous = openSigned(context, snapshotSchema, stored.bytes, { ...form, row: 'HRD-15' });
  if (isRefusal(previous)) return next.value;
  for (const { key } of previous.value.versions) {
    if (versionOf(next.value, key) === undefined) {
      return refuse('snapshot-role-removed', `${key} is gone`, 'OFF-04');
    }
  }
  return next.value;
}
