/**
 * A UDS server on an ISO-TP link: requests that arrive are handled, answers are sent in order,
 * and pending work runs once its 0x78 has gone to the bus.
 */
import type { CanFrame } from '../../hal/types.ts';
import type { Refusal } from '../codes.ts';
import { udsP2Milliseconds, udsP2StarMilliseconds } from '../limits.ts';
import { earlier, IsoTpLink, type IsoTpLinkOptions } from './iso-tp.ts';
import type { UdsReply } from './uds-handlers.ts';
import type { UdsServer } from './uds-server.ts';

export interface UdsServerLinkOptions
  extends Omit<IsoTpLinkOptions, 'onMessage' | 'onSent' | 'onError'> {
  /** May be shared by links: one for each address that testers use. */
  readonly server: UdsServer;
  /** Number of this address among those of the server; 0 by default. */
  readonly tester?: number;
  /** The last frame of an answer was handed out; after 0x51 the program may restart. */
  readonly onAnswered?: (response: Uint8Array) => void;
  /** A request or an answer was lost; the client repeats what may be repeated. */
  readonly onError?: (refusal: Refusal) => void;
}

/** Interval between two looks at a device that pending work waits for. */
const readyPollMilliseconds = 1;
/** Leaves the caller the time to hand the frames of 0x78 to the bus before the work blocks it. */
const pendingWorkDelayMilliseconds = 1;

export class UdsServerLink {
  readonly receiveId: number;
  readonly extended: boolean;
  private readonly options: UdsServerLinkOptions;
  private readonly link: IsoTpLink;
  private readonly tester: number;
  private response: Uint8Array | undefined;
  /** What is still to be done for the last request, and when it may be (or be looked at). */
  private pending: (() => UdsReply) | undefined;
  private runAt: number | undefined;
  private ready: (() => boolean) | undefined;
  /** 0x78, and when the client has to hear it if the work still waits. */
  private announcement: Uint8Array | undefined;
  private announceAt = 0;
  private now = 0;

  constructor(options: UdsServerLinkOptions) {
    this.receiveId = options.receiveId;
    this.extended = options.extended;
    this.options = options;
    this.tester = options.tester ?? 0;
    this.link = new IsoTpLink({
      ...options,
      followsPeer: true,
      // While work is pending, a long request would only take memory: its sender waits.
      isReady: () => this.pending === undefined,
      onMessage: (request) =>
        this.reply(options.server.handle(request, { tester: this.tester, nowMs: this.now })),
      onSent: () => this.sent(),
      onError: (refusal, direction) => {
        // Work that was begun is finished, even when nobody heard that it goes on.
        if (direction === 'send') this.schedule();
        if (options.onError !== undefined) options.onError(refusal);
      },
    });
  }

  set onWork(callback: (() => void) | undefined) {
    this.link.onWork = callback;
  }

  receive(frame: CanFrame, nowMs: number): Refusal | undefined {
    this.now = nowMs;
    return this.link.receive(frame, nowMs);
  }

  poll(nowMs: number, writable: number): CanFrame[] {
    this.now = nowMs;
    const { server } = this.options;
    // S3 stands still while a message of the tester is on its way, or an answer to it.
    if (this.engaged) server.keepAlive(this.tester, nowMs);
    server.expire(nowMs);
    if (this.pending !== undefined && this.runAt !== undefined && nowMs >= this.runAt) {
      if (this.ready === undefined || this.ready()) this.run(this.pending);
      else this.wait();
    }
    return this.link.poll(nowMs, writable);
  }

  nextDeadline(): number | undefined {
    const session = this.engaged ? undefined : this.options.server.nextDeadline();
    return earlier(session, earlier(this.runAt, this.link.nextDeadline()));
  }

  private get engaged(): boolean {
    return this.pending !== undefined || this.link.receiving || this.link.sending;
  }

  private reply(reply: UdsReply): void {
    this.pending = reply.pending ?? this.pending;
    if (reply.ready !== undefined) {
      this.ready = reply.ready;
      this.announcement = reply.announcement;
      this.announceAt = this.now + udsP2Milliseconds / 2;
      this.runAt = this.now;
    }
    if (reply.response === undefined) return;
    // Who asks again before the last answer is out gets none: answers are never mixed.
    if (this.link.send(reply.response)) this.response = reply.response;
    else this.schedule();
  }

  private run(pending: () => UdsReply): void {
    this.pending = undefined;
    this.ready = undefined;
    this.runAt = undefined;
    this.reply(pending());
  }

  /** The device is not ready: tells the client in time, and looks again. */
  private wait(): void {
    this.runAt = this.now + readyPollMilliseconds;
    if (this.now < this.announceAt || !this.link.send(this.announcement!)) return;
    this.response = this.announcement;
    this.announceAt = this.now + udsP2StarMilliseconds / 2;
  }

  private sent(): void {
    this.schedule();
    if (this.options.onAnswered !== undefined) this.options.onAnswered(this.response!);
  }

  private schedule(): void {
    if (this.pending !== undefined) this.runAt = this.now + pendingWorkDelayMilliseconds;
  }
}
