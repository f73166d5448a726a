/**
 * Signatures of ECUs, verified on every core by native crypto. What is asked for in one turn of the
 * loop is verified together: a few claims in this thread, more of them by one thread a core, which
 * starts when it is first needed.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Metrics } from '../metrics.ts';
import { packClaims } from './claim-buffer.ts';
import {
  EcuVerifier,
  publicKeyBytes,
  type SignatureClaim,
  signatureBytes,
} from './ecu-signatures.ts';

/** Fewer claims than this are verified sooner than they could be handed over. */
export const minPooledClaims = 32;
/** Claims that a thread gets at once: some milliseconds of work, so that cores end together. */
const maxChunkClaims = 128;
/** Chunks that a thread has before it: the next one is there when it ends one. */
const chunksPerThread = 2;

interface Chunk {
  readonly claims: readonly SignatureClaim[];
  readonly resolve: (results: readonly boolean[]) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly chunks: Chunk[];
}

export class VerificationPool {
  private readonly metrics: Metrics;
  private readonly verifier = new EcuVerifier();
  private readonly size: number;
  private threads: Thread[] = [];
  private asked: Chunk[] = [];
  private readonly waiting: Chunk[] = [];
  private scheduled = false;
  private closed = false;

  constructor(metrics: Metrics, size = availableParallelism()) {
    this.metrics = metrics;
    this.size = size;
  }

  /** Verifies claims; one answer each, in their order. */
  verify(claims: readonly SignatureClaim[]): Promise<readonly boolean[]> {
    if (claims.length === 0) return Promise.resolve([]);
    return new Promise((resolve) => {
      this.asked.push({ claims, resolve });
      if (this.scheduled) return;
      this.scheduled = true;
      setImmediate(() => this.distribute());
    });
  }

  /** Ends the threads; claims that they have not answered are verified here. */
  async close(): Promise<void> {
    this.closed = true;
    const { threads } = this;
    this.threads = [];
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
    for (const { chunks } of threads) for (const chunk of chunks) this.verifyHere(chunk);
    for (const chunk of this.waiting.splice(0)) this.verifyHere(chunk);
  }

  private distribute(): void {
    this.scheduled = false;
    const asked = this.asked;
    this.asked = [];
    const count = asked.reduce((sum, { claims }) => sum + claims.length, 0);
    if (count < minPooledClaims || this.closed) {
      for (const chunk of asked) this.verifyHere(chunk);
      return;
    }
    this.start();
    for (const chunk of together(asked, count / (this.size * chunksPerThread))) {
      this.waiting.push(chunk);
    }
    this.feed();
  }

  private verifyHere({ claims, resolve }: Chunk): void {
    this.metrics.verifications.inc({ where: 'thread' }, claims.length);
    resolve(claims.map((claim) => isWhole(claim) && this.verifier.verify(claim)));
  }

  private start(): void {
    while (this.threads.length < this.size) {
      const worker = new Worker(new URL('./verification-worker.ts', import.meta.url), {
        name: 'verification',
      });
      const thread: Thread = { worker, chunks: [] };
      worker.unref();
      worker.on('message', (answer: Uint8Array) => this.take(thread, answer));
      worker.on('error', () => this.lose(thread));
      this.threads.push(thread);
    }
  }

  private feed(): void {
    for (const thread of this.threads) {
      while (thread.chunks.length < chunksPerThread) {
        const chunk = this.waiting.shift();
        if (chunk === undefined) return;
        thread.chunks.push(chunk);
        const packed = packClaims(chunk.claims.filter(isWhole));
        thread.worker.postMessage(packed, [packed.buffer]);
      }
    }
  }

  private take(thread: Thread, answer: Uint8Array): void {
    const { claims, resolve } = thread.chunks.shift()!;
    this.metrics.verifications.inc({ where: 'pool' }, claims.length);
    let next = 0;
    const results = claims.map((claim) => isWhole(claim) && answer[next++] === 1);
    this.feed();
    resolve(results);
  }

  /** A thread that died (out of memory) is replaced; what it had is verified here. */
  private lose(thread: Thread): void {
    this.threads = this.threads.filter((other) => other !== thread);
    for (const chunk of thread.chunks) this.verifyHere(chunk);
    if (this.waiting.length > 0 && !this.closed) {
      this.start();
      this.feed();
    }
  }
}

/** Only such claims can be true, and be packed. */
function isWhole({ publicKey, signature }: SignatureClaim): boolean {
  return publicKey.length === publicKeyBytes && signature.length === signatureBytes;
}

/** Joins small questions to chunks, and cuts large ones, so that every thread gets its share. */
function together(asked: readonly Chunk[], share: number): readonly Chunk[] {
  const size = Math.min(Math.max(Math.ceil(share), 1), maxChunkClaims);
  const pieces = asked.flatMap((chunk) => cut(chunk, size));
  const chunks: Chunk[] = [];
  let group: Chunk[] = [];
  let claims = 0;
  for (const piece of pieces) {
    if (claims > 0 && claims + piece.claims.length > size) {
      chunks.push(join(group));
      group = [];
      claims = 0;
    }
    group.push(piece);
    claims += piece.claims.length;
  }
  if (group.length > 0) chunks.push(join(group));
  return chunks;
}

function cut(chunk: Chunk, size: number): readonly Chunk[] {
  const { claims, resolve } = chunk;
  if (claims.length <= size) return [chunk];
  const results: boolean[] = new Array(claims.length);
  let missing = claims.length;
  const pieces: Chunk[] = [];
  for (let from = 0; from < claims.length; from += size) {
    pieces.push({
      claims: claims.slice(from, from + size),
      resolve: (answers) => {
        for (let i = 0; i < answers.length; i++) results[from + i] = answers[i]!;
        missing -= answers.length;
        if (missing === 0) resolve(results);
      },
    });
  }
  return pieces;
}

function join(group: readonly Chunk[]): Chunk {
  if (group.length === 1) return group[0]!;
  return {
    claims: group.flatMap(({ claims }) => claims),
    resolve: (answers) => {
      let from = 0;
      for (const { claims, resolve } of group) {
        resolve(answers.slice(from, from + claims.length));
        from += claims.length;
      }
    },
  };
}
