/** A loopback TCP peer that answers each connection by a script, for tests of the HTTP client. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { isRefusal } from '../../../agent/codes.ts';
import {
  HttpClient,
  type HttpHandle,
  type HttpRefusal,
  type HttpRequest,
} from '../../../agent/net/http.ts';
import type { ResponseHead } from '../../../agent/net/response-parser.ts';
import { createNodeClock } from '../../../hal/node/clock.ts';
import { createNodeNet } from '../../../hal/node/net.ts';

/** Answers one request; `head` is the request's text up to its empty line. */
export type Answer = (socket: Socket, head: string) => void;

export interface Peer {
  readonly port: number;
  /** Heads of the requests so far. */
  readonly heads: string[];
  readonly bodies: Buffer[];
  close(): Promise<void>;
}

/** Listens on a free port until `close`, which ends every connection. */
export async function startPeer(answer: Answer): Promise<Peer> {
  const heads: string[] = [];
  const bodies: Buffer[] = [];
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    let received = Buffer.alloc(0);
    let answered = false;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      const end = received.indexOf('\r\n\r\n');
      if (answered || end < 0) return;
      const head = received.toString('latin1', 0, end);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (received.length < end + 4 + length) return;
      answered = true;
      heads.push(head);
      bodies.push(received.subarray(end + 4));
      answer(socket, head);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    heads,
    bodies,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export interface Outcome {
  readonly result: ResponseHead | HttpRefusal;
  /** The whole body; empty after a refusal before it. */
  readonly body: Buffer;
  /** Code of the refusal, `ok` otherwise. */
  readonly code: string;
  readonly largestPiece: number;
}

export type Settings = Partial<Omit<HttpRequest, 'onBody' | 'onDone' | 'host' | 'port'>> & {
  readonly onPiece?: (piece: Uint8Array, handle: HttpHandle) => void;
  /** Called with the handle before anything happens. */
  readonly onStart?: (handle: HttpHandle) => void;
};

export function newClient(): HttpClient {
  return new HttpClient({ net: createNodeNet(), clock: createNodeClock() });
}

/** One request to `port` of this machine, to its end. */
export function fetchFrom(port: number, settings: Settings = {}): Promise<Outcome> {
  const pieces: Buffer[] = [];
  let largestPiece = 0;
  return new Promise((resolve) => {
    const handle = newClient().request({
      host: '127.0.0.1',
      method: 'GET',
      path: '/',
      maxBodyBytes: 100_000,
      ...settings,
      port,
      onBody(piece) {
        pieces.push(Buffer.from(piece));
        largestPiece = Math.max(largestPiece, piece.length);
        settings.onPiece?.(piece, handle);
      },
      onDone(result) {
        const code = isRefusal(result) ? result.refused : 'ok';
        resolve({ result, body: Buffer.concat(pieces), code, largestPiece });
      },
    });
    settings.onStart?.(handle);
  });
}

/** One request to a peer that lives for it alone. */
export async function exchange(answer: Answer, settings: Settings = {}): Promise<Outcome> {
  const peer = await startPeer(answer);
  try {
    return await fetchFrom(peer.port, settings);
  } finally {
    await peer.close();
  }
}
