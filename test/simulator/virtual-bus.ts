/**
 * A CAN bus in virtual time: frames take the time of their bits, the lowest identifier wins, and
 * faults come from a seed. Every node is a `Can` of hal/types.ts, as on a real ECU.
 *
 * Bits of a frame with the 3 of interframe space, without stuff bits (ISO 11898-1:2015; FD with the
 * fixed stuff bits of its checksum). Without stuffing the figures are ceilings, and deterministic.
 */
import type { Can, CanFrame, CanOptions, CanPort } from '../../hal/types.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface BitRates {
  /** Bits a second of arbitration, and of everything in classic frames. */
  readonly nominal: number;
  /** Bits a second of the data phase of FD frames. */
  readonly data: number;
}

/** What happens to a frame on its way to one receiver; probabilities from 0 to 1. */
export interface BusFaults {
  readonly lost?: number;
  readonly duplicated?: number;
  /** Passed by the frame behind it. */
  readonly reordered?: number;
  /** Held up for up to 50 ms, and everything behind it for this receiver too. */
  readonly delayed?: number;
  /** One bit flipped, with a checksum that fits: what a faulty gateway does. */
  readonly corrupted?: number;
}

/** Numbers from 0 up to, not including, `below`. */
export type RandomNumber = (below: number) => number;

const longestDelayMilliseconds = 50;
/** Frames that a controller and its driver hold for transmission. */
const transmitFrames = 16;

/** Milliseconds that a frame occupies the bus. */
export function frameMilliseconds(frame: CanFrame, rates: BitRates): number {
  const n = frame.data.length;
  if (!frame.flexibleData) {
    const bits = (frame.extended ? 67 : 47) + 8 * n;
    return (bits / rates.nominal) * 1000;
  }
  const nominalBits = frame.extended ? 48 : 29;
  const checksumBits = n <= 16 ? 17 + 6 : 21 + 7;
  const dataBits = 1 + 4 + 8 * n + 4 + checksumBits + 1;
  const dataRate = frame.bitRateSwitch ? rates.data : rates.nominal;
  return (nominalBits / rates.nominal + dataBits / dataRate) * 1000;
}

export class VirtualBus {
  /** Frames that a fault struck, by its name. */
  readonly struck: Record<keyof BusFaults, number> = {
    lost: 0,
    duplicated: 0,
    reordered: 0,
    delayed: 0,
    corrupted: 0,
  };
  /** Milliseconds in which a frame was on the bus. */
  busyMilliseconds = 0;
  frames = 0;
  faults: BusFaults = {};
  private readonly clock: VirtualClock;
  private readonly rates: BitRates;
  private readonly random: RandomNumber;
  private readonly ports: VirtualPort[] = [];
  private occupied = false;

  constructor(clock: VirtualClock, rates: BitRates, random: RandomNumber) {
    this.clock = clock;
    this.rates = rates;
    this.random = random;
  }

  /** One node's way to the bus, whatever the port is called. */
  node(): Can {
    return {
      open: (options) => {
        const port = new VirtualPort(this, this.clock, options);
        this.ports.push(port);
        return port;
      },
    };
  }

  leave(port: VirtualPort): void {
    this.ports.splice(this.ports.indexOf(port), 1);
  }

  /** Starts the next frame when the bus is free. */
  arbitrate(): void {
    if (this.occupied) return;
    let winner: VirtualPort | undefined;
    for (const port of this.ports) {
      const frame = port.queued[0];
      if (frame === undefined) continue;
      if (winner === undefined || frame.identifier < winner.queued[0]!.identifier) winner = port;
    }
    if (winner === undefined) return;
    this.occupied = true;
    const sender = winner;
    const frame = sender.queued[0]!;
    const duration = frameMilliseconds(frame, this.rates);
    this.clock.after(duration, () => {
      this.occupied = false;
      this.busyMilliseconds += duration;
      this.frames++;
      sender.transmitted();
      for (const port of this.ports) if (port !== sender) this.carry(frame, port);
      this.arbitrate();
    });
  }

  private carry(frame: CanFrame, to: VirtualPort): void {
    if (!to.wants(frame)) return;
    if (this.strikes('lost')) return;
    const arriving = this.strikes('corrupted') ? this.withFlippedBit(frame) : frame;
    if (this.strikes('delayed')) to.holdUp(this.random(longestDelayMilliseconds) + 1);
    to.arrive(arriving, this.strikes('reordered'));
    if (this.strikes('duplicated')) to.arrive(arriving, false);
  }

  private strikes(fault: keyof BusFaults): boolean {
    const chance = this.faults[fault];
    if (!chance || this.random(1_000_000) >= chance * 1_000_000) return false;
    this.struck[fault]++;
    return true;
  }

  private withFlippedBit(frame: CanFrame): CanFrame {
    const data = new Uint8Array(frame.data);
    if (data.length > 0) data[this.random(data.length)]! ^= 1 << this.random(8);
    return { ...frame, data };
  }
}

class VirtualPort implements CanPort {
  /** Frames to transmit, the first of them perhaps on the bus. */
  readonly queued: CanFrame[] = [];
  private readonly bus: VirtualBus;
  private readonly clock: VirtualClock;
  private readonly options: CanOptions;
  private readonly received: CanFrame[] = [];
  /** Waits for the frame behind it. */
  private passed: CanFrame | undefined;
  /** Nothing arrives before this time. */
  private heldUntil = 0;
  private wasFull = false;
  private closed = false;

  constructor(bus: VirtualBus, clock: VirtualClock, options: CanOptions) {
    this.bus = bus;
    this.clock = clock;
    this.options = options;
  }

  wants(frame: CanFrame): boolean {
    const { filters } = this.options;
    return filters === undefined || filters.includes(frame.identifier);
  }

  holdUp(milliseconds: number): void {
    this.heldUntil = Math.max(this.heldUntil, this.clock.now) + milliseconds;
  }

  arrive(frame: CanFrame, reordered: boolean): void {
    if (reordered && this.passed === undefined) {
      this.passed = frame;
      return;
    }
    this.deliver(frame);
    if (this.passed === undefined) return;
    this.deliver(this.passed);
    this.passed = undefined;
  }

  private deliver(frame: CanFrame): void {
    this.clock.after(Math.max(0, this.heldUntil - this.clock.now), () => {
      if (this.closed) return;
      this.received.push(frame);
      this.options.onReadable(this.received.length);
    });
  }

  transmitted(): void {
    this.queued.shift();
    if (!this.wasFull || this.closed) return;
    this.wasFull = false;
    this.options.onWritable?.(this.writable);
  }

  read(): CanFrame | undefined {
    return this.received.shift();
  }

  get writable(): number {
    const room = transmitFrames - this.queued.length;
    if (room === 0) this.wasFull = true;
    return room;
  }

  write(frame: CanFrame): void {
    if (this.queued.length >= transmitFrames) throw new Error('write: the port is full');
    this.queued.push({ ...frame, data: new Uint8Array(frame.data) });
    this.bus.arbitrate();
  }

  close(): void {
    this.closed = true;
    this.bus.leave(this);
  }
}
