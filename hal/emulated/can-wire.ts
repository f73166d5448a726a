/**
 * The wire of an emulated bus, without sockets: frames that stations transmit in the same turn of
 * the program arbitrate, the lowest identifier first, each station's own frames in their order;
 * every other station receives them, all in one order. Faults are injected before arbitration.
 */
import { arbitrationField, type StampedFrame } from './bus-frame.ts';
import { FaultLine, type FaultSource } from './can-faults.ts';
import { canIdAt, decodeBusFrame, scanFrame } from './cannelloni.ts';

/** Frames that were on the bus one after the other, from one station. */
export class FrameBatch {
  /** Whole frames in cannelloni's encoding. */
  readonly bytes: Uint8Array;
  private readonly stamp: () => number;
  private stamped: StampedFrame[] | undefined;

  constructor(bytes: Uint8Array, stamp: () => number) {
    this.bytes = bytes;
    this.stamp = stamp;
  }

  /** The same frames, each with its time; taken apart once for all who ask. */
  get frames(): readonly StampedFrame[] {
    if (this.stamped === undefined) {
      this.stamped = [];
      for (let at = 0; at < this.bytes.length; ) {
        const size = scanFrame(this.bytes, at);
        const frame = decodeBusFrame(this.bytes, at, size);
        this.stamped.push({ frame, microseconds: this.stamp() });
        at += size;
      }
    }
    return this.stamped;
  }
}

/** Who takes part in the bus. */
export interface Station {
  receive(batch: FrameBatch): void;
  /** Stop, or go on, taking frames from the station's program. Calls may nest. */
  hold(held: boolean): void;
}

interface Seat {
  /** Chunks of whole frames that have not been on the bus; `offset` bytes of the first have. */
  readonly queue: Uint8Array[];
  offset: number;
  readonly line: FaultLine | undefined;
}

export class CanWire {
  private readonly seats = new Map<Station, Seat>();
  private readonly faults: FaultSource | undefined;
  private running = false;
  private congested = 0;
  private lastMicroseconds = 0;

  constructor(faults?: FaultSource) {
    this.faults = faults;
  }

  join(station: Station): void {
    const queue: Uint8Array[] = [];
    const line =
      this.faults &&
      new FaultLine(this.faults, {
        pass: (frame) => this.enqueue(queue, frame),
        hold: (held) => station.hold(held),
        after: (milliseconds, callback) => {
          const timer = setTimeout(callback, milliseconds);
          return () => clearTimeout(timer);
        },
      });
    this.seats.set(station, { queue, offset: 0, line });
    if (this.congested > 0) station.hold(true);
  }

  /** What the station has transmitted still reaches the others. */
  leave(station: Station): void {
    const seat = this.seats.get(station);
    if (seat === undefined) return;
    seat.line?.end();
    this.run();
    this.seats.delete(station);
  }

  /** Takes whole frames, which `scanFrame` has judged. */
  transmit(station: Station, bytes: Uint8Array): void {
    const { queue, line } = this.seats.get(station)!;
    if (line === undefined) {
      this.enqueue(queue, bytes);
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const size = scanFrame(bytes, at);
      line.push(bytes.subarray(at, at + size), bytes[at + 4]! < 0x80 ? 5 : 6);
      at += size;
    }
  }

  /** A station cannot take more: all wait until it can, so that nothing is lost. */
  congest(congested: boolean): void {
    this.congested += congested ? 1 : -1;
    const changed = this.congested === (congested ? 1 : 0);
    if (changed) for (const station of this.seats.keys()) station.hold(congested);
  }

  private enqueue(queue: Uint8Array[], bytes: Uint8Array): void {
    queue.push(bytes);
    if (this.running) return;
    this.running = true;
    // Everything that arrives in one turn of the program is on the bus at the same time.
    setImmediate(() => this.run());
  }

  private run(): void {
    this.running = false;
    let waiting = [...this.seats].filter(([, { queue }]) => queue.length > 0);
    while (waiting.length > 1) {
      const winner = waiting.reduce((best, other) =>
        nextField(other[1]) < nextField(best[1]) ? other : best,
      );
      this.deliver(winner[0], takeFrame(winner[1]));
      if (winner[1].queue.length === 0) waiting = waiting.filter((other) => other !== winner);
    }
    // One write carries all that is left of a single station: this is what makes the hub fast.
    for (const [station, seat] of waiting) this.deliver(station, takeAll(seat));
  }

  private deliver(from: Station, bytes: Uint8Array): void {
    const batch = new FrameBatch(bytes, () => this.stamp());
    for (const station of this.seats.keys()) if (station !== from) station.receive(batch);
  }

  /** No two frames have the same time: readers that sort by it keep the order of the bus. */
  private stamp(): number {
    const now = Math.floor((performance.timeOrigin + performance.now()) * 1_000);
    this.lastMicroseconds = Math.max(now, this.lastMicroseconds + 1);
    return this.lastMicroseconds;
  }
}

/** What the station's next frame arbitrates with. */
function nextField(seat: Seat): number {
  return arbitrationField(canIdAt(seat.queue[0]!, seat.offset));
}

function takeFrame(seat: Seat): Uint8Array {
  const bytes = seat.queue[0]!;
  const end = seat.offset + scanFrame(bytes, seat.offset);
  const frame = bytes.subarray(seat.offset, end);
  seat.offset = end;
  if (end === bytes.length) {
    seat.queue.shift();
    seat.offset = 0;
  }
  return frame;
}

function takeAll(seat: Seat): Uint8Array {
  const [first, ...others] = seat.queue.splice(0);
  const rest = first!.subarray(seat.offset);
  seat.offset = 0;
  return others.length === 0 ? rest : Buffer.concat([rest, ...others]);
}
