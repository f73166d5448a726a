/**
 * The broker within the backend: MQTT by aedes on a listener of its own, with the TLS, the
 * certificates and the revocation of the device plane. A vehicle may read its own topic and nothing
 * else; nobody but the backend publishes.
 *
 * What other brokers retain is in the database already: a vehicle that subscribes is sent the version
 * that is the newest then, and memory holds nothing of the vehicles that are away.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { doorbellClient, doorbellTopic } from '../../agent/metadata/doorbell.ts';
import { limitConnections } from '../admission/connections.ts';
import { admitDevice } from '../director/devices.ts';
import { latestMetadata } from '../director/metadata.ts';
import type { DevicePlane } from '../http/device-plane.ts';
import type { Services } from '../services.ts';
import { doorbellPortVariable } from '../settings.ts';
import { reasonOf } from '../signer/durable-file.ts';
import type { DeviceIdentity } from '../signer/enrolment-authority.ts';
import { vehicleById } from '../store/inventory.ts';
import { type Broker, doorbellMessage, type Rung } from './doorbell.ts';

/** Idle ones cost 88 KiB each with TLS: beyond, a broker outside is the better place. */
const maxConnections = 8_192;
/** Many vehicles may share an address; none of them may take all connections. */
const maxConnectionsPerAddress = 4_096;
const connectMilliseconds = 5_000;
/** A dead connection is noticed after one and a half of what the client has asked for. */
const maxKeepAliveSeconds = 600;
/** A vehicle says CONNECT, SUBSCRIBE, a few PUBACKs and a PINGREQ a minute. */
const bytesAtOnce = 1_024;
const bytesPerSecond = 16;
const clientPrefix = doorbellClient('');
/** MQTT 3.1.1 §3.2.2.3: why a connection is not taken. */
const returnCodes = { identifier: 2, unavailable: 3, unauthorized: 5 } as const;

/** A client and who is at the other end of its connection; without TLS, who it says it is. */
interface Listener {
  readonly client: Client;
  readonly vehicleId: string;
  readonly device: DeviceIdentity | undefined;
}

/** Codes `port-taken`, `configuration-invalid`. */
export async function openEmbeddedBroker(
  services: Services,
  at: { readonly host: string; readonly port: number },
  devices: DevicePlane | undefined,
): Promise<Broker | Refusal> {
  const broker = new EmbeddedBroker(services, devices);
  const refused = await broker.listen(at.host, at.port);
  return refused ?? broker;
}

function refusal(why: keyof typeof returnCodes, message: string): AuthenticateError {
  return Object.assign(new Error(message), { returnCode: returnCodes[why] });
}

class EmbeddedBroker implements Broker {
  private readonly services: Services;
  private readonly devices: DevicePlane | undefined;
  private readonly server: Server;
  private aedes: Aedes | undefined;
  /** Those that the broker has accepted, by vehicle id. */
  private readonly listeners = new Map<string, Listener>();
  private readonly identities = new WeakMap<object, DeviceIdentity>();

  constructor(services: Services, devices: DevicePlane | undefined) {
    this.services = services;
    this.devices = devices;
    if (devices === undefined) {
      this.server = createServer((socket) => this.accept(socket));
    } else {
      const server = createTlsServer(devices.serverOptions, (socket) => this.acceptDevice(socket));
      devices.serve(server);
      // A handshake that fails is the client's to be told of.
      server.on('tlsClientError', (_error, socket) => socket.destroy());
      this.server = server;
    }
    this.server.maxConnections = maxConnections;
    limitConnections(this.server, 'doorbell', maxConnectionsPerAddress, services.metrics);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async listen(host: string, port: number): Promise<Refusal | undefined> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.server.once('error', reject);
        this.server.listen(port, host, resolve);
      });
    } catch (error) {
      const place = `${host}:${port}`;
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
        const advice = `set ${doorbellPortVariable} to another port`;
        return refuse('port-taken', `${place} is taken; ${advice}`);
      }
      return refuse(
        'configuration-invalid',
        `${doorbellPortVariable}: ${place}: ${reasonOf(error)}`,
      );
    }
    this.aedes = await this.createBroker();
    return undefined;
  }

  async ring(vehicleId: string, message: Buffer): Promise<Rung> {
    const listener = this.listeners.get(vehicleId);
    return listener === undefined ? 'nobody' : await this.send(listener, message, false);
  }

  async silence(vehicleId: string): Promise<Rung> {
    this.listeners.get(vehicleId)?.client.close();
    return 'revoked';
  }

  async close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => this.server.close(() => resolve()));
    await new Promise<void>((resolve) =>
      this.aedes === undefined ? resolve() : this.aedes.close(resolve),
    );
    for (const { client } of this.listeners.values()) client.conn.destroy();
    await stopped;
  }

  private async createBroker(): Promise<Aedes> {
    const broker = await Aedes.createBroker({
      connectTimeout: connectMilliseconds,
      // A will would be published, and a session that is kept would grow while its vehicle is away.
      preConnect: (_client, { clean, will, keepalive = 0 }, done) => {
        const plain = clean === true && !will && keepalive > 0 && keepalive <= maxKeepAliveSeconds;
        if (plain) return done(null, true);
        this.services.metrics.doorbellRefused.inc({ what: 'session' });
        // Without an error the connection would stay, and no timer would end it.
        done(new Error('no such session'), false);
      },
      authenticate: (client, _name, _password, done) => {
        this.authenticate(client).then(
          (refused) => done(refused ?? null, refused === undefined),
          (error: Error) => done(refusal('unavailable', error.message), false),
        );
      },
      authorizePublish: (client, _packet, done) => {
        const refused = client !== null;
        if (refused) this.services.metrics.doorbellRefused.inc({ what: 'publish' });
        done(refused ? new Error('vehicles publish nothing') : null);
      },
      authorizeSubscribe: (client, subscription, done) => {
        const own = subscription.topic === this.topicOf(client);
        if (!own) this.services.metrics.doorbellRefused.inc({ what: 'subscribe' });
        done(null, own ? subscription : null);
      },
      // Once more where it matters: what is another's topic leaves on no connection.
      authorizeForward: (client, packet) => (packet.topic === this.topicOf(client) ? packet : null),
    });
    broker.on('subscribe', (subscriptions, client) => {
      const listener = this.listenerOf(client);
      if (listener === undefined || subscriptions.length === 0) return;
      this.sendNewest(listener).catch(() => client.close());
    });
    broker.on('clientDisconnect', (client) => {
      const listener = this.listenerOf(client);
      if (listener === undefined) return;
      this.listeners.delete(listener.vehicleId);
      this.count();
    });
    return broker;
  }

  /** DIR-05: nobody without a vehicle's certificate reaches the broker, not with one byte. */
  private acceptDevice(socket: TLSSocket): void {
    const device = this.devices!.deviceAt(socket);
    if (isRefusal(device)) {
      this.services.metrics.doorbellRefused.inc({ what: device.refused });
      socket.destroy();
      return;
    }
    this.identities.set(socket, device);
    this.accept(socket);
  }

  private accept(socket: Socket): void {
    boundBytes(socket, () => this.services.metrics.doorbellRefused.inc({ what: 'bytes' }));
    this.aedes!.handle(socket);
  }

  /** Judges who connects: undefined, or why not. */
  private async authenticate(client: Client): Promise<AuthenticateError | undefined> {
    const { services } = this;
    const device = this.identities.get(client.conn);
    const vehicleId = device?.vehicleId ?? client.id.slice(clientPrefix.length);
    const refused = await this.judge(vehicleId, device);
    if (refused !== undefined) {
      services.metrics.doorbellRefused.inc({ what: refused.refused });
      return refusal('unauthorized', refused.detail);
    }
    // The identifier is the vehicle's own: a second connection of one ends the first.
    if (client.id !== doorbellClient(vehicleId)) {
      services.metrics.doorbellRefused.inc({ what: 'client-identifier' });
      return refusal('identifier', 'not the name in the certificate');
    }
    const address = (client.conn as Socket).remoteAddress ?? '';
    const sender = await services.admission.senderOf(device?.vehicleId, address);
    if ((await services.admission.spend(sender)) !== undefined) {
      services.metrics.doorbellRefused.inc({ what: 'quota-exceeded' });
      return refusal('unavailable', 'too many connections');
    }
    this.listeners.set(vehicleId, { client, vehicleId, device });
    this.count();
    return undefined;
  }

  private async judge(
    vehicleId: string,
    device: DeviceIdentity | undefined,
  ): Promise<Refusal | undefined> {
    if (device !== undefined) return await admitDevice(this.services, device, { vehicleId });
    const vehicle = await this.services.database.one(vehicleById, vehicleId);
    return vehicle === undefined ? refuse('vehicle-unknown', vehicleId) : undefined;
  }

  private listenerOf(client: Client | null): Listener | undefined {
    const vehicleId = client?.id?.slice(clientPrefix.length);
    const listener = vehicleId === undefined ? undefined : this.listeners.get(vehicleId);
    return listener?.client === client ? listener : undefined;
  }

  private topicOf(client: Client): string | undefined {
    const listener = this.listenerOf(client);
    return listener && doorbellTopic(listener.vehicleId);
  }

  private async sendNewest(listener: Listener): Promise<void> {
    const { version } = await latestMetadata(this.services, listener.vehicleId, 'timestamp');
    await this.send(listener, doorbellMessage(version), true);
  }

  /** DIR-05: whoever may not come in any more is told nothing, although it is connected. */
  private async send(
    { client, vehicleId, device }: Listener,
    payload: Buffer,
    retain: boolean,
  ): Promise<Rung> {
    if ((await this.judge(vehicleId, device)) !== undefined) {
      client.close();
      return 'revoked';
    }
    const topic = doorbellTopic(vehicleId);
    const message = { cmd: 'publish', topic, payload, qos: 1, retain, dup: false } as const;
    // A client that has left in the meantime calls it too.
    client.publish(message, () => undefined);
    return 'sent';
  }

  private count(): void {
    this.services.metrics.doorbellConnections.set(this.listeners.size);
  }
}

/** Ends a connection that sends more than a subscriber has to say: a packet may have 256 MiB. */
function boundBytes(socket: Socket, onRefused: () => void): void {
  const start = performance.now();
  let bytes = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    bytes += piece.length;
    const seconds = (performance.now() - start) / 1_000;
    if (socket.destroyed || bytes <= bytesAtOnce + seconds * bytesPerSecond) return;
    onRefused();
    socket.destroy();
  });
}
