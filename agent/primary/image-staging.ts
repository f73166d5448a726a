/**
 * Where the Primary keeps encrypted images between download and delivery (Uptane §5.4.2.4): a flash
 * partition, filled front to back, with its directory in the key-value store. Holds ciphertext only.
 *
 * Order of persistence: bytes, sync, then the directory; after a power cut a download goes on from
 * the last recorded byte. Memory is constant: what was received is hashed from flash.
 */
import type { Crypto, FlashPartition, KeyValue } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import { array, decode, encode, field, type Infer, record, unsigned } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxEcusPerVehicle } from '../limits.ts';
import { hashAlgorithms, hashes, sha256 } from '../metadata/common.ts';
import type { Target } from '../metadata/targets.ts';

const directoryKey = 'staging';
const recordEveryBytes = 1_048_576;
const readBufferBytes = 16_384;

const entrySchema = record({
  sha256: field(1, sha256),
  length: field(2, unsigned),
  hashes: field(3, hashes),
  offset: field(4, unsigned),
  /** Bytes that are durable. */
  received: field(5, unsigned),
});
const directorySchema = array(entrySchema, 0, maxEcusPerVehicle);
export type StagedImage = Infer<typeof entrySchema>;

export class ImageStaging {
  private readonly partition: FlashPartition;
  private readonly keyValue: KeyValue;
  private readonly crypto: Crypto;
  private directory: readonly StagedImage[];

  constructor(partition: FlashPartition, keyValue: KeyValue, crypto: Crypto) {
    this.partition = partition;
    this.keyValue = keyValue;
    this.crypto = crypto;
    const bytes = keyValue.read(directoryKey);
    const directory = bytes === undefined ? [] : decode(directorySchema, bytes, bytes.length);
    this.directory = isRefusal(directory) ? [] : directory;
  }

  /**
   * Makes room for the ciphertexts of `targets`; what was received of the same set is kept.
   * Code `target-too-large` when they do not fit the partition together.
   */
  reserve(targets: readonly Target[]): Refusal | undefined {
    const { blockLength, size } = this.partition.status();
    const wanted: StagedImage[] = [];
    let offset = 0;
    for (const target of targets) {
      const digest = target.hashes.filter((one) => one.key === hashAlgorithms['SHA-256'])[0];
      if (digest === undefined) return refuse('hash-missing', target.filename);
      if (wanted.some((one) => sameBytes(one.sha256, digest.value))) continue;
      const { length } = target;
      wanted.push({ sha256: digest.value, length, hashes: target.hashes, offset, received: 0 });
      offset += Math.ceil(length / blockLength) * blockLength;
    }
    if (offset > size) {
      return refuse('target-too-large', `images need ${offset} bytes, the Primary has ${size}`);
    }
    if (!sameLayout(wanted, this.directory)) this.store(wanted);
    return undefined;
  }

  /** The staged image with this ciphertext SHA-256; asking for one never reserved is a bug. */
  find(digest: Uint8Array): StagedImage {
    const image = this.directory.filter((one) => sameBytes(one.sha256, digest))[0];
    if (image === undefined) throw new Error('image was not reserved');
    return image;
  }

  /** Continues an image from its durable bytes. */
  writer(image: StagedImage): StagingWriter {
    return new StagingWriter(this.partition, image, (received) => this.progress(image, received));
  }

  /** Reads ciphertext at `offset` of the image. */
  read(image: StagedImage, buffer: Uint8Array, offset: number): void {
    this.partition.read(buffer, image.offset + offset);
  }

  /** PRI-09, PRI-10: every listed hash fits what was stored. Code `image-hash`. */
  check(image: StagedImage): Refusal | undefined {
    const buffer = new Uint8Array(readBufferBytes);
    for (const { key, value } of image.hashes) {
      const name = key === hashAlgorithms['SHA-256'] ? 'SHA-256' : 'SHA-512';
      const digest = this.crypto.createDigest(name);
      for (let offset = 0; offset < image.length; offset += buffer.length) {
        const piece = buffer.subarray(0, Math.min(buffer.length, image.length - offset));
        this.read(image, piece, offset);
        digest.update(piece);
      }
      if (!sameBytes(digest.finish(), value)) {
        this.progress(image, 0);
        return refuse('image-hash', `${name} of the downloaded image differs`);
      }
    }
    return undefined;
  }

  /** Forgets every staged image: they were delivered, or are not wanted any more. */
  clear(): void {
    if (this.directory.length > 0) this.store([]);
  }

  private progress(image: StagedImage, received: number): void {
    this.store(
      this.directory.map((one) =>
        sameBytes(one.sha256, image.sha256) ? { ...one, received } : one,
      ),
    );
  }

  private store(directory: readonly StagedImage[]): void {
    this.keyValue.write(directoryKey, encode(directorySchema, directory));
    this.directory = directory;
  }
}

function sameLayout(a: readonly StagedImage[], b: readonly StagedImage[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, i) => sameBytes(one.sha256, b[i]!.sha256) && one.length === b[i]!.length)
  );
}

/** Writes one image front to back, in whole erase blocks, erasing each just before it is filled. */
export class StagingWriter {
  private readonly partition: FlashPartition;
  private readonly image: StagedImage;
  private readonly onDurable: (received: number) => void;
  private readonly block: Uint8Array;
  private filled = 0;
  private written: number;
  private recorded: number;

  constructor(
    partition: FlashPartition,
    image: StagedImage,
    onDurable: (received: number) => void,
  ) {
    this.partition = partition;
    this.image = image;
    this.onDurable = onDurable;
    const { blockLength } = partition.status();
    this.block = new Uint8Array(blockLength);
    // Only whole blocks are recorded until the end, so a continued download starts on a block.
    this.written = image.received;
    this.recorded = image.received;
  }

  /** Bytes taken so far. */
  get received(): number {
    return this.written + this.filled;
  }

  /** Takes the next bytes. Code `image-length` for more than the signed length (INS-09). */
  write(piece: Uint8Array): Refusal | undefined {
    if (this.received + piece.length > this.image.length) {
      return refuse('image-length', `more than ${this.image.length} bytes`);
    }
    for (let offset = 0; offset < piece.length; ) {
      const part = piece.subarray(offset, offset + this.block.length - this.filled);
      this.block.set(part, this.filled);
      this.filled += part.length;
      offset += part.length;
      if (this.filled === this.block.length) this.flush();
    }
    return undefined;
  }

  /** Ends the image. Code `image-truncated` when bytes are missing; what came is kept. */
  finish(): Refusal | undefined {
    if (this.received !== this.image.length) {
      this.record();
      return refuse('image-truncated', `${this.received} of ${this.image.length} bytes`);
    }
    if (this.filled > 0) {
      this.block.fill(this.partition.status().eraseValue, this.filled);
      this.flush();
    }
    this.written = this.image.length;
    this.record();
    return undefined;
  }

  /** Makes what was received durable, as far as whole blocks go. */
  record(): void {
    if (this.written === this.recorded) return;
    this.partition.sync();
    this.onDurable(this.written);
    this.recorded = this.written;
  }

  private flush(): void {
    const at = this.image.offset + this.written;
    this.partition.eraseBlock(at / this.block.length);
    this.partition.write(this.block, at);
    this.written += this.block.length;
    this.filled = 0;
    if (this.written - this.recorded >= recordEveryBytes) this.record();
  }
}
