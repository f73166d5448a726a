/**
 * CAN ports on emulated buses, each a connection to a hub (can-hub.ts). Frames are coalesced into
 * few writes; received ones are announced in batches, never from inside a method.
 */
import { connect, type Socket } from 'node:net';
import type { Can, CanFrame, CanOptions, CanPort } from '../types.ts';
import { parseBusAddress } from './bus-address.ts';
import {
  decodeFrame,
  encodeFrame,
  handshake,
  malformed,
  maxEncodedFrameBytes,
  scanFrame,
} from './cannelloni.ts';

const transmitBufferBytes = 65_536;
/** Frames that may wait unread before the connection is paused, and when it goes on. */
const maxWaitingFrames = 8_192;
const resumeWaitingFrames = 1_024;

/** Makes the platform's CAN from a table: port name → `unix:/path` or `tcp:[host:]port`. */
export function createEmulatedCan(ports: Readonly<Record<string, string>>): Can {
  return {
    open(options) {
      const address = Object.hasOwn(ports, options.port) ? ports[options.port] : undefined;
      if (address === undefined) throw new Error(`CAN port ${options.port} is not configured`);
      const parsed = parseBusAddress(address);
      if (parsed === undefined) throw new Error(`CAN port ${options.port}: no address: ${address}`);
      return new EmulatedCanPort(connect(parsed), options);
    },
  };
}

class EmulatedCanPort implements CanPort {
  private readonly socket: Socket;
  private readonly options: CanOptions;
  private readonly filters: ReadonlySet<number> | undefined;
  private out = Buffer.allocUnsafe(transmitBufferBytes);
  private outLength = 0;
  private flushing = false;
  /** The hub has greeted, and the connection is not full. */
  private open = false;
  /** `writable` was 0: the owner waits for `onWritable`. */
  private starved = false;
  private greeted = false;
  private rest: Uint8Array = new Uint8Array(0);
  private readonly queue: CanFrame[] = [];
  private head = 0;
  private paused = false;
  private announcing = false;
  private closed = false;

  constructor(socket: Socket, options: CanOptions) {
    this.socket = socket;
    this.options = options;
    this.filters = options.filters === undefined ? undefined : new Set(options.filters);
    socket.setNoDelay(true);
    socket.write(handshake);
    socket.on('data', (chunk) => this.receive(chunk));
    socket.on('drain', () => this.drained());
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the CAN bus is gone')));
  }

  get writable(): number {
    const free = this.open ? transmitBufferBytes - this.outLength : 0;
    const count = Math.floor(free / maxEncodedFrameBytes);
    if (count === 0) this.starved = true;
    return count;
  }

  write(frame: CanFrame): void {
    if (this.writable === 0) throw new Error('the CAN port takes no frame now');
    this.outLength += encodeFrame(frame, this.out, this.outLength);
    if (this.flushing) return;
    this.flushing = true;
    // Everything that is written in one turn of the program leaves in one piece.
    process.nextTick(() => this.flush());
  }

  read(): CanFrame | undefined {
    const frame = this.queue[this.head];
    if (frame === undefined) return undefined;
    this.head++;
    if (this.head === this.queue.length) {
      this.queue.length = 0;
      this.head = 0;
    }
    if (this.paused && this.queue.length - this.head <= resumeWaitingFrames) {
      this.paused = false;
      this.socket.resume();
    }
    return frame;
  }

  close(): void {
    if (this.closed) return;
    this.flush();
    this.closed = true;
    this.open = false;
    this.queue.length = 0;
    this.head = 0;
    // What was written still leaves; `destroy` would drop it.
    this.socket.end();
    this.socket.resume();
    this.socket.unref();
  }

  private flush(): void {
    this.flushing = false;
    if (this.closed || this.outLength === 0) return;
    const bytes = this.out.subarray(0, this.outLength);
    this.out = Buffer.allocUnsafe(transmitBufferBytes);
    this.outLength = 0;
    if (!this.socket.write(bytes)) this.open = false;
    else if (this.starved) setImmediate(() => this.offer());
  }

  private drained(): void {
    if (this.closed || !this.greeted) return;
    this.open = true;
    this.offer();
  }

  private offer(): void {
    if (this.closed || !this.starved || !this.open) return;
    const count = this.writable;
    if (count === 0) return;
    this.starved = false;
    this.options.onWritable?.(count);
  }

  private receive(chunk: Uint8Array): void {
    if (this.closed) return;
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let offset = 0;
    if (!this.greeted) {
      if (bytes.length < handshake.length) {
        this.rest = bytes;
        return;
      }
      offset = handshake.length;
      if (Buffer.compare(bytes.subarray(0, offset), handshake) !== 0) {
        this.fail(new Error('can-frame-malformed: no cannelloni handshake'));
        return;
      }
      this.greeted = true;
      this.open = true;
      setImmediate(() => this.offer());
    }
    if (this.head > 0) this.queue.splice(0, this.head);
    this.head = 0;
    let size = scanFrame(bytes, offset);
    while (size > 0) {
      const frame = decodeFrame(bytes, offset, size);
      if (frame !== undefined && this.filters?.has(frame.identifier) !== false) {
        this.queue.push(frame);
      }
      offset += size;
      size = scanFrame(bytes, offset);
    }
    if (size === malformed) {
      this.fail(new Error('can-frame-malformed: the hub sent no frame'));
      return;
    }
    this.rest = bytes.subarray(offset);
    if (!this.paused && this.queue.length - this.head > maxWaitingFrames) {
      this.paused = true;
      this.socket.pause();
    }
    this.announce();
  }

  private announce(): void {
    if (this.announcing || this.queue.length === this.head) return;
    this.announcing = true;
    setImmediate(() => {
      this.announcing = false;
      const count = this.queue.length - this.head;
      if (!this.closed && count > 0) this.options.onReadable(count);
    });
  }

  private fail(error: Error): void {
    if (this.closed) return;
    this.closed = true;
    this.open = false;
    this.socket.destroy();
    this.options.onError?.(error);
  }
}
