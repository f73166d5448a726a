/**
 * The key-value store of platforms without a file system (hal/types.ts `KeyValue`), on a flash
 * partition of its own (docs/SPEC.md §6): two banks of the same size, each whole erase blocks. One
 * bank is active; a write appends an entry to it. When it is full, or its end was torn, what is
 * still valid is copied to the other bank, whose header, written last, makes that one active.
 *
 * An entry counts when its check is right. One without its seal at the very end may have been torn
 * in its last bits, so that the bank is copied before anybody acts on it.
 */
import type { Crypto, FlashPartition, KeyValue } from '../../hal/types.ts';
import { type FlashRecord, FlashRecords } from './flash-record.ts';

const headerMagic = [0x4f, 0x54, 0x41, 0x42]; // 'OTAB'
const entryMagic = [0x4f, 0x54, 0x41, 0x56]; // 'OTAV'
/** Offset behind the copied entries, in the bank: 6 bytes. */
const headerPayloadBytes = 6;
const maxKeyCharacters = 255;
const deleted = 0;
const present = 1;

/** Where the newest entry of a key lies. */
interface Entry {
  readonly key: string;
  readonly offset: number;
  readonly valueLength: number;
}

/** A bank whose header is valid. */
interface Bank {
  readonly index: number;
  readonly generation: number;
  readonly sealed: boolean;
  readonly copiedEnd: number;
}

function payloadOf(key: string, value: Uint8Array | undefined): Uint8Array {
  if (key.length === 0 || key.length > maxKeyCharacters) {
    throw new RangeError(`key: expected 1 to ${maxKeyCharacters} characters`);
  }
  const length = value === undefined ? 0 : value.length;
  const payload = new Uint8Array(2 + key.length + length);
  payload[0] = value === undefined ? deleted : present;
  payload[1] = key.length;
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) throw new RangeError('key: expected printable ASCII');
    payload[2 + i] = code;
  }
  if (value !== undefined) payload.set(value, 2 + key.length);
  return payload;
}

function keyOf(payload: Uint8Array): string {
  let key = '';
  for (let i = 0; i < payload[1]!; i++) key += String.fromCharCode(payload[2 + i]!);
  return key;
}

export class FlashKeyValue implements KeyValue {
  private readonly partition: FlashPartition;
  private readonly headers: FlashRecords;
  private readonly records: FlashRecords;
  private readonly bankBytes: number;
  private active: Bank | undefined;
  private entries: Entry[] = [];
  /** Where the next entry of the active bank goes, and its sequence; undefined: the bank is torn. */
  private next: { offset: number; sequence: number } | undefined;

  /**
   * Opens the store; an erased partition is an empty one.
   * @param partition an even number of erase blocks; a bank holds everything once and the largest
   *   entry twice
   */
  constructor(partition: FlashPartition, crypto: Crypto) {
    this.partition = partition;
    const { blocks, blockLength } = partition.status();
    if (blocks < 2 || blocks % 2 !== 0) {
      throw new RangeError(`partition: ${blocks} blocks are no two banks`);
    }
    this.bankBytes = (blocks / 2) * blockLength;
    this.headers = new FlashRecords(partition, crypto, headerMagic, headerPayloadBytes);
    this.records = new FlashRecords(partition, crypto, entryMagic, this.bankBytes);
    this.open();
  }

  read(key: string): Uint8Array | undefined {
    const entry = this.find(key);
    if (entry === undefined) return undefined;
    const record = this.recordAt(entry.offset) ?? this.recordAt(entry.offset);
    if (record === undefined) throw new Error(`key-value: the flash has lost ${key}`);
    return record.payload.subarray(2 + key.length);
  }

  write(key: string, value: Uint8Array): void {
    this.change(key, payloadOf(key, value));
  }

  delete(key: string): void {
    if (this.find(key) !== undefined) this.change(key, payloadOf(key, undefined));
  }

  private find(key: string): Entry | undefined {
    return this.entries.filter((entry) => entry.key === key)[0];
  }

  private recordAt(offset: number): FlashRecord | undefined {
    return this.records.read(offset, this.bankEnd(offset));
  }

  private bankEnd(offset: number): number {
    return (Math.floor(offset / this.bankBytes) + 1) * this.bankBytes;
  }

  private open(): void {
    let newer = this.readBank(0);
    let older = this.readBank(1);
    if (newer === undefined || (older !== undefined && older.generation > newer.generation)) {
      [newer, older] = [older, newer];
    }
    if (newer === undefined) return;
    if (!newer.sealed && older !== undefined && this.isUntouched(newer)) {
      // Its header may not last, and the other bank holds the same: go back before anybody writes.
      this.eraseBank(newer.index);
      newer = older;
    }
    this.active = newer;
    this.scan(newer);
  }

  private readBank(index: number): Bank | undefined {
    const start = index * this.bankBytes;
    const header = this.headers.read(start, start + this.bankBytes);
    if (header === undefined || header.payload.length !== headerPayloadBytes) return undefined;
    let copied = 0;
    for (let i = 0; i < headerPayloadBytes; i++) copied = copied * 256 + header.payload[i]!;
    const { sequence, sealed } = header;
    return { index, generation: sequence, sealed, copiedEnd: start + copied };
  }

  /** True when nothing was written to the bank since it was copied. */
  private isUntouched({ index, copiedEnd }: Bank): boolean {
    return this.records.isErased(copiedEnd, (index + 1) * this.bankBytes - copiedEnd);
  }

  /** Finds every entry of the active bank; copies the bank when its end is not clean. */
  private scan({ index, copiedEnd }: Bank): void {
    const end = (index + 1) * this.bankBytes;
    let offset = index * this.bankBytes + this.headers.size(headerPayloadBytes);
    let last: FlashRecord | undefined;
    for (;;) {
      const record = this.records.read(offset, end) ?? this.readAfterDamage(offset, end);
      if (record === undefined) break;
      this.take(record);
      last = record;
      offset = record.end;
    }
    const sequence = last === undefined ? 1 : last.sequence + 1;
    const torn = !this.records.isErased(offset, end - offset);
    const weak = last !== undefined && !last.sealed && last.end > copiedEnd;
    this.next = torn ? undefined : { offset, sequence };
    if (weak) this.copy(undefined);
  }

  /** Worn-out bits in one entry do not cost those behind it. */
  private readAfterDamage(offset: number, end: number): FlashRecord | undefined {
    if (end - offset < this.records.size(0)) return undefined;
    if (this.records.isErased(offset, this.records.size(0))) return undefined;
    const { writeAlign } = this.records.geometry;
    for (let at = offset + writeAlign; at < end; at += writeAlign) {
      at = this.records.findMagic(at, end);
      const record = this.records.read(at, end);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  private take({ payload, offset }: FlashRecord): void {
    const key = keyOf(payload);
    this.entries = this.entries.filter((entry) => entry.key !== key);
    const valueLength = payload.length - 2 - key.length;
    if (payload[0] === present) this.entries.push({ key, offset, valueLength });
  }

  private change(key: string, payload: Uint8Array): void {
    const record = this.append(payload);
    if (record === undefined) {
      this.copy({ key, payload });
      return;
    }
    this.records.seal(record);
    this.records.sync();
    this.take(record);
    this.next = { offset: record.end, sequence: record.sequence + 1 };
  }

  /** Undefined when the active bank has no room, is torn, or does not keep the entry. */
  private append(payload: Uint8Array): FlashRecord | undefined {
    const { active, next } = this;
    if (active === undefined || next === undefined) return undefined;
    const end = next.offset + this.records.size(payload.length);
    if (end > (active.index + 1) * this.bankBytes) return undefined;
    return this.records.write(next.offset, next.sequence, payload);
  }

  /** Copies all that is valid, with one change, to the other bank, and makes that one active. */
  private copy(change: { readonly key: string; readonly payload: Uint8Array } | undefined): void {
    const kept = this.entries.filter((entry) => entry.key !== change?.key);
    const sizes = kept.map(({ key, valueLength }) =>
      this.records.size(2 + key.length + valueLength),
    );
    if (change !== undefined) sizes.push(this.records.size(change.payload.length));
    const headerBytes = this.headers.size(headerPayloadBytes);
    const total = sizes.reduce((sum, size) => sum + size, headerBytes);
    if (total > this.bankBytes) {
      throw new RangeError(`key-value: ${total} bytes do not fit a bank of ${this.bankBytes}`);
    }
    const index = this.active === undefined ? 0 : 1 - this.active.index;
    const start = index * this.bankBytes;
    this.eraseBank(index);
    const entries: Entry[] = [];
    let offset = start + headerBytes;
    let sequence = 1;
    const add = (key: string, payload: Uint8Array) => {
      const record = this.records.write(offset, sequence, payload);
      if (record === undefined) throw new Error('key-value: not kept by the flash');
      entries.push({ key, offset, valueLength: payload.length - 2 - key.length });
      offset = record.end;
      sequence += 1;
    };
    for (const entry of kept) {
      const record = this.recordAt(entry.offset) ?? this.recordAt(entry.offset);
      if (record === undefined) throw new Error(`key-value: the flash has lost ${entry.key}`);
      add(entry.key, record.payload);
    }
    if (change !== undefined && change.payload[0] === present) add(change.key, change.payload);
    const generation = this.active === undefined ? 1 : this.active.generation + 1;
    this.headers.seal(this.writeHeader(start, generation, offset - start));
    this.headers.sync();
    this.active = { index, generation, sealed: true, copiedEnd: offset };
    this.entries = entries;
    this.next = { offset, sequence };
  }

  private writeHeader(start: number, generation: number, copied: number): FlashRecord {
    const payload = new Uint8Array(headerPayloadBytes);
    let rest = copied;
    for (let i = headerPayloadBytes - 1; i >= 0; i--) {
      payload[i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    const header = this.headers.write(start, generation, payload);
    if (header === undefined) throw new Error('key-value: not kept by the flash');
    return header;
  }

  private eraseBank(index: number): void {
    const blocks = this.bankBytes / this.records.geometry.blockLength;
    this.partition.eraseBlock(index * blocks, (index + 1) * blocks);
    this.partition.sync();
  }
}
