/**
 * One repository's metadata in the Standard's order: Root*, Timestamp, Snapshot, Targets.
 *
 * Each role is stored as it is accepted, so a cut leaves a prefix of the order, and the next cycle
 * starts from it. A stored Snapshot or Targets file that is still the current one passes the same
 * checks again (HRD-15) and saves its download; one that fails them is fetched.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxSnapshotBytes, maxTimestampBytes } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';
import type { Snapshot } from '../metadata/snapshot.ts';
import type { Targets } from '../metadata/targets.ts';
import type { Timestamp } from '../metadata/timestamp.ts';
import { fullRoles, RootUpdate, requireAuthority } from './root.ts';
import type { VerificationContext } from './signed-file.ts';
import { acceptSnapshot, versionOf } from './snapshot.ts';
import { acceptTargets, type TargetsRule } from './targets.ts';
import { acceptTimestamp } from './timestamp.ts';
import type { FileRequest } from './verification.ts';

/** What the two repositories judge differently. */
export type TargetsPolicy = Pick<TargetsRule, 'maxBytes' | 'judge' | 'keep'>;

interface Wanted {
  readonly name: string;
  readonly maxBytes: number;
  /** The size requirement, for a file larger than asked for. */
  readonly row: string;
}

type Judge<T> = (file: Uint8Array) => T | Refusal;
type Proceed<T> = (accepted: T) => Refusal | undefined;

interface Step {
  readonly request: FileRequest;
  readonly row: string;
  readonly accept: (file: Uint8Array) => Refusal | undefined;
}

export class RepositoryVerification {
  readonly context: VerificationContext;
  private readonly repository: RepositoryName;
  private readonly policy: TargetsPolicy;
  private readonly rootUpdate: RootUpdate;
  private step: Step | undefined;
  private started = false;
  private acceptedSnapshot: Snapshot | undefined;
  private acceptedTargets: Targets | undefined;

  constructor(context: VerificationContext, repository: RepositoryName, policy: TargetsPolicy) {
    this.context = context;
    this.repository = repository;
    this.policy = policy;
    this.rootUpdate = new RootUpdate(context, repository, fullRoles);
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
    return this.rootUpdate.ask() ?? this.step?.request;
  }

  /** Codes of the roles' checks, `metadata-absent`, `net-endless`. */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    const request = this.ask();
    if (request === undefined) throw new Error('supply: nothing was asked for');
    // CRT-02, CTS-01, CSN-01, CTG-01: nobody reads more than was asked for
    if (file !== undefined && file.length > request.maxBytes) {
      const found = `${request.name}: ${file.length} bytes, at most ${request.maxBytes}`;
      return refuse('net-endless', found, this.step?.row ?? 'CRT-02');
    }
    if (this.step === undefined) {
      const refused = this.rootUpdate.supply(file);
      if (refused === undefined && this.rootUpdate.done()) this.beginTimestamp();
      return refused;
    }
    if (file === undefined) return refuse('metadata-absent', request.name);
    return this.step.accept(file);
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

  private beginTimestamp(): void {
    const { context, repository } = this;
    const root = this.rootUpdate.root();
    // FV-03, FV-08: Timestamp, by its unversioned name
    this.expect(
      { name: 'timestamp.cbor', maxBytes: maxTimestampBytes, row: 'CTS-01' },
      (file) => acceptTimestamp(context, repository, root, file),
      (timestamp) => this.beginSnapshot(timestamp.value),
    );
  }

  private beginSnapshot(timestamp: Timestamp): Refusal | undefined {
    const { context, repository } = this;
    const root = this.rootUpdate.root();
    const { version, length } = timestamp.snapshot;
    // CSN-01: the size that the Timestamp states, itself bounded
    if (length > maxSnapshotBytes) {
      return refuse('cbor-too-large', `Snapshot of ${length} bytes`, 'CSN-01');
    }
    // FV-04, FV-09: a stored Snapshot that the Timestamp names needs no download
    return this.storedOrExpect(
      { name: `${version}.snapshot.cbor`, maxBytes: length, row: 'CSN-01' },
      (file) => acceptSnapshot(context, repository, root, timestamp, file),
      (snapshot) => this.beginTargets(snapshot.value),
    );
  }

  private beginTargets(snapshot: Snapshot): Refusal | undefined {
    const { context, repository } = this;
    this.acceptedSnapshot = snapshot;
    // FV-05, FV-10: top-level Targets, in the version of the Snapshot
    const authority = requireAuthority(context, this.rootUpdate.root(), 'targets');
    if (isRefusal(authority)) return authority;
    const version = versionOf(snapshot, 'targets')!;
    const rule = { ...this.policy, repository, storeKey: 'targets', authority, version };
    return this.storedOrExpect(
      { name: `${version}.targets.cbor`, maxBytes: rule.maxBytes, row: 'CTG-01' },
      (file) => acceptTargets(context, rule, file),
      (targets) => {
        this.acceptedTargets = targets.value;
        return undefined;
      },
    );
  }

  private expect<T>(file: Wanted, judge: Judge<T>, proceed: Proceed<T>): void {
    const request = { repository: this.repository, name: file.name, maxBytes: file.maxBytes };
    const accept = (bytes: Uint8Array) => {
      const accepted = judge(bytes);
      return isRefusal(accepted) ? accepted : proceed(accepted);
    };
    this.step = { request, row: file.row, accept };
  }

  /** Goes on with the stored file if it passes its checks; asks for it otherwise. */
  private storedOrExpect<T>(
    file: Wanted,
    judge: Judge<T>,
    proceed: Proceed<T>,
  ): Refusal | undefined {
    this.expect(file, judge, proceed);
    const stored = this.context.store.read(this.repository, file.name);
    if (stored === undefined) return undefined;
    const accepted = judge(stored);
    return isRefusal(accepted) ? undefined : proceed(accepted);
  }
}
