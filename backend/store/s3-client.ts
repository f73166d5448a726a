/**
 * The few requests of the S3 protocol that keeping images takes: path-style URLs, signature version 4
 * (`aws4fetch`), one connection pool. Everything that the store cannot do right now is
 * `BlobsUnavailable`.
 */
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { AwsV4Signer } from 'aws4fetch';
import { BlobsUnavailable } from './blobs.ts';

/** Where the store is, and who we are to it. */
export interface S3Settings {
  /** `http://` or `https://`, without a path. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** Below the bucket; '' is the bucket itself. Letters, digits and `/-._` only. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly range?: { readonly start: number; readonly end: number };
  /** Opened anew for each attempt; its SHA-256 in hex is signed, so the store checks what it gets. */
  readonly body?: {
    readonly length: number;
    readonly sha256: string;
    open(): NodeJS.ReadableStream;
  };
}

/** A store that says nothing for so long is away. */
const silenceMilliseconds = 10_000;
/** A kept connection may have ended meanwhile: each request is safe to repeat. */
const attempts = 2;
const maxSockets = 256;
const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export class S3Client {
  private readonly settings: S3Settings;
  private readonly agent: http.Agent | https.Agent;

  constructor(settings: S3Settings) {
    this.settings = settings;
    const options = { keepAlive: true, maxSockets };
    this.agent = settings.endpoint.startsWith('https:')
      ? new https.Agent(options)
      : new http.Agent(options);
  }

  /**
   * Sends a request; its answer's status is 200, 204, 206 or 404, and the body is the caller's to
   * read. Rejects with `BlobsUnavailable` for any other.
   */
  async send(request: S3Request): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.attempt(request);
      } catch (error) {
        if (attempt >= attempts || !isConnectionLost(error)) throw unavailable(error);
      }
    }
  }

  /** The whole body of an answer, as text. */
  async text(request: S3Request): Promise<string> {
    const answer = await this.send(request);
    try {
      answer.setEncoding('utf8');
      let text = '';
      for await (const piece of answer) text += piece;
      return text;
    } catch (error) {
      throw unavailable(error);
    }
  }

  private async attempt(request: S3Request): Promise<IncomingMessage> {
    const { method, key, query = {}, range, body } = request;
    const { endpoint, bucket, region, accessKeyId, secretAccessKey } = this.settings;
    const target = new URL(`/${bucket}${key === '' ? '' : `/${key}`}`, endpoint);
    for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
    const signer = new AwsV4Signer({
      ...{ method, url: target.href, region, service: 's3', accessKeyId, secretAccessKey },
      headers: {
        'x-amz-content-sha256': body?.sha256 ?? emptySha256,
        ...(range && { range: `bytes=${range.start}-${range.end - 1}` }),
      },
    });
    const { url, headers } = await signer.sign();
    const answer = await this.exchange(method, url, Object.fromEntries(headers), body);
    const status = answer.statusCode ?? 0;
    if ([200, 204, 206, 404].includes(status)) return answer;
    answer.resume();
    throw new BlobsUnavailable(`${method} answered by status ${status}`);
  }

  private exchange(
    method: string,
    url: URL,
    headers: Record<string, string>,
    body: S3Request['body'],
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { request } = url.protocol === 'https:' ? https : http;
      const outgoing = request(url, {
        method,
        agent: this.agent,
        headers: { ...headers, ...(body && { 'content-length': String(body.length) }) },
      });
      outgoing.setTimeout(silenceMilliseconds, () => {
        outgoing.destroy(new BlobsUnavailable(`silent for ${silenceMilliseconds} ms`));
      });
      outgoing.on('response', resolve);
      outgoing.on('error', reject);
      if (body === undefined) {
        outgoing.end();
        return;
      }
      const source = body.open();
      source.on('error', (error: Error) => outgoing.destroy(error));
      outgoing.on('close', () => (source as Partial<import('node:fs').ReadStream>).destroy?.());
      source.pipe(outgoing);
    });
  }
}

function isConnectionLost(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNRESET' || code === 'EPIPE';
}

/** The message, never a header: those prove who we are. */
function unavailable(error: unknown): BlobsUnavailable {
  if (error instanceof BlobsUnavailable) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new BlobsUnavailable(`S3_ENDPOINT: ${code ?? message}`);
}
