/** Content-addressed files: `sha256/ab/<hex>`, written to `incoming/` first. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { type FileHandle, open, rename, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Refusal } from '../../agent/codes.ts';
import { syncFolder } from '../signer/durable-file.ts';
import { type BlobStore, toHex } from './blobs.ts';
import { type Received, Spool } from './spool.ts';

const pieceBytes = 65_536;

export class FileBlobs implements BlobStore {
  private readonly root: string;
  private readonly folder: string;
  private readonly spool: Spool;

  /** Names a store that may be in use; `open` makes one. */
  constructor(root: string) {
    this.root = root;
    this.folder = join(root, 'sha256');
    this.spool = new Spool(join(root, 'incoming'));
  }

  /**
   * Opens the store, makes it where there is none, and removes what uploads left behind.
   * @param shared other processes use the folder as well, and uploads of theirs may be under way
   */
  static open(root: string, shared = false): FileBlobs {
    const blobs = new FileBlobs(root);
    mkdirSync(blobs.folder, { recursive: true, mode: 0o700 });
    blobs.spool.prepare(shared);
    return blobs;
  }

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

  async has(sha256: Uint8Array): Promise<boolean> {
    return existsSync(this.pathOf(sha256));
  }

  receive(
    stream: AsyncIterable<Uint8Array>,
    maxBytes: number,
    accept: (received: Received) => Promise<Refusal | undefined>,
  ): Promise<Received | Refusal> {
    return this.spool.receive(stream, maxBytes, accept, ({ sha256 }, path) =>
      this.publish(path, this.pathOf(sha256)),
    );
  }

  async read(sha256: Uint8Array, start: number, end: number): Promise<AsyncIterable<Uint8Array>> {
    return piecesOf(await open(this.pathOf(sha256), 'r'), start, end);
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.root);
    return bavail * bsize;
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

async function* piecesOf(file: FileHandle, start: number, end: number): AsyncGenerator<Uint8Array> {
  try {
    for (let position = start; position < end; ) {
      // A fresh buffer each time: the last one may still be queued in a socket.
      const buffer = Buffer.allocUnsafeSlow(Math.min(pieceBytes, end - position));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
