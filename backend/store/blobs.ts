/**
 * Where images are kept by their content: in files (`file-blobs.ts`) or in an S3-compatible store
 * (`s3-blobs.ts`). A blob exists whole and durable or not at all; names are digests computed here,
 * never a sender's (HRD-10).
 */
import type { Refusal } from '../../agent/codes.ts';
import type { Received } from './spool.ts';

export interface BlobStore {
  /** Whether a blob is there, whole. */
  has(sha256: Uint8Array): Promise<boolean>;

  /**
   * Stores a stream, in constant memory.
   * @param accept judges the whole upload before it becomes visible; its refusal leaves nothing
   * @returns what arrived, `accept`'s refusal, `body-too-large`, or `body-incomplete` when the
   *   sender stopped
   */
  receive(
    stream: AsyncIterable<Uint8Array>,
    maxBytes: number,
    accept: (received: Received) => Promise<Refusal | undefined>,
  ): Promise<Received | Refusal>;

  /**
   * The bytes of a blob from `start` to before `end`, in pieces that stay as they are. Rejects when
   * the blob is not there; ends early when it is shorter. Whoever takes no more of them returns.
   */
  read(sha256: Uint8Array, start: number, end: number): Promise<AsyncIterable<Uint8Array>>;

  /** Removes blobs that `isKnown` denies: their upload ended before it was recorded. */
  removeUnknown(isKnown: (sha256: Uint8Array) => Promise<boolean>): Promise<void>;

  /** Rejects when nothing could be stored now; bytes that are free where uploads arrive. */
  freeBytes(): Promise<number>;
}

/** The store is not there, or too busy: the same may go well in a while. */
export class BlobsUnavailable extends Error {
  readonly code = 'images-unavailable';
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
