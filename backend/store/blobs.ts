/**
 * Content-addressed files: `sha256/ab/<hex>`, written to `incoming/` first. A blob exists whole and
 * durable or not at all; names are digests computed here, never a sender's (HRD-10).
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { syncFolder } from '../signer/durable-file.ts';

/** What arrived: its length in bytes and its digests. */
export interface Received {
  readonly length: number;
  readonly sha256: Uint8Array;
  readonly sha512: Uint8Array;
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

export class BlobStore {
  /** The folder of all of it. */
  readonly root: string;
  private readonly folder: string;
  private readonly incoming: string;

  /**
   * Opens the store under `folder` and removes what uploads left behind that never ended.
   * @param shared other processes use the folder as well, and uploads of theirs may be under way
   */
  constructor(folder: string, shared = false) {
    this.root = folder;
    this.folder = join(folder, 'sha256');
    this.incoming = join(folder, 'incoming');
    if (!shared) rmSync(this.incoming, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    mkdirSync(this.incoming, { recursive: true, mode: 0o700 });
  }

  /** Removes blobs that `isKnown` denies: their upload ended before it was recorded. */
  async removeUnknown(isKnown: (sha256: Uint8Array) => Promise<boolean>): Promise<void> {
    for (const group of readdirSync(this.folder)) {
      for (const name of readdirSync(join(this.folder, group))) {
        const known = await isKnown(Buffer.from(name, 'hex'));
        if (!known) rmSync(join(this.folder, group, name));
      }
    }
  }

  /** Path of a blob, whether it exists or not. */
  pathOf(sha256: Uint8Array): string {
    const hex = toHex(sha256);
    return join(this.folder, hex.slice(0, 2), hex);
  }

  has(sha256: Uint8Array): boolean {
    return existsSync(this.pathOf(sha256));
  }

  /**
   * Stores a stream, in constant memory.
   * @param accept judges the whole upload before it becomes visible; its refusal leaves nothing
   * @returns what arrived, `accept`'s refusal, `body-too-large`, or `body-incomplete` when the
   *   sender stopped
   */
  async receive(
    stream: AsyncIterable<Uint8Array>,
    maxBytes: number,
    accept: (received: Received) => Promise<Refusal | undefined>,
  ): Promise<Received | Refusal> {
    const temporary = join(this.incoming, randomBytes(16).toString('hex'));
    const file = await open(temporary, 'wx', 0o600);
    try {
      const received = await this.writeAll(file, stream, maxBytes);
      if (isRefusal(received)) return received;
      const refused = await accept(received);
      if (refused !== undefined) return refused;
      await file.sync();
      await this.publish(temporary, this.pathOf(received.sha256));
      return received;
    } finally {
      await file.close();
      // After a rename there is nothing left under this name.
      await rm(temporary, { force: true });
    }
  }

  private async writeAll(
    file: FileHandle,
    stream: AsyncIterable<Uint8Array>,
    maxBytes: number,
  ): Promise<Received | Refusal> {
    const sha256 = createHash('sha256');
    const sha512 = createHash('sha512');
    let length = 0;
    const chunks = stream[Symbol.asyncIterator]();
    for (;;) {
      let next: IteratorResult<Uint8Array>;
      try {
        next = await chunks.next();
      } catch (error) {
        return refuse('body-incomplete', `stopped after ${length} bytes: ${String(error)}`);
      }
      if (next.done) break;
      if (next.value.length > maxBytes - length) {
        return refuse('body-too-large', `more than ${maxBytes} bytes`);
      }
      length += next.value.length;
      sha256.update(next.value);
      sha512.update(next.value);
      await file.writeFile(next.value);
    }
    return { length, sha256: sha256.digest(), sha512: sha512.digest() };
  }

  private async publish(temporary: string, path: string): Promise<void> {
    const group = dirname(path);
    if (!existsSync(group)) {
      mkdirSync(group, { recursive: true, mode: 0o700 });
      syncFolder(this.folder);
    }
    // The same content is there already: never overwritten.
    if (!existsSync(path)) await rename(temporary, path);
    syncFolder(group);
  }
}
