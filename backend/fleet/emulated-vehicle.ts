/** A provisioned vehicle under power: the bus's hub and one process per ECU. */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Child } from './child-process.ts';
import { EcuProcess, type PeakMemory } from './ecu-process.ts';
import type { AgentLayout } from './vehicle-layout.ts';

/** What there has to be of an agent to power it on. */
export interface PoweredAgent {
  readonly layout: AgentLayout;
  /** Path of the description that hal/emulated/ecu.ts runs. */
  readonly description: string;
}

export interface HubOptions {
  /** More of the hub's command line: foreign formats, log, faults. */
  readonly arguments: readonly string[];
  /** One line that the hub printed or logged: where tools join, whom it threw out. */
  readonly onLine: (line: string) => void;
}

const plainHub: HubOptions = { arguments: [], onLine: () => undefined };

const hubProgram = fileURLToPath(new URL('../../hal/emulated/can-hub.ts', import.meta.url));

export interface VehicleEvents<Agent extends PoweredAgent> {
  /** One line that an agent logged. */
  readonly onLine: (agent: Agent, line: string) => void;
  /** An ECU stopped and cannot run any more. */
  readonly onFailure: (agent: Agent, status: number | null) => void;
  /** Heap of an agent's native program at its next start, in bytes; the board's when undefined. */
  readonly heapBytes?: (agent: Agent) => number | undefined;
}

export class EmulatedVehicle {
  private readonly hub: Child;
  private readonly ecus: Map<PoweredAgent, EcuProcess>;

  private constructor(hub: Child, ecus: Map<PoweredAgent, EcuProcess>) {
    this.hub = hub;
    this.ecus = ecus;
  }

  /** Starts the hub, then every ECU; returns once the bus is up. */
  static async powerOn<Agent extends PoweredAgent>(
    agents: readonly Agent[],
    busAddress: string,
    events: VehicleEvents<Agent>,
    hubOptions = plainHub,
  ): Promise<EmulatedVehicle> {
    if (busAddress.startsWith('unix:')) rmSync(busAddress.slice('unix:'.length), { force: true });
    const hub = await startHub(busAddress, hubOptions);
    const ecus = new Map<PoweredAgent, EcuProcess>();
    for (const agent of agents) {
      const process = new EcuProcess({
        program: agent.layout.program,
        description: agent.description,
        heapBytes: () => events.heapBytes?.(agent),
        onLine: (line) => events.onLine(agent, line),
        onFailure: (status) => events.onFailure(agent, status),
      });
      ecus.set(agent, process);
    }
    return new EmulatedVehicle(hub, ecus);
  }

  /** Switches one ECU on again; it must be off. */
  powerOnEcu(agent: PoweredAgent): void {
    this.ecus.set(agent, this.ecus.get(agent)!.again());
  }

  /** Switches one ECU off; returns when its process is gone. */
  powerOffEcu(agent: PoweredAgent): Promise<void> {
    return this.ecus.get(agent)!.stop();
  }

  /** The most memory that any run of an agent's process needed, in bytes; known after a stop. */
  peakMemory(agent: PoweredAgent): PeakMemory {
    return this.ecus.get(agent)!.peakMemory;
  }

  /** True while an agent's ECU may be on a trial (`EcuProcess.isStarting`). */
  isStarting(agent: PoweredAgent): boolean {
    return this.ecus.get(agent)!.isStarting;
  }

  /**
   * Cuts the power of one agent's ECU in the middle of whatever it does; it starts again at once.
   * @returns whether the cut hit: false when the process had just ended by itself
   */
  cutPower(agent: PoweredAgent): Promise<boolean> {
    return this.ecus.get(agent)!.cutPower();
  }

  async powerOff(): Promise<void> {
    await Promise.all([...this.ecus.values()].map((ecu) => ecu.stop()));
    await this.hub.stop();
  }
}

async function startHub(address: string, options: HubOptions): Promise<Child> {
  const signal = new AbortController();
  const errors: string[] = [];
  let up = false;
  let listening: () => void = () => undefined;
  const started = new Promise<void>((resolve) => {
    listening = resolve;
  });
  const hub = new Child({
    arguments: [hubProgram, '--listen', address, ...options.arguments],
    onLine: (line, stream) => {
      if (line.startsWith('listening')) {
        up = true;
        listening();
      } else if (stream === 'stderr' && !up) errors.push(line);
      else options.onLine(line);
    },
    onExit: () => signal.abort(),
  });
  const ended = once(signal.signal, 'abort').then(() => {
    throw new Error(`the CAN hub ended: ${errors.join(' ')}`);
  });
  await Promise.race([started, ended]);
  ended.catch(() => undefined);
  return hub;
}
