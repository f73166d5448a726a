/** The attacker in the middle: stands before one repository and passes on, records or changes. */
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request of the vehicle. */
export interface Exchange {
  readonly repository: 'director' | 'images';
  readonly method: string;
  readonly path: string;
  /** What the vehicle sent. */
  readonly body: Uint8Array;
  /** The honest answer: asks the repository once, however often it is called. */
  readonly forward: () => Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What the vehicle gets instead: an answer, or a way to write one that never ends. */
export type Intercepted = Answer | { readonly write: (response: ServerResponse) => void };

export type Interceptor = (exchange: Exchange) => Promise<Intercepted | undefined>;

const maxBodyBytes = 134_217_728;

export class AttackerProxy {
  readonly port: number;
  private readonly closeServer: () => Promise<void>;

  private constructor(port: number, closeServer: () => Promise<void>) {
    this.port = port;
    this.closeServer = closeServer;
  }

  /** Listens on a free loopback port before `upstreamPort`. */
  static async start(
    repository: Exchange['repository'],
    upstreamPort: number,
    intercept: Interceptor,
  ): Promise<AttackerProxy> {
    const server = createServer((request, response) => {
      handle(repository, upstreamPort, intercept, request, response).catch(() =>
        response.destroy(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return new AttackerProxy(port, () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    });
  }

  close(): Promise<void> {
    return this.closeServer();
  }
}

async function handle(
  repository: Exchange['repository'],
  port: number,
  intercept: Interceptor,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await collect(request);
  const path = request.url ?? '/';
  const method = request.method ?? 'GET';
  let answer: Promise<Answer> | undefined;
  const forward = () => {
    answer ??= ask(port, request, body);
    return answer;
  };
  const intercepted = await intercept({ repository, method, path, body, forward });
  if (intercepted !== undefined && 'write' in intercepted) {
    intercepted.write(response);
    return;
  }
  const { status, headers, body: content } = intercepted ?? (await forward());
  response.writeHead(status, { ...headers, 'content-length': String(content.length) });
  response.end(content);
}

function ask(port: number, request: IncomingMessage, body: Uint8Array): Promise<Answer> {
  const { method, url: path, headers } = request;
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, headers, agent: false };
    const upstream = httpRequest(options, (response) => {
      collect(response).then((content) => {
        const passed: Record<string, string> = {};
        for (const name of ['content-type', 'content-range', 'etag', 'accept-ranges']) {
          const value = response.headers[name];
          if (typeof value === 'string') passed[name] = value;
        }
        resolve({ status: response.statusCode ?? 502, headers: passed, body: content });
      }, reject);
    });
    upstream.on('error', reject);
    upstream.end(body);
  });
}

async function collect(stream: IncomingMessage): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stream) {
    length += (piece as Buffer).length;
    if (length > maxBodyBytes) throw new Error('body too large');
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces);
}
