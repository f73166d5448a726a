/**
 * A flash part in memory that fails as real ones do, at the operations that were planned: power
 * cuts before, inside and after a program or erase operation, un-synchronised operations lost or
 * reordered, rotten bits, read errors and blocks that do not erase any more.
 *
 * Program and erase operations are numbered from 0 since the last `powerOn`, reads likewise. The
 * random bits of torn operations come from a seed, so that a run can be repeated. After a cut every
 * call throws until `powerOn`: nothing of the cut program can go on.
 */
import { createMemoryStorage, type FlashStorage } from './flash-storage.ts';

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

/** When the power fails, seen from one operation. */
export interface Cut {
  readonly stage: 'before' | 'inside' | 'after';
  /** Inside: whole units (of an erasure: blocks) that were done before the torn one. */
  readonly done?: number;
  /** Operations since the last `sync` are lost, in any combination. */
  readonly loseUnsynced?: boolean;
}

export type Fault =
  | { readonly kind: 'cut'; readonly operation: number; readonly cut: Cut }
  /** One bit of the part reads inverted from this operation on. */
  | {
      readonly kind: 'bit-rot';
      readonly operation: number;
      readonly offset: number;
      readonly bit: number;
    }
  /** A region of the part holds random bits from this operation on. */
  | {
      readonly kind: 'lost-region';
      readonly operation: number;
      readonly offset: number;
      readonly length: number;
    }
  /** Reads of these numbers, `times` in a row, throw. */
  | { readonly kind: 'read-error'; readonly read: number; readonly times: number }
  /** The block keeps its content when it is erased. */
  | { readonly kind: 'stuck-block'; readonly block: number };

/** What one operation changed. */
export interface Change {
  readonly offset: number;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** One program or erase operation, before it is carried out. */
export interface FlashOperation extends Change {
  readonly kind: 'program' | 'erase';
  /** Changes that were not synchronised when it began, oldest first. */
  readonly unsynced: readonly Change[];
}

export interface PartGeometry {
  readonly writeAlign: number;
  readonly blockLength: number;
}

/** Whole units, or for an erasure blocks, of an operation. */
export function unitsOf(operation: FlashOperation, geometry: PartGeometry): number {
  const unit = operation.kind === 'erase' ? geometry.blockLength : geometry.writeAlign;
  return operation.after.length / unit;
}

/** A prefix of whole units or blocks is done; of the next one any bits have changed. */
function torn(
  operation: FlashOperation,
  geometry: PartGeometry,
  done: number,
  random: (limit: number) => number,
): Uint8Array {
  const { before, after } = operation;
  const unit = operation.kind === 'erase' ? geometry.blockLength : geometry.writeAlign;
  const result = before.slice();
  const start = done * unit;
  result.set(after.subarray(0, start), 0);
  for (let i = start; i < start + unit; i++) {
    const some = random(256);
    result[i] = (before[i]! & ~some) | (after[i]! & some);
  }
  return result;
}

/**
 * Turns `part`, which is as it was before `operation`, into what a cut leaves.
 * @param random bits of the torn unit, and which un-synchronised changes are kept
 */
export function applyCut(
  part: Uint8Array,
  operation: FlashOperation,
  cut: Cut,
  geometry: PartGeometry,
  random: (limit: number) => number,
): void {
  const { offset, after, unsynced } = operation;
  if (cut.stage === 'after') part.set(after, offset);
  if (cut.stage === 'inside') {
    part.set(torn(operation, geometry, cut.done ?? 0, random), offset);
  }
  if (cut.loseUnsynced !== true) return;
  const changes = cut.stage === 'after' ? [...unsynced, operation] : unsynced;
  const kept = changes.filter(() => random(2) === 0);
  // Undone backwards, then some of them done again: lost and reordered in one.
  for (const { offset: at, before } of changes.slice().reverse()) part.set(before, at);
  for (const { offset: at, after: value } of kept) part.set(value, at);
}

export class FaultyFlash {
  readonly bytes: Uint8Array;
  /** Program and erase operations, and reads, since the last `powerOn`. */
  operations = 0;
  reads = 0;
  /** Synchronisations since the part was made. */
  syncs = 0;
  /** Faults that `powerOn` planned, and those that happened, since the part was made. */
  planned = 0;
  fired = 0;
  /** Called for each operation before it is carried out. */
  onOperation: ((operation: FlashOperation) => void) | undefined;
  private readonly memory: FlashStorage;
  private readonly geometry: PartGeometry;
  private readonly random: (limit: number) => number;
  private faults: readonly Fault[] = [];
  private met: Fault[] = [];
  private powered = true;
  private unsynced: Change[] = [];

  /** @param bytes content of the part; changed in place */
  constructor(bytes: Uint8Array, geometry: PartGeometry, seed = 1) {
    this.bytes = bytes;
    this.geometry = geometry;
    this.random = seededRandom(seed);
    this.memory = createMemoryStorage(bytes);
  }

  /** Power is back; `faults` replace those that were planned before. */
  powerOn(faults: readonly Fault[] = []): void {
    this.operations = 0;
    this.reads = 0;
    this.faults = faults;
    this.met = [];
    this.planned += faults.length;
    this.powered = true;
    this.unsynced = [];
  }

  /** Power is off: every call throws. */
  get isOff(): boolean {
    return !this.powered;
  }

  /** The storage of one open partition. */
  open(): FlashStorage {
    return {
      read: (buffer, offset) => {
        this.checkPower();
        this.readError();
        this.memory.read(buffer, offset);
      },
      program: (bytes, offset) => {
        if (this.isWatched()) this.apply('program', offset, bytes.slice());
        else this.memory.program(bytes, offset);
      },
      erase: (offset, length, eraseValue) => {
        if (this.isWatched()) {
          this.apply('erase', offset, new Uint8Array(length).fill(eraseValue));
        } else this.memory.erase(offset, length, eraseValue);
      },
      sync: () => {
        this.checkPower();
        this.syncs += 1;
        this.unsynced = [];
      },
      close: () => undefined,
    };
  }

  /** Whether anybody wants to know of operations, which then are kept until they are durable. */
  private isWatched(): boolean {
    if (this.onOperation !== undefined || this.faults.length > 0) return true;
    this.checkPower();
    this.operations += 1;
    return false;
  }

  private apply(kind: 'program' | 'erase', offset: number, after: Uint8Array): void {
    this.checkPower();
    const number = this.operations++;
    this.rot(number);
    const before = this.bytes.slice(offset, offset + after.length);
    if (kind === 'erase') this.keepStuckBlocks(offset, before, after);
    const { unsynced } = this;
    const operation: FlashOperation = { kind, offset, before, after, unsynced };
    this.onOperation?.(operation);
    for (const fault of this.faults) {
      if (fault.kind !== 'cut' || fault.operation !== number) continue;
      this.fire(fault);
      this.powered = false;
      const { stage, done, loseUnsynced = false } = fault.cut;
      const some = done ?? this.random(unitsOf(operation, this.geometry));
      applyCut(
        this.bytes,
        operation,
        { stage, done: some, loseUnsynced },
        this.geometry,
        this.random,
      );
      throw new PowerCut(`power cut ${stage} operation ${number}`);
    }
    this.bytes.set(after, offset);
    this.unsynced = [...unsynced, { offset, before, after }];
  }

  private rot(operation: number): void {
    for (const fault of this.faults) {
      if (fault.kind !== 'bit-rot' && fault.kind !== 'lost-region') continue;
      if (fault.operation !== operation) continue;
      if (fault.kind === 'bit-rot') this.bytes[fault.offset]! ^= 1 << fault.bit;
      else {
        const { offset, length } = fault;
        for (let i = offset; i < offset + length; i++) this.bytes[i] = this.random(256);
      }
      this.fire(fault);
    }
  }

  private keepStuckBlocks(offset: number, before: Uint8Array, after: Uint8Array): void {
    const { blockLength } = this.geometry;
    for (const fault of this.faults) {
      if (fault.kind !== 'stuck-block') continue;
      const at = fault.block * blockLength - offset;
      if (at < 0 || at >= after.length) continue;
      after.set(before.subarray(at, at + blockLength), at);
      this.fire(fault);
    }
  }

  private readError(): void {
    const number = this.reads++;
    for (const fault of this.faults) {
      if (fault.kind !== 'read-error') continue;
      if (number < fault.read || number >= fault.read + fault.times) continue;
      this.fire(fault);
      throw new Error(`flash: read ${number} failed`);
    }
  }

  /** Counts each planned fault once, however often it is met. */
  private fire(fault: Fault): void {
    if (this.met.includes(fault)) return;
    this.met.push(fault);
    this.fired += 1;
  }

  private checkPower(): void {
    if (!this.powered) throw new PowerCut('no power');
  }
}
