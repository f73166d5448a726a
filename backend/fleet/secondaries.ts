/**
 * `make secondaries`: the Secondaries of the vehicle that the last `make demo` made, on their bus,
 * for testers that join it from other programs; without the Primary, whose backend is gone. Runs
 * until it is interrupted.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isRefusal } from '../../agent/codes.ts';
import { readDescription } from '../../hal/emulated/ecu.ts';
import { readBusEnvironment } from './bus-environment.ts';
import { EmulatedVehicle, type PoweredAgent } from './emulated-vehicle.ts';
import { agentLayouts, agentNames, canPort } from './vehicle-layout.ts';

async function main(): Promise<number> {
  const { DEMO_FOLDER: folder, CAN_SOCKETCAND: socketcand } = process.env;
  const environment = { ...process.env, CAN_SOCKETCAND: socketcand || '0' };
  const { hubArguments, mistakes } = readBusEnvironment(environment);
  if (mistakes.length > 0) return refuse(`argument-invalid: ${mistakes.join('; ')}`);
  const vehicle = join(resolve(folder || 'out/demo'), 'vehicle');
  const agents: PoweredAgent[] = agentNames
    .map((name) => ({ layout: agentLayouts[name], description: join(vehicle, name, 'ecu.json') }))
    .filter(({ layout }) => layout.testerAddress !== undefined);
  if (!agents.every(({ description }) => existsSync(description))) {
    return refuse(`file-unreadable: no vehicle in ${vehicle}; run make demo first`);
  }
  const described = readDescription(agents[0]!.description);
  if (isRefusal(described)) return refuse(`${described.refused}: ${described.detail}`);
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const hub = { arguments: hubArguments, onLine: (line: string) => say(`CAN bus: ${line}`) };
  let stop: (status: number) => void = () => undefined;
  const stopped = new Promise<number>((done) => {
    stop = done;
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop(0));
  let secondaries: EmulatedVehicle;
  try {
    const events = {
      onLine: ({ layout }: PoweredAgent, line: string) => say(`[${layout.name}] ${line}`),
      onFailure: ({ layout }: PoweredAgent, status: number | null) => {
        process.stderr.write(`${layout.name} stopped with status ${status}\n`);
        stop(1);
      },
    };
    const busAddress = described.buses[canPort]!;
    secondaries = await EmulatedVehicle.powerOn(agents, busAddress, events, hub);
  } catch (error) {
    return refuse((error as Error).message);
  }
  for (const { layout } of agents) {
    const { requestId, responseId } = layout.testerAddress!;
    const [request, response] = [requestId, responseId].map((id) => `0x${id.toString(16)}`);
    say(`${layout.ecuId}: UDS requests to ${request}, answers from ${response}`);
  }
  const status = await stopped;
  await secondaries.powerOff();
  return status;
}

function refuse(message: string): number {
  process.stderr.write(`${message}\n`);
  return 2;
}

process.exitCode = await main();
