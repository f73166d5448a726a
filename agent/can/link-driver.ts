/**
 * Binds ISO-TP links (and the UDS clients and servers on them) to a CAN port and a clock: routes
 * frames by identifier, writes what the links want to transmit while the port takes it, and calls
 * them when their time has come. No policy.
 */
import type { Can, CanFrame, CanPort, Clock, Timer } from '../../hal/types.ts';
import type { Refusal } from '../codes.ts';
import { earlier } from './iso-tp.ts';

/** What a link, client or server offers the driver. */
export interface CanEndpoint {
  readonly receiveId: number;
  readonly extended: boolean;
  /** Set by the driver: asks for a `poll`. */
  onWork: (() => void) | undefined;
  receive(frame: CanFrame, nowMs: number): Refusal | undefined;
  poll(nowMs: number, writable: number): CanFrame[];
  nextDeadline(): number | undefined;
}

export interface LinkDriverOptions {
  readonly can: Can;
  readonly clock: Clock;
  /** Interface name in the board's description. */
  readonly port: string;
  /** Identifiers to receive; all when absent. */
  readonly filters?: readonly number[];
  /** A frame for one of the endpoints was ignored. */
  readonly onIgnored?: (refusal: Refusal) => void;
  /** The port failed. */
  readonly onError?: (error: Error) => void;
}

/** Frames written for one endpoint before the next one has its turn. */
const burstFrames = 64;
/** A timer this late tells that the program was held up and frames may wait unread. */
const lateMilliseconds = 50;

export class LinkDriver {
  private readonly clock: Clock;
  private readonly onIgnored: ((refusal: Refusal) => void) | undefined;
  private readonly port: CanPort;
  private readonly endpoints: CanEndpoint[] = [];
  private readonly byIdentifier: { [key: number]: CanEndpoint } = {};
  private running = false;
  private again = false;
  private closed = false;
  private onJoined: (() => void) | undefined;
  private timer: Timer | undefined;
  private armedFor: number | undefined;

  constructor(options: LinkDriverOptions) {
    this.clock = options.clock;
    this.onIgnored = options.onIgnored;
    this.port = options.can.open({
      port: options.port,
      onReadable: () => {
        this.armedFor = undefined;
        this.run();
      },
      onWritable: () => this.run(),
      ...(options.filters === undefined ? {} : { filters: options.filters }),
      ...(options.onError === undefined ? {} : { onError: options.onError }),
    });
  }

  /** Joins an endpoint to the bus; two with the same receive identifier are a bug. */
  add(endpoint: CanEndpoint): void {
    const key = keyOf(endpoint.receiveId, endpoint.extended);
    if (this.byIdentifier[key] !== undefined) {
      throw new Error(`identifier ${endpoint.receiveId} is taken`);
    }
    this.byIdentifier[key] = endpoint;
    this.endpoints.push(endpoint);
    endpoint.onWork = () => this.run();
    this.run();
  }

  /**
   * Calls back once the port has reached its bus: frames that others send from then on arrive. At
   * once where it has already.
   */
  whenJoined(callback: () => void): void {
    this.onJoined = callback;
    this.run();
  }

  remove(endpoint: CanEndpoint): void {
    const index = this.endpoints.indexOf(endpoint);
    if (index < 0) return;
    this.endpoints.splice(index, 1);
    delete this.byIdentifier[keyOf(endpoint.receiveId, endpoint.extended)];
    endpoint.onWork = undefined;
  }

  /** Leaves the bus; no callback follows. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.timer !== undefined) this.timer.cancel();
    this.port.close();
  }

  /** Reads, lets every endpoint transmit, and arms the timer; safe to call at any time. */
  private run(): void {
    // Endpoints call back into their program, which may send: that only asks for another round.
    this.again = true;
    if (this.running) return;
    this.running = true;
    let late = false;
    while (this.again && !late && !this.closed) {
      this.again = false;
      this.read();
      late = this.isLate();
      if (!late) this.transmit();
    }
    this.running = false;
    if (this.closed) return;
    this.arm(late);
    this.noticeJoined();
  }

  /** A port takes frames from when it has joined, and says so once it was asked in vain. */
  private noticeJoined(): void {
    const { onJoined } = this;
    if (onJoined === undefined || this.port.writable === 0) return;
    this.onJoined = undefined;
    onJoined();
  }

  private read(): void {
    for (;;) {
      const frame = this.closed ? undefined : this.port.read();
      if (frame === undefined) return;
      const endpoint = this.byIdentifier[keyOf(frame.identifier, frame.extended)];
      if (endpoint === undefined) continue;
      const refusal = endpoint.receive(frame, this.clock.monotonic());
      if (refusal !== undefined && this.onIgnored !== undefined) this.onIgnored(refusal);
    }
  }

  /**
   * When the program blocked past a deadline, the frames that would have met it may still wait
   * below the port: they get one turn of the event loop before timeouts are judged.
   */
  private isLate(): boolean {
    if (this.armedFor === undefined) return false;
    return this.clock.monotonic() >= this.armedFor + lateMilliseconds;
  }

  private transmit(): void {
    let wrote = true;
    while (wrote) {
      wrote = false;
      for (const endpoint of this.endpoints.slice()) {
        if (this.closed) return;
        const writable = Math.min(this.port.writable, burstFrames);
        // Also called when nothing is writable: timeouts are judged in `poll`.
        const frames = endpoint.poll(this.clock.monotonic(), writable);
        for (const frame of frames) this.port.write(frame);
        if (frames.length > 0) wrote = true;
      }
    }
  }

  private arm(late: boolean): void {
    if (this.timer !== undefined) this.timer.cancel();
    this.timer = undefined;
    if (late) {
      this.timer = this.clock.after(0, () => {
        this.armedFor = undefined;
        this.run();
      });
      return;
    }
    let deadline: number | undefined;
    for (const endpoint of this.endpoints) deadline = earlier(deadline, endpoint.nextDeadline());
    this.armedFor = deadline;
    if (deadline === undefined) return;
    const delay = Math.max(0, deadline - this.clock.monotonic());
    this.timer = this.clock.after(delay, () => this.run());
  }
}

function keyOf(identifier: number, extended: boolean): number {
  return extended ? identifier + 0x20000000 : identifier;
}
