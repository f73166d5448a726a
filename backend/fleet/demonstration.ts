/** One run of `make demo`: ceremony, backend, factory, publication, and what the vehicle does. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Attack } from './attacks/attack.ts';
import { AttackerProxy } from './attacks/attacker-proxy.ts';
import { createAttack } from './attacks/attacks.ts';
import { type BackendPorts, BackendProcess } from './backend-process.ts';
import type { DemoOptions } from './demo-options.ts';
import {
  assignPublications,
  buildPublications,
  newRelease,
  type Publication,
  publish,
  writeMedium,
} from './demo-publications.ts';
import { type DemoReport, readInstalled } from './demo-report.ts';
import { attacksReported, refusalsReported, runsRelease, summaryOf } from './demo-verdict.ts';
import { EmulatedVehicle } from './emulated-vehicle.ts';
import { enrolVehicle } from './enrol-vehicle.ts';
import { parseLogLine } from './log-line.ts';
import { Operator } from './operator.ts';
import { PowerCuts } from './power-cuts.ts';
import { ProgressReader } from './progress-reader.ts';
import { ProgressView } from './progress-view.ts';
import {
  manufactureVehicle,
  type ProvisionedAgent,
  progressFileName,
  readDeviceRoot,
  readRoot,
  repositoriesAt,
} from './provision.ts';
import { agentLayouts, vehicleId } from './vehicle-layout.ts';

const pollMilliseconds = 5_000;
/** Where cycle after cycle is looked at, or ECUs are cut off. */
const hurriedPollMilliseconds = 400;
const lookMilliseconds = 150;
/** The default update is done in seconds; 64 MiB over the bus may take this long. */
const giveUpMilliseconds = 600_000;
const attackGiveUpMilliseconds = 90_000;
/** Encryption adds one tag in 16 KiB; a partition is whole erase blocks. */
const stagingReserveBytes = 2_097_152;

export class Demonstration {
  private readonly options: DemoOptions;
  private readonly attack: Attack | undefined;
  private readonly started = performance.now();
  private readonly stops: (() => Promise<void>)[] = [];
  private view: ProgressView | undefined;
  private agents: readonly ProvisionedAgent[] = [];
  private cycles = 0;
  /** ECUs that confirmed an image. */
  private readonly confirmed = new Set<string>();
  private failure: string | undefined;
  private cuts: PowerCuts | undefined;

  constructor(options: DemoOptions) {
    this.options = options;
    this.attack = options.attack === undefined ? undefined : createAttack(options.attack);
  }

  /**
   * An attacker outside the vehicle is given the broken TLS: with it, no attack would even reach
   * the checks that are to stop it.
   */
  private get tls(): boolean {
    return this.options.tls && this.attack === undefined;
  }

  /** Power cuts that have hit an ECU. */
  get powerCuts(): number {
    return this.cuts?.done ?? 0;
  }

  /** Ends every process of this run; harmless when called again. */
  async stop(): Promise<void> {
    for (const stop of this.stops.splice(0).reverse()) await stop();
  }

  /** Runs to the end; everything is stopped then. */
  async run(): Promise<DemoReport> {
    const { folder, ports } = this.options;
    const keys = join(folder, 'keys');
    const passphrase = randomBytes(18).toString('base64url');
    const operatorToken = randomBytes(24).toString('base64url');
    mkdirSync(folder, { recursive: true });

    this.say(
      'Key ceremony: offline Root and Targets keys, online keys, composite ML-DSA-65 + P-256',
    );
    const secrets = {
      OTA_KEYS: keys,
      OTA_PASSPHRASE: passphrase,
      OTA_OPERATOR_TOKEN: operatorToken,
    };
    await Operator.holdCeremony(secrets);

    const startBackend = async (at: BackendPorts): Promise<BackendProcess> => {
      const process = await BackendProcess.start({
        ...secrets,
        ...this.attack?.backend,
        OTA_STATE: join(folder, 'backend'),
        OTA_DEVICE_TLS: this.tls ? 'on' : 'off',
        OTA_LOG_LEVEL: 'error',
        DIRECTOR_PORT: String(at.director),
        IMAGES_PORT: String(at.images),
        OPERATOR_PORT: String(at.operator),
        DOORBELL_PORT: String(at.doorbell),
      });
      this.stops.push(() => process.stop());
      return process;
    };
    const backend = await startBackend(ports);
    const { director, images, operator: operatorPort, doorbell } = backend.ports;
    this.say(
      `Backend: Director :${director}, Image repository :${images}, operator :${operatorPort}, doorbell :${doorbell}`,
    );
    this.say(`Device plane: ${this.tls ? 'mutual TLS' : 'plain HTTP on loopback, no TLS'}`);
    const operator = new Operator({ ...secrets, OTA_URL: `http://127.0.0.1:${operatorPort}` });

    const publications = await buildPublications(this.options, this.buildFolder);
    let vehicle = await this.factory(operator, backend, publications);
    await this.waitForFirstManifest(operator);
    await this.attack?.prepare?.({
      vehicleId,
      operator,
      keysFolder: keys,
      passphrase,
      directorUrl: `http://127.0.0.1:${director}`,
      healthyCycles: (count) => this.healthyCycles(count),
    });
    await publish(operator, publications, (text) => this.view?.message(text));
    if (this.options.offline) {
      const medium = `${this.mediumFolder}-written`;
      await writeMedium(operator, publications, medium);
      this.view?.message(`Wrote a medium with release ${newRelease} for ${vehicleId}`);
      await backend.stop();
      await vehicle.powerOff();
      this.view?.message('The backend is off; the vehicle was switched off and on');
      vehicle = await this.powerOn();
      renameSync(medium, this.mediumFolder);
      this.view?.message('A medium is plugged in');
      await this.waitForConfirmations(publications.map(({ ecuId }) => ecuId));
      await startBackend(backend.ports);
      this.view?.message('The backend is on again');
    } else {
      await assignPublications(operator, publications, this.options.kills !== undefined);
      this.view?.message(`Assigned release ${newRelease} to ${publications.length} ECUs`);
    }

    this.cutPower(vehicle);
    const arrived =
      this.attack === undefined
        ? await this.waitForUpdate(operator)
        : await this.waitForAttackReport(operator, this.attack.name);
    return this.conclude(operator, vehicle, arrived);
  }

  /** Provisions the vehicle with release 1 and switches it on. */
  private async factory(
    operator: Operator,
    backend: BackendProcess,
    publications: readonly Publication[],
  ): Promise<EmulatedVehicle> {
    const { folder, firmware } = this.options;
    const keys = join(folder, 'keys');
    const answer = await operator.ota('vehicle', 'token', '--vehicle', vehicleId, '--json');
    const { token } = JSON.parse(answer) as { token: string };
    const ports = await this.portsForVehicle(backend);
    const imageBytes = publications.reduce((sum, { path }) => sum + statSync(path).size, 0);
    const vehicle = await manufactureVehicle({
      folder: join(folder, 'vehicle'),
      vehicleId,
      buildFolder: this.buildFolder,
      ...this.repositoriesAt(ports),
      directorRoot: readRoot(keys, 'director'),
      imagesRoot: readRoot(keys, 'images'),
      busAddress: this.busAddress,
      ...(firmware ? { hosted: { on: firmware.on, imageBytes: firmware.bytes } } : {}),
      downloadBytes: Math.ceil(imageBytes * 1.002) + stagingReserveBytes,
      pollMilliseconds: this.pollMilliseconds,
      ...(this.options.offline ? { mediumFolder: this.mediumFolder } : {}),
    });
    await enrolVehicle(vehicle, {
      vehicleId,
      enrolmentToken: token,
      ...this.repositoriesAt(backend.ports),
    });
    this.agents = vehicle.agents;
    const ecuIds = this.agents.flatMap((agent) => agent.ecus.map((ecu) => ecu.ecuId));
    this.say(`Factory: ${vehicleId} with ${ecuIds.join(', ')}; release 1 in slot A of each\n`);
    this.view = new ProgressView(ecuIds, process.stdout);
    return this.powerOn();
  }

  private async powerOn(): Promise<EmulatedVehicle> {
    const events = {
      onLine: (agent: ProvisionedAgent, line: string) => this.line(agent, line),
      onFailure: (agent: ProvisionedAgent, status: number | null) => {
        this.failure = `${agent.layout.name} stopped with status ${status}`;
      },
    };
    const running = await EmulatedVehicle.powerOn(this.agents, this.busAddress, events, {
      arguments: this.options.hubArguments,
      onLine: (line) => this.view?.message(`CAN bus: ${line}`),
    });
    this.stops.push(() => running.powerOff());
    const primary = join(this.options.folder, 'vehicle', agentLayouts.primary.name);
    const reader = new ProgressReader(join(primary, progressFileName), (ecus) =>
      this.view?.progress(ecus),
    );
    this.stops.push(async () => reader.stop());
    return running;
  }

  /** Long enough that it is the doorbell that begins the update, where somebody may ring. */
  private get pollMilliseconds(): number {
    const { kills, offline } = this.options;
    const plain = this.attack === undefined && kills === undefined && !offline;
    return plain ? pollMilliseconds : hurriedPollMilliseconds;
  }

  private get busAddress(): string {
    return `unix:${join(this.options.folder, 'can0.sock')}`;
  }

  /** The repositories as a client reaches them, and how it knows them. */
  private repositoriesAt(ports: Pick<BackendPorts, 'director' | 'images' | 'doorbell'>) {
    return repositoriesAt(
      { host: '127.0.0.1', ...ports },
      this.tls ? readDeviceRoot(join(this.options.folder, 'keys')) : undefined,
    );
  }

  /** The vehicle talks to the backend, or to the attacker before it. */
  private async portsForVehicle(backend: BackendProcess) {
    const { attack } = this;
    if (attack === undefined) return backend.ports;
    const intercept = attack.intercept.bind(attack);
    const director = await AttackerProxy.start('director', backend.ports.director, intercept);
    const images = await AttackerProxy.start('images', backend.ports.images, intercept);
    this.stops.push(
      () => director.close(),
      () => images.close(),
    );
    this.say(`Attacker: ${attack.name}, ${attack.position}`);
    // Nobody rings: what the attacker does is seen at the polls.
    return { director: director.port, images: images.port, doorbell: undefined };
  }

  /** KILLS=: until they are done, or the vehicle has arrived. */
  private cutPower(vehicle: EmulatedVehicle): void {
    const { kills } = this.options;
    if (kills === undefined) return;
    const cuts = new PowerCuts({
      ...kills,
      vehicle,
      agents: this.agents,
      onCut: ({ layout }, activity, number) =>
        this.view?.message(`Power cut ${number} of ${kills.count}: ${layout.name} (${activity})`),
    });
    this.cuts = cuts;
    const ended = cuts.run();
    this.stops.push(async () => {
      cuts.stop();
      await ended;
    });
  }

  private get mediumFolder(): string {
    return join(this.options.folder, 'medium');
  }

  private waitForConfirmations(ecuIds: readonly string[]): Promise<boolean> {
    const all = async () => ecuIds.every((ecuId) => this.confirmed.has(ecuId));
    return this.until(all, giveUpMilliseconds, 'the update from the medium');
  }

  private line(agent: ProvisionedAgent, text: string): void {
    const line = parseLogLine(text);
    if (line === undefined) {
      this.view?.message(`[${agent.layout.name}] ${text}`);
      return;
    }
    this.cuts?.line(agent, line);
    const { event, fields } = line;
    if (event === 'verified' && agent.layout.name === 'primary') this.cycles += 1;
    if (event === 'confirmed') this.confirmed.add(fields['ecu'] ?? '');
    if (event === 'progress') return;
    if (event === 'doorbell') {
      const { rung } = fields;
      if (rung !== undefined) this.view?.message(`Doorbell: there is Timestamp ${rung}`);
      return;
    }
    if (event === 'failed') this.view?.message(`[${agent.layout.name}] ${text}`);
    this.view?.line(fields['ecu'] ?? agent.layout.ecuId, line);
  }

  private async healthyCycles(count: number): Promise<void> {
    const goal = this.cycles + count;
    await this.until(async () => this.cycles >= goal, attackGiveUpMilliseconds, 'healthy cycles');
  }

  private waitForFirstManifest(operator: Operator): Promise<boolean> {
    const first = async () => (await operator.vehicle(vehicleId))?.lastManifest !== undefined;
    return this.until(first, attackGiveUpMilliseconds, 'the first manifest');
  }

  private waitForUpdate(operator: Operator): Promise<boolean> {
    const updated = async () => runsRelease(await operator.vehicle(vehicleId), newRelease);
    return this.until(updated, giveUpMilliseconds);
  }

  private waitForAttackReport(operator: Operator, attack: string): Promise<boolean> {
    const reported = async () => (await attacksReported(operator)).includes(attack);
    return this.until(reported, attackGiveUpMilliseconds);
  }

  /** Looks until `done`, an ECU fails or time is up; with `what`, not being done is an error. */
  private async until(
    done: () => Promise<boolean>,
    milliseconds: number,
    what?: string,
  ): Promise<boolean> {
    const end = performance.now() + milliseconds;
    while (performance.now() < end && this.failure === undefined) {
      if (await done()) return true;
      await new Promise((resolve) => setTimeout(resolve, lookMilliseconds));
    }
    if (what !== undefined) throw new Error(this.failure ?? `waited in vain for ${what}`);
    return false;
  }

  /** Switches the vehicle off, reads what its flash really holds, and judges the run. */
  private async conclude(
    operator: Operator,
    vehicle: EmulatedVehicle,
    arrived: boolean,
  ): Promise<DemoReport> {
    const view = await operator.vehicle(vehicleId);
    const refusals = await refusalsReported(operator);
    const named = await attacksReported(operator);
    await this.stop();
    this.view?.end();
    const ecus = this.agents.flatMap((agent) =>
      agent.ecus.map((ecu) => readInstalled(agent, ecu, vehicle.peakMemory(agent))),
    );
    const release = this.attack === undefined ? newRelease : 1;
    // The manifest that says so was accepted, and the flash says the same.
    const manifestAccepted = runsRelease(view, release);
    const asWanted =
      arrived && manifestAccepted && ecus.every((ecu) => ecu.version === release) && !this.failure;
    const result = !asWanted ? 'failed' : this.attack === undefined ? 'installed' : 'refused';
    const seconds = Math.round((performance.now() - this.started) / 10) / 100;
    const report: DemoReport = {
      result,
      seconds,
      ecus,
      refusals,
      attacksReported: named,
      manifestAccepted,
    };
    for (const text of summaryOf(report, this.failure, this.attack !== undefined)) this.say(text);
    return report;
  }

  /** Beside the run's folder: no build result may be mistaken for what the vehicle holds. */
  private get buildFolder(): string {
    return join(this.options.folder, '..', 'build', 'demo');
  }

  private say(text: string): void {
    process.stdout.write(`${text}\n`);
  }
}
