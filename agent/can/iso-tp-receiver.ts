/**
 * The receiving half of an ISO-TP link (ISO 15765-2:2016): puts frames together to one message at
 * a time, grants flow control, and gives up after N_Ar (flow control not accepted by the bus), N_Cr
 * (no consecutive frame), a wrong sequence number, or too many WAITs of its own. Flow control is
 * due as soon as a frame asks for it (N_Br adds nothing), WAIT in time before the sender's N_Bs. A
 * message's buffer is allocated once, when it is granted, and belongs to whoever receives it.
 */
import type { CanFrame } from '../../hal/types.ts';
import { type Refusal, refuse } from '../codes.ts';
import { isoTpTimeoutMilliseconds, maxIsoTpWaitFrames } from '../limits.ts';
import {
  continueToSend,
  type IsoTpAddress,
  makeFrame,
  maxShortLength,
  overflow,
  pad,
  readLength32,
  wait,
} from './iso-tp-frames.ts';

export interface IsoTpReceiverOptions {
  readonly maxMessageBytes: number;
  /** Consecutive frames between two flow controls; 0: no further flow control. */
  readonly blockSize: number;
  /** Encoded STmin. */
  readonly separationTime: number;
  /** False: the sender of a message of that length has to wait. */
  readonly isReady: ((length: number) => boolean) | undefined;
  readonly onMessage: (bytes: Uint8Array) => void;
  readonly onError: (refusal: Refusal) => void;
}

/** Interval of WAITs: half of the sender's N_Bs. */
const waitMilliseconds = isoTpTimeoutMilliseconds / 2;

/** A message whose first frame came and that is not granted yet. */
interface Announced {
  readonly length: number;
  /** The message's bytes in the first frame. */
  readonly start: Uint8Array;
  readonly frameBytes: number;
}

export class IsoTpReceiver {
  private readonly link: IsoTpAddress;
  private readonly options: IsoTpReceiverOptions;
  private announced: Announced | undefined;
  private waits = 0;
  private nextWaitAt = 0;
  /** The message being received; undefined when idle or not granted yet. */
  private buffer: Uint8Array | undefined;
  private received = 0;
  /** Bytes of the message that its first frame brought. */
  private firstBytes = 0;
  private sequence = 0;
  private blockRemaining = 0;
  /** Length of the first frame, which all but the last consecutive frame must have (RX_DL). */
  private frameBytes = 0;
  /** End of N_Cr. */
  private deadline = 0;
  /** Flow status that waits to be transmitted, and the end of N_Ar for it. */
  private flowStatus: number | undefined;
  private flowDeadline = 0;

  constructor(link: IsoTpAddress, options: IsoTpReceiverOptions) {
    this.link = link;
    this.options = options;
  }

  /** A segmented message is on its way. */
  get busy(): boolean {
    return this.buffer !== undefined || this.announced !== undefined;
  }

  single(data: Uint8Array): Refusal | undefined {
    let start = 1;
    let length = data[0]! & 0x0f;
    if (data.length > 8) {
      // §9.6.2: frames of more than 8 bytes must use the escape, and only for what needs it.
      if (length !== 0) return malformed('single frame: escape expected');
      start = 2;
      length = data[1]!;
      if (length < 8) return malformed('single frame: escape for less than 8 bytes');
    }
    if (length === 0 || start + length > data.length) {
      return malformed(`single frame: ${length} bytes in a frame of ${data.length}`);
    }
    if (length > this.options.maxMessageBytes) {
      // A single frame has no flow control that could tell its sender.
      return refuse('iso-tp-overflow', `single frame of ${length} bytes`);
    }
    this.interrupt('single frame');
    this.options.onMessage(new Uint8Array(data.subarray(start, start + length)));
    return undefined;
  }

  first(data: Uint8Array, nowMs: number): Refusal | undefined {
    if (data.length < 8) return malformed('first frame of less than 8 bytes');
    let start = 2;
    let length = (data[0]! & 0x0f) * 256 + data[1]!;
    if (length === 0) {
      start = 6;
      length = readLength32(data, 2);
      if (length <= maxShortLength) return malformed(`first frame: escape for ${length} bytes`);
    }
    // §9.6.3.1, FF_DLmin: what a single frame could hold is ignored without flow control.
    const least = data.length === 8 ? 8 : data.length - 1;
    if (length < least) return malformed(`first frame: ${length} bytes fit a single frame`);
    this.interrupt('first frame');
    if (length > this.options.maxMessageBytes) {
      this.due(overflow, nowMs);
      const detail = `message of ${length} bytes, at most ${this.options.maxMessageBytes}`;
      this.options.onError(refuse('iso-tp-overflow', detail));
      return undefined;
    }
    const frameBytes = data.length;
    this.announced = { length, start: new Uint8Array(data.subarray(start)), frameBytes };
    this.waits = 0;
    this.nextWaitAt = nowMs;
    this.begin(nowMs);
    return undefined;
  }

  /** Grants the announced message, or makes its sender wait. */
  private begin(nowMs: number): void {
    const { length, start, frameBytes } = this.announced!;
    const { isReady } = this.options;
    if (isReady !== undefined && !isReady(length)) {
      if (nowMs < this.nextWaitAt) return;
      if (this.waits === maxIsoTpWaitFrames) {
        this.abandon(refuse('iso-tp-timeout', 'not ready for a message in time (N_WFTmax)'));
        return;
      }
      this.waits++;
      this.nextWaitAt = nowMs + waitMilliseconds;
      this.due(wait, nowMs);
      return;
    }
    this.announced = undefined;
    const buffer = new Uint8Array(length);
    buffer.set(start);
    this.buffer = buffer;
    this.received = start.length;
    this.firstBytes = start.length;
    this.sequence = 1;
    this.frameBytes = frameBytes;
    this.grant(nowMs);
  }

  consecutive(data: Uint8Array, nowMs: number): Refusal | undefined {
    const buffer = this.buffer;
    if (buffer === undefined || this.flowStatus !== undefined) {
      return refuse('iso-tp-unexpected-frame', 'consecutive frame while none is awaited');
    }
    const left = buffer.length - this.received;
    const count = Math.min(left, this.frameBytes - 1);
    if (data.length > this.frameBytes || data.length < count + 1) {
      return malformed(`consecutive frame of ${data.length} bytes in place of ${count + 1}`);
    }
    const sequence = data[0]! & 0x0f;
    // CAN delivers a frame twice when its sender missed the last bit of the acknowledgement.
    if (sequence === (this.sequence + 15) % 16 && this.repeatsLast(buffer, data)) {
      return refuse('iso-tp-unexpected-frame', `consecutive frame ${sequence} once more`);
    }
    if (sequence !== this.sequence) {
      this.abandon(refuse('iso-tp-sequence', `${sequence} in place of ${this.sequence}`));
      return undefined;
    }
    buffer.set(data.subarray(1, 1 + count), this.received);
    this.received += count;
    this.sequence = (sequence + 1) % 16;
    if (count === left) {
      this.buffer = undefined;
      this.options.onMessage(buffer);
      return undefined;
    }
    this.deadline = nowMs + isoTpTimeoutMilliseconds;
    if (this.blockRemaining > 0) {
      this.blockRemaining--;
      if (this.blockRemaining === 0) this.grant(nowMs);
    }
    return undefined;
  }

  /** Appends a flow control frame to `frames` when one is due and `writable` allows it. */
  poll(nowMs: number, writable: number, frames: CanFrame[]): void {
    if (this.announced !== undefined && this.flowStatus === undefined) this.begin(nowMs);
    if (this.flowStatus !== undefined && frames.length >= writable) {
      if (nowMs >= this.flowDeadline) this.giveUpFlowControl();
      return;
    }
    if (this.flowStatus === undefined) {
      if (this.buffer !== undefined && nowMs >= this.deadline) {
        this.abandon(refuse('iso-tp-timeout', 'no consecutive frame (N_Cr)'));
      }
      return;
    }
    const data = new Uint8Array(8);
    pad(data, 3);
    data[0] = 0x30 + this.flowStatus;
    data[1] = this.options.blockSize;
    data[2] = this.options.separationTime;
    frames.push(makeFrame(this.link, data));
    this.flowStatus = undefined;
    this.deadline = nowMs + isoTpTimeoutMilliseconds;
  }

  /** When `poll` has to be called again even if nothing else happens. */
  nextDeadline(): number | undefined {
    if (this.flowStatus !== undefined) return this.flowDeadline;
    if (this.announced !== undefined) return this.nextWaitAt;
    return this.buffer === undefined ? undefined : this.deadline;
  }

  /** True when `data` is the consecutive frame that was taken last. */
  private repeatsLast(buffer: Uint8Array, data: Uint8Array): boolean {
    const count = this.frameBytes - 1;
    const start = this.received - count;
    if (data.length !== this.frameBytes || start < this.firstBytes) return false;
    for (let i = 0; i < count; i++) if (buffer[start + i] !== data[1 + i]) return false;
    return true;
  }

  private grant(nowMs: number): void {
    this.due(continueToSend, nowMs);
    this.blockRemaining = this.options.blockSize;
  }

  private due(flowStatus: number, nowMs: number): void {
    this.flowStatus = flowStatus;
    this.flowDeadline = nowMs + isoTpTimeoutMilliseconds;
  }

  /** N_Ar: the bus takes no flow control. One that says OVFLW ends no message here. */
  private giveUpFlowControl(): void {
    if (this.busy) this.abandon(refuse('iso-tp-timeout', 'the bus takes no flow control (N_Ar)'));
    else this.flowStatus = undefined;
  }

  /** §9.8.3: a new message ends one that is on its way. */
  private interrupt(by: string): void {
    if (!this.busy) return;
    this.abandon(refuse('iso-tp-unexpected-frame', `${by} in the midst of a message`));
  }

  private abandon(refusal: Refusal): void {
    this.buffer = undefined;
    this.announced = undefined;
    this.flowStatus = undefined;
    this.options.onError(refusal);
  }
}

function malformed(detail: string): Refusal {
  return refuse('can-frame-malformed', detail);
}
