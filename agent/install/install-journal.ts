/**
 * What an interrupted installation needs to go on, and a copy of what the boot block says of the
 * confirmed image (docs/SPEC.md §5), kept in a record log. Holds no secret: the content key is
 * unwrapped again.
 */
import type { Crypto, FlashPartition } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import {
  bytes,
  decode,
  encode,
  field,
  type Infer,
  named,
  optional,
  record,
  unsigned,
} from '../codec/schema.ts';
import { isRefusal } from '../codes.ts';
import { cobblestoneHeaderBytes, maxFlashRecordBytes } from '../limits.ts';
import { sha256 } from '../metadata/common.ts';
import { type ConfirmedImage, slotImage, slotNumber } from './boot-block.ts';
import { flashCheckBytes } from './flash-digest.ts';
import { isOutOfMemory } from './out-of-memory.ts';
import { RecordLog } from './record-log.ts';

const installation = record({
  slot: field(1, slotNumber),
  ciphertextLength: field(2, unsigned),
  ciphertextSha256: field(3, sha256),
  plaintextLength: field(4, unsigned),
  plaintextSha256: field(5, sha256),
  /** Chunks whose plaintext is durable in the slot. */
  chunks: field(6, unsigned),
  /** Header of the encrypted file, once a chunk is durable. */
  header: optional(7, bytes(cobblestoneHeaderBytes)),
  /** Block of the slot in which the durable beginning of the unfinished block lies meanwhile. */
  movedTo: optional(8, unsigned),
  /**
   * Of the last of these chunks, when it became durable together with this record: without an order
   * between the two, the record alone does not prove it.
   */
  lastChunkCheck: optional(9, bytes(flashCheckBytes)),
});

const confirmedImage = record({
  slot: field(1, slotNumber),
  counter: field(2, unsigned),
  image: field(3, slotImage),
});

const journalRecord = record({
  formatVersion: field(1, named({ 2: 2 })),
  installation: optional(2, installation),
  confirmed: optional(3, confirmedImage),
});

export type JournalEntry = Infer<typeof installation>;

export class InstallJournal {
  private readonly log: RecordLog;
  private entry: JournalEntry | undefined;
  private copy: ConfirmedImage | undefined;

  /** Opens the journal; a record of another format counts as none. */
  constructor(partition: FlashPartition, crypto: Crypto) {
    this.log = new RecordLog(partition, crypto);
    const payload = this.log.latest();
    if (payload === undefined) return;
    const found = decode(journalRecord, payload, maxFlashRecordBytes);
    if (isRefusal(found)) return;
    this.entry = found.installation;
    this.copy = found.confirmed;
  }

  /** The installation that was under way, if any. */
  read(): JournalEntry | undefined {
    return this.entry;
  }

  /** Records progress; what it claims must be durable in the slot already. */
  write(entry: JournalEntry): void {
    this.append(entry, this.copy);
  }

  /**
   * Records the progress of a chunk and makes it durable together with the chunk, by one `sync`; all
   * chunks before must be durable.
   */
  writeWithChunk(entry: JournalEntry & { readonly lastChunkCheck: Uint8Array }): void {
    this.append(entry, this.copy, true);
  }

  /** Ends the installation. */
  clear(): void {
    if (this.entry !== undefined) this.append(undefined, this.copy);
  }

  /** The copy of what the boot block says; undefined in a journal that never took one. */
  confirmed(): ConfirmedImage | undefined {
    return this.copy;
  }

  /**
   * Takes the copy, unless it is there already. A worn-out journal takes none: that ends
   * installations, and must not end the ECU.
   */
  keepConfirmed(confirmed: ConfirmedImage): void {
    if (this.copy !== undefined && isSame(this.copy, confirmed)) return;
    try {
      this.append(this.entry, confirmed);
    } catch (error) {
      if (isOutOfMemory(error)) throw error;
      this.copy = undefined;
    }
  }

  private append(
    entry: JournalEntry | undefined,
    confirmed: ConfirmedImage | undefined,
    sealLater = false,
  ): void {
    const payload = encode(journalRecord, {
      formatVersion: 2,
      ...(entry && { installation: entry }),
      ...(confirmed && { confirmed }),
    });
    this.log.append(payload, sealLater);
    this.entry = entry;
    this.copy = confirmed;
  }
}

function isSame(a: ConfirmedImage, b: ConfirmedImage): boolean {
  return sameBytes(encode(confirmedImage, a), encode(confirmedImage, b));
}
