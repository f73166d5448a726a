/**
 * An append-only log of small records in two or more erase blocks: the newest survives a power cut
 * at any instant (docs/SPEC.md §3).
 *
 * A record without its seal may have been torn in its last bits and read differently each time, so
 * it is copied, sealed, before anybody acts on it. The block of the newest sealed record is never
 * erased.
 *
 * A record of many that follow each other may leave its seal to the next one, which saves a
 * synchronisation each. The first of a block is sealed at once: so the copy that is made after a cut
 * never goes to the block of the record that it copies.
 */
import type { Crypto, FlashPartition } from '../../hal/types.ts';
import { maxFlashRecordBytes } from '../limits.ts';
import { type FlashRecord, FlashRecords } from './flash-record.ts';

const magic = [0x4f, 0x54, 0x41, 0x52]; // 'OTAR'

interface FoundRecord extends FlashRecord {
  /** Erase block that holds the record. */
  readonly block: number;
}

export class RecordLog {
  private readonly partition: FlashPartition;
  private readonly records: FlashRecords;
  /** The log's first block in the partition, and how many there are. */
  private readonly first: number;
  private readonly blocks: number;
  private newest: FoundRecord | undefined;

  /**
   * Opens the log and finds its newest record; writes only if that one has no seal.
   * @param partition its last `blocks` erase blocks are the log's
   * @param blocks two or more, each with room for a record of the greatest size; all when absent
   */
  constructor(partition: FlashPartition, crypto: Crypto, blocks = partition.status().blocks) {
    this.partition = partition;
    this.records = new FlashRecords(partition, crypto, magic, maxFlashRecordBytes);
    const { blockLength } = this.records.geometry;
    this.blocks = blocks;
    this.first = this.records.geometry.blocks - blocks;
    if (blocks < 2 || this.first < 0 || blockLength < this.records.size(maxFlashRecordBytes)) {
      throw new RangeError(
        `partition: ${blocks} blocks of ${blockLength} bytes hold no record log`,
      );
    }
    this.open();
  }

  /** Payload of the newest record; undefined in a log that was never written. */
  latest(): Uint8Array | undefined {
    return this.newest?.payload;
  }

  /**
   * Adds a record and returns when it is durable. Cut before that, the old or the new one is found.
   * A part that does not keep what was written throws.
   * @param payload at most `maxFlashRecordBytes`
   * @param sealLater another record follows soon; costs one `sync` instead of two
   */
  append(payload: Uint8Array, sealLater = false): void {
    const last = this.newest;
    const sequence = last === undefined ? 1 : last.sequence + 1;
    if (last !== undefined && !last.sealed) this.records.seal(last);
    if (last !== undefined && this.fits(last, payload.length)) {
      if (this.place(last.block, last.end, sequence, payload, sealLater)) return;
    }
    this.appendToOtherBlock(last, sequence, payload);
  }

  /** Erases a block that does not hold `keep` and writes there: round robin levels the wear. */
  private appendToOtherBlock(
    keep: FoundRecord | undefined,
    sequence: number,
    payload: Uint8Array,
  ): void {
    const { blockLength } = this.records.geometry;
    const { first, blocks } = this;
    const next = keep === undefined ? 0 : keep.block - first + 1;
    const candidates = keep === undefined ? blocks : blocks - 1;
    for (let i = 0; i < candidates; i++) {
      const block = first + ((next + i) % blocks);
      const offset = block * blockLength;
      this.partition.eraseBlock(block);
      this.partition.sync();
      // A block that does not erase any more is passed over: worn-out blocks come one by one.
      if (!this.records.isErased(offset, this.records.size(payload.length))) continue;
      if (this.place(block, offset, sequence, payload)) return;
    }
    throw new Error('record log: not kept by the flash');
  }

  private open(): void {
    let sealed: FoundRecord | undefined;
    let newest: FoundRecord | undefined;
    const { blockLength } = this.records.geometry;
    for (let block = this.first; block < this.first + this.blocks; block++) {
      let offset = block * blockLength;
      for (;;) {
        const record = this.records.read(offset, (block + 1) * blockLength);
        if (record === undefined) break;
        const found = { ...record, block };
        if (newest === undefined || isNewer(found, newest)) newest = found;
        if (found.sealed && (sealed === undefined || isNewer(found, sealed))) sealed = found;
        offset = found.end;
      }
    }
    this.newest = newest;
    if (newest !== undefined && !newest.sealed) {
      this.appendToOtherBlock(sealed, newest.sequence + 1, newest.payload);
    }
  }

  /** True when a record with `length` bytes of payload fits behind `last`, on erased bytes. */
  private fits(last: FoundRecord, length: number): boolean {
    const size = this.records.size(length);
    const blockEnd = (last.block + 1) * this.records.geometry.blockLength;
    return last.end + size <= blockEnd && this.records.isErased(last.end, size);
  }

  /** Writes record, then seal; false when the part reads back something else. */
  private place(
    block: number,
    offset: number,
    sequence: number,
    payload: Uint8Array,
    sealLater = false,
  ): boolean {
    const kept = this.records.write(offset, sequence, payload);
    if (kept === undefined) return false;
    if (!sealLater) {
      this.records.seal(kept);
      this.records.sync();
    }
    this.newest = { ...kept, sealed: !sealLater, block };
    return true;
  }
}

/** A sealed record stands before an unsealed one of the same sequence: that one was torn. */
function isNewer(a: FoundRecord, b: FoundRecord): boolean {
  if (a.sequence !== b.sequence) return a.sequence > b.sequence;
  return a.sealed && !b.sealed;
}
