/**
 * Installs one encrypted image into the inactive slot of a pair, as a stream (Uptane §5.4.3.4-5).
 *
 * Order of persistence: chunk → journal → sync, where the journal's record carries the check of its
 * chunk and all chunks before are durable; at the end data → sync → read back and verify → boot
 * record. The metadata was verified before `begin`; the active slot is never written. After
 * an interruption of any kind `begin` with the same request says where to go on.
 */
import type { Boot, Crypto, FlashPartition, SlotImage } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { CobblestoneDecryptor, chunkOffset, plaintextLength } from '../image/cobblestone.ts';
import { cobblestoneChunkBytes, defaultTrialBoots } from '../limits.ts';
import { blockStart, continueBlock } from './block-continuation.ts';
import { flashCheck, flashDigest } from './flash-digest.ts';
import { InstallJournal, type JournalEntry } from './install-journal.ts';
import { SlotWriter } from './slot-writer.ts';

export interface InstallRequest {
  readonly filename: string;
  readonly ciphertextLength: number;
  readonly ciphertextSha256: Uint8Array;
  readonly plaintextLength: number;
  readonly plaintextSha256: Uint8Array;
  readonly releaseCounter: number;
  /** 32 bytes; held in memory only. */
  readonly contentKey: Uint8Array;
  /** What the encryption is bound to: `imageContext`. */
  readonly context: Uint8Array;
  /**
   * How many chunks are recorded together, and written once more after a cut: 1 unless it says more,
   * which is right where they come from the ECU's own flash and not over bus or network.
   */
  readonly chunksPerRecord?: number | undefined;
}

export interface SlotInstallerOptions {
  readonly slots: readonly [FlashPartition, FlashPartition];
  readonly boot: Boot;
  /** Partition of the installation journal: two or more erase blocks. */
  readonly journal: FlashPartition;
  readonly crypto: Crypto;
}

interface Installation {
  readonly request: InstallRequest;
  readonly slot: number;
  readonly writer: SlotWriter;
  /** Absent when all bytes are in the slot already. */
  readonly decryptor: CobblestoneDecryptor | undefined;
  /** Chunks that the journal vouches for. */
  recorded: number;
}

export class SlotInstaller {
  private readonly options: SlotInstallerOptions;
  private readonly journal: InstallJournal;
  private installation: Installation | undefined;
  private verified: SlotImage | undefined;

  constructor(options: SlotInstallerOptions) {
    this.options = options;
    this.journal = new InstallJournal(options.journal, options.crypto);
    const { confirmed, counter, slots } = options.boot.status();
    const image = slots[confirmed];
    // Before a byte of the other slot changes: a copy from before a cut may name that one.
    if (image !== undefined) this.journal.keepConfirmed({ slot: confirmed, counter, image });
  }

  /**
   * Begins or resumes an installation. Nothing is erased before its first byte comes.
   * @returns `resumeOffset`: offset in the encrypted file of the first byte wanted; its length when
   *   only `finish` is left. Codes: `counter-rollback`, `slot-too-small`, `image-plaintext-length`,
   *   `image-length`, `install-out-of-order` (a trial is running or waits for its restart).
   */
  begin(request: InstallRequest): { readonly resumeOffset: number } | Refusal {
    this.suspend();
    this.verified = undefined;
    const refused = this.check(request);
    if (refused !== undefined) return refused;
    const slot = 1 - this.options.boot.status().confirmed;
    if (this.isActivated(request)) {
      this.installation = this.start(request, slot, chunkCount(request), undefined);
      return { resumeOffset: request.ciphertextLength };
    }
    const entry = this.journal.read();
    const { blocks } = this.options.slots[slot]!.status();
    const fits = entry !== undefined && isFor(entry, request, slot, blocks);
    const resumed = fits ? this.resume(request, entry) : undefined;
    if (resumed !== undefined) {
      this.installation = resumed;
      const { decryptor, recorded } = resumed;
      if (decryptor === undefined) return { resumeOffset: request.ciphertextLength };
      return { resumeOffset: recorded === 0 ? 0 : chunkOffset(recorded) };
    }
    // The journal stops vouching for what is in the slot before the slot changes.
    this.journal.write(journalEntry(request, slot, 0));
    this.installation = this.start(request, slot, 0, undefined);
    return { resumeOffset: 0 };
  }

  /**
   * Takes the next bytes of the encrypted file, in pieces of any size.
   * Codes `image-length`, `image-header`, `image-chunk`; the first refusal is final until `begin`.
   */
  write(piece: Uint8Array): Refusal | undefined {
    const installation = this.installation;
    if (installation === undefined) return refuse('install-out-of-order', 'write before begin');
    const { decryptor, request } = installation;
    if (decryptor !== undefined) {
      const refused = decryptor.write(piece) ?? installation.writer.failure;
      // With the header the key has proven right: the first blocks may go.
      if (refused === undefined && decryptor.header() !== undefined) installation.writer.prepare();
      return refused;
    }
    if (piece.length === 0) return undefined;
    return refuse('image-length', `more than ${request.ciphertextLength} bytes`, 'INS-09');
  }

  /** False while the flash part is behind: a `write` would wait for it. */
  get hasRoom(): boolean {
    return this.installation === undefined || this.installation.writer.hasRoom;
  }

  /** Everything that was written is in the part: `finish` need not wait. */
  get idle(): boolean {
    return this.installation === undefined || this.installation.writer.idle;
  }

  /**
   * Ends the stream, reads the slot back and compares it with the signed digest.
   * @returns the image, ready for `activate`. Codes `image-…`, `install-out-of-order`. After
   *   `image-plaintext-hash` the next `begin` starts anew.
   */
  finish(): SlotImage | Refusal {
    const installation = this.installation;
    if (installation === undefined) return refuse('install-out-of-order', 'finish before begin');
    const { request, slot, writer, decryptor } = installation;
    const refused = decryptor?.refusal() ?? decryptor?.finish() ?? writer.failure;
    if (refused !== undefined) {
      this.suspend();
      return refused;
    }
    if (decryptor !== undefined) {
      writer.sync();
      if (writer.failure !== undefined) {
        this.suspend();
        return writer.failure;
      }
      this.journal.write(journalEntry(request, slot, chunkCount(request), decryptor.header()));
    }
    this.installation = undefined;
    const partition = this.options.slots[slot]!;
    const digest = flashDigest(partition, this.options.crypto, 0, request.plaintextLength);
    // VIM-08: the digest of what is really in the slot, not of what was sent there
    if (!sameBytes(digest, request.plaintextSha256)) {
      this.journal.clear();
      return refuse('image-plaintext-hash', `${request.filename} in slot ${slot}`);
    }
    this.verified = {
      filename: request.filename,
      releaseCounter: request.releaseCounter,
      length: request.plaintextLength,
      sha256: new Uint8Array(request.plaintextSha256),
    };
    return this.verified;
  }

  /**
   * Sets the image that `finish` returned to be tried at the next start.
   * Code `install-out-of-order`: it was not verified since the last `begin`.
   */
  activate(image: SlotImage, attempts: number = defaultTrialBoots): Refusal | undefined {
    if (this.verified === undefined || image !== this.verified) {
      return refuse('install-out-of-order', 'the image in the slot was not verified');
    }
    this.verified = undefined;
    const { boot } = this.options;
    const { confirmed, pending } = boot.status();
    // Pending already: an earlier activation was cut off before its answer. Its attempts stand.
    if (pending === undefined) boot.activate(1 - confirmed, image, attempts);
    this.journal.clear();
    return undefined;
  }

  /**
   * Confirms the running trial image. The journal's copy comes first: whatever is lost then, nothing
   * older than this image boots (HRD-04).
   */
  confirm(): void {
    const { boot } = this.options;
    const { pending, active, slots, counter } = boot.status();
    const image = slots[active];
    if (pending === active && image !== undefined) {
      const raised = Math.max(counter, image.releaseCounter);
      this.journal.keepConfirmed({ slot: active, counter: raised, image });
    }
    boot.confirm();
  }

  /**
   * Ends the installation so that a later `begin` goes on behind its last record, which loses nothing
   * where each chunk has one. For orderly interruptions; a power cut also loses what the part has not
   * finished.
   */
  suspend(): void {
    const installation = this.installation;
    if (installation === undefined) return;
    this.installation = undefined;
    const { decryptor, writer } = installation;
    if (decryptor === undefined || writer.failure !== undefined) return;
    // Each chunk is recorded when the part has programmed it.
    writer.sync();
  }

  /**
   * True when this very image waits for its restart already: whoever asked was interrupted between
   * activation and restart. Only the check of the slot is left then.
   */
  private isActivated(request: InstallRequest): boolean {
    const { pending, active, confirmed, slots } = this.options.boot.status();
    if (pending === undefined || active !== confirmed) return false;
    const image = slots[pending]!;
    return (
      image.releaseCounter === request.releaseCounter &&
      image.length === request.plaintextLength &&
      sameBytes(image.sha256, request.plaintextSha256)
    );
  }

  private check(request: InstallRequest): Refusal | undefined {
    const status = this.options.boot.status();
    // HRD-04: the counter is the ECU's own, whatever the metadata before listed
    if (request.releaseCounter < status.counter) {
      return refuse('counter-rollback', `release ${request.releaseCounter} < ${status.counter}`);
    }
    const waits = status.pending !== undefined && !this.isActivated(request);
    if (waits || status.active !== status.confirmed) {
      return refuse('install-out-of-order', 'a trial is running or waits for its restart');
    }
    const length = plaintextLength(request.ciphertextLength);
    if (isRefusal(length)) return length;
    // VIM-09: the length follows from the encrypted length, so it is checked before any byte
    if (length !== request.plaintextLength) {
      return refuse(
        'image-plaintext-length',
        `${length} where ${request.plaintextLength} is listed`,
      );
    }
    const { size } = this.options.slots[1 - status.confirmed]!.status();
    if (length > size) return refuse('slot-too-small', `${length} bytes, the slot has ${size}`);
    return undefined;
  }

  /** Undefined when the journal's header does not fit this key and context. */
  private resume(request: InstallRequest, found: JournalEntry): Installation | undefined {
    const entry = this.proven(found);
    const { slot, header } = entry;
    const installation = this.start(request, slot, entry.chunks, header);
    const { decryptor } = installation;
    if (decryptor === undefined) return installation;
    if (decryptor.refusal() !== undefined) return undefined;
    const chunks = this.continueAt(entry);
    return chunks === entry.chunks ? installation : this.start(request, slot, chunks, header);
  }

  /**
   * What of `entry` is there. A chunk that was made durable together with its record is looked at,
   * since a cut may have kept the record alone; all chunks before it were durable then.
   */
  private proven(entry: JournalEntry): JournalEntry {
    const { lastChunkCheck, ...settled } = entry;
    if (lastChunkCheck === undefined) return entry;
    const partition = this.options.slots[entry.slot]!;
    const end = entry.chunks * cobblestoneChunkBytes;
    const begin = end - cobblestoneChunkBytes;
    if (!sameBytes(flashCheck(partition, this.options.crypto, begin, end), lastChunkCheck)) {
      return { ...settled, chunks: entry.chunks - 1 };
    }
    // Where the program alone was restarted, the chunk may be read, and not be durable yet.
    partition.sync();
    return settled;
  }

  /** Chunks behind which the slot is erased up to the next block: all of `entry`, where possible. */
  private continueAt(entry: JournalEntry): number {
    const { movedTo: _, ...settled } = entry;
    const partition = this.options.slots[entry.slot]!;
    const { blocks, blockLength } = partition.status();
    const end = entry.chunks * cobblestoneChunkBytes;
    const begin = blockStart(partition, end);
    // The next block was not reached yet, or is erased ahead.
    const spare = begin / blockLength + 1;
    const continued = continueBlock({
      partition,
      end,
      movedTo: entry.movedTo,
      spare: spare < blocks ? spare : undefined,
      recordMove: (block) =>
        this.journal.write(block === undefined ? settled : { ...entry, movedTo: block }),
    });
    if (continued) return entry.chunks;
    // Blocks that are no multiple of a chunk: back to where one begins with a chunk.
    let chunks = Math.floor(begin / cobblestoneChunkBytes);
    while ((chunks * cobblestoneChunkBytes) % blockLength !== 0) chunks -= 1;
    this.journal.write({ ...settled, chunks });
    return chunks;
  }

  private start(
    request: InstallRequest,
    slot: number,
    chunks: number,
    header: Uint8Array | undefined,
  ): Installation {
    const complete = chunks === chunkCount(request);
    const writer = new SlotWriter({
      partition: this.options.slots[slot]!,
      start: complete ? 0 : chunks * cobblestoneChunkBytes,
      end: complete ? 0 : request.plaintextLength,
      onProgrammed: (offset) => this.programmed(installation, offset),
    });
    const { contentKey, context, ciphertextLength } = request;
    const decryptor = complete
      ? undefined
      : new CobblestoneDecryptor({
          crypto: this.options.crypto,
          contentKey,
          context,
          ciphertextLength,
          ...(chunks > 0 && header && { header, resumeAtChunk: chunks }),
          onPlaintext: (bytes, offset) => writer.write(bytes, offset),
        });
    const installation: Installation = { request, slot, writer, decryptor, recorded: chunks };
    return installation;
  }

  /** The part has programmed everything before `offset`, and has nothing else to do right now. */
  private programmed(installation: Installation, offset: number): void {
    // The short last chunk is vouched for by `finish` alone.
    const chunks = Math.floor(offset / cobblestoneChunkBytes);
    const { request, slot, decryptor, recorded } = installation;
    if (chunks - recorded < (request.chunksPerRecord ?? 1)) return;
    const end = chunks * cobblestoneChunkBytes;
    const { crypto, slots } = this.options;
    const partition = slots[slot]!;
    // The record proves its last chunk alone.
    if (chunks - recorded > 1) partition.sync();
    const lastChunkCheck = flashCheck(partition, crypto, end - cobblestoneChunkBytes, end);
    const entry = journalEntry(request, slot, chunks, decryptor!.header());
    this.journal.writeWithChunk({ ...entry, lastChunkCheck });
    installation.recorded = chunks;
  }
}

function chunkCount(request: InstallRequest): number {
  return Math.floor(request.plaintextLength / cobblestoneChunkBytes) + 1;
}

function journalEntry(
  request: InstallRequest,
  slot: number,
  chunks: number,
  header?: Uint8Array,
): JournalEntry {
  const { ciphertextLength, ciphertextSha256, plaintextLength: length, plaintextSha256 } = request;
  return {
    slot,
    ciphertextLength,
    ciphertextSha256,
    plaintextLength: length,
    plaintextSha256,
    chunks,
    ...(header && { header }),
  };
}

/** True when the journal's progress was made with the very bytes of this request, in this slot. */
function isFor(
  entry: JournalEntry,
  request: InstallRequest,
  slot: number,
  blocks: number,
): boolean {
  return (
    entry.slot === slot &&
    entry.ciphertextLength === request.ciphertextLength &&
    sameBytes(entry.ciphertextSha256, request.ciphertextSha256) &&
    entry.plaintextLength === request.plaintextLength &&
    sameBytes(entry.plaintextSha256, request.plaintextSha256) &&
    entry.chunks <= chunkCount(request) &&
    (entry.lastChunkCheck === undefined ||
      (entry.chunks > 0 && entry.chunks < chunkCount(request))) &&
    (entry.chunks === 0 || entry.header !== undefined) &&
    (entry.movedTo ?? 0) < blocks
  );
}
