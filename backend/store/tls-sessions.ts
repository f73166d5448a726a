/** Queries of TLS sessions that several processes share. */
import { query } from './database.ts';

export const findSession = query<[id: string, now: number], { readonly sealed: Uint8Array }>(
  'SELECT sealed FROM tls_sessions WHERE id = ? AND expires > ?',
);

export const keepSession = query<[id: string, sealed: Uint8Array, expires: number]>(
  `INSERT INTO tls_sessions (id, sealed, expires) VALUES (?, ?, ?)
   ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, expires = excluded.expires`,
);

export const forgetSessionsBefore = query<[now: number]>(
  'DELETE FROM tls_sessions WHERE expires <= ?',
);
