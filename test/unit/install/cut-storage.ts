/**
 * Flash storage in memory that loses power: at a chosen program or erase operation it stops half
 * way, as a part does, and forgets some of what was not synchronised. Afterwards every call fails
 * until `restore`, so that nothing of the cut program can go on.
 */
import { createMemoryStorage, type FlashStorage } from '../../../hal/emulated/flash-storage.ts';

/** Thrown instead of the operation during which the power fails. */
export class PowerCut extends Error {}

/** Seeded pseudo-random numbers (mulberry32): whole numbers from 0 to below `limit`. */
export function seededRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * limit);
  };
}

interface Change {
  /** The open partition that made the change: `sync` promises nothing for the others. */
  readonly handle: object;
  readonly offset: number;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export interface CutOptions {
  readonly writeAlign: number;
  readonly blockLength: number;
  readonly random: (limit: number) => number;
  /** Whether operations that were not synchronised may be lost, in any combination. */
  readonly loseUnsynced: boolean;
}

export class CutStorage {
  readonly bytes: Uint8Array;
  /** Program and erase operations since the last `restore`. */
  operations = 0;
  /** Whether the cut has happened. */
  fired = false;
  private readonly memory: FlashStorage;
  private readonly options: CutOptions;
  private cutAt = Number.POSITIVE_INFINITY;
  private unsynced: Change[] = [];

  constructor(bytes: Uint8Array, options: CutOptions) {
    this.bytes = bytes;
    this.memory = createMemoryStorage(bytes);
    this.options = options;
  }

  /** Power is back; it fails again during operation `cutAt`, counted from 0. */
  restore(cutAt = Number.POSITIVE_INFINITY): void {
    this.operations = 0;
    this.fired = false;
    this.cutAt = cutAt;
    this.unsynced = [];
  }

  /** The storage of one open partition. */
  open(): FlashStorage {
    const handle = {};
    return {
      read: (buffer, offset) => {
        this.checkPower();
        this.memory.read(buffer, offset);
      },
      program: (bytes, offset) => {
        this.apply(handle, offset, bytes, (before) => this.tornProgram(before, bytes));
      },
      erase: (offset, length, eraseValue) => {
        const erased = new Uint8Array(length).fill(eraseValue);
        this.apply(handle, offset, erased, (before) => this.tornErase(before, erased));
      },
      sync: () => {
        this.checkPower();
        this.unsynced = this.unsynced.filter((change) => change.handle !== handle);
      },
      close: () => undefined,
    };
  }

  private apply(
    handle: object,
    offset: number,
    bytes: Uint8Array,
    torn: (before: Uint8Array) => Uint8Array,
  ): void {
    this.checkPower();
    const before = this.bytes.slice(offset, offset + bytes.length);
    const cut = this.operations++ === this.cutAt;
    const after = cut ? torn(before) : bytes.slice();
    this.bytes.set(after, offset);
    if (!cut) {
      this.unsynced.push({ handle, offset, before, after });
      return;
    }
    if (this.options.loseUnsynced) this.forgetSome();
    this.fired = true;
    throw new PowerCut(`power cut at operation ${this.cutAt}`);
  }

  /** A prefix of whole units, then one unit of which any bits were programmed. */
  private tornProgram(before: Uint8Array, bytes: Uint8Array): Uint8Array {
    const { writeAlign, random } = this.options;
    const start = random(bytes.length / writeAlign) * writeAlign;
    const after = before.slice();
    after.set(bytes.subarray(0, start), 0);
    for (let i = start; i < start + writeAlign; i++) {
      const some = random(256);
      after[i] = (before[i]! & ~some) | (bytes[i]! & some);
    }
    return after;
  }

  /** Some whole blocks, then one block of which any bits were erased. */
  private tornErase(before: Uint8Array, erased: Uint8Array): Uint8Array {
    const { blockLength, random } = this.options;
    const start = random(erased.length / blockLength) * blockLength;
    const after = before.slice();
    after.set(erased.subarray(0, start), 0);
    for (let i = start; i < start + blockLength; i++) {
      const some = random(256);
      after[i] = (before[i]! & ~some) | (erased[i]! & some);
    }
    return after;
  }

  /** Undoes everything since the last sync, then does some of it again. */
  private forgetSome(): void {
    const kept = this.unsynced.filter(() => this.options.random(2) === 0);
    for (const { offset, before } of this.unsynced.slice().reverse()) {
      this.bytes.set(before, offset);
    }
    for (const { offset, after } of kept) this.bytes.set(after, offset);
  }

  private checkPower(): void {
    if (this.fired) throw new PowerCut('no power');
  }
}
