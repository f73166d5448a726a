/** Where uploads arrive: each in a file of its own, hashed on the way, gone when it is dealt with. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';

/** What arrived: its length in bytes and its digests. */
export interface Received {
  readonly length: number;
  readonly sha256: Uint8Array;
  readonly sha512: Uint8Array;
}

export class Spool {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Makes the folder and removes what uploads left behind that never ended.
   * @param shared other processes use the folder as well, and uploads of theirs may be under way
   */
  prepare(shared: boolean): void {
    if (!shared) rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
  }

  /**
   * Takes a stream in, in constant memory, and hands it on as a durable file.
   * @param take may rename the file; whatever is left of it is removed
   * @returns what arrived, `take`'s refusal, `body-too-large`, or `body-incomplete` when the sender
   *   stopped
   */
  async receive(
    stream: AsyncIterable<Uint8Array>,
    maxBytes: number,
    accept: (received: Received) => Promise<Refusal | undefined>,
    take: (received: Received, path: string) => Promise<void>,
  ): Promise<Received | Refusal> {
    const path = join(this.folder, randomBytes(16).toString('hex'));
    const file = await open(path, 'wx', 0o600);
    try {
      const received = await writeAll(file, stream, maxBytes);
      if (isRefusal(received)) return received;
      const refused = await accept(received);
      if (refused !== undefined) return refused;
      await file.sync();
      await take(received, path);
      return received;
    } finally {
      await file.close();
      // After a rename there is nothing left under this name.
      await rm(path, { force: true });
    }
  }
}

async function writeAll(
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
