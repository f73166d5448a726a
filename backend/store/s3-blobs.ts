/**
 * Images in an S3-compatible store: `sha256/ab/<hex>` in one bucket. An upload arrives in a file of
 * this machine first: its key is its digest, and the store is told length and digest with it, so that
 * it takes the whole of it or nothing.
 */
import { createReadStream } from 'node:fs';
import { statfs } from 'node:fs/promises';
import type { Refusal } from '../../agent/codes.ts';
import { type BlobStore, BlobsUnavailable, toHex } from './blobs.ts';
import { S3Client, type S3Settings } from './s3-client.ts';
import { type Received, Spool } from './spool.ts';

const prefix = 'sha256/';

export class S3Blobs implements BlobStore {
  private readonly client: S3Client;
  private readonly folder: string;
  private readonly spool: Spool;

  /**
   * @param folder where uploads arrive
   * @param shared other processes use the folder as well
   */
  constructor(settings: S3Settings, folder: string, shared = false) {
    this.client = new S3Client(settings);
    this.folder = folder;
    this.spool = new Spool(folder);
    this.spool.prepare(shared);
  }

  async has(sha256: Uint8Array): Promise<boolean> {
    const answer = await this.client.send({ method: 'HEAD', key: keyOf(toHex(sha256)) });
    answer.resume();
    return answer.statusCode === 200;
  }

  receive(
    stream: AsyncIterable<Uint8Array>,
    maxBytes: number,
    accept: (received: Received) => Promise<Refusal | undefined>,
  ): Promise<Received | Refusal> {
    return this.spool.receive(stream, maxBytes, accept, (received, path) =>
      this.publish(received, path),
    );
  }

  async read(sha256: Uint8Array, start: number, end: number): Promise<AsyncIterable<Uint8Array>> {
    // A range of no bytes cannot be asked for.
    if (start >= end) return none();
    const range = { start, end };
    const answer = await this.client.send({ method: 'GET', key: keyOf(toHex(sha256)), range });
    const { statusCode } = answer;
    if (statusCode === 206) return answer;
    answer.destroy();
    throw new BlobsUnavailable(`GET of ${toHex(sha256)} answered by status ${statusCode}`);
  }

  async removeUnknown(
    isKnown: (sha256: Uint8Array) => Promise<boolean>,
    keysPerPage = 1_000,
  ): Promise<void> {
    for await (const key of this.keys(keysPerPage)) {
      const hex = key.slice(key.lastIndexOf('/') + 1);
      // Only what this program has written, whoever else keeps things in the bucket.
      if (!/^[0-9a-f]{64}$/.test(hex) || key !== keyOf(hex)) continue;
      if (await isKnown(Buffer.from(hex, 'hex'))) continue;
      (await this.client.send({ method: 'DELETE', key })).resume();
    }
  }

  /** Of the folder where uploads arrive; that the store itself is full shows when it refuses. */
  async freeBytes(): Promise<number> {
    const answer = await this.client.send({ method: 'HEAD', key: '' });
    answer.resume();
    if (answer.statusCode !== 200) throw new BlobsUnavailable('S3_BUCKET: there is no such bucket');
    const { bavail, bsize } = await statfs(this.folder);
    return bavail * bsize;
  }

  private async publish({ sha256, length }: Received, path: string): Promise<void> {
    const hex = toHex(sha256);
    const body = { length, sha256: hex, open: () => createReadStream(path) };
    const answer = await this.client.send({ method: 'PUT', key: keyOf(hex), body });
    answer.resume();
    if (answer.statusCode !== 200) {
      throw new BlobsUnavailable(`PUT of ${hex} answered by status ${answer.statusCode}`);
    }
  }

  /** Every key below our prefix, page by page (ListObjectsV2). */
  private async *keys(perPage: number): AsyncGenerator<string> {
    let after: string | undefined;
    do {
      const query = {
        ...{ 'list-type': '2', prefix, 'max-keys': String(perPage) },
        ...(after !== undefined && { 'start-after': after }),
      };
      const page = await this.client.text({ method: 'GET', key: '', query });
      const keys = [...page.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) => key);
      yield* keys;
      after = page.includes('<IsTruncated>true</IsTruncated>') ? keys.at(-1) : undefined;
    } while (after !== undefined);
  }
}

function keyOf(hex: string): string {
  return `${prefix}${hex.slice(0, 2)}/${hex}`;
}

async function* none(): AsyncGenerator<Uint8Array> {}
