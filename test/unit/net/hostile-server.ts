/** Misbehaviours of an image server, for one TCP connection each, built from the honest answer. */
import type { Socket } from 'node:net';
import type { Answer } from './peer.ts';

export interface HonestAnswer {
  /** From the status line to the empty line. */
  readonly head: Buffer;
  readonly body: Buffer;
}

interface Served {
  readonly bytes: Buffer;
  readonly etag?: string | undefined;
  /** Answers with the whole object, whatever range was asked for. */
  readonly withoutRanges?: boolean;
  readonly chunked?: boolean;
}

/** What a well-behaved server says to a request for `served`. */
export function honestAnswer(requestHead: string, served: Served): HonestAnswer {
  const { bytes, etag, chunked } = served;
  const asked = /\r\nRange: bytes=(\d+)-(\d+)/.exec(requestHead)!;
  const ifRange = /\r\nIf-Range: ([^\r]*)/.exec(requestHead)?.[1];
  const whole = served.withoutRanges || (ifRange !== undefined && ifRange !== etag);
  const from = whole ? 0 : Number(asked[1]);
  const to = whole ? bytes.length - 1 : Math.min(Number(asked[2]), bytes.length - 1);
  const body = bytes.subarray(from, to + 1);
  const lines = [whole ? 'HTTP/1.1 200 OK' : 'HTTP/1.1 206 Partial Content'];
  if (etag !== undefined) lines.push(`ETag: ${etag}`);
  if (!whole) lines.push(`Content-Range: bytes ${from}-${to}/${bytes.length}`);
  lines.push(chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`);
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return { head, body: chunked ? inChunks(body) : body };
}

export const chunkSize = 1_000;

function inChunks(body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; at += chunkSize) {
    const piece = body.subarray(at, at + chunkSize);
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
  }
  return Buffer.concat([...pieces, Buffer.from('0\r\n\r\n')]);
}

export function honest(served: Served): Answer {
  return (socket, requestHead) => {
    const { head, body } = honestAnswer(requestHead, served);
    socket.end(Buffer.concat([head, body]));
  };
}

/** Where an answer breaks off: counted from the beginning of the head or of the body. */
export interface Break {
  readonly part: 'head' | 'body';
  /** Bytes of that part that are still sent; negative: all but so many. */
  readonly after: number;
  /** In order (FIN), by a reset (RST), or not at all: the connection stays open and silent. */
  readonly how: 'end' | 'reset' | 'stall';
}

/** The honest answer up to a point, then nothing more. */
export function breakingOff(served: Served, { part, after, how }: Break): Answer {
  return (socket, requestHead) => {
    const { head, body } = honestAnswer(requestHead, served);
    const bytes = Buffer.concat([head, body]);
    const counted = part === 'head' ? head.length : body.length;
    const within = after < 0 ? counted + after : Math.min(after, counted);
    const end = part === 'head' ? within : head.length + within;
    socket.write(bytes.subarray(0, end), () => {
      if (how === 'end') socket.end();
      // A moment later, so that what was sent has arrived: a reset throws away what is in flight.
      if (how === 'reset') setTimeout(() => socket.resetAndDestroy(), 20);
    });
  };
}

/** The honest answer, a byte at a time. */
export function dripping(served: Served, milliseconds: number): Answer {
  return (socket, requestHead) => {
    const { head, body } = honestAnswer(requestHead, served);
    socket.write(head);
    let at = 0;
    const timer = setInterval(() => {
      if (socket.destroyed) clearInterval(timer);
      else socket.write(body.subarray(at, ++at));
    }, milliseconds);
  };
}

/** Lines of a head, then a body. */
export function raw(lines: readonly string[], body: Buffer = Buffer.alloc(0)): Answer {
  return (socket: Socket) => {
    socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body]));
  };
}
