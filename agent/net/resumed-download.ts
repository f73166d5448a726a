/**
 * One image through an unreliable network: attempt after attempt, each from the byte at which the
 * last one stopped, so that nothing is fetched twice that was handed on.
 *
 * Failures in a row are bounded; a complete chunk refills the budget, a drip of bytes does not.
 * Between attempts it waits with full jitter, at least as long as a peer asked for (Retry-After).
 * A peer that is too slow is not tried again here: that is to be reported first (ECU-04). When the
 * object is no longer the earlier one, or the peer serves no ranges, the image begins anew, a few
 * times at most; parts of two objects are never joined.
 */
import type { Clock, Timer } from '../../hal/types.ts';
import { type Refusal, refuse } from '../codes.ts';
import {
  cobblestoneChunkBytes,
  cobblestoneTagBytes,
  maxDownloadFailures,
  maxDownloadRestarts,
  maxDownloadWaitMilliseconds,
} from '../limits.ts';
import type { Backoff } from './backoff.ts';
import type { HttpHandle, HttpRefusal } from './http.ts';
import type { ImageDownloadEvents } from './image-download.ts';

const chunkBytes = cobblestoneChunkBytes + cobblestoneTagBytes;

export interface ResumedDownloadEvents extends ImageDownloadEvents {
  /** What came so far is to be thrown away: the next piece has offset 0. */
  readonly onRestart: () => void;
  /** An attempt failed; the next begins in so many milliseconds. */
  readonly onRetry?: (refusal: Refusal, milliseconds: number) => void;
}

export interface ResumedDownloadOptions {
  /** Begins one attempt. */
  readonly start: (
    from: number,
    etag: string | undefined,
    events: ImageDownloadEvents,
  ) => HttpHandle;
  /** First byte wanted, and the tag of the object from which those before it came. */
  readonly from: number;
  readonly etag: string | undefined;
  readonly clock: Clock;
  readonly backoff: Backoff;
  readonly events: ResumedDownloadEvents;
}

export class ResumedDownload implements HttpHandle {
  private readonly options: ResumedDownloadOptions;
  private offset: number;
  private etag: string | undefined;
  private current: HttpHandle | undefined;
  private timer: Timer | undefined;
  private paused = false;
  /** Failures since the last complete chunk, which ended at `refilled`. */
  private failures = 0;
  private refilled: number;
  private restarts = 0;

  constructor(options: ResumedDownloadOptions) {
    this.options = options;
    this.offset = options.from;
    this.refilled = options.from;
    this.etag = options.etag;
    this.attempt();
  }

  pause(): void {
    this.paused = true;
    this.current?.pause();
  }

  resume(): void {
    this.paused = false;
    this.current?.resume();
  }

  cancel(): void {
    this.timer?.cancel();
    this.current?.cancel();
  }

  private attempt(): void {
    const { start, events } = this.options;
    this.timer = undefined;
    this.current = start(this.offset, this.etag, {
      onPiece: (piece, offset) => {
        this.offset = offset + piece.length;
        if (this.offset - this.refilled >= chunkBytes) this.refill();
        events.onPiece(piece, offset);
      },
      onEntityTag: (etag) => {
        this.etag = etag;
        events.onEntityTag?.(etag);
      },
      onDone: (refusal) => this.ended(refusal),
    });
    if (this.paused) this.current.pause();
  }

  private refill(): void {
    this.refilled = this.offset;
    this.failures = 0;
    this.options.backoff.reset();
  }

  private ended(refusal: HttpRefusal | undefined): void {
    this.current = undefined;
    if (refusal === undefined) this.options.events.onDone(undefined);
    else if (isOtherObject(refusal)) this.beginAnew(refusal);
    else if (isWorthARetry(refusal)) this.tryAgain(refusal);
    else this.options.events.onDone(refusal);
  }

  private beginAnew(refusal: Refusal): void {
    const { events } = this.options;
    this.restarts += 1;
    if (this.restarts > maxDownloadRestarts) {
      events.onDone(refusal);
      return;
    }
    this.offset = 0;
    this.refilled = 0;
    this.etag = undefined;
    events.onRestart();
    this.tryAgain(refusal);
  }

  private tryAgain(refusal: HttpRefusal): void {
    const { backoff, clock, events } = this.options;
    this.failures += 1;
    const asked = (refusal.retryAfterSeconds ?? 0) * 1_000;
    if (this.failures > maxDownloadFailures || asked > maxDownloadWaitMilliseconds) {
      const { refused, detail, row } = refusal;
      const tried = `${detail}; given up at byte ${this.offset}`;
      events.onDone({ ...refusal, ...refuse(refused, tried, row) });
      return;
    }
    const milliseconds = asked + backoff.next();
    events.onRetry?.(refusal, milliseconds);
    this.timer = clock.after(milliseconds, () => this.attempt());
  }
}

/** What came before cannot be gone on with: another object, or a peer that serves no ranges. */
function isOtherObject(refusal: HttpRefusal): boolean {
  return refusal.refused === 'http-object-changed' || refusal.status === 200;
}

/** Failures that may be over at the next attempt; anything else is a judgement. */
function isWorthARetry(refusal: HttpRefusal): boolean {
  switch (refusal.refused) {
    case 'net-unreachable':
    case 'net-closed':
    case 'http-malformed':
      return true;
    case 'http-status':
      return refusal.status === 408 || refusal.status === 429 || (refusal.status ?? 0) >= 500;
    default:
      return false;
  }
}
