/** Bytes to a port as an attacker sends them: slowly, without end, or never. */
import { connect } from 'node:net';
import { attackersAddress } from './attack.ts';

export interface RawOutcome {
  /** What came back before the connection closed. */
  readonly answer: string;
  readonly milliseconds: number;
  readonly bytesSent: number;
}

export interface RawOptions {
  readonly port: number;
  /** Sent at once. */
  readonly head: string;
  /** Sent afterwards, again and again: a piece every `milliseconds`, or as fast as it is taken. */
  readonly piece?: Uint8Array;
  readonly milliseconds?: number;
  /** The attacker gives up, and has won. */
  readonly maxMilliseconds: number;
  readonly maxBytes?: number;
}

/** Resolves when the server closed the connection, or the attacker won. */
export function attackRaw(options: RawOptions): Promise<RawOutcome> {
  const { port, head, piece, milliseconds, maxMilliseconds, maxBytes = Infinity } = options;
  return new Promise((resolve) => {
    const started = performance.now();
    let answer = '';
    let timer: NodeJS.Timeout | undefined;
    const socket = connect({ port, host: '127.0.0.1', localAddress: attackersAddress });
    const giveUp = setTimeout(() => socket.destroy(), maxMilliseconds);
    const pour = () => {
      while (piece !== undefined && !socket.destroyed && socket.bytesWritten < maxBytes) {
        if (!socket.write(piece)) return;
      }
      if (socket.bytesWritten >= maxBytes) socket.destroy();
    };
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      answer += text;
    });
    socket.on('error', () => undefined);
    socket.on('connect', () => {
      socket.write(head, 'latin1');
      if (piece === undefined) return;
      if (milliseconds === undefined) {
        socket.on('drain', pour);
        pour();
      } else timer = setInterval(() => socket.write(piece), milliseconds);
    });
    socket.on('close', () => {
      clearTimeout(giveUp);
      clearInterval(timer);
      const { bytesWritten: bytesSent } = socket;
      resolve({ answer, milliseconds: performance.now() - started, bytesSent });
    });
  });
}
