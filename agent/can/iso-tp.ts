/**
 * One ISO-TP link (ISO 15765-2:2016, normal addressing): messages in both directions over a pair
 * of CAN identifiers, classic or FD. Sans-I/O: frames and time go in, frames come out.
 *
 * Frames that break the format, or that nobody waits for, are refused and change nothing. What
 * ends a message that is on its way is reported by `onError`, once.
 */
import type { CanFrame } from '../../hal/types.ts';
import { type Refusal, refuse } from '../codes.ts';
import {
  consecutiveFrame,
  firstFrame,
  flowControlFrame,
  type IsoTpAddress,
  isFrameLength,
  isSeparationTime,
  singleFrame,
} from './iso-tp-frames.ts';
import { IsoTpReceiver } from './iso-tp-receiver.ts';
import { IsoTpSender } from './iso-tp-sender.ts';

export type { IsoTpAddress } from './iso-tp-frames.ts';

/** Which of the two messages of a link an error ended. */
export type IsoTpDirection = 'send' | 'receive';

export interface IsoTpLinkOptions extends IsoTpAddress {
  /** Longer messages are refused with flow status OVFLW before anything is allocated. */
  readonly maxMessageBytes: number;
  /** BS asked of the peer: frames between two flow controls, 0 … 255; 0: all at once. */
  readonly blockSize?: number;
  /** STmin asked of the peer, encoded: 0 … 0x7f ms, 0xf1 … 0xf9: 100 … 900 µs. */
  readonly separationTime?: number;
  /**
   * A link of FD frames answers a message that came in classic frames in classic frames, so that a
   * server can talk to testers of both kinds.
   */
  readonly followsPeer?: boolean;
  /**
   * Asked before a segmented message of `length` bytes is granted: false makes its sender wait
   * (WAIT, up to N_WFTmax times), and nothing is allocated meanwhile. By default always ready.
   */
  readonly isReady?: (length: number) => boolean;
  /** A complete message; the bytes belong to the callee. */
  readonly onMessage: (bytes: Uint8Array) => void;
  /** The last frame of the message was handed out; the next may be sent. */
  readonly onSent: () => void;
  readonly onError: (refusal: Refusal, direction: IsoTpDirection) => void;
}

export class IsoTpLink {
  readonly receiveId: number;
  readonly extended: boolean;
  /** Called when `send` gave `poll` something to do; set by whoever calls `poll`. */
  onWork: (() => void) | undefined;
  /** What this end is able to receive. */
  private readonly flexibleData: boolean;
  private readonly followsPeer: boolean;
  /** The address that both halves transmit with; its kind of frames may follow the peer. */
  private readonly address: { -readonly [Key in keyof IsoTpAddress]: IsoTpAddress[Key] };
  private readonly sender: IsoTpSender;
  private readonly receiver: IsoTpReceiver;

  constructor(options: IsoTpLinkOptions) {
    const { blockSize = 0, separationTime = 0, onMessage, onSent, onError } = options;
    const largest = options.extended ? 0x1fffffff : 0x7ff;
    assertRange('transmitId', options.transmitId, 0, largest);
    assertRange('receiveId', options.receiveId, 0, largest);
    assertRange('maxMessageBytes', options.maxMessageBytes, 1, 4_294_967_295);
    assertRange('blockSize', blockSize, 0, 255);
    assertRange('separationTime', separationTime, 0, 255);
    if (!isSeparationTime(separationTime)) throw new RangeError('separationTime: reserved value');
    const { maxFrameBytes = 64 } = options;
    if (maxFrameBytes < 8 || !isFrameLength(maxFrameBytes, true)) {
      throw new RangeError(`maxFrameBytes: expected an FD length from 8 on, got ${maxFrameBytes}`);
    }
    this.receiveId = options.receiveId;
    this.extended = options.extended;
    this.flexibleData = options.flexibleData;
    this.followsPeer = options.followsPeer === true;
    this.address = {
      transmitId: options.transmitId,
      receiveId: options.receiveId,
      extended: options.extended,
      flexibleData: options.flexibleData,
      maxFrameBytes,
    };
    this.sender = new IsoTpSender(this.address, {
      onSent,
      onError: (refusal) => onError(refusal, 'send'),
    });
    this.receiver = new IsoTpReceiver(this.address, {
      maxMessageBytes: options.maxMessageBytes,
      blockSize,
      separationTime,
      isReady: options.isReady,
      onMessage,
      onError: (refusal) => onError(refusal, 'receive'),
    });
  }

  /** A message is being sent. */
  get sending(): boolean {
    return this.sender.busy;
  }

  /** A segmented message is being received. */
  get receiving(): boolean {
    return this.receiver.busy;
  }

  /**
   * Starts to send a message of 1 … 2³²−1 bytes. It is read in place: leave it unchanged until
   * `onSent` or `onError`. Returns false while another one is in flight.
   */
  send(message: Uint8Array): boolean {
    if (!this.sender.send(message)) return false;
    if (this.onWork !== undefined) this.onWork();
    return true;
  }

  /**
   * Takes a frame from the bus. Returns why a frame was ignored: 'can-frame-malformed',
   * 'iso-tp-unexpected-frame', 'iso-tp-overflow' (a single frame longer than allowed).
   */
  receive(frame: CanFrame, nowMs: number): Refusal | undefined {
    const { data } = frame;
    if (frame.identifier !== this.receiveId || frame.extended !== this.extended) {
      return refuse('iso-tp-unexpected-frame', `identifier ${frame.identifier}`);
    }
    if (frame.flexibleData && !this.flexibleData) {
      return refuse('can-frame-malformed', 'FD frame on a classic link');
    }
    if (data.length === 0 || !isFrameLength(data.length, frame.flexibleData)) {
      return refuse('can-frame-malformed', `frame of ${data.length} bytes`);
    }
    const kind = data[0]! >>> 4;
    if (kind === consecutiveFrame) return this.receiver.consecutive(data, nowMs);
    if (kind === flowControlFrame) return this.sender.flowControl(data, nowMs);
    if (this.followsPeer && !this.sender.busy && (kind === singleFrame || kind === firstFrame)) {
      this.address.flexibleData = frame.flexibleData;
    }
    if (kind === singleFrame) return this.receiver.single(data);
    if (kind === firstFrame) return this.receiver.first(data, nowMs);
    return refuse('iso-tp-unexpected-frame', `frame type ${kind}`);
  }

  /** The frames to transmit now, at most `writable`; also judges the timeouts. */
  poll(nowMs: number, writable: number): CanFrame[] {
    const frames: CanFrame[] = [];
    this.receiver.poll(nowMs, writable, frames);
    this.sender.poll(nowMs, writable, frames);
    return frames;
  }

  /** When `poll` is due again (ms on the caller's clock); undefined: only after an event. */
  nextDeadline(): number | undefined {
    return earlier(this.receiver.nextDeadline(), this.sender.nextDeadline());
  }
}

/** The earlier of two optional times. */
export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined || a < b ? a : b;
}

function assertRange(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most && value % 1 === 0)) {
    throw new RangeError(`${name}: expected an integer from ${least} to ${most}, got ${value}`);
  }
}
