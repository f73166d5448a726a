/**
 * C2SP chunked-encryption, instance Cobblestone-256 (`c2sp.org/chunked-encryption@v1`): images are
 * encrypted in chunks that are authenticated, written and resumed one by one (docs/POUF.md §5.7).
 *
 * file     salt (24) ‖ commitment (32) ‖ chunk 0 ‖ … ‖ chunk m
 * okm (76) HKDF-Expand-SHA-512(content key, label ‖ 0x00 ‖ salt ‖ context)
 *          = key (32) ‖ base nonce (12) ‖ commitment (32)
 * chunk k  AES-256-GCM(key, base nonce XOR k, no additional data): 16,384 bytes and the tag (16);
 *          the last chunk is always shorter than 16,384 bytes, and may be empty
 *
 * A tag proves a holder of the content key, not the signer of the metadata: the installer checks
 * the digest of what it wrote before anything of it may run.
 */
import type { Crypto } from '../../hal/types.ts';
import { asciiBytes } from '../codec/cose-sign.ts';
import { fillBytes } from '../codec/reader.ts';
import { type Refusal, refuse } from '../codes.ts';
import { equalSecrets } from '../crypto/constant-time.ts';
import { hkdfExpand } from '../crypto/hkdf.ts';
import { cobblestoneChunkBytes, cobblestoneHeaderBytes, cobblestoneTagBytes } from '../limits.ts';

const label = asciiBytes('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM');
const keyBytes = 32;
const nonceBytes = 12;
const saltBytes = 24;
const sealedChunkBytes = cobblestoneChunkBytes + cobblestoneTagBytes;
const noBytes = new Uint8Array(0);

interface StreamKeys {
  readonly key: Uint8Array;
  readonly baseNonce: Uint8Array;
  readonly commitment: Uint8Array;
}

function deriveKeys(
  crypto: Crypto,
  contentKey: Uint8Array,
  salt: Uint8Array,
  context: Uint8Array,
): StreamKeys {
  const info = new Uint8Array(label.length + 1 + saltBytes + context.length);
  info.set(label, 0);
  info.set(salt, label.length + 1);
  info.set(context, label.length + 1 + saltBytes);
  const okm = hkdfExpand(crypto, 'SHA-512', contentKey, info, keyBytes + nonceBytes + 32);
  return {
    key: okm.subarray(0, keyBytes),
    baseNonce: okm.subarray(keyBytes, keyBytes + nonceBytes),
    commitment: okm.subarray(keyBytes + nonceBytes),
  };
}

/** Base nonce XOR the chunk number as a 12-byte big-endian integer. */
function chunkNonce(baseNonce: Uint8Array, chunk: number): Uint8Array {
  const nonce = new Uint8Array(baseNonce);
  // Division, not shifts: a chunk number may need more than 32 bits.
  let rest = chunk;
  for (let i = nonceBytes - 1; rest > 0; i--) {
    nonce[i] = nonce[i]! ^ (rest % 256);
    rest = Math.floor(rest / 256);
  }
  return nonce;
}

/** Offset in the encrypted file at which chunk `chunk` begins, in bytes. */
export function chunkOffset(chunk: number): number {
  return cobblestoneHeaderBytes + chunk * sealedChunkBytes;
}

/** Length of the encrypted file for a plaintext of `plaintextBytes`. */
export function ciphertextLength(plaintextBytes: number): number {
  const chunks = Math.floor(plaintextBytes / cobblestoneChunkBytes) + 1;
  return cobblestoneHeaderBytes + plaintextBytes + chunks * cobblestoneTagBytes;
}

/**
 * Length of the plaintext in an encrypted file of `ciphertextBytes`.
 * Code `image-length`: no valid file has this length.
 */
export function plaintextLength(ciphertextBytes: number): number | Refusal {
  const body = ciphertextBytes - cobblestoneHeaderBytes;
  const last = body % sealedChunkBytes;
  if (!Number.isSafeInteger(ciphertextBytes) || body < 0 || last < cobblestoneTagBytes) {
    return refuse('image-length', `no encrypted image has ${ciphertextBytes} bytes`);
  }
  const full = Math.floor(body / sealedChunkBytes);
  return full * cobblestoneChunkBytes + last - cobblestoneTagBytes;
}

export interface DecryptorOptions {
  readonly crypto: Crypto;
  /** 32 bytes. */
  readonly contentKey: Uint8Array;
  readonly context: Uint8Array;
  /** Length of the whole encrypted file, as signed; not one byte more is decrypted (INS-09). */
  readonly ciphertextLength: number;
  /** First chunk of the stream, to go on after an interruption; needs `header`. */
  readonly resumeAtChunk?: number;
  /** The file's first 56 bytes, which the stream then does not repeat. */
  readonly header?: Uint8Array;
  /** Gets authenticated plaintext, a chunk at a time. `bytes` is valid during the call only. */
  readonly onPlaintext: (bytes: Uint8Array, plaintextOffset: number) => void;
}

/** Decrypts a stream with one buffer of 16,400 bytes, whatever the image's size. */
export class CobblestoneDecryptor {
  private readonly options: DecryptorOptions;
  private readonly headerBuffer = new Uint8Array(cobblestoneHeaderBytes);
  private readonly buffer = new Uint8Array(sealedChunkBytes);
  /** Where a whole chunk is opened to. */
  private readonly wholeChunk = this.buffer.subarray(0, cobblestoneChunkBytes);
  private keys: StreamKeys | undefined;
  private refused: Refusal | undefined;
  /** Offset in the encrypted file of the next byte to come. */
  private position = 0;
  /** Bytes of the chunk that is being collected. */
  private filled = 0;
  private nextChunk = 0;
  private finished = false;

  constructor(options: DecryptorOptions) {
    this.options = options;
    const length = plaintextLength(options.ciphertextLength);
    if (typeof length !== 'number') this.refused = length;
    if (options.header !== undefined) this.resume(options.header, options.resumeAtChunk ?? 0);
    else if (options.resumeAtChunk) throw new RangeError('header: needed to resume');
  }

  /** The first refusal, if there was one: nothing is decrypted after it. */
  refusal(): Refusal | undefined {
    return this.refused;
  }

  /** The file's first 56 bytes, once they came; they are public and let a later stream resume. */
  header(): Uint8Array | undefined {
    return this.keys === undefined ? undefined : this.headerBuffer;
  }

  /** Chunks that were authenticated and handed out so far, from the file's beginning. */
  chunks(): number {
    return this.nextChunk;
  }

  /**
   * Takes the next bytes of the file, in pieces of any size.
   * Codes: `image-length` (more bytes than signed; INS-09), `image-header` (wrong key, context or
   * header), `image-chunk` (a chunk is not authentic). The first refusal is final.
   */
  write(bytes: Uint8Array): Refusal | undefined {
    if (this.finished) throw new Error('write: the stream was finished');
    if (this.refused !== undefined) return this.refused;
    if (bytes.length > this.options.ciphertextLength - this.position) {
      // INS-09, VIM-09: refused before any of it is decrypted
      return this.fail(
        refuse('image-length', `more than ${this.options.ciphertextLength} bytes`, 'INS-09'),
      );
    }
    let offset = this.collectHeader(bytes);
    while (offset < bytes.length && this.refused === undefined) {
      const size = this.chunkSize();
      const missing = size - this.filled;
      const count = Math.min(missing, bytes.length - offset);
      const piece = count < bytes.length ? bytes.subarray(offset, offset + count) : bytes;
      offset += count;
      this.position += count;
      if (count === size) {
        this.open(piece);
        continue;
      }
      this.buffer.set(piece, this.filled);
      this.filled += count;
      if (count === missing) this.open(this.buffer.subarray(0, size));
    }
    return this.refused;
  }

  /**
   * Ends the stream and forgets the key.
   * Code `image-truncated`: bytes are missing, the short last chunk among them.
   */
  finish(): Refusal | undefined {
    if (this.refused === undefined && this.position < this.options.ciphertextLength) {
      const { position, options } = this;
      this.fail(refuse('image-truncated', `${position} of ${options.ciphertextLength} bytes`));
    }
    this.finished = true;
    this.forget();
    return this.refused;
  }

  private resume(header: Uint8Array, chunk: number): void {
    if (header.length !== cobblestoneHeaderBytes) {
      throw new RangeError(`header: expected ${cobblestoneHeaderBytes} bytes`);
    }
    const inside = chunkOffset(chunk) + cobblestoneTagBytes <= this.options.ciphertextLength;
    if (this.refused === undefined && !inside) {
      throw new RangeError(`resumeAtChunk: ${chunk} is past the end of the file`);
    }
    this.headerBuffer.set(header);
    this.nextChunk = chunk;
    this.position = chunkOffset(chunk);
    if (this.refused === undefined) this.openHeader();
  }

  /** Consumes what belongs to the header; returns how many bytes that was. */
  private collectHeader(bytes: Uint8Array): number {
    if (this.position >= cobblestoneHeaderBytes) return 0;
    const count = Math.min(cobblestoneHeaderBytes - this.position, bytes.length);
    this.headerBuffer.set(bytes.subarray(0, count), this.position);
    this.position += count;
    if (this.position === cobblestoneHeaderBytes) this.openHeader();
    return count;
  }

  /** Derives the keys and compares the commitment before any chunk is touched. */
  private openHeader(): void {
    const { crypto, contentKey, context } = this.options;
    if (contentKey.length !== keyBytes) {
      this.fail(refuse('image-header', `content key of ${contentKey.length} bytes`));
      return;
    }
    const keys = deriveKeys(crypto, contentKey, this.headerBuffer.subarray(0, saltBytes), context);
    if (!equalSecrets(keys.commitment, this.headerBuffer.subarray(saltBytes))) {
      this.fail(refuse('image-header', 'the content key or the context does not fit the image'));
      return;
    }
    this.keys = keys;
  }

  /** Bytes of the chunk being collected, with its tag; only the last one is short. */
  private chunkSize(): number {
    const rest = this.options.ciphertextLength - chunkOffset(this.nextChunk);
    return Math.min(rest, sealedChunkBytes);
  }

  /** Authenticates and hands out one chunk; `sealed` may be the buffer itself. */
  private open(sealed: Uint8Array): void {
    const { key, baseNonce } = this.keys!;
    const length = sealed.length - cobblestoneTagBytes;
    const { wholeChunk } = this;
    const plaintext = length < wholeChunk.length ? wholeChunk.subarray(0, length) : wholeChunk;
    const nonce = chunkNonce(baseNonce, this.nextChunk);
    if (!this.options.crypto.aeadOpen(key, nonce, noBytes, sealed, plaintext)) {
      this.fail(refuse('image-chunk', `chunk ${this.nextChunk} is not authentic`));
      return;
    }
    const offset = this.nextChunk * cobblestoneChunkBytes;
    this.filled = 0;
    this.nextChunk += 1;
    if (plaintext.length > 0) this.options.onPlaintext(plaintext, offset);
  }

  private fail(refusal: Refusal): Refusal {
    if (this.refused === undefined) this.refused = refusal;
    this.forget();
    return this.refused;
  }

  private forget(): void {
    if (this.keys !== undefined) fillBytes(this.keys.key, 0);
    fillBytes(this.buffer, 0);
  }
}

export interface EncryptorOptions {
  readonly crypto: Crypto;
  /** 32 random bytes, used for this image alone. */
  readonly contentKey: Uint8Array;
  readonly context: Uint8Array;
  /** 24 random bytes. */
  readonly salt: Uint8Array;
}

/** The decryptor's counterpart, for publishing: `header()`, any number of `update`, `finish()`. */
export class CobblestoneEncryptor {
  private readonly crypto: Crypto;
  private readonly keys: StreamKeys;
  private readonly salt: Uint8Array;
  private readonly buffer = new Uint8Array(cobblestoneChunkBytes);
  private filled = 0;
  private chunk = 0;
  private finished = false;

  constructor(options: EncryptorOptions) {
    const { crypto, contentKey, salt, context } = options;
    if (contentKey.length !== keyBytes) throw new RangeError('contentKey: expected 32 bytes');
    if (salt.length !== saltBytes) throw new RangeError('salt: expected 24 bytes');
    this.crypto = crypto;
    this.salt = new Uint8Array(salt);
    this.keys = deriveKeys(crypto, contentKey, salt, context);
  }

  /** The file's first 56 bytes. */
  header(): Uint8Array {
    const header = new Uint8Array(cobblestoneHeaderBytes);
    header.set(this.salt, 0);
    header.set(this.keys.commitment, saltBytes);
    return header;
  }

  /** Takes plaintext in pieces of any size; returns the encrypted chunks that became full. */
  update(piece: Uint8Array): Uint8Array[] {
    if (this.finished) throw new Error('update: the stream was finished');
    const sealed: Uint8Array[] = [];
    for (let offset = 0; offset < piece.length; ) {
      const count = Math.min(this.buffer.length - this.filled, piece.length - offset);
      this.buffer.set(piece.subarray(offset, offset + count), this.filled);
      this.filled += count;
      offset += count;
      if (this.filled === this.buffer.length) sealed.push(this.seal());
    }
    return sealed;
  }

  /** The last chunk: 16 to 16,399 bytes. */
  finish(): Uint8Array {
    if (this.finished) throw new Error('finish: the stream was finished');
    this.finished = true;
    return this.seal();
  }

  private seal(): Uint8Array {
    const nonce = chunkNonce(this.keys.baseNonce, this.chunk);
    const plaintext = this.buffer.subarray(0, this.filled);
    this.chunk += 1;
    this.filled = 0;
    return this.crypto.aeadSeal(this.keys.key, nonce, noBytes, plaintext);
  }
}
