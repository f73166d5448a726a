/**
 * The connection to the broker that rings (docs/POUF.md §2.6): subscribes one topic, keeps the
 * connection alive, and when it is lost comes back after a wait with full jitter, for ever. A broker
 * can make its client read a bounded number of small packets, and nothing more: what a message
 * brings about is the caller's to decide.
 */
import type { Clock, Net, Random, Socket, Timer } from '../../hal/types.ts';
import { decode } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import {
  connectTimeoutMilliseconds,
  maxDoorbellBytes,
  maxDoorbellRetryMilliseconds,
  maxMqttPacketBytes,
  maxMqttPacketsPerKeepAlive,
  mqttKeepAliveSeconds,
  retryBaseMilliseconds,
} from '../limits.ts';
import { doorbell, doorbellClient, doorbellTopic } from '../metadata/doorbell.ts';
import type { Endpoint } from '../metadata/repository-map.ts';
import { Backoff } from './backoff.ts';
import type { DeviceTls } from './device-tls.ts';
import {
  connectPacket,
  disconnectPacket,
  type MqttPacket,
  pingRequest,
  pubackPacket,
  type ReceivedPacket,
  readPacket,
  subscribePacket,
} from './mqtt-packets.ts';

const subscription = 1;

export interface DoorbellClientOptions {
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  readonly vehicleId: string;
  readonly broker: Endpoint;
  /** Plain TCP when absent. */
  readonly tls?: DeviceTls | undefined;
  /** A message says that Timestamp `version` is there; anybody may have written it. */
  readonly onRing: (version: number) => void;
  /** The broker is heard (undefined), or no more, and why. */
  readonly onChange: (refusal: Refusal | undefined) => void;
}

export class DoorbellClient {
  private readonly options: DoorbellClientOptions;
  private readonly backoff: Backoff;
  private readonly topic: string;
  /** Kept between connections. */
  private readonly buffer = new Uint8Array(maxMqttPacketBytes);
  /** Bytes of `buffer` that are the beginning of the next packet. */
  private received = 0;
  private socket: Socket | undefined;
  private timer: Timer | undefined;
  /** What the socket has not taken yet. */
  private outgoing: Uint8Array[] = [];
  /** Packets since the last look at the connection. */
  private packets = 0;
  private state: 'connecting' | 'subscribing' | 'listening' = 'connecting';

  /** Begins to connect. */
  constructor(options: DoorbellClientOptions) {
    this.options = options;
    this.topic = doorbellTopic(options.vehicleId);
    this.backoff = new Backoff({
      random: options.random,
      baseMilliseconds: retryBaseMilliseconds,
      maxMilliseconds: maxDoorbellRetryMilliseconds,
    });
    this.connect();
  }

  /** Takes leave of the broker; no callback follows. */
  close(): void {
    if (this.state !== 'connecting') this.send(disconnectPacket());
    this.drop();
  }

  private connect(): void {
    const { net, clock, broker, tls, vehicleId } = this.options;
    this.state = 'connecting';
    this.received = 0;
    this.packets = 0;
    this.outgoing = [];
    this.timer = clock.after(connectTimeoutMilliseconds, () =>
      this.leave(refuse('net-too-slow', 'no answer of the broker')),
    );
    this.socket = net.connect({
      host: broker.host,
      port: broker.port,
      ...(tls && { tls: tls.connect('doorbell', broker) }),
      onConnect: () => this.send(connectPacket(doorbellClient(vehicleId), mqttKeepAliveSeconds)),
      onReadable: () => this.receive(),
      onWritable: () => this.send(),
      onEnd: () => this.lost(refuse('net-closed', 'the broker ended the connection')),
      onError: (error) => this.lost(refuse(error.refused ?? 'net-unreachable', error.message)),
    });
  }

  private drop(): void {
    this.timer?.cancel();
    this.socket?.close();
    this.socket = undefined;
  }

  /** The broker does what no broker does. */
  private leave(refusal: Refusal): void {
    this.close();
    this.lost(refusal);
  }

  /** There is no connection any more; another follows. */
  private lost(refusal: Refusal): void {
    this.drop();
    this.options.onChange(refusal);
    this.timer = this.options.clock.after(this.backoff.next(), () => this.connect());
  }

  private send(packet?: Uint8Array): void {
    if (packet !== undefined) this.outgoing.push(packet);
    while (this.outgoing.length > 0) {
      const next = this.outgoing[0]!;
      const count = this.socket?.write(next) ?? 0;
      if (count === 0) return;
      if (count === next.length) this.outgoing.shift();
      else this.outgoing[0] = next.subarray(count);
    }
  }

  private receive(): void {
    while (this.socket !== undefined) {
      const count = this.socket.read(this.buffer.subarray(this.received));
      if (count === 0) return;
      this.received += count;
      this.takePackets();
    }
  }

  private takePackets(): void {
    let start = 0;
    while (this.socket !== undefined) {
      const next = readPacket(this.buffer.subarray(start, this.received));
      if (next === undefined) break;
      const refusal = isRefusal(next) ? next : this.take(next.packet);
      if (refusal !== undefined) {
        this.leave(refusal);
        return;
      }
      start += (next as ReceivedPacket).bytes;
    }
    this.buffer.copyWithin(0, start, this.received);
    this.received -= start;
  }

  private take(packet: MqttPacket): Refusal | undefined {
    this.packets += 1;
    if (this.packets > maxMqttPacketsPerKeepAlive) {
      return refuse('net-endless', 'a flood of MQTT packets', 'HRD-13');
    }
    const { state } = this;
    if (state === 'connecting' && packet.type === 'connack') {
      if (packet.code !== 0) return refuse('mqtt-refused', `CONNACK ${packet.code}`);
      this.state = 'subscribing';
      this.send(subscribePacket(subscription, this.topic));
      return undefined;
    }
    if (state === 'subscribing' && packet.type === 'suback' && packet.packetId === subscription) {
      if (packet.code === 128) return refuse('mqtt-refused', 'SUBACK 128');
      this.state = 'listening';
      if (this.socket?.tls !== undefined) this.options.tls?.connected('doorbell', this.socket.tls);
      this.options.onChange(undefined);
      this.watch();
      return undefined;
    }
    // §3.8.4: a message may come before the answer to its subscription
    if (state !== 'connecting' && packet.type === 'publish') return this.hear(packet);
    return state === 'listening' && packet.type === 'pingresp'
      ? undefined
      : refuse('mqtt-malformed', `${packet.type} while ${state}`);
  }

  private hear(message: MqttPacket & { readonly type: 'publish' }): Refusal | undefined {
    const { topic, packetId, payload } = message;
    if (topic !== this.topic) return refuse('mqtt-malformed', `a message of ${topic}`);
    if (packetId !== undefined) this.send(pubackPacket(packetId));
    const told = decode(doorbell, payload, maxDoorbellBytes);
    // What is no doorbell rings none: the broker is not to blame for what was published.
    if (!isRefusal(told)) this.options.onRing(told.timestampVersion);
    return undefined;
  }

  /** §3.1.2.10: looks once in the keep-alive time whether the broker has said anything. */
  private watch(): void {
    this.timer?.cancel();
    this.packets = 0;
    this.send(pingRequest());
    this.timer = this.options.clock.after(mqttKeepAliveSeconds * 1_000, () => {
      if (this.packets === 0) {
        this.leave(refuse('net-closed', 'the broker is silent'));
        return;
      }
      // It lasts: the next loss is not one of many.
      this.backoff.reset();
      this.watch();
    });
  }
}
