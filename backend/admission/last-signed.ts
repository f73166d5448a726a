/**
 * The signed metadata that was sent last, kept in memory (docs/dos.md, layer 9): under overload it
 * is answered from here, without the database, a signature or a place in a queue. A vehicle that
 * polls then learns what it would have learned, or at worst what was true a moment ago.
 */

interface Kept {
  readonly bytes: Uint8Array;
  /** Unix seconds: what is expired helps nobody. */
  readonly expires: number;
}

export const maxKeptBytes = 67_108_864;
export const maxKeptFiles = 16_384;

export class LastSigned {
  /** In the order of their last use. */
  private readonly files = new Map<string, Kept>();
  private readonly maxBytes: number;
  private bytes = 0;

  constructor(maxBytes = maxKeptBytes) {
    this.maxBytes = maxBytes;
  }

  keep(name: string, bytes: Uint8Array, expires: number): void {
    this.forget(name);
    if (bytes.length > this.maxBytes) return;
    this.files.set(name, { bytes, expires });
    this.bytes += bytes.length;
    for (const oldest of this.files.keys()) {
      if (this.bytes <= this.maxBytes && this.files.size <= maxKeptFiles) break;
      this.forget(oldest);
    }
  }

  /** The file, when it is kept and valid for longer than `now` (unix seconds). */
  find(name: string, now: number): Uint8Array | undefined {
    const kept = this.files.get(name);
    if (kept === undefined) return undefined;
    if (kept.expires <= now) {
      this.forget(name);
      return undefined;
    }
    this.files.delete(name);
    this.files.set(name, kept);
    return kept.bytes;
  }

  /** To be called when a newer one is signed: an older Timestamp would look like a rollback. */
  forget(name: string): void {
    const kept = this.files.get(name);
    if (kept === undefined) return;
    this.files.delete(name);
    this.bytes -= kept.bytes.length;
  }

  get size(): { readonly files: number; readonly bytes: number } {
    return { files: this.files.size, bytes: this.bytes };
  }
}
