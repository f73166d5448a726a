/**
 * What an interrupted installation needs to go on (docs/SPEC.md §5), kept in a record log. Holds no
 * secret: the content key is unwrapped again.
 */
import type { Crypto, FlashPartition } from '../../hal/types.ts';
import {
  bytes,
  decode,
  encode,
  field,
  type Infer,
  integer,
  named,
  optional,
  record,
  unsigned,
} from '../codec/schema.ts';
import { isRefusal } from '../codes.ts';
import { cobblestoneHeaderBytes, maxFlashRecordBytes } from '../limits.ts';
import { sha256 } from '../metadata/common.ts';
import { RecordLog } from './record-log.ts';

const journalRecord = record({
  formatVersion: field(1, named({ 1: 1 })),
  slot: field(2, integer(0, 1)),
  ciphertextLength: field(3, unsigned),
  ciphertextSha256: field(4, sha256),
  plaintextLength: field(5, unsigned),
  plaintextSha256: field(6, sha256),
  /** Chunks whose plaintext is durable in the slot; the next begins at an erase block. */
  chunks: field(7, unsigned),
  /** Header of the encrypted file, once a chunk is durable. */
  header: optional(8, bytes(cobblestoneHeaderBytes)),
});

export type JournalEntry = Omit<Infer<typeof journalRecord>, 'formatVersion'>;

const nothing = new Uint8Array(0);

export class InstallJournal {
  private readonly log: RecordLog;

  constructor(partition: FlashPartition, crypto: Crypto) {
    this.log = new RecordLog(partition, crypto);
  }

  /** The installation that was under way, if any; a record of another format counts as none. */
  read(): JournalEntry | undefined {
    const payload = this.log.latest();
    if (payload === undefined || payload.length === 0) return undefined;
    const entry = decode(journalRecord, payload, maxFlashRecordBytes);
    return isRefusal(entry) ? undefined : entry;
  }

  /** Records progress; what it claims must be durable in the slot already. */
  write(entry: JournalEntry): void {
    this.log.append(encode(journalRecord, { ...entry, formatVersion: 1 }));
  }

  /** Ends the installation: an empty record. */
  clear(): void {
    const payload = this.log.latest();
    if (payload !== undefined && payload.length > 0) this.log.append(nothing);
  }
}
