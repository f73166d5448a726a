/**
 * Gives a flash part the times of a real one, on the virtual clock: a call returns at once and the
 * part is busy meanwhile, with all of its partitions. What was written is there at once; this is
 * about time, not about power.
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

  constructor(inner: Flash, times: PartTimes, clock: VirtualClock) {
    this.inner = inner;
    this.times = times;
    this.clock = clock;
  }

  get busy(): boolean {
    return this.clock.now < this.readyAt;
  }

  open(options: { readonly path: string }): FlashPartition {
    const partition = this.inner.open(options);
    const idle = () => {
      if (this.busy) throw new Error(`flash: ${options.path}: the part is busy`);
      return partition;
    };
    const timed: FlashPartition = {
      onReady: undefined,
      status: () => ({ ...partition.status(), busy: this.busy }),
      read: (buffer, offset) => idle().read(buffer, offset),
      eraseBlock: (from, to = from + 1) => {
        idle().eraseBlock(from, to);
        this.work((to - from) * this.times.eraseBlock, timed);
      },
      write: (buffer, offset) => {
        idle().write(buffer, offset);
        const { pageBytes, programPage } = this.times;
        const pages =
          Math.ceil((offset + buffer.length) / pageBytes) - Math.floor(offset / pageBytes);
        this.work(pages * programPage, timed);
      },
      sync: () => {
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

  private work(milliseconds: number, partition: FlashPartition): void {
    this.busyMilliseconds += milliseconds;
    this.readyAt = this.clock.now + milliseconds;
    this.clock.after(milliseconds, () => partition.onReady?.());
  }
}
