/**
 * HTTP client of the operator plane. Answers are bounded, decoded strictly, and every refusal of
 * the server comes back as a refusal with the server's own code.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { decode, encode, type Schema } from '../../agent/codec/schema.ts';
import { isCode, isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { refusalAnswer } from '../../agent/metadata/device-messages.ts';
import { reasonOf } from '../signer/durable-file.ts';

/** A page of vehicles with 1,000 entries and a vehicle of 1,024 ECUs stay far below. */
const maxAnswerBytes = 16_777_216;
const maxRefusalBytes = 65_536;
/** A server that neither takes nor sends a byte for this long is given up. */
const silenceMilliseconds = 60_000;
const cbor = 'application/cbor';

/** A body of known length that is made while it is sent; a refusal in it aborts the request. */
export interface StreamedBody {
  readonly length: number;
  readonly pieces: AsyncIterable<Uint8Array | Refusal>;
}

interface Exchange {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | StreamedBody;
  readonly maxBytes?: number;
  /** Takes the answer piece by piece, in place of keeping it. */
  readonly onPiece?: (piece: Uint8Array) => void;
}

export class OperatorClient {
  readonly url: URL;
  private readonly token: string;

  constructor(url: URL, token: string) {
    this.url = url;
    this.token = token;
  }

  /** GET, decoded. Codes `net-unreachable`, `http-status`, `cbor-…` and the server's. */
  async get<T>(path: string, answer: Schema<T>): Promise<T | Refusal> {
    return decoded(await this.exchange({ method: 'GET', path }), answer);
  }

  /** GET of a file, as bytes; `metadata-absent` when there is none. */
  async getFile(path: string, maxBytes: number): Promise<Uint8Array | Refusal> {
    return this.exchange({ method: 'GET', path, maxBytes });
  }

  /** GET of octets that are handed on as they come. */
  async download(
    path: string,
    maxBytes: number,
    onPiece: (piece: Uint8Array) => void,
  ): Promise<Refusal | undefined> {
    const answer = await this.exchange({ method: 'GET', path, maxBytes, onPiece });
    return isRefusal(answer) ? answer : undefined;
  }

  /** POST of a CBOR record whose answer is wanted as bytes. */
  async postForFile<Q>(path: string, schema: Schema<Q>, body: Q): Promise<Uint8Array | Refusal> {
    return this.exchange({ method: 'POST', path, body: encode(schema, body) });
  }

  /** POST of a CBOR record. */
  async post<Q, A>(path: string, schema: Schema<Q>, body: Q, answer: Schema<A>) {
    const sent = { method: 'POST', path, body: encode(schema, body) } as const;
    return decoded(await this.exchange(sent), answer);
  }

  /** POST without a body. */
  async postEmpty<A>(path: string, answer: Schema<A>): Promise<A | Refusal> {
    return decoded(await this.exchange({ method: 'POST', path }), answer);
  }

  /** PUT of a file. */
  async putFile<A>(path: string, body: Uint8Array, answer: Schema<A>): Promise<A | Refusal> {
    return decoded(await this.exchange({ method: 'PUT', path, body }), answer);
  }

  /** POST of a streamed body of octets. */
  async upload<A>(
    path: string,
    headers: Readonly<Record<string, string>>,
    body: StreamedBody,
    answer: Schema<A>,
  ): Promise<A | Refusal> {
    const contentType = 'application/octet-stream';
    return decoded(
      await this.exchange({ method: 'POST', path, headers, contentType, body }),
      answer,
    );
  }

  private exchange(exchange: Exchange): Promise<Uint8Array | Refusal> {
    const { method, path, body } = exchange;
    const headers: Record<string, string> = {
      accept: cbor,
      authorization: `Bearer ${this.token}`,
      ...exchange.headers,
    };
    if (body !== undefined) {
      headers['content-type'] = exchange.contentType ?? cbor;
      headers['content-length'] = String(body.length);
    }
    const start = this.url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((settle) => {
      const request = start(new URL(path, this.url), { method, headers, agent: false });
      let answered = false;
      const end = (result: Uint8Array | Refusal): void => {
        settle(result);
        if (isRefusal(result)) request.destroy();
      };
      request.setTimeout(silenceMilliseconds, () => {
        end(refuse('net-unreachable', `${this.url.origin} is silent`));
      });
      request.on('error', (error) => {
        // The server may refuse and close before it has read the whole body: its answer counts.
        if (!answered) end(refuse('net-unreachable', this.explain(error)));
      });
      request.on('response', (response) => {
        answered = true;
        receive(response, exchange.maxBytes ?? maxAnswerBytes, exchange.onPiece).then(
          end,
          (error) => end(refuse('net-closed', `${this.url.origin}: ${reasonOf(error)}`)),
        );
      });
      if (body === undefined) request.end();
      else if (body instanceof Uint8Array) request.end(body);
      else {
        send(body, request, () => answered).then(
          (refusal) => {
            if (refusal !== undefined) end(refusal);
          },
          (error) => end(refuse('file-unreadable', reasonOf(error))),
        );
      }
    });
  }

  private explain(error: Error): string {
    const reason = (error as NodeJS.ErrnoException).code;
    return reason === 'ECONNREFUSED'
      ? `nothing listens on ${this.url.origin}: start the backend or give --url`
      : `${this.url.origin}: ${reasonOf(error)}`;
  }
}

/** Sends piece by piece at the pace of the socket; stops as soon as the server has answered. */
async function send(
  body: StreamedBody,
  request: ReturnType<typeof httpRequest>,
  answered: () => boolean,
): Promise<Refusal | undefined> {
  for await (const piece of body.pieces) {
    if (isRefusal(piece)) return piece;
    if (answered() || request.destroyed) return undefined;
    if (!request.write(piece)) await drained(request);
  }
  request.end();
  return undefined;
}

function drained(request: ReturnType<typeof httpRequest>): Promise<void> {
  return new Promise((resolve) => {
    if (request.destroyed) resolve();
    const go = (): void => {
      for (const event of ['drain', 'close', 'response']) request.removeListener(event, go);
      resolve();
    };
    for (const event of ['drain', 'close', 'response']) request.on(event, go);
  });
}

async function receive(
  response: IncomingMessage,
  maxBytes: number,
  onPiece: ((piece: Uint8Array) => void) | undefined,
): Promise<Uint8Array | Refusal> {
  const status = response.statusCode ?? 0;
  const good = status >= 200 && status < 300;
  const limit = good ? maxBytes : maxRefusalBytes;
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (length > limit) return refuse('net-endless', `answer of more than ${limit} bytes`);
    if (good && onPiece !== undefined) onPiece(piece);
    else pieces.push(piece);
  }
  const body = new Uint8Array(Buffer.concat(pieces));
  return good ? body : refusalOf(status, body);
}

function refusalOf(status: number, body: Uint8Array): Refusal {
  const answer = decode(refusalAnswer, body, maxRefusalBytes);
  if (isRefusal(answer) || !isCode(answer.code)) {
    return refuse('http-status', `the server answered with status ${status}`);
  }
  return refuse(answer.code, answer.detail ?? '', answer.row);
}

function decoded<T>(body: Uint8Array | Refusal, schema: Schema<T>): T | Refusal {
  return isRefusal(body) ? body : decode(schema, body, maxAnswerBytes);
}
