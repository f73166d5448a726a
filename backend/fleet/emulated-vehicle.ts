/** A provisioned vehicle under power: the bus's hub and one process per ECU. */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Child } from './child-process.ts';
import { EcuProcess } from './ecu-process.ts';
import type { ProvisionedAgent } from './provision.ts';

const hubProgram = fileURLToPath(new URL('../../hal/emulated/can-hub.ts', import.meta.url));

export interface VehicleEvents {
  /** One line that an agent logged. */
  readonly onLine: (agent: ProvisionedAgent, line: string) => void;
  /** An ECU stopped and cannot run any more. */
  readonly onFailure: (agent: ProvisionedAgent, status: number | null) => void;
}

export class EmulatedVehicle {
  private readonly hub: Child;
  private readonly ecus: ReadonlyMap<ProvisionedAgent, EcuProcess>;

  private constructor(hub: Child, ecus: ReadonlyMap<ProvisionedAgent, EcuProcess>) {
    this.hub = hub;
    this.ecus = ecus;
  }

  /** Starts the hub, then every ECU; returns once the bus is up. */
  static async powerOn(
    agents: readonly ProvisionedAgent[],
    busAddress: string,
    events: VehicleEvents,
  ): Promise<EmulatedVehicle> {
    if (busAddress.startsWith('unix:')) rmSync(busAddress.slice('unix:'.length), { force: true });
    const hub = await startHub(busAddress);
    const ecus = new Map<ProvisionedAgent, EcuProcess>();
    for (const agent of agents) {
      const process = new EcuProcess({
        description: agent.description,
        onLine: (line) => events.onLine(agent, line),
        onFailure: (status) => events.onFailure(agent, status),
      });
      ecus.set(agent, process);
    }
    return new EmulatedVehicle(hub, ecus);
  }

  /** Largest resident set that any run of an agent's process had, in bytes; known after a stop. */
  peakRssBytes(agent: ProvisionedAgent): number {
    return this.ecus.get(agent)!.peakRssBytes;
  }

  async powerOff(): Promise<void> {
    await Promise.all([...this.ecus.values()].map((ecu) => ecu.stop()));
    await this.hub.stop();
  }
}

async function startHub(address: string): Promise<Child> {
  const signal = new AbortController();
  const errors: string[] = [];
  let listening: () => void = () => undefined;
  const started = new Promise<void>((resolve) => {
    listening = resolve;
  });
  const hub = new Child({
    arguments: [hubProgram, '--listen', address],
    onLine: (line, stream) => {
      if (line.startsWith('listening')) listening();
      else if (stream === 'stderr') errors.push(line);
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
