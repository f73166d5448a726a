/**
 * The Director's part of an offline update (PURE-2, OFF-04): Director Root, Offline Snapshot,
 * Offline Targets, all from a medium, in this order.
 *
 * Reached by tier 2: no BigInt, Map, Set, Promise, generator or RegExp from here on down.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxOfflineSnapshotBytes, maxOfflineTargetsBytes } from '../limits.ts';
import type { RoleName } from '../metadata/common.ts';
import type { OfflineSnapshot } from '../metadata/offline.ts';
import type { Targets } from '../metadata/targets.ts';
import { acceptOfflineSnapshot } from './offline-snapshot.ts';
import { acceptOfflineTargets } from './offline-targets.ts';
import { RootUpdate } from './root.ts';
import type { FileRequest, VerificationOptions } from './verification.ts';

const offlineRoles: readonly RoleName[] = ['offline-snapshot', 'offline-targets'];

export class OfflineDirector {
  private readonly options: VerificationOptions;
  private readonly rootUpdate: RootUpdate;
  private snapshot: OfflineSnapshot | undefined;
  private accepted: Targets | undefined;

  /** @param needed the roles that Director Root has to name for this verifier */
  constructor(options: VerificationOptions, needed: readonly RoleName[]) {
    this.options = options;
    this.rootUpdate = new RootUpdate(options, 'director', needed, offlineRoles);
  }

  /** Loads the stored Root. Code `metadata-not-stored`. */
  start(): Refusal | undefined {
    return this.rootUpdate.start();
  }

  /** Names are unversioned where the version is not known before the file was read (FNM-01). */
  ask(): FileRequest | undefined {
    if (this.accepted !== undefined) return undefined;
    return (
      this.rootUpdate.ask() ??
      (this.snapshot === undefined
        ? request('offline-snapshot.cbor', maxOfflineSnapshotBytes)
        : request('offline-targets.cbor', maxOfflineTargetsBytes))
    );
  }

  /** Codes of the Root, Offline Snapshot and Offline Targets checks, `metadata-absent`, `net-endless`. */
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
    if (this.snapshot === undefined) {
      const snapshot = acceptOfflineSnapshot(this.options, root, file);
      if (isRefusal(snapshot)) return snapshot;
      this.snapshot = snapshot;
      return undefined;
    }
    const targets = acceptOfflineTargets(this.options, root, this.snapshot, file);
    if (isRefusal(targets)) return targets;
    this.accepted = targets;
    return undefined;
  }

  done(): boolean {
    return this.accepted !== undefined;
  }

  /** This vehicle's entries of the verified campaign, once done. */
  targets(): Targets {
    if (this.accepted === undefined) throw new Error('targets: not verified yet');
    return this.accepted;
  }
}

function request(name: string, maxBytes: number): FileRequest {
  return { repository: 'director', name, maxBytes };
}
