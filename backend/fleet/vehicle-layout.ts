/** The emulated vehicle of `make demo`: its ECUs, their identifiers, flash maps and bus addresses. */
import { fileURLToPath } from 'node:url';
import { flashMapOf, loadBoard } from '../../boards/load.ts';
import type { FlashMap } from '../../hal/ecu-description.ts';

/** The three agents, by the names that `ECU=` takes. */
export const agentNames = ['primary', 'full', 'partial'] as const;
export type AgentName = (typeof agentNames)[number];

export const vehicleId = 'demo-vehicle-1';

/** The board that every ECU of the vehicle is built on. */
export const board = loadBoard(
  fileURLToPath(
    new URL(`../../boards/${process.env['BOARD'] || 'emulated'}/board.json`, import.meta.url),
  ),
);
export const canPort = board.can.port;

/** UDS identifiers of a Secondary, as the board's description has them. */
function addressOf(name: AgentName): BusAddress {
  const { requestId, responseId } = board.can.ecus.find((ecu) => ecu.name === name)!;
  return { requestId, responseId };
}

/** Where a workshop's tester reaches the Secondary: the same identifiers, 0x100 below. */
function testerAddressOf(name: AgentName): BusAddress {
  const { requestId, responseId } = addressOf(name);
  return { requestId: requestId - 0x100, responseId: responseId - 0x100 };
}

interface BusAddress {
  readonly requestId: number;
  readonly responseId: number;
}

/** What distinguishes one agent's ECU from the others. */
export interface AgentLayout {
  readonly name: AgentName;
  readonly ecuId: string;
  readonly hardwareId: string;
  readonly program: 'primary' | 'secondary';
  readonly verification: 'full' | 'partial';
  /** UDS identifiers; the Primary is the tester and has none. */
  readonly address?: BusAddress;
  readonly testerAddress?: BusAddress;
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
    address: addressOf('full'),
    testerAddress: testerAddressOf('full'),
  },
  partial: {
    name: 'partial',
    ecuId: 'partial',
    hardwareId: 'emulated-actuator',
    program: 'secondary',
    verification: 'partial',
    address: addressOf('partial'),
    testerAddress: testerAddressOf('partial'),
  },
};

/** Identifiers of the firmware that `FIRMWARE=` installs beside an agent. */
export function hostedEcuId(host: AgentName): string {
  return `${host}-firmware`;
}
export const hostedHardwareId = 'emulated-peripheral';

/** Room for one hosted image, at least what the board has. */
export function hostedSlotBytes(imageBytes: number): number {
  const usual = board.flash.partitions.find(({ name }) => name === hostedPartitions.slots[0]);
  return Math.max(usual?.length ?? 0, imageBytes);
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
 * Flash map of one ECU: the board's partitions, with those that only some ECUs have.
 * @param downloadBytes size of the Primary's partition for encrypted images, 0 for Secondaries
 * @param hostedBytes size of each slot of a hosted ECU, 0 for none
 */
export function flashMap(downloadBytes: number, hostedBytes: number): FlashMap {
  const [hostedA, hostedB] = hostedPartitions.slots;
  const unused = { [hostedPartitions.state]: 0, [hostedPartitions.journal]: 0 };
  return flashMapOf(board.flash, {
    [downloadPartition]: downloadBytes,
    [hostedA]: hostedBytes,
    [hostedB]: hostedBytes,
    ...(hostedBytes === 0 ? unused : {}),
  });
}
