/**
 * Gives a flash part the times of a real one, on the virtual clock: a call returns at once and the
 * part is busy meanwhile, with all of its partitions. What it is at is done when that time is over;
 * when the power fails before, a part of it.
 */
import type { Flash, FlashPartition } from '../../hal/types.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Times of a NOR part, in milliseconds. */
export interface PartTimes {
  readonly programPage: number;
  readonly pageBytes: number;
  readonly eraseBlock: number;
}

/** 0.7 ms for a page of 256 bytes, 45 ms for a block of 4 KiB. */
export const nor4KiB: PartTimes = { programPage: 0.7, pageBytes: 256, eraseBlock: 45 };
/** 0.7 ms for a page of 256 bytes, 150 ms for a block of 64 KiB. */
export const nor64KiB: PartTimes = { programPage: 0.7, pageBytes: 256, eraseBlock: 150 };

export class TimedFlash implements Flash {
  /** Milliseconds in which the part worked. */
  busyMilliseconds = 0;
  /** Milliseconds that a program waited in `sync`. */
  waitedMilliseconds = 0;
  private readonly inner: Flash;
  private readonly times: PartTimes;
  private readonly clock: VirtualClock;
  private readyAt = 0;
  private dead = false;
  /** What the part is at, and what is left of it when the power fails meanwhile. */
  private atWork: { readonly complete: () => void; readonly tear: () => void } | undefined;

  constructor(inner: Flash, times: PartTimes, clock: VirtualClock) {
    this.inner = inner;
    this.times = times;
    this.clock = clock;
  }

  get busy(): boolean {
    return this.atWork !== undefined;
  }

  /** The power fails: what the part is at is torn, and every later call throws. */
  cutPower(): void {
    this.dead = true;
    this.atWork?.tear();
    this.atWork = undefined;
  }

  open(options: { readonly path: string }): FlashPartition {
    const partition = this.inner.open(options);
    const { blockLength, writeAlign, eraseValue } = partition.status();
    const idle = () => {
      if (this.dead) throw new Error('flash: without power');
      if (this.busy) throw new Error(`flash: ${options.path}: the part is busy`);
      return partition;
    };
    const timed: FlashPartition = {
      onReady: undefined,
      status: () => ({ ...partition.status(), busy: this.busy }),
      read: (buffer, offset) => idle().read(buffer, offset),
      isErased: (offset, length) => idle().isErased(offset, length),
      eraseBlock: (from, to = from + 1) => {
        idle();
        // A torn erasure: some blocks are erased, one is neither what it was nor erased.
        const torn = from + Math.floor((to - from) / 2);
        this.work((to - from) * this.times.eraseBlock, timed, {
          complete: () => partition.eraseBlock(from, to),
          tear: () => {
            partition.eraseBlock(from, torn + 1);
            const half = new Uint8Array(blockLength / 2).fill(0xff - eraseValue);
            partition.write(half, torn * blockLength);
          },
        });
      },
      write: (buffer, offset) => {
        idle();
        const bytes = new Uint8Array(buffer);
        const half = Math.floor(bytes.length / 2 / writeAlign) * writeAlign;
        const { pageBytes, programPage } = this.times;
        const pages =
          Math.ceil((offset + buffer.length) / pageBytes) - Math.floor(offset / pageBytes);
        this.work(pages * programPage, timed, {
          complete: () => partition.write(bytes, offset),
          tear: () => half > 0 && partition.write(bytes.subarray(0, half), offset),
        });
      },
      sync: () => {
        if (this.dead) throw new Error('flash: without power');
        const wait = this.readyAt - this.clock.now;
        if (wait > 0) {
          this.waitedMilliseconds += wait;
          // The program stands still; the rest of the world does not.
          this.clock.advanceTo(this.readyAt);
        }
        partition.sync();
      },
      close: () => partition.close(),
    };
    return timed;
  }

  private work(
    milliseconds: number,
    partition: FlashPartition,
    atWork: { readonly complete: () => void; readonly tear: () => void },
  ): void {
    this.busyMilliseconds += milliseconds;
    this.readyAt = this.clock.now + milliseconds;
    this.atWork = atWork;
    this.clock.after(milliseconds, () => {
      if (this.dead) return;
      this.atWork = undefined;
      atWork.complete();
      partition.onReady?.();
    });
  }
}
