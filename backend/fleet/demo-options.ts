/** What `make demo` was asked for, from the environment; every mistake is named at once. */
import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { attackNames } from './attacks/attacks.ts';
import type { BackendPorts } from './backend-process.ts';
import { readBusEnvironment } from './bus-environment.ts';
import { type AgentName, agentNames, hostedPartitions, roomFor } from './vehicle-layout.ts';

const maxFirmwareBytes = 67_108_864;
const maxKills = 100;
const maxSeed = 4_294_967_295;

export interface DemoOptions {
  /** Opaque firmware for a hosted ECU beside `on`. */
  readonly firmware?: { readonly path: string; readonly bytes: number; readonly on: AgentName };
  readonly attack?: string;
  /** Mutual TLS between vehicle and backend. */
  readonly tls: boolean;
  /** The update comes from a medium, while no backend runs. */
  readonly offline: boolean;
  /** Power cuts at random instants of the update. */
  readonly kills?: { readonly count: number; readonly seed: number };
  readonly ports: BackendPorts;
  /** What `CAN_…` asks of the bus's hub. */
  readonly hubArguments: readonly string[];
  /** Folder of the run; everything in it is removed at the start. */
  readonly folder: string;
}

/** Code `argument-invalid`, with every mistake in its detail. */
export function readDemoOptions(
  environment: Readonly<Record<string, string | undefined>>,
): DemoOptions | Refusal {
  const mistakes: string[] = [];
  const { FIRMWARE: firmware, ATTACK: attack, ECU: ecu } = environment;
  const on = (ecu || 'partial') as AgentName;
  if (!agentNames.includes(on)) mistakes.push(`ECU=${ecu}: expected ${agentNames.join(', ')}`);
  if (ecu && !firmware) mistakes.push('ECU= says where FIRMWARE= goes; give FIRMWARE=PATH too');
  const bytes = firmware ? firmwareBytes(firmware, mistakes) : 0;
  if (attack && !attackNames.includes(attack)) {
    mistakes.push(`ATTACK=${attack}: expected one of ${attackNames.join(', ')}`);
  }
  const { OTA_DEVICE_TLS: tls } = environment;
  if (tls && tls !== 'on' && tls !== 'off')
    mistakes.push(`OTA_DEVICE_TLS=${tls}: expected on, off`);
  const { OFFLINE: offline } = environment;
  if (offline && offline !== '1') mistakes.push(`OFFLINE=${offline}: expected 1`);
  if (offline && attack) mistakes.push('OFFLINE= and ATTACK= exclude each other');
  const kills = killsOf(environment, mistakes);
  if (kills && (attack || offline)) {
    mistakes.push('KILLS= excludes ATTACK= and OFFLINE=');
  }
  const port = (name: string, standard: number): number => {
    const text = environment[name];
    if (!text) return standard;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value > 65_535) {
      mistakes.push(`${name}=${text}: expected a port, 0 to 65535 (0 takes a free one)`);
    }
    return value;
  };
  const ports = {
    director: port('DIRECTOR_PORT', 8000),
    images: port('IMAGES_PORT', 8001),
    operator: port('OPERATOR_PORT', 8002),
    doorbell: port('DOORBELL_PORT', 8883),
  };
  const bus = readBusEnvironment(environment);
  mistakes.push(...bus.mistakes);
  if (mistakes.length > 0) return refuse('argument-invalid', mistakes.join('; '));
  return {
    ...(firmware ? { firmware: { path: resolve(firmware), bytes, on } } : {}),
    ...(attack ? { attack } : {}),
    ...(kills ? { kills } : {}),
    tls: tls !== 'off',
    offline: offline === '1',
    ports,
    hubArguments: bus.hubArguments,
    folder: resolve(environment['DEMO_FOLDER'] || 'out/demo'),
  };
}

function killsOf(
  { KILLS: count, SEED: seed }: Readonly<Record<string, string | undefined>>,
  mistakes: string[],
): DemoOptions['kills'] {
  const isWhole = (text: string, least: number, most: number) =>
    /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most;
  if (count && !isWhole(count, 1, maxKills)) {
    mistakes.push(`KILLS=${count}: expected 1 to ${maxKills}`);
  }
  if (seed && !isWhole(seed, 0, maxSeed)) mistakes.push(`SEED=${seed}: expected 0 to ${maxSeed}`);
  if (seed && !count) mistakes.push('SEED= chooses the instants of KILLS=; give KILLS=n too');
  return count ? { count: Number(count), seed: Number(seed || 1) } : undefined;
}

function firmwareBytes(path: string, mistakes: string[]): number {
  try {
    accessSync(path, constants.R_OK);
    const status = statSync(path);
    if (!status.isFile()) mistakes.push(`FIRMWARE=${path}: not a file`);
    else if (status.size < 1 || status.size > maxFirmwareBytes) {
      mistakes.push(`FIRMWARE=${path}: ${status.size} bytes, expected 1 to ${maxFirmwareBytes}`);
    } else {
      const [slot] = hostedPartitions.slots;
      const room = roomFor(slot, status.size);
      if (status.size > room) {
        mistakes.push(`FIRMWARE=${path}: ${status.size} bytes, the board's ${slot} has ${room}`);
      }
    }
    return status.size;
  } catch {
    mistakes.push(`FIRMWARE=${path}: cannot be read`);
    return 0;
  }
}
