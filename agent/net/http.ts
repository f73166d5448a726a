/**
 * HTTP/1.1 client (RFC 9110, 9112) over hal.net and hal.clock: one request on one connection, the
 * body handed on in pieces from one fixed buffer. What a hostile peer can do is bounded here:
 * size of headers and body (CRT-02, CTS-01, CSN-01, CTG-01), speed (ECU-03), time to connect.
 * Redirects are never followed.
 *
 * Ranges: the answer must be 206 with exactly the range asked for. A 200 to If-Range means that the
 * object is no longer the earlier one: `http-object-changed`, and the caller begins anew, so that
 * parts of two objects are never joined. A 200 without If-Range is the whole object, from a peer
 * that serves no ranges: accepted within the bounds where the range began at 0, else refused.
 */
import type { Clock, Net, Socket, Timer, TlsOptions, TlsStatus } from '../../hal/types.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import {
  connectTimeoutMilliseconds,
  minimumBytesPerSecond,
  slowWindowMilliseconds,
} from '../limits.ts';
import { encodeRequestHead, type RequestHead } from './request-head.ts';
import { type ResponseHead, ResponseParser } from './response-parser.ts';
import { TransferRate } from './transfer-rate.ts';

const bufferBytes = 16_384;
/** Most bytes kept of the body of an answer that says no. */
const maxAnswerBytes = 1_024;
/** Before a peer is called slow, what already lies in the platform's buffers gets this long. */
const lastLookMilliseconds = 20;

export interface HttpRequest extends RequestHead {
  /** Plain TCP when absent. */
  readonly tls?: TlsOptions;
  /** What TLS came to, when an answer was received over it; before `onDone`. */
  readonly onTls?: (status: TlsStatus) => void;
  readonly body?: Uint8Array;
  /** Bound of the body in bytes; with a range, the range bounds it too. */
  readonly maxBodyBytes: number;
  /** Requirement row of a `net-endless` refusal; that of the code when absent. */
  readonly row?: string;
  /** Bytes per second (ECU-03); `minimumBytesPerSecond` when absent. */
  readonly minimumRate?: number;
  readonly slowWindowMilliseconds?: number;
  readonly connectTimeoutMilliseconds?: number;
  /** The head of an accepted answer (2xx; of a range: 206 and exact), before its body. */
  readonly onHeaders?: (head: ResponseHead) => void;
  /** The next bytes of the body; the view is valid during the call only. */
  readonly onBody: (piece: Uint8Array) => void;
  /** Last callback, called once unless the request was cancelled. */
  readonly onDone: (result: ResponseHead | HttpRefusal) => void;
}

/** A refusal; with code `http-status` it says which, and what the peer answered. */
export interface HttpRefusal extends Refusal {
  readonly status?: number;
  /** How long the peer asked to be left alone (RFC 9110 §10.2.3). */
  readonly retryAfterSeconds?: number;
  /** The answer's body, when it is not longer than 1 KiB. */
  readonly answer?: Uint8Array;
  /** The code in that body, as the peer wrote it. */
  readonly answeredCode?: string;
}

export interface HttpHandle {
  /** Stops delivery after the current piece and reading from the peer; its clock stands still. */
  pause(): void;
  resume(): void;
  /** Closes the connection; no callback follows. Idempotent. */
  cancel(): void;
}

export class HttpClient {
  private readonly net: Net;
  private readonly clock: Clock;
  /** Kept between requests, so that memory does not grow with their number. */
  private spare: Uint8Array | undefined;

  constructor(platform: { readonly net: Net; readonly clock: Clock }) {
    this.net = platform.net;
    this.clock = platform.clock;
  }

  /**
   * Starts a request; no callback comes before this returns. Malformed options throw.
   * Codes: `net-unreachable`, `net-closed`, `net-endless`, `net-too-slow`, `tls-…`,
   * `http-malformed`, `http-status` (every status but 2xx, and 200 to a range from within), `http-object-changed`.
   */
  request(request: HttpRequest): HttpHandle {
    const buffer = this.spare ?? new Uint8Array(bufferBytes);
    this.spare = undefined;
    const release = () => {
      this.spare = buffer;
    };
    return new Exchange(request, this.net, this.clock, buffer, release);
  }
}

class Exchange implements HttpHandle {
  private readonly request: HttpRequest;
  private readonly clock: Clock;
  private readonly buffer: Uint8Array;
  private readonly release: () => void;
  private readonly socket: Socket;
  private readonly parser = new ResponseParser();
  /** Head and body still to send. */
  private readonly outgoing: Uint8Array[];
  /** Bytes of `buffer` that were received and not parsed. */
  private start = 0;
  private end = 0;
  private rate: TransferRate | undefined;
  private timer: Timer | undefined;
  private wake: Timer | undefined;
  private lastLook = false;
  private paused = false;
  private pumping = false;
  private closed = false;
  private headTaken = false;
  /** The connection is over for this reason; what was received before still counts. */
  private ended: Refusal | undefined;
  /** The answer said no; its body is kept for a person. */
  private refusal: HttpRefusal | undefined;
  private answer: number[] = [];

  constructor(
    request: HttpRequest,
    net: Net,
    clock: Clock,
    buffer: Uint8Array,
    release: () => void,
  ) {
    this.request = request;
    this.clock = clock;
    this.buffer = buffer;
    this.release = release;
    this.outgoing = [encodeRequestHead(request, request.body?.length)];
    if (request.body !== undefined) this.outgoing.push(request.body);
    const limit = request.connectTimeoutMilliseconds ?? connectTimeoutMilliseconds;
    this.timer = clock.after(limit, () => {
      this.finish(refuse('net-too-slow', `no connection within ${limit} ms`));
    });
    this.socket = net.connect({
      host: request.host,
      port: request.port,
      ...(request.tls && { tls: request.tls }),
      onConnect: () => this.connected(),
      onReadable: () => this.pump(),
      onWritable: () => this.send(),
      onEnd: () => this.over(refuse('net-closed', 'the peer ended the connection')),
      onError: (error) => {
        const code = this.rate === undefined ? 'net-unreachable' : 'net-closed';
        this.over(
          refuse(error.refused ?? code, `${request.host}:${request.port}: ${error.message}`),
        );
      },
    });
  }

  pause(): void {
    this.paused = true;
    this.rate?.suspend(this.clock.monotonic());
  }

  resume(): void {
    if (!this.paused || this.closed) return;
    this.paused = false;
    this.rate?.resume(this.clock.monotonic());
    if (this.timer === undefined) this.watch();
    // Later, so that no callback comes from inside this call.
    this.wake ??= this.clock.after(0, () => {
      this.wake = undefined;
      this.pump();
    });
  }

  cancel(): void {
    if (this.closed) return;
    this.closed = true;
    this.timer?.cancel();
    this.wake?.cancel();
    this.socket.close();
    this.release();
  }

  private finish(result: ResponseHead | HttpRefusal): void {
    if (this.closed) return;
    const status = this.headTaken ? this.socket.tls : undefined;
    this.cancel();
    if (status !== undefined) this.request.onTls?.(status);
    this.request.onDone(result);
  }

  private connected(): void {
    this.timer?.cancel();
    this.timer = undefined;
    const now = this.clock.monotonic();
    const window = this.request.slowWindowMilliseconds ?? slowWindowMilliseconds;
    this.rate = new TransferRate(this.request.minimumRate ?? minimumBytesPerSecond, window, now);
    if (this.paused) this.rate.suspend(now);
    this.watch();
    this.send();
  }

  private send(): void {
    while (!this.closed && this.outgoing.length > 0) {
      const next = this.outgoing[0]!;
      const count = next.length === 0 ? 0 : this.socket.write(next);
      this.rate?.moved(count);
      if (count === next.length) this.outgoing.shift();
      else if (count === 0) return;
      else this.outgoing[0] = next.subarray(count);
    }
  }

  private over(reason: Refusal): void {
    this.ended ??= reason;
    this.pump();
  }

  /** ECU-03: asks again at the end of each window whether enough has moved. */
  private watch(): void {
    const { rate } = this;
    if (rate === undefined || this.closed || this.paused) return;
    const remaining = rate.remaining(this.clock.monotonic());
    this.judgeAfter(rate, Math.max(0, remaining));
  }

  private judgeAfter(rate: TransferRate, milliseconds: number): void {
    this.timer?.cancel();
    this.timer = this.clock.after(milliseconds, () => this.judgeRate(rate));
  }

  private judgeRate(rate: TransferRate): void {
    this.timer = undefined;
    this.pump();
    if (this.closed || this.paused) return;
    const now = this.clock.monotonic();
    if (rate.remaining(now) > 0) {
      this.watch();
    } else if (!rate.slow) {
      this.lastLook = false;
      rate.startWindow(now);
      this.watch();
    } else if (!this.lastLook) {
      // A busy program may not have been told yet of bytes that came in time.
      this.lastLook = true;
      this.judgeAfter(rate, lastLookMilliseconds);
    } else {
      const minimum = this.request.minimumRate ?? minimumBytesPerSecond;
      this.finish(refuse('net-too-slow', `less than ${minimum} bytes per second`));
    }
  }

  /** Reads and parses what there is, until nothing is left or the consumer pauses. */
  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    while (!this.closed && !this.paused) {
      if (this.start === this.end) {
        this.start = 0;
        this.end = this.socket.read(this.buffer);
        if (this.end === 0) break;
      }
      this.parse();
    }
    this.pumping = false;
    if (this.ended !== undefined && !this.paused) this.finish(this.refusal ?? this.ended);
  }

  private parse(): void {
    const { parser } = this;
    const before = parser.progress;
    const next = parser.step(this.buffer, this.start, this.end);
    this.rate?.moved(parser.progress - before);
    if (isRefusal(next)) {
      this.finish(this.refusal ?? next);
      return;
    }
    this.start = next;
    if (parser.head !== undefined && !this.headTaken) this.takeHead(parser.head);
    if (!this.closed && parser.bodyEnd > parser.bodyStart) {
      this.takeBody(this.buffer.subarray(parser.bodyStart, parser.bodyEnd));
    }
    if (!this.closed && parser.done) this.takeEnd(parser.head!);
  }

  private takeHead(head: ResponseHead): void {
    this.headTaken = true;
    const { request, parser } = this;
    this.refusal = refuseHead(head, request);
    if (this.refusal !== undefined) {
      if (parser.acceptBody(maxAnswerBytes) !== undefined) this.finish(this.refusal);
      return;
    }
    const range = head.contentRange;
    const rangeBytes = range === undefined ? request.maxBodyBytes : range.to - range.from + 1;
    const limit = Math.min(request.maxBodyBytes, rangeBytes);
    const refusal = parser.acceptBody(limit, request.row);
    if (refusal !== undefined) this.finish(refusal);
    else this.call(() => request.onHeaders?.(head));
  }

  private takeBody(piece: Uint8Array): void {
    if (this.refusal !== undefined) this.answer.push(...piece);
    else this.call(() => this.request.onBody(piece));
  }

  private takeEnd(head: ResponseHead): void {
    if (this.refusal !== undefined) {
      this.finish({ ...this.refusal, answer: Uint8Array.from(this.answer) });
      return;
    }
    const range = head.contentRange;
    if (range !== undefined && this.parser.bodyBytes !== range.to - range.from + 1) {
      this.finish(refuse('http-malformed', 'body and Content-Range differ in length'));
    } else {
      this.finish(head);
    }
  }

  /** The peer is not to blame for the time that the consumer takes. */
  private call(consumer: () => void): void {
    this.rate?.suspend(this.clock.monotonic());
    consumer();
    if (!this.paused) this.rate?.resume(this.clock.monotonic());
  }
}

/** What is wrong with an answer, by its head alone. */
function refuseHead(head: ResponseHead, request: HttpRequest): HttpRefusal | undefined {
  const { status, contentRange, length, retryAfterSeconds } = head;
  const { range } = request;
  const wrongStatus = {
    ...refuse('http-status', `status ${status}`),
    status,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  };
  if (status < 200 || status > 299) return wrongStatus;
  if (range === undefined) {
    return status === 206 ? refuse('http-malformed', 'a range nobody asked for') : undefined;
  }
  if (contentRange === undefined) {
    if (range.ifRange !== undefined) {
      return refuse('http-object-changed', 'the object is not the one of the earlier part');
    }
    return range.from === 0 && status === 200 ? undefined : wrongStatus;
  }
  if (range.ifRange !== undefined && head.etag !== undefined && head.etag !== range.ifRange) {
    return refuse('http-object-changed', 'the entity tag is not that of the earlier part');
  }
  const last = contentRange.total - 1;
  const to = range.to === undefined ? last : Math.min(range.to, last);
  const bytes = contentRange.to - contentRange.from + 1;
  if (contentRange.from !== range.from || contentRange.to !== to) {
    return refuse('http-malformed', 'another range than asked for');
  }
  // A longer one is the bound's to refuse.
  return length !== undefined && length < bytes
    ? refuse('http-malformed', 'Content-Length and Content-Range differ')
    : undefined;
}
