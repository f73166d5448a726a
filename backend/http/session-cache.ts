/** Where TLS sessions are found by their id (RFC 5246 §7.4.1.2): clients without tickets need it. */

/**
 * Processes that share one resume each other's sessions. A session holds the secrets of its
 * connections: a cache outside this process has to seal them. Losing some only costs handshakes.
 */
export interface SessionCache {
  /** Keeps a session for a while. */
  keep(id: string, session: Buffer): Promise<void>;
  find(id: string): Promise<Buffer | undefined>;
}

/** About 1 KB each, with the client's certificate. */
export const maxSessionsInMemory = 10_000;

/** Sessions of this process: the oldest go first, so that strangers cannot fill the memory. */
export class MemorySessions implements SessionCache {
  private readonly sessions = new Map<string, Buffer>();
  private readonly most: number;

  constructor(most: number = maxSessionsInMemory) {
    this.most = most;
  }

  async keep(id: string, session: Buffer): Promise<void> {
    this.sessions.delete(id);
    this.sessions.set(id, Buffer.from(session));
    for (const oldest of this.sessions.keys()) {
      if (this.sessions.size <= this.most) break;
      this.sessions.delete(oldest);
    }
  }

  async find(id: string): Promise<Buffer | undefined> {
    return this.sessions.get(id);
  }
}
