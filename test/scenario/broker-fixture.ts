/** A backend with a broker, embedded or another program of its own, and vehicles that listen by `mqtt`. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTo, createServer } from 'node:net';
import { join } from 'node:path';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { doorbell, doorbellClient, doorbellTopic } from '../../agent/metadata/doorbell.ts';
import { run } from '../../backend/cli/run.ts';
import type { Configuration } from '../../backend/configuration.ts';
import { refreshAnswer } from '../../backend/http/messages.ts';
import { expectValue, TestBackend, TestVehicle } from './backend-fixture.ts';
import { clientOptions, type Device, enrolDevice } from './tls-device.ts';

const giveUpMilliseconds = 120_000;
const lookMilliseconds = 20;
const heldBackMilliseconds = 1_500;

/** Looks until `done`; what stood still is named by the caller's text. */
export async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + giveUpMilliseconds;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, lookMilliseconds));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A message as a client gets it: the version that it tells, or the bytes of what tells none. */
export interface Message {
  readonly topic: string;
  readonly version: number | undefined;
  readonly retain: boolean;
}

/** A vehicle at the broker. */
export class Listener {
  readonly messages: Message[] = [];
  readonly client: MqttClient;
  ended = false;
  /** Resolves when the connection is over. */
  readonly end: Promise<void>;

  constructor(client: MqttClient) {
    this.client = client;
    client.on('message', (topic, payload, { retain }) => {
      const told = decode(doorbell, new Uint8Array(payload), payload.length);
      const version = isRefusal(told) ? undefined : told.timestampVersion;
      this.messages.push({ topic, version, retain });
    });
    this.end = new Promise((resolve) =>
      client.on('close', () => {
        this.ended = true;
        resolve();
      }),
    );
    client.on('error', () => undefined);
  }

  /** Quality granted for each topic; 128: refused. */
  async subscribe(...topics: string[]): Promise<readonly number[]> {
    try {
      const granted = await this.client.subscribeAsync(topics, { qos: 1 });
      return granted.map(({ qos }) => qos);
    } catch (error) {
      // The library throws what the broker said, when it said no.
      return (error as { packet?: { granted: number[] } }).packet?.granted ?? [128];
    }
  }

  heard(version: number): Promise<void> {
    return until(`version ${version} in ${JSON.stringify(this.messages)}`, () =>
      this.messages.some((message) => message.version === version),
    );
  }

  async leave(): Promise<void> {
    await this.client.endAsync(true);
  }
}

/** Everything on one machine; `stop` has to follow, also after an error. */
export abstract class BrokerFixture {
  readonly backend: TestBackend;
  /** Undefined: plain TCP. */
  readonly root: X509Certificate | undefined;
  readonly vehicles = new Map<string, { readonly vehicle: TestVehicle; readonly device: Device }>();
  /** Where vehicles reach the broker. */
  abstract readonly port: number;
  private readonly listeners: Listener[] = [];

  constructor(backend: TestBackend, root: X509Certificate | undefined) {
    this.backend = backend;
    this.root = root;
  }

  abstract stopBroker(): Promise<void>;
  abstract startBroker(): Promise<void>;

  async enrol(vehicleId: string): Promise<void> {
    const vehicle = new TestVehicle(vehicleId);
    const device = await enrolDevice(this.backend, this.root!, vehicle);
    this.vehicles.set(vehicleId, { vehicle, device });
  }

  /** Connects as a vehicle, with its certificate; rejects when the broker refuses. */
  async connect(vehicleId: string, changes: IClientOptions = {}): Promise<Listener> {
    const client = connect({
      protocol: this.root === undefined ? 'mqtt' : 'mqtts',
      host: '127.0.0.1',
      port: this.port,
      protocolVersion: 4,
      clientId: doorbellClient(vehicleId),
      reconnectPeriod: 0,
      // Longer than anybody waits: it is the broker that has to end what it does not take.
      connectTimeout: 2 * giveUpMilliseconds,
      ...(this.root && clientOptions(this.root, this.vehicles.get(vehicleId)?.device)),
      ...changes,
    });
    const listener = new Listener(client);
    this.listeners.push(listener);
    await until(`an answer to ${vehicleId}`, () => client.connected || listener.ended);
    if (!client.connected) {
      await listener.leave();
      throw new Error(`the broker refuses ${vehicleId}`);
    }
    return listener;
  }

  /** Connected, and subscribed to its own topic: it has heard what is retained. */
  async listen(vehicleId: string): Promise<Listener> {
    const listener = await this.connect(vehicleId);
    await listener.subscribe(doorbellTopic(vehicleId));
    await until(`a first message of ${vehicleId}`, () => listener.messages.length > 0);
    return listener;
  }

  /** Raises the vehicle's Timestamp, which rings; answers its version. */
  async ring(vehicleId: string): Promise<number> {
    const path = `/vehicles/${vehicleId}/refresh`;
    const answer = await this.backend.operator(path, { method: 'POST' });
    return expectValue(refreshAnswer, answer).timestampVersion;
  }

  async stop(): Promise<void> {
    for (const listener of this.listeners) await listener.leave();
    await this.backend.stop();
  }
}

export class EmbeddedFixture extends BrokerFixture {
  private readonly setting: { port: number };

  constructor(backend: TestBackend, root: X509Certificate | undefined, setting: { port: number }) {
    super(backend, root);
    this.setting = setting;
    setting.port = backend.ports.doorbell!;
  }

  static async start(changes: Partial<Configuration> = {}): Promise<EmbeddedFixture> {
    const setting = { port: 0 };
    const { backend, root } = await TestBackend.startWithTls({ ...changes, doorbell: setting });
    return new EmbeddedFixture(backend, root, setting);
  }

  override get port(): number {
    return this.setting.port;
  }

  /** It lives and falls with its process. */
  override stopBroker(): Promise<void> {
    return this.backend.backend.close();
  }

  override startBroker(): Promise<void> {
    return this.backend.open();
  }
}

/** A broker in a process of its own, as `ota broker-files` configures it. */
abstract class ExternalFixture extends BrokerFixture {
  override readonly port: number;
  protected readonly publisherPort: number;
  protected process: ChildProcess | undefined;
  protected abstract readonly program: string;

  constructor(backend: TestBackend, root: X509Certificate, ports: readonly number[]) {
    super(backend, root);
    [this.port, this.publisherPort] = ports as [number, number];
  }

  /** Where its files are. */
  protected get folder(): string {
    return join(this.backend.folder, 'broker');
  }

  /** Its configuration, made before the first start. */
  protected abstract configure(): Promise<string>;

  protected async writeFiles(...more: string[]): Promise<void> {
    const { keysFolder, passphrase } = this.backend.configuration;
    const words = ['broker-files', '--out', this.folder, '--host', '127.0.0.1'];
    const status = await run([...words, '--keys', keysFolder, '--port', `${this.port}`, ...more], {
      environment: { OTA_PASSPHRASE: passphrase },
      out: () => undefined,
      error: (text) => process.stderr.write(text),
      interactive: false,
    });
    if (status !== 0) throw new Error(`ota broker-files ended with ${status}`);
  }

  override async startBroker(): Promise<void> {
    this.process = spawn(this.program, ['-c', await this.configure()], { stdio: 'ignore' });
    await until(`${this.program} listens`, () => accepts(this.port));
    await until('the backend is at the broker', async () => {
      const { metrics } = this.backend.backend;
      return (await metrics.valueOf('ota_doorbell_broker_connected')) === 1;
    });
  }

  override async stopBroker(): Promise<void> {
    const child = this.process!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  override async stop(): Promise<void> {
    if (this.process !== undefined) await this.stopBroker();
    await super.stop();
  }
}

/** A backend whose broker will be at the second of two free ports, or at the only one. */
async function backendWithBroker(count: number) {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  const doorbell = { url: new URL(`mqtts://127.0.0.1:${ports.at(-1)}`) };
  // The broker judges certificates by the machine's clock.
  const now = Math.floor(Date.now() / 1_000);
  return { ...(await TestBackend.startWithTls({ doorbell }, now)), ports };
}

export class MosquittoFixture extends ExternalFixture {
  protected override readonly program = 'mosquitto';

  static async start(): Promise<BrokerFixture> {
    const { backend, root, ports } = await backendWithBroker(2);
    const fixture = new MosquittoFixture(backend, root, ports);
    await fixture.startBroker();
    return fixture;
  }

  protected override async configure(): Promise<string> {
    const configuration = join(this.folder, 'mosquitto.conf');
    if (this.process === undefined) {
      await this.writeFiles('--publisher-port', `${this.publisherPort}`);
      // As root it would become another user, who may not read the folder of the test.
      if (process.getuid?.() === 0) appendFileSync(configuration, 'user root\n');
    }
    return configuration;
  }
}

export class NatsFixture extends ExternalFixture {
  protected override readonly program = 'nats-server';

  static async start(): Promise<BrokerFixture> {
    const { backend, root, ports } = await backendWithBroker(1);
    const fixture = new NatsFixture(backend, root, ports);
    await fixture.startBroker();
    return fixture;
  }

  /** Who is enrolled by now may come in. */
  protected override async configure(): Promise<string> {
    const list = join(this.backend.folder, 'vehicles.txt');
    writeFileSync(list, [...this.vehicles.keys()].join('\n'));
    await this.writeFiles('--nats-vehicles', list);
    return join(this.folder, 'nats.conf');
  }

  /** Who takes a client identifier back at once is let in a second later. */
  override async connect(vehicleId: string, changes: IClientOptions = {}): Promise<Listener> {
    try {
      return await super.connect(vehicleId, changes);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, heldBackMilliseconds));
      return super.connect(vehicleId, changes);
    }
  }

  override async enrol(vehicleId: string): Promise<void> {
    await super.enrol(vehicleId);
    await this.configure();
    this.process!.kill('SIGHUP');
    // It keeps what it had when it reads files that are being written: one vehicle after the other.
    await until(`the broker takes ${vehicleId}`, async () => {
      const listener = await this.connect(vehicleId).catch(() => undefined);
      await listener?.leave();
      return listener !== undefined;
    });
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTo(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
