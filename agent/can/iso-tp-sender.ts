/**
 * The sending half of an ISO-TP link (ISO 15765-2:2016): cuts one message at a time into frames,
 * obeys flow control, and gives up after N_As (frames not accepted by the bus), N_Bs (no flow
 * control) or too many WAITs. A frame is due as soon as it may go (N_Cs adds nothing). The message
 * is read in place and never copied as a whole.
 */
import type { CanFrame } from '../../hal/types.ts';
import { type Refusal, refuse } from '../codes.ts';
import { isoTpTimeoutMilliseconds, maxIsoTpWaitFrames } from '../limits.ts';
import {
  continueToSend,
  frameLength,
  type IsoTpAddress,
  makeFrame,
  maxShortLength,
  overflow,
  pad,
  separationMilliseconds,
  wait,
  writeLength32,
} from './iso-tp-frames.ts';

const idle = 0;
/** The single or first frame is still to be transmitted. */
const starting = 1;
const awaitingFlowControl = 2;
const consecutive = 3;

const noBytes = new Uint8Array(0);
const maxMessageLength = 4_294_967_295;

export interface IsoTpSenderEvents {
  readonly onSent: () => void;
  readonly onError: (refusal: Refusal) => void;
}

export class IsoTpSender {
  private readonly link: IsoTpAddress;
  private readonly events: IsoTpSenderEvents;
  private frameBytes = 0;
  private state = idle;
  private message: Uint8Array = noBytes;
  private offset = 0;
  private sequence = 0;
  /** Consecutive frames until the next flow control; 0 when there is none. */
  private blockRemaining = 0;
  private separation = 0;
  private waits = 0;
  /** End of N_Bs while awaiting flow control. */
  private deadline = 0;
  /** When the next consecutive frame is allowed (STmin). */
  private nextAt: number | undefined;
  /** End of N_As, from the moment a frame was due and the bus took none. */
  private stallDeadline: number | undefined;

  constructor(link: IsoTpAddress, events: IsoTpSenderEvents) {
    this.link = link;
    this.events = events;
  }

  get busy(): boolean {
    return this.state !== idle;
  }

  /** Takes a message of 1 … 2³²−1 bytes, which must stay unchanged until it is sent. */
  send(message: Uint8Array): boolean {
    if (message.length === 0 || message.length > maxMessageLength) {
      throw new RangeError(`message: expected 1 to 2^32-1 bytes, got ${message.length}`);
    }
    if (this.state !== idle) return false;
    this.message = message;
    this.frameBytes = this.link.flexibleData ? (this.link.maxFrameBytes ?? 64) : 8;
    this.offset = 0;
    this.state = starting;
    this.nextAt = undefined;
    this.stallDeadline = undefined;
    return true;
  }

  /** Takes a flow control frame; refuses one that nobody waits for, or that is cut short. */
  flowControl(data: Uint8Array, nowMs: number): Refusal | undefined {
    if (this.state !== awaitingFlowControl) {
      return refuse('iso-tp-unexpected-frame', 'flow control while none is awaited');
    }
    if (data.length < 3) return refuse('can-frame-malformed', 'flow control of less than 3 bytes');
    const status = data[0]! & 0x0f;
    if (status === continueToSend) {
      this.blockRemaining = data[1]!;
      this.separation = separationMilliseconds(data[2]!);
      this.nextAt = undefined;
      this.state = consecutive;
    } else if (status === wait) {
      this.waits++;
      if (this.waits > maxIsoTpWaitFrames) this.fail(refuse('iso-tp-timeout', 'too many WAITs'));
      else this.deadline = nowMs + isoTpTimeoutMilliseconds;
    } else if (status === overflow) {
      const detail = `the receiver has no room for ${this.message.length} bytes`;
      this.fail(refuse('iso-tp-overflow', detail));
    } else {
      this.fail(refuse('iso-tp-unexpected-frame', `flow status ${status} is reserved`));
    }
    return undefined;
  }

  /** Appends the frames that may be transmitted now to `frames`, up to `writable` in all. */
  poll(nowMs: number, writable: number, frames: CanFrame[]): void {
    if (this.state === idle) return;
    if (this.state === awaitingFlowControl) {
      if (nowMs >= this.deadline) this.fail(refuse('iso-tp-timeout', 'no flow control (N_Bs)'));
      return;
    }
    if (this.nextAt !== undefined && nowMs < this.nextAt) return;
    if (frames.length >= writable) {
      this.stall(nowMs);
      return;
    }
    this.stallDeadline = undefined;
    if (this.state === starting) this.start(nowMs, frames);
    else this.transmit(nowMs, writable, frames);
  }

  /** When `poll` has to be called again even if nothing else happens. */
  nextDeadline(): number | undefined {
    if (this.state === idle) return undefined;
    if (this.state === awaitingFlowControl) return this.deadline;
    return this.stallDeadline ?? this.nextAt;
  }

  private start(nowMs: number, frames: CanFrame[]): void {
    const { message, frameBytes } = this;
    const length = message.length;
    // Up to 7 bytes the length fits in the first byte; FD frames escape to a second one.
    const header = length <= 7 ? 1 : 2;
    if (header + length <= frameBytes) {
      const data = this.padded(header + length);
      data[header - 1] = length;
      data.set(message, header);
      frames.push(makeFrame(this.link, data));
      this.finish();
      return;
    }
    const data = new Uint8Array(frameBytes);
    let start = 2;
    if (length <= maxShortLength) {
      data[0] = 0x10 + Math.floor(length / 256);
      data[1] = length % 256;
    } else {
      data[0] = 0x10;
      writeLength32(data, 2, length);
      start = 6;
    }
    this.offset = frameBytes - start;
    data.set(message.subarray(0, this.offset), start);
    frames.push(makeFrame(this.link, data));
    this.sequence = 1;
    this.awaitFlowControl(nowMs);
  }

  private transmit(nowMs: number, writable: number, frames: CanFrame[]): void {
    const { message, frameBytes, link } = this;
    while (frames.length < writable) {
      const left = message.length - this.offset;
      const count = Math.min(left, frameBytes - 1);
      const data = count === frameBytes - 1 ? new Uint8Array(frameBytes) : this.padded(1 + count);
      data[0] = 0x20 + this.sequence;
      data.set(message.subarray(this.offset, this.offset + count), 1);
      frames.push(makeFrame(link, data));
      this.offset += count;
      this.sequence = (this.sequence + 1) % 16;
      if (count === left) {
        this.finish();
        return;
      }
      if (this.blockRemaining > 0) {
        this.blockRemaining--;
        if (this.blockRemaining === 0) {
          this.awaitFlowControl(nowMs);
          return;
        }
      }
      if (this.separation > 0) {
        this.nextAt = nowMs + this.separation;
        return;
      }
    }
  }

  private stall(nowMs: number): void {
    if (this.stallDeadline === undefined) this.stallDeadline = nowMs + isoTpTimeoutMilliseconds;
    else if (nowMs >= this.stallDeadline) {
      this.fail(refuse('iso-tp-timeout', 'the bus takes no frame (N_As)'));
    }
  }

  private padded(count: number): Uint8Array {
    const data = new Uint8Array(frameLength(count));
    pad(data, count);
    data[0] = 0;
    return data;
  }

  private awaitFlowControl(nowMs: number): void {
    this.state = awaitingFlowControl;
    this.waits = 0;
    this.deadline = nowMs + isoTpTimeoutMilliseconds;
  }

  private finish(): void {
    this.reset();
    this.events.onSent();
  }

  private fail(refusal: Refusal): void {
    this.reset();
    this.events.onError(refusal);
  }

  private reset(): void {
    this.state = idle;
    this.message = noBytes;
  }
}
