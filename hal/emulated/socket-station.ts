/** A station of the emulated bus that is a program at the other end of a socket. */
import type { Socket } from 'node:net';
import type { CanWire, FrameBatch, Station } from './can-wire.ts';

/** One line per event of the hub, its code first. */
export type Log = (line: string) => void;

/** Bytes that may wait for a program that does not read. */
export const maxWaitingBytes = 1_048_576;

export abstract class SocketStation implements Station {
  protected readonly socket: Socket;
  protected readonly wire: CanWire;
  private readonly name: string;
  private readonly log: Log;
  private holds = 0;

  /** `name` tells the station apart in the log. */
  constructor(socket: Socket, wire: CanWire, name: string, log: Log) {
    this.socket = socket;
    this.wire = wire;
    this.name = name;
    this.log = log;
    socket.on('data', (chunk) => {
      // What was read before the station was thrown out is not looked at.
      if (!socket.destroyed) this.take(chunk);
    });
    socket.on('end', () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.left());
    wire.join(this);
  }

  abstract receive(batch: FrameBatch): void;

  /** Bytes from the program. */
  protected abstract take(chunk: Uint8Array): void;

  hold(held: boolean): void {
    this.holds += held ? 1 : -1;
    if (this.holds === (held ? 1 : 0)) held ? this.socket.pause() : this.socket.resume();
  }

  protected left(): void {
    this.wire.leave(this);
  }

  /** Ends the connection, and says why in the log. */
  protected expel(code: string, detail: string): void {
    this.log(`${code} ${this.name}: ${detail}`);
    this.socket.destroy();
  }

  /** Writes to a foreign tool; one that reads too slowly is thrown out, the bus does not wait. */
  protected tell(text: string): void {
    if (text === '' || this.socket.destroyed) return;
    this.socket.write(text);
    if (this.socket.writableLength > maxWaitingBytes) {
      this.expel('can-client-slow', `left ${this.socket.writableLength} bytes unread`);
    }
  }
}
