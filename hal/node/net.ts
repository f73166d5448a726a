/**
 * TCP over node:net, and TLS over it. What arrives lies in one fixed buffer until the caller has read it; reading
 * from the peer stops meanwhile, so that memory stays bounded and TCP slows the peer down.
 */
import { connect, type Socket as NodeSocket } from 'node:net';
import type { Net, Socket, SocketError, SocketOptions, TlsStatus } from '../types.ts';
import { TlsConnection } from './tls.ts';

/** Bytes received ahead of the caller. */
const receiveBufferBytes = 16_384;
/** Most bytes taken by one `write`; they are copied, since Node sends them later. */
const sendPieceBytes = 16_384;

class TcpSocket implements Socket {
  private readonly received = new Uint8Array(receiveBufferBytes);
  /** The unread part of `received`. */
  private start = 0;
  private end = 0;
  private connected = false;
  private closed = false;
  private readonly secure: TlsConnection | undefined;
  private readonly socket: NodeSocket;

  constructor(options: SocketOptions) {
    const { host, port, tls } = options;
    const onread = {
      buffer: this.received,
      callback: (count: number) => {
        if (this.closed) return false;
        this.start = 0;
        this.end = count;
        options.onReadable();
        // Read in the callback: go on; otherwise `read` resumes.
        return this.start === this.end;
      },
    };
    this.secure = tls && new TlsConnection({ host, port }, tls, onread);
    this.socket = this.secure?.socket ?? connect({ host, port, noDelay: true, onread });
    const fail = (error: SocketError) => {
      this.close();
      options.onError(error);
    };
    const unlessClosed = (callback: (() => void) | undefined) => () => {
      if (!this.closed) callback?.();
    };
    this.socket.on(
      this.secure === undefined ? 'connect' : 'secureConnect',
      unlessClosed(() => {
        const refused = this.secure?.judge();
        if (refused !== undefined) return fail(refused);
        this.connected = true;
        options.onConnect();
      }),
    );
    this.socket.on('drain', unlessClosed(options.onWritable));
    this.socket.on(
      'end',
      unlessClosed(() => {
        const cutOff = this.secure?.cutOff;
        if (cutOff === undefined) options.onEnd();
        else fail(cutOff);
      }),
    );
    // Stays after `close`: an error that nobody listens for would end the process.
    this.socket.on('error', (error) => {
      if (!this.closed) options.onError(this.secure?.explain(error) ?? error);
    });
  }

  get tls(): TlsStatus | undefined {
    return this.closed ? undefined : this.secure?.status;
  }

  read(buffer: Uint8Array): number {
    const count = Math.min(buffer.length, this.end - this.start);
    buffer.set(this.received.subarray(this.start, this.start + count));
    this.start += count;
    // Takes effect after this call, so no callback comes from inside it.
    if (count > 0 && this.start === this.end && !this.closed) this.socket.resume();
    return count;
  }

  write(buffer: Uint8Array): number {
    if (!this.connected || this.closed || this.socket.writableNeedDrain) return 0;
    const piece = buffer.slice(0, sendPieceBytes);
    if (piece.length > 0) this.socket.write(piece);
    return piece.length;
  }

  close(): void {
    this.closed = true;
    this.start = this.end;
    this.socket.destroy();
  }
}

export function createNodeNet(): Net {
  return { connect: (options) => new TcpSocket(options) };
}
