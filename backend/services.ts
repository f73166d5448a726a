/** What every part of the backend works with: stores, keys, Roots, time. Made once, at start. */
import type { Crypto } from '../hal/types.ts';
import type { Lifetimes } from './configuration.ts';
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
  /** Unix seconds. */
  now(): number;
}
