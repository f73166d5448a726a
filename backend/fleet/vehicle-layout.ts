/** The emulated vehicle of `make demo`: its ECUs, their identifiers, flash maps and bus addresses. */
import type { FlashMap } from '../../hal/emulated/flash.ts';

/** The three agents, by the names that `ECU=` takes. */
export const agentNames = ['primary', 'full', 'partial'] as const;
export type AgentName = (typeof agentNames)[number];

export const vehicleId = 'demo-vehicle-1';
export const canPort = 'can0';

const block = 4096;
const kibibyte = 1024;

/** What distinguishes one agent's ECU from the others. */
export interface AgentLayout {
  readonly name: AgentName;
  readonly ecuId: string;
  readonly hardwareId: string;
  readonly program: 'primary' | 'secondary';
  readonly verification: 'full' | 'partial';
  /** UDS identifiers; the Primary is the tester and has none. */
  readonly address?: { readonly requestId: number; readonly responseId: number };
}

export const agentLayouts: Readonly<Record<AgentName, AgentLayout>> = {
  primary: {
    name: 'primary',
    ecuId: 'primary',
    hardwareId: 'emulated-gateway',
    program: 'primary',
    verification: 'full',
  },
  full: {
    name: 'full',
    ecuId: 'full',
    hardwareId: 'emulated-domain-controller',
    program: 'secondary',
    verification: 'full',
    address: { requestId: 0x7e0, responseId: 0x7e8 },
  },
  partial: {
    name: 'partial',
    ecuId: 'partial',
    hardwareId: 'emulated-actuator',
    program: 'secondary',
    verification: 'partial',
    address: { requestId: 0x7e1, responseId: 0x7e9 },
  },
};

/** Identifiers of the firmware that `FIRMWARE=` installs beside an agent. */
export function hostedEcuId(host: AgentName): string {
  return `${host}-firmware`;
}
export const hostedHardwareId = 'emulated-peripheral';

/** Room for one hosted image, at least 64 KiB. */
export function hostedSlotBytes(imageBytes: number): number {
  return Math.max(64 * kibibyte, Math.ceil(imageBytes / block) * block);
}

/** Lays partitions one behind the other. */
function lay(partitions: readonly (readonly [string, number])[]): FlashMap {
  const map: Record<string, { offset: number; size: number }> = {};
  let offset = 0;
  for (const [name, size] of partitions) {
    map[name] = { offset, size };
    offset += size;
  }
  return map;
}

/** Partition names of the agent's own slot pair and of a hosted one. */
export const ownPartitions = {
  slots: ['slot-a', 'slot-b'],
  state: 'state',
  journal: 'journal',
} as const;
export const hostedPartitions = {
  slots: ['hosted-a', 'hosted-b'],
  state: 'hosted-state',
  journal: 'hosted-journal',
} as const;
export const downloadPartition = 'download';

/**
 * Flash map of one ECU.
 * @param downloadBytes size of the Primary's partition for encrypted images, 0 for Secondaries
 * @param hostedBytes size of each slot of a hosted ECU, 0 for none
 */
export function flashMap(downloadBytes: number, hostedBytes: number): FlashMap {
  const own: [string, number][] = [
    [ownPartitions.state, 4 * block],
    [ownPartitions.journal, 4 * block],
    [ownPartitions.slots[0], 512 * kibibyte],
    [ownPartitions.slots[1], 512 * kibibyte],
  ];
  const hosted: [string, number][] = [
    [hostedPartitions.state, 4 * block],
    [hostedPartitions.journal, 4 * block],
    [hostedPartitions.slots[0], hostedBytes],
    [hostedPartitions.slots[1], hostedBytes],
  ];
  const download: [string, number][] = [[downloadPartition, downloadBytes]];
  return lay([...own, ...(hostedBytes > 0 ? hosted : []), ...(downloadBytes > 0 ? download : [])]);
}
