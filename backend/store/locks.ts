/** What several processes change in turn: locked before it is read, until the transaction ends. */
import { lockingQuery } from './database.ts';

/** `images`: the Image repository's metadata; `silence`: the look for vehicles that fell silent. */
export type LockName = 'images' | 'roots' | 'offline' | 'silence';

export const lockByName = lockingQuery<[name: LockName], { readonly name: string }>(
  'SELECT name FROM locks WHERE name = ?',
);
