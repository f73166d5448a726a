/** Loads and checks a board description (boards/README.md). Names every mistake at once. */
import { readFileSync } from 'node:fs';
import { leastUdsBlockBytes, maxUdsBlockBytes } from '../agent/limits.ts';
import type { LoaderDescription } from '../hal/ecu-description.ts';
import { Checker } from './checker.ts';

export interface BoardPartition {
  readonly name: string;
  /** Bytes, whole erase blocks. */
  readonly length: number;
  /** An emulated part is made larger for an image that does not fit; a real one refuses it. */
  readonly grows: boolean;
}

export interface BoardFlash {
  readonly blockLength: number;
  readonly writeAlign: number;
  readonly eraseValue: number;
  /** In the order in which they lie, the first at offset 0. */
  readonly partitions: readonly BoardPartition[];
}

/**
 * `file`: the program on the board, by a boot block, from A/B files. Else the machine's loader, from
 * `files` that hold the images of slot A and slot B (docs/boot-control.md).
 */
export type BootControl =
  | { readonly control: 'file' }
  | ({ readonly files: readonly [string, string] } & LoaderDescription);

/** A UDS server on the bus. */
export interface BoardEcu {
  readonly name: string;
  readonly requestId: number;
  readonly responseId: number;
}

/** What runs the agent: Node evaluates its source text, QuickJS-ng its bytecode. */
export type Runtime = 'node' | 'quickjs';

/** Crypto providers that each runtime can be built with. */
const providers = { node: ['node', 'noble'], quickjs: ['bearssl', 'openssl'] } as const;
export type CryptoProvider = (typeof providers)[Runtime][number];

/** Processors that `make runtime` builds for. */
const architectures = ['x86_64', 'aarch64', 'armhf'] as const;
export type Architecture = (typeof architectures)[number];

/** The two native programs of a vehicle's ECUs, and the agents that they boot. */
export type ProgramName = 'primary' | 'secondary';

export interface Board {
  readonly name: string;
  readonly engine: {
    readonly runtime: Runtime;
    readonly bytecodeVersion: number;
    readonly halVersion: number;
    readonly crypto: CryptoProvider;
    /** Processors that the board may have, the usual one first; none when Node runs the agent. */
    readonly architectures: readonly Architecture[];
  };
  readonly flash: BoardFlash;
  /** Who starts the native program that came over the air. */
  readonly boot: BootControl;
  readonly can: {
    readonly port: string;
    /** Bits a second, and of an FD frame's data; undefined for a bus that has no rate. */
    readonly bitRate?: number;
    readonly dataBitRate?: number;
    readonly flexibleData: boolean;
    /** 29-bit identifiers. */
    readonly extended: boolean;
    readonly ecus: readonly BoardEcu[];
  };
  readonly memory: {
    /** Heap that each program may use. */
    readonly heapBytes: Readonly<Record<ProgramName, number>>;
    /** Largest block of an image that a Secondary takes at once over UDS; the usual when absent. */
    readonly udsBlockBytes?: number;
  };
}

/** A board description with mistakes in it. */
export class BoardError extends Error {
  readonly mistakes: readonly string[];

  constructor(path: string, mistakes: readonly string[]) {
    super(`${path}:\n  ${mistakes.join('\n  ')}`);
    this.mistakes = mistakes;
  }
}

const engineFields = ['runtime', 'architectures', 'bytecodeVersion', 'halVersion', 'crypto'];
const flashFields = ['blockLength', 'writeAlign', 'eraseValue', 'partitions'];
const canFields = ['port', 'bitRate', 'dataBitRate', 'flexibleData', 'extended', 'ecus'];

/** Those of every ECU, the Primary's for encrypted images, and those of a hosted ECU's firmware. */
const partitionNames = [
  ...['state', 'journal', 'slot-a', 'slot-b'],
  'download',
  ...['hosted-state', 'hosted-journal', 'hosted-a', 'hosted-b'],
];
/** Those of a board whose native program is updated over the air: all of them, or none. */
export const runtimePartitionNames = ['runtime-state', 'runtime-journal', 'runtime-a', 'runtime-b'];

/** SocketCAN takes 1 Mbit/s and, for the data of FD frames, 8 Mbit/s at most. */
const maxBitRate = 1_000_000;
const maxDataBitRate = 8_000_000;
/** Less than this the host of QuickJS-ng refuses. */
const minHeapBytes = 65_536;
const maxHeapBytes = 1_073_741_824;

/** The workshop's tester has the identifiers of an ECU's update server less this. */
export const testerIdsBelow = 0x100;

/** The Secondaries of the vehicle that the fleet tools build; a board has to address both. */
const secondaryNames = ['full', 'partial'];

function checkEngine(check: Checker, value: unknown): Board['engine'] {
  const engine = check.fields(value, 'engine', engineFields);
  const runtime = check.oneOf(engine['runtime'], 'engine.runtime', ['node', 'quickjs'] as const);
  const crypto = check.oneOf(engine['crypto'], 'engine.crypto', providers[runtime]);
  const given = engine['architectures'];
  const place = 'engine.architectures';
  if (runtime === 'node' && given !== undefined) check.say(place, 'only for the runtime quickjs');
  const listed = runtime === 'node' ? [] : check.list(given, place, 1);
  const found = listed.map((one, i) => check.oneOf(one, `${place}[${i}]`, architectures));
  check.distinct(found, place);
  if (crypto === 'openssl' && found.some((one) => one !== 'x86_64')) {
    check.say('engine.crypto', 'openssl is built for x86_64 only');
  }
  return {
    runtime,
    crypto,
    architectures: found,
    bytecodeVersion: check.integer(engine['bytecodeVersion'], 'engine.bytecodeVersion', 0, 255),
    halVersion: check.integer(engine['halVersion'], 'engine.halVersion', 1, 65_535),
  };
}

function checkFlash(check: Checker, value: unknown, runtime: Runtime): BoardFlash {
  const flash = check.fields(value, 'flash', flashFields);
  const blockLength = check.integer(flash['blockLength'], 'flash.blockLength', 1, 1_048_576);
  const writeAlign = check.integer(flash['writeAlign'], 'flash.writeAlign', 1, 65_536);
  if (blockLength % writeAlign !== 0) check.say('flash.writeAlign', 'must divide blockLength');
  const eraseValue = flash['eraseValue'];
  if (eraseValue !== 0 && eraseValue !== 255) check.say('flash.eraseValue', 'expected 0 or 255');
  const partitions = check.list(flash['partitions'], 'flash.partitions', 1).map((one, i) => {
    const place = `flash.partitions[${i}]`;
    const partition = check.fields(one, place, ['name', 'length', 'grows']);
    const names = [...partitionNames, ...runtimePartitionNames];
    const name = check.oneOf(partition['name'], `${place}.name`, names);
    const length = check.integer(partition['length'], `${place}.length`, 1, 2 ** 40);
    if (length % blockLength !== 0) {
      check.say(`${place}.length`, `${length} is not whole blocks of ${blockLength}`);
    }
    const grows = partition['grows'] ?? false;
    return { name, length, grows: check.boolean(grows, `${place}.grows`) };
  });
  check.distinct(
    partitions.map(({ name }) => name),
    'flash.partitions',
  );
  const hasRuntime = partitions.some(({ name }) => runtimePartitionNames.includes(name));
  if (hasRuntime && runtime === 'node') {
    check.say('flash.partitions', "'runtime-…' only for the runtime quickjs");
  }
  for (const name of [...partitionNames, ...(hasRuntime ? runtimePartitionNames : [])]) {
    const partition = partitions.find((one) => one.name === name);
    if (partition === undefined) check.say('flash.partitions', `'${name}' is missing`);
    // Their logs go back and forth between two blocks.
    else if (/state|journal/.test(name) && partition.length < 2 * blockLength) {
      check.say('flash.partitions', `'${name}' needs at least two blocks`);
    }
  }
  return { blockLength, writeAlign, eraseValue: Number(eraseValue), partitions };
}

/** The rates of a kernel's interface; the emulated bus of the runtime node has none. */
function checkRates(
  check: Checker,
  can: Record<string, unknown>,
  runtime: Runtime,
  flexibleData: boolean,
): Pick<Board['can'], 'bitRate' | 'dataBitRate'> {
  const rate = (name: 'bitRate' | 'dataBitRate', min: number, max: number, why?: string) => {
    if (why === undefined) return { [name]: check.integer(can[name], `can.${name}`, min, max) };
    if (can[name] !== undefined) check.say(`can.${name}`, why);
    return {};
  };
  const emulated = runtime === 'node' ? 'the emulated bus has no rate' : undefined;
  const classic = flexibleData ? undefined : 'only with flexibleData';
  const nominal = rate('bitRate', 10_000, maxBitRate, emulated);
  const least = nominal['bitRate'] ?? 0;
  return { ...nominal, ...rate('dataBitRate', least, maxDataBitRate, emulated ?? classic) };
}

function checkCan(check: Checker, value: unknown, runtime: Runtime): Board['can'] {
  const can = check.fields(value, 'can', canFields);
  const extended = check.boolean(can['extended'], 'can.extended');
  const largest = extended ? 0x1fff_ffff : 0x7ff;
  const ecus = check.list(can['ecus'], 'can.ecus', 1).map((one, i) => {
    const place = `can.ecus[${i}]`;
    const ecu = check.fields(one, place, ['name', 'requestId', 'responseId']);
    return {
      name: check.oneOf(ecu['name'], `${place}.name`, secondaryNames),
      requestId: check.integer(ecu['requestId'], `${place}.requestId`, testerIdsBelow, largest),
      responseId: check.integer(ecu['responseId'], `${place}.responseId`, testerIdsBelow, largest),
    };
  });
  check.distinct(
    ecus.map(({ name }) => name),
    'can.ecus',
  );
  for (const name of secondaryNames) {
    if (!ecus.some((ecu) => ecu.name === name)) check.say('can.ecus', `'${name}' is missing`);
  }
  check.distinct(
    ecus.flatMap(({ requestId, responseId }) =>
      [requestId, responseId].flatMap((id) => [id, id - testerIdsBelow]),
    ),
    'can.ecus (with the tester identifiers 0x100 below)',
  );
  const flexibleData = check.boolean(can['flexibleData'], 'can.flexibleData');
  const port = check.name(can['port'], 'can.port');
  // IFNAMSIZ of Linux, with its closing zero.
  if (port.length > 15) check.say('can.port', 'longer than the 15 characters of an interface');
  return {
    port,
    ...checkRates(check, can, runtime, flexibleData),
    flexibleData,
    extended,
    ecus,
  };
}

const bootFields = {
  file: ['control'],
  'u-boot': ['control', 'files', 'environment', 'size', 'startedFrom'],
  tryboot: ['control', 'files', 'autoboot', 'partitions', 'startedFrom'],
} as const;
const bootControls = ['file', 'u-boot', 'tryboot'] as const;

function checkBoot(check: Checker, value: unknown, flash: BoardFlash): BootControl {
  if (value === undefined) return { control: 'file' };
  const any = check.fields(value, 'boot', [...bootFields['u-boot'], ...bootFields.tryboot]);
  const control = check.oneOf(any['control'], 'boot.control', bootControls);
  const boot = check.fields(value, 'boot', bootFields[control]);
  if (control === 'file') return { control };
  if (!flash.partitions.some(({ name }) => runtimePartitionNames.includes(name))) {
    check.say('boot.control', `${control} starts what 'runtime-…' partitions hold: there are none`);
  }
  const pair = <T>(name: string, one: (value: unknown, place: string) => T): readonly [T, T] => {
    const listed = check.list(boot[name], `boot.${name}`, 2);
    if (listed.length > 2) check.say(`boot.${name}`, 'expected two');
    return [one(listed[0], `boot.${name}[0]`), one(listed[1], `boot.${name}[1]`)];
  };
  const path = (value: unknown, place: string) => check.path(value, place);
  const files = pair('files', path);
  if (control === 'tryboot') {
    const autoboot = check.path(boot['autoboot'], 'boot.autoboot');
    const number = (value: unknown, place: string) => check.integer(value, place, 1, 255);
    const partitions = pair('partitions', number);
    check.distinct(partitions, 'boot.partitions');
    const cell = boot['startedFrom'] ?? '/proc/device-tree/chosen/bootloader/partition';
    const startedFrom = check.path(cell, 'boot.startedFrom');
    return { control, files, autoboot, partitions, startedFrom };
  }
  const environment = pair('environment', (value, place) => {
    const copy = check.fields(value, place, ['path', 'offset']);
    const offset = check.integer(copy['offset'], `${place}.offset`, 0, Number.MAX_SAFE_INTEGER);
    return { path: check.path(copy['path'], `${place}.path`), offset };
  });
  const size = check.integer(boot['size'], 'boot.size', 1_024, 1_048_576);
  const startedFrom = check.path(boot['startedFrom'] ?? '/proc/cmdline', 'boot.startedFrom');
  return { control, files, environment, size, startedFrom };
}

/** Checks a parsed description. Throws `BoardError` with every mistake; `path` names it. */
export function checkBoard(value: unknown, path: string): Board {
  const check = new Checker();
  const top = check.fields(value, 'board', ['name', 'engine', 'flash', 'boot', 'can', 'memory']);
  const engine = checkEngine(check, top['engine']);
  const memory = check.fields(top['memory'], 'memory', ['heapBytes', 'udsBlockBytes']);
  const block = memory['udsBlockBytes'];
  const heap = check.fields(memory['heapBytes'], 'memory.heapBytes', ['primary', 'secondary']);
  const heapOf = (program: ProgramName): number =>
    check.integer(heap[program], `memory.heapBytes.${program}`, minHeapBytes, maxHeapBytes);
  const flash = checkFlash(check, top['flash'], engine.runtime);
  const board: Board = {
    name: check.name(top['name'], 'name'),
    engine,
    flash,
    boot: checkBoot(check, top['boot'], flash),
    can: checkCan(check, top['can'], engine.runtime),
    memory: {
      heapBytes: { primary: heapOf('primary'), secondary: heapOf('secondary') },
      ...(block !== undefined && {
        udsBlockBytes: check.integer(
          block,
          'memory.udsBlockBytes',
          leastUdsBlockBytes,
          maxUdsBlockBytes,
        ),
      }),
    },
  };
  if (check.mistakes.length > 0) throw new BoardError(path, check.mistakes);
  return board;
}

/** Loads the description at `path`. Throws `BoardError` with every mistake. */
export function loadBoard(path: string): Board {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new BoardError(path, [error instanceof Error ? error.message : String(error)]);
  }
  return checkBoard(value, path);
}

/** Where a partition lies in the part, in bytes. */
export interface Region {
  readonly offset: number;
  readonly size: number;
}

/**
 * The flash map of one ECU: partitions one behind the other, in the board's order.
 * @param lengths partition name → bytes instead of the board's length, rounded up to whole blocks;
 *   0 leaves the partition out. Unknown names throw.
 */
export function flashMapOf(
  flash: BoardFlash,
  lengths: Readonly<Record<string, number>> = {},
): Record<string, Region> {
  for (const name of Object.keys(lengths)) {
    if (!flash.partitions.some((one) => one.name === name)) {
      throw new RangeError(`flash: no partition is named ${name}`);
    }
  }
  const map: Record<string, Region> = {};
  let offset = 0;
  for (const { name, length } of flash.partitions) {
    const size = Math.ceil((lengths[name] ?? length) / flash.blockLength) * flash.blockLength;
    if (size === 0) continue;
    map[name] = { offset, size };
    offset += size;
  }
  return map;
}
