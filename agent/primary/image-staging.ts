/**
 * Where the Primary keeps encrypted images between download and delivery (Uptane §5.4.2.4): a flash
 * partition, filled front to back, with its directory in the key-value store and the progress of a
 * download in the partition's last blocks. Holds ciphertext only.
 *
 * Order of persistence: bytes, how many there are with a check of the last ones, then one sync for
 * both; after a power cut a download goes on from the last recorded byte whose check is right, less
 * than one chunk before the cut, whatever the size of the erase blocks. Memory is constant: what was
 * received is hashed from flash.
 */
import type { Crypto, FlashPartition, KeyValue } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import {
  array,
  bytes,
  decode,
  encode,
  field,
  type Infer,
  optional,
  record,
  text,
  unsigned,
} from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { blockStart, continueBlock } from '../install/block-continuation.ts';
import { flashCheck, flashCheckBytes } from '../install/flash-digest.ts';
import { RecordLog } from '../install/record-log.ts';
import { maxEcusPerVehicle, maxFlashRecordBytes } from '../limits.ts';
import { hashAlgorithms, hashes, sha256 } from '../metadata/common.ts';
import type { Target } from '../metadata/targets.ts';
import { StagingWriter } from './staging-writer.ts';

const directoryKey = 'staging';
/** Blocks at the partition's end with the progress, which changes with every chunk. */
export const stagingProgressBlocks = 2;
/** The record that says that no image is on its way. */
const noProgress = new Uint8Array(0);
const maxEntityTagCharacters = 128;
const readBufferBytes = 16_384;

const entrySchema = record({
  sha256: field(1, sha256),
  length: field(2, unsigned),
  hashes: field(3, hashes),
  offset: field(4, unsigned),
  /** Bytes that are durable; for the image that `progress` names, that counts. */
  received: field(5, unsigned),
  /** Of the object that the bytes came from. */
  etag: optional(6, text(maxEntityTagCharacters)),
});
const progressSchema = record({
  sha256: field(1, sha256),
  received: field(2, unsigned),
  /** Block of the partition in which the beginning of the unfinished block lies meanwhile. */
  movedTo: optional(3, unsigned),
  /** The bytes from here on became durable together with this record; their check. */
  checkedFrom: optional(4, unsigned),
  check: optional(5, bytes(flashCheckBytes)),
});
const directorySchema = array(entrySchema, 0, maxEcusPerVehicle);
export type StagedImage = Infer<typeof entrySchema>;
type Progress = Infer<typeof progressSchema>;

export class ImageStaging {
  private readonly partition: FlashPartition;
  private readonly keyValue: KeyValue;
  private readonly crypto: Crypto;
  private readonly progressLog: RecordLog;
  /** Blocks for images. */
  private readonly blocks: number;
  private directory: readonly StagedImage[];

  /** @param partition three blocks or more */
  constructor(partition: FlashPartition, keyValue: KeyValue, crypto: Crypto) {
    this.partition = partition;
    this.keyValue = keyValue;
    this.crypto = crypto;
    this.progressLog = new RecordLog(partition, crypto, stagingProgressBlocks);
    this.blocks = partition.status().blocks - stagingProgressBlocks;
    const stored = keyValue.read(directoryKey);
    const directory = stored === undefined ? [] : decode(directorySchema, stored, stored.length);
    this.directory = isRefusal(directory) ? [] : directory;
    this.takeProgress();
  }

  /**
   * Makes room for the ciphertexts of `targets`; what was received of them is kept, other images
   * are forgotten. Code `target-too-large` when they do not fit the partition together.
   */
  reserve(targets: readonly Target[]): Refusal | undefined {
    const { blockLength } = this.partition.status();
    const size = this.blocks * blockLength;
    const wanted: StagedImage[] = [];
    for (const target of targets) {
      const digest = target.hashes.filter((one) => one.key === hashAlgorithms['SHA-256'])[0];
      if (digest === undefined) return refuse('hash-missing', target.filename);
      if (wanted.some((one) => sameBytes(one.sha256, digest.value))) continue;
      const { length, hashes: listed } = target;
      wanted.push({ sha256: digest.value, length, hashes: listed, offset: 0, received: 0 });
    }
    const kept = this.directory.filter((one) => wanted.some((other) => isSame(one, other)));
    const added = wanted.filter((one) => !kept.some((other) => isSame(one, other)));
    const directory = place(kept, added, blockLength, size) ?? place([], wanted, blockLength, size);
    if (directory === undefined) {
      const needed = wanted.reduce((sum, one) => sum + blocksOf(one, blockLength) * blockLength, 0);
      return refuse('target-too-large', `images need ${needed} bytes, the Primary has ${size}`);
    }
    if (added.length > 0 || kept.length < this.directory.length) {
      this.settleProgress();
      this.store(directory);
    }
    return undefined;
  }

  /** Keeps the tag of the object that an image comes from, to go on with it after a restart. */
  keepEntityTag(image: StagedImage, etag: string): void {
    if (etag.length > maxEntityTagCharacters) return;
    this.store(this.directory.map((one) => (isSame(one, image) ? { ...one, etag } : one)));
  }

  /** The staged image with this ciphertext SHA-256; asking for one never reserved is a bug. */
  find(digest: Uint8Array): StagedImage {
    const image = this.directory.filter((one) => sameBytes(one.sha256, digest))[0];
    if (image === undefined) throw new Error('image was not reserved');
    return image;
  }

  /** Continues an image from its durable bytes; `received` of the writer says from where. */
  writer(image: StagedImage): StagingWriter {
    this.settleProgress();
    const isWhole = image.received === image.length;
    const from = isWhole ? image.length : this.continueAt(image, undefined);
    return new StagingWriter(this.partition, image, from, (before, received) =>
      this.received(image, before, received),
    );
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
    if (this.directory.length === 0) return;
    this.forgetProgress();
    this.store([]);
  }

  /** Bytes of an unfinished image behind which its block is erased: all, where possible. */
  private continueAt(image: StagedImage, movedTo: number | undefined): number {
    const { partition } = this;
    const end = image.offset + image.received;
    const continued = continueBlock({
      partition,
      end,
      movedTo,
      spare: this.spareBlock(image),
      recordMove: (block) => this.progress(image, image.received, block),
    });
    if (continued) return image.received;
    const received = blockStart(partition, end) - image.offset;
    this.progress(image, received);
    return received;
  }

  /** A block that holds nothing of any image: behind what is there of this one, or free. */
  private spareBlock(image: StagedImage): number | undefined {
    const { blockLength } = this.partition.status();
    const reached = Math.floor((image.offset + image.received) / blockLength);
    for (let block = 0; block < this.blocks; block++) {
      const isTaken = this.directory.some((one) => {
        const first = one.offset / blockLength;
        const last = isSame(one, image) ? reached : first + blocksOf(one, blockLength) - 1;
        return block >= first && block <= last;
      });
      if (!isTaken) return block;
    }
    return undefined;
  }

  /**
   * The progress of the image that came last counts instead of the directory's; what a cut left
   * moved is brought back, before anything else may take that block.
   */
  private takeProgress(): void {
    if (!this.hasProgress) return;
    const progress = decode(progressSchema, this.progressLog.latest()!, maxFlashRecordBytes);
    if (isRefusal(progress)) return;
    const { sha256: digest, movedTo } = progress;
    const found = this.directory.filter((one) => sameBytes(one.sha256, digest))[0];
    if (found === undefined || progress.received > found.length) return;
    const image = { ...found, received: this.proven(found, progress) };
    this.directory = this.directory.map((one) => (one === found ? image : one));
    if (movedTo !== undefined) this.continueAt(image, movedTo);
  }

  /**
   * Bytes that are there. Those that were made durable together with their record are looked at,
   * since a cut may have kept the record alone; all before them were durable then.
   */
  private proven({ offset }: StagedImage, progress: Progress): number {
    const { received, checkedFrom, check } = progress;
    if (checkedFrom === undefined || check === undefined || checkedFrom > received) return received;
    const found = flashCheck(this.partition, this.crypto, offset + checkedFrom, offset + received);
    if (!sameBytes(found, check)) return checkedFrom;
    // Where the program alone was restarted, they may be read, and not be durable yet.
    this.partition.sync();
    return received;
  }

  /** Makes the bytes from `before` to `received` and the record of it durable, by one `sync`. */
  private received(image: StagedImage, before: number, received: number): void {
    const { offset, sha256: digest } = image;
    const check = flashCheck(this.partition, this.crypto, offset + before, offset + received);
    const progress = { sha256: digest, received, checkedFrom: before, check };
    // The last one is followed by nothing for a while.
    this.progressLog.append(encode(progressSchema, progress), received < image.length);
    this.follow(image, received);
  }

  /** Records how many bytes are durable. */
  private progress(image: StagedImage, received: number, movedTo?: number): void {
    const { sha256: digest } = image;
    const progress = { sha256: digest, received, ...(movedTo !== undefined && { movedTo }) };
    this.progressLog.append(encode(progressSchema, progress));
    this.follow(image, received);
  }

  private follow(image: StagedImage, received: number): void {
    this.directory = this.directory.map((one) => (isSame(one, image) ? { ...one, received } : one));
  }

  /**
   * Moves the progress of the last image into the directory. It is gone before an entry of that
   * image can be made anew: progress must never vouch for bytes that are not there any more.
   */
  private settleProgress(): void {
    if (!this.hasProgress) return;
    this.store(this.directory);
    this.forgetProgress();
  }

  private get hasProgress(): boolean {
    const payload = this.progressLog.latest();
    return payload !== undefined && payload.length > 0;
  }

  private forgetProgress(): void {
    if (this.hasProgress) this.progressLog.append(noProgress);
  }

  private store(directory: readonly StagedImage[]): void {
    this.keyValue.write(directoryKey, encode(directorySchema, directory));
    this.directory = directory;
  }
}

function isSame(a: StagedImage, b: StagedImage): boolean {
  return a.length === b.length && sameBytes(a.sha256, b.sha256);
}

function blocksOf({ length }: StagedImage, blockLength: number): number {
  return Math.ceil(length / blockLength);
}

/** `added` in the gaps between `kept`, first fit; undefined when they find no room there. */
function place(
  kept: readonly StagedImage[],
  added: readonly StagedImage[],
  blockLength: number,
  size: number,
): readonly StagedImage[] | undefined {
  const placed = [...kept];
  for (const image of added) {
    const bytes = blocksOf(image, blockLength) * blockLength;
    const ends = placed.map((one) => one.offset + blocksOf(one, blockLength) * blockLength);
    const free = (offset: number) =>
      offset + bytes <= size &&
      placed.every((one, i) => offset + bytes <= one.offset || offset >= ends[i]!);
    const offset = [0, ...ends].filter(free).sort((a, b) => a - b)[0];
    if (offset === undefined) return undefined;
    placed.push({ ...image, offset });
  }
  return placed;
}
