/**
 * HTTP/1.1 responses (RFC 9112), sans I/O: takes bytes in pieces of any size and says what they
 * are. Strict, since it stands before the signature checks: bounded in everything, no folded
 * headers, no bare line feeds, one way only to tell a body's length, no redirects, no codings but
 * `chunked`. Keeps no body: it points into the caller's buffer.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxHttpHeaderBytes } from '../limits.ts';
import { parseDigits } from './digits.ts';
import { parseRetryAfter } from './retry-after.ts';

const version = 'HTTP/1.1 ';
const maxChunkLineCharacters = 256;
const maxLengthDigits = 15;
const maxChunkSizeDigits = 8;

/** A `Content-Range` of one range; positions are inclusive, as in the header. */
export interface ContentRange {
  readonly from: number;
  readonly to: number;
  readonly total: number;
}

export interface ResponseHead {
  readonly status: number;
  /** Announced length of the body in bytes; undefined with chunked transfer coding. */
  readonly length: number | undefined;
  /** A strong entity tag with its quotes; weak ones are useless for ranges and left out. */
  readonly etag: string | undefined;
  readonly contentRange: ContentRange | undefined;
  /** Seconds that the peer asks to be left alone; a date, which needs a clock, counts as nothing. */
  readonly retryAfterSeconds: number | undefined;
}

type State =
  | 'status'
  | 'headers'
  | 'accept'
  | 'body'
  | 'chunk-size'
  | 'chunk'
  | 'chunk-end'
  | 'trailers'
  | 'done';

/** Headers that say something here; each may come once. */
const knownHeaders = [
  'content-length',
  'transfer-encoding',
  'content-encoding',
  'content-range',
  'etag',
  'retry-after',
  'date',
] as const;
type KnownHeader = (typeof knownHeaders)[number];

export class ResponseParser {
  /** The final response's head, once it is complete; interim (1xx) responses are passed over. */
  head: ResponseHead | undefined;
  /** Body bytes that the last `step` found: a range of its input. */
  bodyStart = 0;
  bodyEnd = 0;
  /** Bytes of heads and body so far, without the framing of chunks: what the peer really moved. */
  progress = 0;
  bodyBytes = 0;

  private state: State = 'status';
  private line = '';
  private carriageReturn = false;
  private status = 0;
  private headerBytes = 0;
  private headers: { [K in KnownHeader]?: string } = {};
  /** Bytes left of the body, or of the chunk. */
  private left = 0;
  private maxBodyBytes = 0;
  private row: string | undefined;

  /** The response ended with its last byte. */
  get done(): boolean {
    return this.state === 'done';
  }

  /**
   * Reads on in `input` from `offset` to `end`, where at least one byte lies. Stops behind a head,
   * behind each run of body bytes and at the end of the response.
   * @returns the offset of the first byte not read. Codes `http-malformed`, `net-endless`.
   */
  step(input: Uint8Array, offset: number, end: number): number | Refusal {
    this.bodyStart = offset;
    this.bodyEnd = offset;
    let next = offset;
    while (next < end && this.state !== 'done' && this.state !== 'accept') {
      if (this.state === 'body' || this.state === 'chunk') {
        const count = Math.min(this.left, end - next);
        this.bodyStart = next;
        this.bodyEnd = next + count;
        this.takeBody(count);
        return this.bodyEnd;
      }
      const byte = input[next]!;
      next += 1;
      const refusal = this.takeCharacter(byte);
      if (refusal !== undefined) return refusal;
    }
    return next;
  }

  /**
   * Called once when the head is there: the body may come, `maxBodyBytes` long at most.
   * Code `net-endless` under `row` when more is announced, here or by a later chunk.
   */
  acceptBody(maxBodyBytes: number, row?: string): Refusal | undefined {
    if (this.head === undefined || this.state !== 'accept') throw new Error('no head is waiting');
    this.maxBodyBytes = maxBodyBytes;
    this.row = row;
    const { length } = this.head;
    if (length === undefined) {
      this.state = 'chunk-size';
      return undefined;
    }
    if (length > maxBodyBytes) return this.endless(length);
    this.left = length;
    this.state = length === 0 ? 'done' : 'body';
    return undefined;
  }

  private endless(announced: number): Refusal {
    return refuse(
      'net-endless',
      `body of ${announced} bytes, at most ${this.maxBodyBytes}`,
      this.row,
    );
  }

  private takeBody(count: number): void {
    this.left -= count;
    this.bodyBytes += count;
    this.progress += count;
    if (this.left === 0) this.state = this.state === 'chunk' ? 'chunk-end' : 'done';
  }

  private takeCharacter(byte: number): Refusal | undefined {
    const inChunkLine = this.state === 'chunk-size' || this.state === 'chunk-end';
    if (inChunkLine) {
      if (this.line.length >= maxChunkLineCharacters) return malformed('chunk line too long');
    } else {
      this.headerBytes += 1;
      if (this.state !== 'trailers') this.progress += 1;
      if (this.headerBytes > maxHttpHeaderBytes) {
        return refuse('net-endless', `header of more than ${maxHttpHeaderBytes} bytes`, this.row);
      }
    }
    if (this.carriageReturn) {
      if (byte !== 0x0a) return malformed('carriage return without line feed');
      this.carriageReturn = false;
      const line = this.line;
      this.line = '';
      return this.takeLine(line);
    }
    if (byte === 0x0d) {
      this.carriageReturn = true;
      return undefined;
    }
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) return malformed(`control byte ${byte}`);
    this.line += String.fromCharCode(byte);
    if (this.state === 'status' && this.line.length <= version.length) {
      // At once, so that a peer that speaks something else is not waited for.
      if (version.charCodeAt(this.line.length - 1) !== byte) return malformed('not HTTP/1.1');
    }
    return undefined;
  }

  private takeLine(line: string): Refusal | undefined {
    switch (this.state) {
      case 'status':
        return this.takeStatus(line);
      case 'headers':
        return line === '' ? this.takeHeadEnd() : this.takeHeader(line);
      case 'chunk-size':
        return this.takeChunkSize(line);
      case 'chunk-end':
        this.state = 'chunk-size';
        return line === '' ? undefined : malformed('chunk longer than its size');
      default:
        // Trailers say nothing that matters here.
        if (line === '') this.state = 'done';
        return undefined;
    }
  }

  private takeStatus(line: string): Refusal | undefined {
    const code = line.substring(version.length, version.length + 3);
    const status = code.length === 3 ? parseDigits(code, 3) : undefined;
    const separator = line.charAt(version.length + 3);
    if (line.substring(0, version.length) !== version || status === undefined) {
      return malformed('status line');
    }
    if (status < 100 || status > 599 || (separator !== '' && separator !== ' ')) {
      return malformed('status line');
    }
    this.status = status;
    this.headers = {};
    this.state = 'headers';
    return undefined;
  }

  private takeHeader(line: string): Refusal | undefined {
    const colon = line.indexOf(':');
    if (colon < 1) return malformed('header without a name');
    for (let i = 0; i < colon; i++) {
      if (!isTokenCharacter(line.charCodeAt(i))) return malformed('header name');
    }
    const name = line.substring(0, colon).toLowerCase();
    for (const known of knownHeaders) {
      if (name !== known) continue;
      if (this.headers[known] !== undefined) return malformed(`${known} given twice`);
      this.headers[known] = trimBlanks(line.substring(colon + 1));
    }
    return undefined;
  }

  private takeHeadEnd(): Refusal | undefined {
    if (this.status < 200) {
      // 100 and 103 announce a final response; 101 would be another protocol.
      this.state = 'status';
      return this.status === 101 ? malformed('protocol switched') : undefined;
    }
    const coding = this.headers['content-encoding'];
    if (coding !== undefined && coding.toLowerCase() !== 'identity') {
      return malformed(`content coding ${coding}`);
    }
    const length = this.bodyLength();
    if (isRefusal(length)) return length;
    const contentRange = parseContentRange(this.headers['content-range']);
    if (this.status === 206 && contentRange === undefined) return malformed('Content-Range');
    const etag = this.headers.etag;
    const strong = etag !== undefined && etag.length > 2 && etag.charAt(0) === '"';
    this.head = {
      status: this.status,
      length,
      etag: strong && etag.charAt(etag.length - 1) === '"' ? etag : undefined,
      contentRange: this.status === 206 ? contentRange : undefined,
      retryAfterSeconds: parseRetryAfter(this.headers['retry-after'], this.headers.date),
    };
    this.state = 'accept';
    return undefined;
  }

  /** Length of the body (RFC 9112 §6.3); a body that only the closing connection ends is refused. */
  private bodyLength(): number | undefined | Refusal {
    const coding = this.headers['transfer-encoding'];
    const announced = this.headers['content-length'];
    if (this.status === 204 || this.status === 304) return 0;
    if (coding !== undefined) {
      if (announced !== undefined) return malformed('both Content-Length and Transfer-Encoding');
      return coding.toLowerCase() === 'chunked' ? undefined : malformed('transfer coding');
    }
    if (announced === undefined) return malformed('no length of the body');
    return parseDigits(announced, maxLengthDigits) ?? malformed('Content-Length');
  }

  private takeChunkSize(line: string): Refusal | undefined {
    const semicolon = line.indexOf(';');
    const text = trimBlanks(semicolon < 0 ? line : line.substring(0, semicolon));
    const size = parseHexadecimal(text);
    if (size === undefined) return malformed('chunk size');
    if (this.bodyBytes + size > this.maxBodyBytes) return this.endless(this.bodyBytes + size);
    this.left = size;
    this.state = size === 0 ? 'trailers' : 'chunk';
    return undefined;
  }
}

function malformed(what: string): Refusal {
  return refuse('http-malformed', what);
}

function isTokenCharacter(code: number): boolean {
  const letter = (code >= 65 && code <= 90) || (code >= 94 && code <= 122);
  const digit = code >= 48 && code <= 57;
  return letter || digit || "!#$%&'*+-.|~".indexOf(String.fromCharCode(code)) >= 0;
}

function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && (text.charAt(start) === ' ' || text.charAt(start) === '\t')) start++;
  while (end > start && (text.charAt(end - 1) === ' ' || text.charAt(end - 1) === '\t')) end--;
  return text.substring(start, end);
}

function parseHexadecimal(text: string): number | undefined {
  if (text.length === 0 || text.length > maxChunkSizeDigits) return undefined;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = '0123456789abcdef'.indexOf(text.charAt(i).toLowerCase());
    if (digit < 0) return undefined;
    value = value * 16 + digit;
  }
  return value;
}

/** `bytes from-to/total`, all three known; anything else gives undefined. */
function parseContentRange(text: string | undefined): ContentRange | undefined {
  if (text === undefined || text.substring(0, 6).toLowerCase() !== 'bytes ') return undefined;
  const dash = text.indexOf('-');
  const slash = text.indexOf('/');
  const from = parseDigits(text.substring(6, dash), maxLengthDigits);
  const to = parseDigits(text.substring(dash + 1, slash), maxLengthDigits);
  const total = parseDigits(text.substring(slash + 1), maxLengthDigits);
  if (dash < 0 || slash < dash || from === undefined || to === undefined || total === undefined) {
    return undefined;
  }
  return from <= to && to < total ? { from, to, total } : undefined;
}
