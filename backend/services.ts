/** What every part of the backend works with: stores, keys, Roots, time. Made once, at start. */
import type { Crypto } from '../hal/types.ts';
import type { Admission } from './admission/admission.ts';
import type { LastSigned } from './admission/last-signed.ts';
import type { Lifetimes } from './configuration.ts';
import type { CommitWindow } from './director/accept-manifest.ts';
import type { SigningWindow } from './director/signing.ts';
import type { VerificationPool } from './director/verification-pool.ts';
import type { Metrics } from './metrics.ts';
import type { Doorbell } from './notify/doorbell.ts';
import type { EnrolmentAuthority } from './signer/enrolment-authority.ts';
import type { OnlineKeys } from './signer/online-keys.ts';
import type { RootStore } from './signer/root-store.ts';
import type { BlobStore } from './store/blobs.ts';
import type { Database } from './store/database.ts';

export interface Services {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly crypto: Crypto;
  readonly keys: OnlineKeys;
  readonly roots: RootStore;
  readonly lifetimes: Lifetimes;
  /** Issues device certificates; absent while the device plane speaks plain HTTP. */
  readonly enrolment?: EnrolmentAuthority | undefined;
  readonly metrics: Metrics;
  readonly admission: Admission;
  /** Signed metadata that was sent last. */
  readonly memory: LastSigned;
  /** Signatures of ECUs, on every core. */
  readonly verifier: VerificationPool;
  /** Manifests that share a commit. */
  readonly commits: CommitWindow;
  /** Vehicles that share a signature. */
  readonly signing: SigningWindow;
  /** When the database came back from a backup, in unix seconds; 0: it never did. */
  readonly restored: number;
  /** Tells vehicles that there is something new. */
  readonly doorbell: Doorbell;
  /** Unix seconds. */
  now(): number;
}
