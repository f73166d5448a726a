/**
 * Where attacks are shown: a real backend and one emulated vehicle, with an attacker's places around
 * and in it. Network and one wire of the bus run through the attacker's hands, who passes everything
 * on until told otherwise; ECU processes can be replaced. What counts is what the
 * Director sees (`director`); `updates` is the honest operator.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RepositoryName } from '../../../agent/metadata/common.ts';
import { OperatorClient } from '../../cli/operator-client.ts';
import { AttackerProxy, type Exchange, type Interceptor } from '../attacks/attacker-proxy.ts';
import { BackendProcess } from '../backend-process.ts';
import { EmulatedVehicle } from '../emulated-vehicle.ts';
import { enrolVehicle } from '../enrol-vehicle.ts';
import { parseLogLine } from '../log-line.ts';
import { Operator } from '../operator.ts';
import { manufactureVehicle, type ProvisionedAgent, readRoot } from '../provision.ts';
import { type AgentName, canPort, vehicleId } from '../vehicle-layout.ts';
import { BusTap } from './bus-tap.ts';
import { DirectorView, type Until } from './director-view.ts';
import { firmwareBytes, HonestUpdates } from './honest-updates.ts';
import { ecuKey, RoguePrimary } from './rogue-primary.ts';
import { RogueSecondary } from './rogue-secondary.ts';

const pollMilliseconds = 300;
const lookMilliseconds = 100;
/** Machines under load are slow; what is waited for comes within seconds on an idle one. */
const giveUpMilliseconds = 120_000;
const downloadBytes = 1_048_576;

export interface ArenaOptions {
  /** Removed and made anew by the caller. */
  readonly folder: string;
  readonly onLine?: (line: string) => void;
}

export class Arena {
  readonly vehicleId = vehicleId;
  readonly operator: Operator;
  readonly client: OperatorClient;
  readonly director: DirectorView;
  readonly updates: HonestUpdates;
  readonly keysFolder: string;
  readonly passphrase: string;
  readonly folder: string;
  /** Decides what becomes of the vehicle's requests; undefined passes them on. */
  intercept: Interceptor | undefined;
  /** The wire of the ECU `partial`. */
  readonly tap: BusTap;
  /** What passed between vehicle and Director, oldest first. */
  readonly recorded = {
    manifests: [] as Uint8Array[],
    times: [] as Uint8Array[],
    timestamps: [] as Uint8Array[],
  };
  /** Called for every line that an ECU logs, as it comes. */
  onLine: ((line: string) => void) | undefined;
  /** Every request of the vehicle so far. */
  readonly requests: string[] = [];
  /** Lines that the ECUs logged, with their names. */
  readonly lines: string[] = [];
  private readonly backend: BackendProcess;
  private readonly stops: (() => Promise<void>)[];
  private agents: readonly ProvisionedAgent[] = [];
  private vehicle!: EmulatedVehicle;
  private cycles = 0;
  /** ECUs that have said since their start that nothing is left to install: they know the time. */
  private readonly settled = new Set<AgentName>();

  /** Resolves when the Primary has ended `count` more verifications well. */
  readonly healthyCycles = (count: number): Promise<void> => {
    const goal = this.cycles + count;
    return this.until(async () => this.cycles >= goal, `${count} healthy cycles`);
  };

  private constructor(
    options: ArenaOptions,
    secrets: Readonly<Record<'OTA_KEYS' | 'OTA_PASSPHRASE' | 'OTA_OPERATOR_TOKEN', string>>,
    backend: BackendProcess,
    tap: BusTap,
    stops: (() => Promise<void>)[],
  ) {
    const url = `http://127.0.0.1:${backend.ports.operator}`;
    this.folder = options.folder;
    this.keysFolder = secrets.OTA_KEYS;
    this.passphrase = secrets.OTA_PASSPHRASE;
    this.operator = new Operator({ ...secrets, OTA_URL: url });
    this.client = new OperatorClient(new URL(url), secrets.OTA_OPERATOR_TOKEN);
    const until: Until = (done, what) => this.until(done, what);
    this.director = new DirectorView(this.operator, this.client, until);
    const { client, director, folder, keysFolder, passphrase } = this;
    this.updates = new HonestUpdates({ client, director, folder, keysFolder, passphrase, until });
    this.backend = backend;
    this.tap = tap;
    this.stops = stops;
  }

  /** Key ceremony, backend, factory, first cycle of a healthy vehicle. */
  static async start(options: ArenaOptions): Promise<Arena> {
    const { folder } = options;
    const secrets = {
      OTA_KEYS: join(folder, 'keys'),
      OTA_PASSPHRASE: randomBytes(18).toString('base64url'),
      OTA_OPERATOR_TOKEN: randomBytes(24).toString('base64url'),
    };
    mkdirSync(folder, { recursive: true });
    await Operator.holdCeremony(secrets);
    const stops: (() => Promise<void>)[] = [];
    try {
      const backend = await BackendProcess.start({
        ...secrets,
        OTA_STATE: join(folder, 'backend'),
        OTA_LOG_LEVEL: 'error',
        // The attackers hold the network: TLS would stop them before any check of the agent.
        OTA_DEVICE_TLS: 'off',
        DIRECTOR_PORT: '0',
        IMAGES_PORT: '0',
        OPERATOR_PORT: '0',
        // A day is too long to wait for the end of a freeze.
        TIMESTAMP_SECONDS: '16',
        SILENCE_SECONDS: '10',
      });
      stops.push(() => backend.stop());
      const tap = await BusTap.start(tapAddress(folder), busAddress(folder));
      stops.push(() => tap.close());
      const arena = new Arena(options, secrets, backend, tap, stops);
      await arena.build(options);
      return arena;
    } catch (error) {
      for (const stop of stops.reverse()) await stop();
      throw error;
    }
  }

  /** Ends every process; harmless when called again. */
  async stop(): Promise<void> {
    for (const stop of this.stops.splice(0).reverse()) await stop();
  }

  get directorUrl(): string {
    return `http://127.0.0.1:${this.backend.ports.director}`;
  }

  get busAddress(): string {
    return busAddress(this.folder);
  }

  agent(name: AgentName): ProvisionedAgent {
    return this.agents.find(({ layout }) => layout.name === name)!;
  }

  private async build(options: ArenaOptions): Promise<void> {
    const { folder, keysFolder, operator } = this;
    const proxies = await Promise.all(
      (['director', 'images'] as const).map((name) =>
        AttackerProxy.start(name, this.backend.ports[name], (exchange) => this.pass(exchange)),
      ),
    );
    for (const proxy of proxies) this.stops.push(() => proxy.close());
    const endpoint = (port: number) => ({ host: '127.0.0.1', port });
    const manufactured = await manufactureVehicle({
      folder: join(folder, 'vehicle'),
      vehicleId,
      buildFolder: join(folder, '..', 'build', 'arena'),
      director: endpoint(proxies[0]!.port),
      images: endpoint(proxies[1]!.port),
      directorRoot: readRoot(keysFolder, 'director'),
      imagesRoot: readRoot(keysFolder, 'images'),
      busAddress: this.busAddress,
      hosted: { on: 'partial', imageBytes: firmwareBytes },
      downloadBytes,
      pollMilliseconds,
    });
    this.agents = manufactured.agents;
    this.rewire(this.agent('partial'));
    const answer = await operator.ota('vehicle', 'token', '--vehicle', vehicleId, '--json');
    const { token } = JSON.parse(answer) as { token: string };
    const { director, images } = this.backend.ports;
    await enrolVehicle(manufactured, {
      vehicleId,
      enrolmentToken: token,
      director: endpoint(director),
      images: endpoint(images),
    });
    this.vehicle = await EmulatedVehicle.powerOn(this.agents, this.busAddress, {
      onLine: (agent, line) => {
        this.lines.push(`${agent.layout.name} ${line}`);
        options.onLine?.(`${agent.layout.name} ${line}`);
        this.onLine?.(`${agent.layout.name} ${line}`);
        this.note(agent.layout.name, line);
      },
      onFailure: (agent, status) => this.lines.push(`${agent.layout.name} ended ${status}`),
    });
    this.stops.push(() => this.vehicle.powerOff());
    await this.until(
      async () =>
        [...(await this.director.installed()).values()].every((filename) => filename !== ''),
      'the first report of every ECU',
    );
    await this.healthyCycles(2);
  }

  private note(name: AgentName, line: string): void {
    const { event, fields } = parseLogLine(line) ?? {};
    if (event === 'ready' || event === 'activated') this.settled.delete(name);
    if (event !== 'verified') return;
    if (name === 'primary') this.cycles += 1;
    if (fields?.['images'] === '0') this.settled.add(name);
    else this.settled.delete(name);
  }

  /** The ECU joins the bus through the attacker's wire. */
  private rewire({ description }: ProvisionedAgent): void {
    const ecu = JSON.parse(readFileSync(description, 'utf8')) as object;
    const buses = { [canPort]: tapAddress(this.folder) };
    writeFileSync(description, JSON.stringify({ ...ecu, buses }));
  }

  private async pass(exchange: Exchange) {
    const { method, path, body } = exchange;
    this.requests.push(`${method} ${path}`);
    const changed = await this.intercept?.(exchange);
    if (changed !== undefined) return changed;
    // What an attacker may need later is remembered from what passes.
    const answer = await exchange.forward();
    if (path.startsWith('/manifest/')) this.recorded.manifests.push(body);
    if (path === '/time') this.recorded.times.push(answer.body);
    if (path === `/metadata/${vehicleId}/timestamp.cbor`) {
      this.recorded.timestamps.push(answer.body);
    }
    return answer;
  }

  /** A metadata file as the honest repository has it. */
  async fetch(repository: RepositoryName, name: string): Promise<Uint8Array> {
    const { director, images } = this.backend.ports;
    const base =
      repository === 'director' ? `${director}/metadata/${vehicleId}` : `${images}/metadata`;
    const answer = await fetch(`http://127.0.0.1:${base}/${name}`);
    if (!answer.ok) throw new Error(`${repository} ${name}: ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** Sends a manifest as anybody can. */
  async postManifest(body: Uint8Array): Promise<number> {
    const answer = await fetch(`${this.directorUrl}/manifest/${vehicleId}`, {
      method: 'POST',
      headers: { 'content-type': 'application/cbor' },
      body: Buffer.from(body),
    });
    return answer.status;
  }

  async until(done: () => Promise<boolean>, what: string): Promise<void> {
    const end = performance.now() + giveUpMilliseconds;
    while (!(await done())) {
      if (performance.now() > end) {
        throw new Error(`waited in vain for ${what}\n${this.lines.slice(-25).join('\n')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, lookMilliseconds));
    }
  }

  /** The vehicle without an attacker takes an update: nothing was broken for good. */
  async takeUpdate(): Promise<string> {
    this.intercept = undefined;
    this.tap.hook = undefined;
    this.onLine = undefined;
    return this.updates.awaitUpdate();
  }

  /** Replaces the Primary by the attacker's; `key` is the Primary's own unless given. */
  async asPrimary(
    act: (rogue: RoguePrimary) => Promise<void>,
    key = ecuKey(this.agent('primary'), 'primary'),
  ): Promise<void> {
    // A Secondary that restarts meanwhile would refuse everything, for want of the time: the second
    // of these cycles knows whether there is something to install.
    await this.healthyCycles(2);
    await this.until(async () => this.settled.size === this.agents.length, 'nothing to install');
    await this.powerOff('primary');
    await this.inPlaceOfPrimary(act, key);
  }

  /** The same, for a Primary that was switched off already. */
  async inPlaceOfPrimary(
    act: (rogue: RoguePrimary) => Promise<void>,
    key = ecuKey(this.agent('primary'), 'primary'),
  ): Promise<void> {
    const rogue = new RoguePrimary(this.busAddress, key);
    try {
      await act(rogue);
    } finally {
      await rogue.close();
      this.powerOn('primary');
    }
  }

  /** Replaces `partial` by the attacker's until `act` has ended. */
  async asSecondary(reports: () => Uint8Array, act: () => Promise<void>): Promise<void> {
    const partial = this.agent('partial');
    await this.vehicle.powerOffEcu(partial);
    const rogue = new RogueSecondary(this.busAddress, reports);
    try {
      await act();
    } finally {
      rogue.close();
      this.vehicle.powerOnEcu(partial);
    }
  }

  powerOff(name: AgentName): Promise<void> {
    return this.vehicle.powerOffEcu(this.agent(name));
  }

  powerOn(name: AgentName): void {
    this.vehicle.powerOnEcu(this.agent(name));
  }

  /** Ends the pauses between failing cycles. */
  async restartPrimary(): Promise<void> {
    await this.powerOff('primary');
    this.powerOn('primary');
  }
}

function busAddress(folder: string): string {
  return `unix:${join(folder, 'can0.sock')}`;
}

function tapAddress(folder: string): string {
  return `unix:${join(folder, 'tap.sock')}`;
}
