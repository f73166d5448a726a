/** The emulated vehicle of `make demo`: its ECUs, their identifiers, flash maps and bus addresses. */
import { findBoard } from '../../boards/find.ts';
import {
  type Architecture,
  flashMapOf,
  loadBoard,
  type ProgramName,
  testerIdsBelow,
} from '../../boards/load.ts';
import type { EcuDescription, FlashMap, RuntimePair } from '../../hal/ecu-description.ts';

/** The three agents, by the names that `ECU=` takes. */
export const agentNames = ['primary', 'full', 'partial'] as const;
export type AgentName = (typeof agentNames)[number];

export const vehicleId = 'demo-vehicle-1';

/** The board that every ECU of the vehicle is built on: BOARD, a name or a path. */
export const board = loadBoard(findBoard(process.env['BOARD'] || 'emulated'));
export const canPort = board.can.port;

/** UDS identifiers of a Secondary, as the board's description has them. */
function addressOf(name: AgentName): BusAddress {
  const { requestId, responseId } = board.can.ecus.find((ecu) => ecu.name === name)!;
  return { requestId, responseId, extended: board.can.extended };
}

/** Where a workshop's tester reaches the Secondary. */
function testerAddressOf(name: AgentName): BusAddress {
  const { requestId, responseId, extended } = addressOf(name);
  const [request, response] = [requestId - testerIdsBelow, responseId - testerIdsBelow];
  return { requestId: request, responseId: response, extended };
}

interface BusAddress {
  readonly requestId: number;
  readonly responseId: number;
  /** 29-bit identifiers. */
  readonly extended: boolean;
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

/**
 * Size of a partition that has to hold `bytes`: the board's, or more where its description lets it
 * grow. What does not fit then is refused by whoever fills it.
 */
export function roomFor(name: string, bytes: number): number {
  const { length, grows } = board.flash.partitions.find((one) => one.name === name)!;
  return grows ? Math.max(length, bytes) : length;
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
/** Of the native program itself (kind `runtime`), on boards whose flash map has them. */
export const runtimePartitions = {
  slots: ['runtime-a', 'runtime-b'],
  state: 'runtime-state',
  journal: 'runtime-journal',
} as const;

/** True for boards whose native program can be updated over the air. */
export const boardUpdatesRuntime = board.flash.partitions.some(
  ({ name }) => name === runtimePartitions.state,
);

/** The ECU id of the program that runs an agent. */
export function runtimeEcuId(of: AgentName): string {
  return `${of}-runtime`;
}

/** VIM-02: a program runs on one architecture, in one role, with the libraries that it was linked to. */
export function runtimeHardwareId(program: ProgramName, architecture: Architecture): string {
  const variant = board.engine.crypto === 'openssl' ? '-openssl' : '';
  return `runtime-${program}-${architecture}${variant}`;
}

/**
 * Flash map of one ECU: the board's partitions, with those that only some ECUs have.
 * @param downloadBytes size of the Primary's partition for encrypted images, 0 for Secondaries
 * @param hostedBytes size of each slot of a hosted ECU, 0 for none
 * @param updatesRuntime with the pair of the program itself, which the board then has to have
 */
export function flashMap(
  downloadBytes: number,
  hostedBytes: number,
  updatesRuntime = false,
): FlashMap {
  const [hostedA, hostedB] = hostedPartitions.slots;
  const unused = { [hostedPartitions.state]: 0, [hostedPartitions.journal]: 0 };
  const { slots, state, journal } = runtimePartitions;
  const withoutRuntime = [...slots, state, journal].map((name) => [name, 0] as const);
  return flashMapOf(board.flash, {
    [downloadPartition]: downloadBytes,
    [hostedA]: hostedBytes,
    [hostedB]: hostedBytes,
    ...(hostedBytes === 0 ? unused : {}),
    ...(boardUpdatesRuntime && !updatesRuntime ? Object.fromEntries(withoutRuntime) : {}),
  });
}

/** Where an ECU's parts are; paths are absolute on the machine that runs it. */
export interface EcuPlaces {
  readonly flashFile: string;
  readonly flashMap: FlashMap;
  readonly keyValueFolder: string;
  readonly busAddress: string;
  /** Files of the program itself; absent where it is not updated over the air. */
  readonly runtimeFolder?: string;
}

/** Where the programs that come over the air lie, and who starts them, by the board's boot control. */
function describeRuntime(folder: string): RuntimePair {
  const { boot } = board;
  const pair = { ...runtimePartitions, files: [`${folder}/a`, `${folder}/b`] as const };
  if (boot.control === 'file') return pair;
  const { files, ...loader } = boot;
  return { ...pair, files, loader };
}

/** The description that an ECU's program starts from, with what the board's says. */
export function describeEcu(places: EcuPlaces): EcuDescription {
  const { flashFile, keyValueFolder, busAddress, runtimeFolder } = places;
  const { blockLength, writeAlign, eraseValue } = board.flash;
  const { crypto } = board.engine;
  return {
    flashFile,
    flashMap: places.flashMap,
    flashGeometry: { blockLength, writeAlign, eraseValue },
    ...(crypto === 'node' || crypto === 'noble' ? { crypto } : {}),
    keyValueFolder,
    buses: { [canPort]: busAddress },
    slots: [...ownPartitions.slots],
    state: ownPartitions.state,
    journal: ownPartitions.journal,
    ...(runtimeFolder !== undefined && {
      runtime: describeRuntime(runtimeFolder),
    }),
  };
}
