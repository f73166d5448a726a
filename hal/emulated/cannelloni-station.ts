/**
 * A station that speaks cannelloni's stream format (cannelloni.ts): the project's own CAN ports and
 * cannelloni itself. It loses nothing: while it reads slowly, the whole bus waits for it.
 */
import type { Socket } from 'node:net';
import type { CanWire, FrameBatch } from './can-wire.ts';
import { handshake, malformed, scanFrame } from './cannelloni.ts';
import { type Log, maxWaitingBytes, SocketStation } from './socket-station.ts';

export class CannelloniStation extends SocketStation {
  /** The start of a frame, or of the handshake, whose rest has not arrived. */
  private rest: Uint8Array = new Uint8Array(0);
  private greeted = false;
  private slow = false;

  constructor(socket: Socket, wire: CanWire, name: string, log: Log) {
    super(socket, wire, name, log);
    socket.on('drain', () => this.drained());
  }

  override receive(batch: FrameBatch): void {
    const { socket } = this;
    if (!this.greeted || socket.destroyed) return;
    socket.write(batch.bytes);
    if (!this.slow && socket.writableLength > maxWaitingBytes) {
      this.slow = true;
      this.wire.congest(true);
    }
  }

  protected override take(chunk: Uint8Array): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let start = 0;
    if (!this.greeted) {
      start = Math.min(handshake.length, bytes.length);
      if (Buffer.compare(bytes.subarray(0, start), handshake.subarray(0, start)) !== 0) {
        this.expel('can-frame-malformed', 'no cannelloni handshake');
        return;
      }
      if (start < handshake.length) {
        this.rest = bytes;
        return;
      }
      this.greeted = true;
      this.socket.write(handshake);
    }
    let end = start;
    let size = scanFrame(bytes, end);
    while (size > 0) {
      end += size;
      size = scanFrame(bytes, end);
    }
    if (end > start) this.wire.transmit(this, bytes.subarray(start, end));
    this.rest = bytes.subarray(end);
    if (size === malformed) {
      this.expel('can-frame-malformed', `at its byte ${end - start} of ${bytes.length}`);
    }
  }

  protected override left(): void {
    this.drained();
    super.left();
  }

  private drained(): void {
    if (!this.slow) return;
    this.slow = false;
    this.wire.congest(false);
  }
}
