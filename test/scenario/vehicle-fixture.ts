/** A real vehicle with its backend: key ceremony, factory, enrolment; backend, bus, ECUs are processes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageKindName } from '../../agent/metadata/targets.ts';
import { type BackendPorts, BackendProcess } from '../../backend/fleet/backend-process.ts';
import { EmulatedVehicle } from '../../backend/fleet/emulated-vehicle.ts';
import { enrolVehicle } from '../../backend/fleet/enrol-vehicle.ts';
import { Operator } from '../../backend/fleet/operator.ts';
import {
  type ManufactureOptions,
  manufactureVehicle,
  type ProvisionedAgent,
  readDeviceRoot,
  readRoot,
  repositoriesAt,
} from '../../backend/fleet/provision.ts';
import { board } from '../../backend/fleet/vehicle-layout.ts';
import type { EcuDescription } from '../../hal/ecu-description.ts';

const giveUpMilliseconds = 300_000;
const lookMilliseconds = 150;

export interface VehicleFixtureOptions {
  readonly vehicleId: string;
  readonly hosted?: ManufactureOptions['hosted'];
  readonly runtimeFor?: ManufactureOptions['runtimeFor'];
  readonly downloadBytes: number;
  readonly pollMilliseconds?: number;
  /** The port at which the vehicle reaches the doorbell at this one; it has none when absent. */
  readonly doorbellAt?: (port: number) => Promise<number>;
  /** What the description of each agent says beside what the factory has written. */
  readonly description?: Partial<EcuDescription>;
  /** What the ceremony, the backend and the operator are told beside where their keys are. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class VehicleFixture {
  readonly folder = mkdtempSync(join(tmpdir(), 'ota-vehicle-'));
  /** What the ECUs have logged, each line after the name of its agent. */
  readonly lines: string[] = [];
  /** Called with each line as it comes. */
  onLine: (agent: ProvisionedAgent, line: string) => void = () => undefined;
  /** Heap of an agent's native program at its next start; the board's when undefined. */
  heapBytes: (agent: ProvisionedAgent) => number | undefined = () => undefined;
  agents: readonly ProvisionedAgent[] = [];
  private readonly vehicleId: string;
  private readonly secrets: Readonly<Record<string, string>>;
  private readonly stops: (() => Promise<void>)[] = [];
  private running: BackendProcess | undefined;
  private powered: EmulatedVehicle | undefined;

  private constructor({ vehicleId, environment }: VehicleFixtureOptions) {
    this.vehicleId = vehicleId;
    this.secrets = {
      ...environment,
      OTA_KEYS: join(this.folder, 'keys'),
      OTA_PASSPHRASE: 'passphrase of the vehicle test',
      OTA_OPERATOR_TOKEN: 'operator-token-of-the-vehicle-test',
    };
  }

  /** Everything up and running, release 1 on each ECU; `stop` has to follow, also after an error. */
  static async start(options: VehicleFixtureOptions): Promise<VehicleFixture> {
    const fixture = new VehicleFixture(options);
    try {
      await fixture.begin(options);
    } catch (error) {
      await fixture.stop();
      throw error;
    }
    return fixture;
  }

  get backend(): BackendProcess {
    return this.running!;
  }

  get vehicle(): EmulatedVehicle {
    return this.powered!;
  }

  get operator(): Operator {
    return new Operator({
      ...this.secrets,
      OTA_URL: `http://127.0.0.1:${this.backend.ports.operator}`,
    });
  }

  /** The backend on the ports that it had, after it was killed. */
  async restartBackend(): Promise<void> {
    await this.startBackend(this.backend.ports);
  }

  /** Lists an image for an ECU, encrypted, as `<ecu>-<release>.bin`; answers that name. */
  async publish(
    ecu: { readonly ecuId: string; readonly hardwareId: string },
    path: string,
    release: number,
    kind: ImageKindName,
  ): Promise<string> {
    const { bytecodeVersion, halVersion } = board.engine;
    const filename = `${ecu.ecuId}-${kind === 'agent' ? 'agent-' : ''}${release}.bin`;
    const versions = ['--bytecode-version', `${bytecodeVersion}`, '--hal-version', `${halVersion}`];
    await this.operator.ota(
      ...['image', 'publish', path, '--filename', filename, '--hardware', ecu.hardwareId],
      ...['--release', String(release), '--kind', kind, ...(kind === 'opaque' ? [] : versions)],
    );
    return filename;
  }

  /** Looks until `done`; with the vehicle's last lines when it stands still. */
  async until(done: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + giveUpMilliseconds;
    while (!(await done())) {
      if (performance.now() > end) throw new Error(`in vain\n${this.lines.slice(-40).join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, lookMilliseconds));
    }
  }

  async stop(): Promise<void> {
    for (const stop of this.stops.splice(0).reverse()) await stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async begin(options: VehicleFixtureOptions): Promise<void> {
    const { folder, secrets, vehicleId } = this;
    const keys = secrets['OTA_KEYS']!;
    await Operator.holdCeremony(secrets);
    await this.startBackend({ director: 0, images: 0, operator: 0 });
    const { ports } = this.backend;
    const doorbell = await options.doorbellAt?.(ports.doorbell!);
    const place = { host: '127.0.0.1', ...ports, doorbell };
    const repositories = repositoriesAt(place, readDeviceRoot(keys));
    const busAddress = `unix:${join(folder, 'can0.sock')}`;
    const answer = await this.operator.ota('vehicle', 'token', '--vehicle', vehicleId, '--json');
    const { hosted, runtimeFor, downloadBytes } = options;
    mkdirSync(join(folder, 'build'), { recursive: true });
    const made = await manufactureVehicle({
      folder: join(folder, 'vehicle'),
      vehicleId,
      buildFolder: join(folder, 'build'),
      ...repositories,
      directorRoot: readRoot(keys, 'director'),
      imagesRoot: readRoot(keys, 'images'),
      busAddress,
      ...(hosted && { hosted }),
      ...(runtimeFor && { runtimeFor }),
      downloadBytes,
      pollMilliseconds: options.pollMilliseconds ?? 300,
    });
    const { token } = JSON.parse(answer) as { token: string };
    await enrolVehicle(made, { vehicleId, enrolmentToken: token, ...repositories });
    this.agents = made.agents;
    if (options.description !== undefined) {
      for (const { description: path } of made.agents) changeDescription(path, options.description);
    }
    const powered = await EmulatedVehicle.powerOn(made.agents, busAddress, {
      onLine: (agent: ProvisionedAgent, line: string) => {
        this.lines.push(`${agent.layout.name} ${line}`);
        this.onLine(agent, line);
      },
      heapBytes: (agent: ProvisionedAgent) => this.heapBytes(agent),
      onFailure: (agent: ProvisionedAgent, status: number | null) =>
        this.lines.push(`${agent.layout.name} stopped with ${status}`),
    });
    this.powered = powered;
    this.stops.push(() => powered.powerOff());
  }

  private async startBackend(ports: BackendPorts): Promise<void> {
    const backend = await BackendProcess.start({
      ...this.secrets,
      OTA_STATE: join(this.folder, 'backend'),
      OTA_LOG_LEVEL: 'error',
      DIRECTOR_PORT: String(ports.director),
      IMAGES_PORT: String(ports.images),
      OPERATOR_PORT: String(ports.operator),
    });
    this.running = backend;
    this.stops.push(() => backend.stop());
  }
}

/** Changes what an agent reads at its next start. */
export function changeDescription(path: string, changes: Partial<EcuDescription>): void {
  const known = JSON.parse(readFileSync(path, 'utf8')) as EcuDescription;
  writeFileSync(path, JSON.stringify({ ...known, ...changes }));
}
