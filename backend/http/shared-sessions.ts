/**
 * TLS sessions by their id in the database, for the processes that share it: a vehicle resumes its
 * session whichever of them takes the connection. Sealed by what only holders of the enrolment CA's
 * key have, so that nobody else who reads the database can open a recorded connection.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { Database } from '../store/database.ts';
import { findSession, forgetSessionsBefore, keepSession } from '../store/tls-sessions.ts';
import type { SessionCache } from './session-cache.ts';

/** OpenSSL resumes no session that is older. */
const sessionSeconds = 300;
/** Sessions kept between two clearings of the old ones. */
const keptPerClearing = 256;
const cipher = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;
/** The version 1.3 in the first fields of an encoded session. */
const tls13 = Buffer.from([2, 2, 3, 4]);
const versionFieldEnds = 16;

export class SharedSessions implements SessionCache {
  private readonly database: Database;
  private readonly key: Uint8Array;
  private readonly now: () => number;
  private kept = 0;

  /** @param secret that all processes have, and nobody else */
  constructor(database: Database, secret: Uint8Array, now: () => number) {
    this.database = database;
    this.key = new Uint8Array(hkdfSync('sha256', secret, '', 'ota-tls-sessions-v1', 32));
    this.now = now;
  }

  async keep(id: string, session: Buffer): Promise<void> {
    // In TLS 1.3 the client holds the session itself, in a ticket that every process can open.
    if (session.subarray(0, versionFieldEnds).includes(tls13)) return;
    const now = this.now();
    if (this.kept++ % keptPerClearing === 0) await this.database.run(forgetSessionsBefore, now);
    await this.database.run(keepSession, id, this.seal(id, session), now + sessionSeconds);
  }

  async find(id: string): Promise<Buffer | undefined> {
    const row = await this.database.one(findSession, id, this.now());
    return row && this.open(id, row.sealed);
  }

  private seal(id: string, session: Buffer): Uint8Array {
    const nonce = randomBytes(nonceBytes);
    const sealing = createCipheriv(cipher, this.key, nonce).setAAD(Buffer.from(id));
    const sealed = Buffer.concat([sealing.update(session), sealing.final()]);
    return Buffer.concat([nonce, sealed, sealing.getAuthTag()]);
  }

  /** Undefined for what was sealed by another secret or changed: the handshake is a full one then. */
  private open(id: string, sealed: Uint8Array): Buffer | undefined {
    if (sealed.length < nonceBytes + tagBytes) return undefined;
    const end = sealed.length - tagBytes;
    const opening = createDecipheriv(cipher, this.key, sealed.subarray(0, nonceBytes))
      .setAAD(Buffer.from(id))
      .setAuthTag(sealed.subarray(end));
    try {
      return Buffer.concat([opening.update(sealed.subarray(nonceBytes, end)), opening.final()]);
    } catch {
      return undefined;
    }
  }
}
