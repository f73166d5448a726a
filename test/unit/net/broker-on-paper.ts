/** A broker's side of a connection on a virtual clock, for the timing of the doorbell's client. */
import { generate, type Packet, parser } from 'mqtt-packet';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { doorbell, doorbellTopic } from '../../../agent/metadata/doorbell.ts';
import { DoorbellClient } from '../../../agent/net/doorbell-client.ts';
import type { Net, SocketOptions } from '../../../hal/types.ts';
import { VirtualClock } from '../../simulator/virtual-clock.ts';

const format = { protocolVersion: 4 };
export const vehicleId = 'car-1';
export const topic = doorbellTopic(vehicleId);

/** One connection, from the broker's end. */
export class Connection {
  readonly options: SocketOptions;
  /** What the client has sent, by name. */
  readonly sent: string[] = [];
  closed = false;
  /** How many bytes the client's socket takes at once; 0: none. */
  room = Number.POSITIVE_INFINITY;
  private readonly parser = parser(format);
  private waiting = Buffer.alloc(0);

  constructor(options: SocketOptions) {
    this.options = options;
    this.parser.on('packet', (packet) => {
      const { messageId } = packet;
      this.sent.push(messageId === undefined ? packet.cmd : `${packet.cmd} ${messageId}`);
    });
  }

  read(buffer: Uint8Array): number {
    const count = this.waiting.copy(buffer);
    this.waiting = this.waiting.subarray(count);
    return count;
  }

  write(bytes: Uint8Array): number {
    const count = Math.min(this.room, bytes.length);
    this.parser.parse(Buffer.from(bytes.subarray(0, count)));
    return count;
  }

  /** Bytes arrive at the client. */
  bytes(bytes: Uint8Array): void {
    this.waiting = Buffer.concat([this.waiting, bytes]);
    if (!this.closed) this.options.onReadable();
  }

  packet(packet: Packet): void {
    this.bytes(generate(packet, format));
  }

  /** The connection is made, and both questions are answered. */
  accept(): void {
    this.options.onConnect();
    this.packet({ cmd: 'connack', returnCode: 0, sessionPresent: false });
    this.packet({ cmd: 'suback', messageId: 1, granted: [1] });
  }

  ring(timestampVersion: number, to = topic): void {
    const payload = Buffer.from(encode(doorbell, { timestampVersion }));
    const message = { cmd: 'publish', topic: to, payload, dup: false, retain: true } as const;
    this.packet({ ...message, qos: 1, messageId: 77 });
  }
}

/** A client with everything around it; its random waits are the longest possible. */
export class Rig {
  readonly clock = new VirtualClock();
  readonly connections: Connection[] = [];
  readonly rung: number[] = [];
  /** `on`, or the code by which the broker was lost. */
  readonly changes: string[] = [];
  readonly client: DoorbellClient;

  constructor() {
    const net: Net = {
      connect: (options) => {
        const connection = new Connection(options);
        this.connections.push(connection);
        return {
          read: (buffer) => connection.read(buffer),
          write: (bytes) => connection.write(bytes),
          close: () => {
            connection.closed = true;
          },
        };
      },
    };
    this.client = new DoorbellClient({
      net,
      clock: this.clock,
      random: { bytes: (count) => new Uint8Array(count).fill(255) },
      vehicleId,
      broker: { host: 'broker', port: 8883 },
      onRing: (version) => this.rung.push(version),
      onChange: (refusal) => this.changes.push(isRefusal(refusal) ? refusal.refused : 'on'),
    });
  }

  get last(): Connection {
    return this.connections.at(-1)!;
  }
}
