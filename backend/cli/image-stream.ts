/**
 * Reads an image file twice with constant memory: once to name it by its digest, once to encrypt
 * it. No copy of the plaintext and no ciphertext ever rests on the operator's disk.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { compareBytes } from '../../agent/codec/reader.ts';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { CobblestoneEncryptor, ciphertextLength } from '../../agent/image/cobblestone.ts';
import { maxImageBytes } from '../../agent/limits.ts';
import type { Crypto } from '../../hal/types.ts';
import { reasonOf } from '../signer/durable-file.ts';

const pieceBytes = 262_144;
const saltBytes = 24;

/** An image file, open, with its length and digest. */
export interface ImageFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly length: number;
  /** SHA-256 of the plaintext. */
  readonly sha256: Uint8Array;
}

/**
 * Opens and measures a file; the caller closes `handle`.
 * Codes `file-unreadable` (absent, no permission, not a regular file, empty), `body-too-large`.
 */
export async function openImage(path: string): Promise<ImageFile | Refusal> {
  let handle: FileHandle;
  try {
    // O_NONBLOCK: opening a named pipe must not wait for a writer.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return refuse('file-unreadable', `${path}: ${reasonOf(error)}`);
  }
  let kept = false;
  try {
    const status = await handle.stat();
    if (!status.isFile()) return refuse('file-unreadable', `${path}: not a regular file`);
    if (status.size === 0) return refuse('file-unreadable', `${path}: is empty`);
    if (ciphertextLength(status.size) > maxImageBytes) {
      const what = `${path}: ${status.size} bytes, more than ${maxImageBytes} once encrypted`;
      return refuse('body-too-large', what);
    }
    const hash = createHash('sha256');
    let length = 0;
    for await (const piece of pieces(handle)) {
      hash.update(piece);
      length += piece.length;
      if (length > status.size) break;
    }
    if (length !== status.size) return changed(path);
    kept = true;
    return { path, handle, length, sha256: new Uint8Array(hash.digest()) };
  } catch (error) {
    return refuse('file-unreadable', `${path}: ${reasonOf(error)}`);
  } finally {
    if (!kept) await handle.close();
  }
}

/** The file from its beginning; each piece is valid until the next one is asked for. */
async function* pieces(handle: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(pieceBytes);
  for (let position = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function changed(path: string): Refusal {
  return refuse('file-unreadable', `${path}: changed while it was read`);
}

/** One encryption of an image: its ciphertext as a stream, then what the stream was. */
export class EncryptedImage {
  readonly contentKey = new Uint8Array(randomBytes(32));
  /** Bytes of the whole ciphertext, known in advance. */
  readonly length: number;
  private readonly image: ImageFile;
  private readonly encryptor: CobblestoneEncryptor;
  private readonly hash = createHash('sha256');
  private digest: Uint8Array | undefined;

  /** @param context what the ciphertext is bound to, of `imageContext` */
  constructor(crypto: Crypto, image: ImageFile, context: Uint8Array) {
    const salt = new Uint8Array(randomBytes(saltBytes));
    this.image = image;
    this.length = ciphertextLength(image.length);
    this.encryptor = new CobblestoneEncryptor({
      crypto,
      contentKey: this.contentKey,
      context,
      salt,
    });
  }

  /** SHA-256 of the ciphertext, once all of it was streamed. */
  sha256(): Uint8Array {
    if (this.digest === undefined) throw new Error('sha256: the stream has not ended');
    return this.digest;
  }

  /**
   * The ciphertext. Ends with `file-unreadable`, before the last chunk, when the file is not the one
   * that was measured: what was listed and what was sent would differ.
   * @param onProgress plaintext bytes read so far
   */
  async *stream(onProgress?: (bytes: number) => void): AsyncGenerator<Uint8Array | Refusal> {
    const { image, encryptor, hash } = this;
    const plaintext = createHash('sha256');
    const header = encryptor.header();
    hash.update(header);
    yield header;
    let length = 0;
    for await (const piece of pieces(image.handle)) {
      length += piece.length;
      if (length > image.length) break;
      plaintext.update(piece);
      for (const chunk of encryptor.update(piece)) {
        hash.update(chunk);
        yield chunk;
      }
      onProgress?.(length);
    }
    const digest = new Uint8Array(plaintext.digest());
    if (length !== image.length || compareBytes(digest, image.sha256) !== 0) {
      yield changed(image.path);
      return;
    }
    const last = encryptor.finish();
    hash.update(last);
    this.digest = new Uint8Array(hash.digest());
    yield last;
  }
}
