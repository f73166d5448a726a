/** The description of one ECU that its program starts from: where flash, values and buses are. */
import { type Refusal, refuse } from '../agent/codes.ts';
import { isOutOfMemory } from '../agent/install/out-of-memory.ts';

/** Where a partition lies in the part; both in bytes, multiples of the erase block. */
export interface FlashRegion {
  readonly offset: number;
  readonly size: number;
}

/** Partition names with their regions. */
export type FlashMap = Readonly<Record<string, FlashRegion>>;

/** How the flash part erases and programs. */
export interface FlashGeometry {
  /** Bytes that are erased together. */
  readonly blockLength: number;
  /** Bytes that are programmed together; divides `blockLength`. */
  readonly writeAlign: number;
  /** What an erased byte reads as: 0xff (NOR), or 0x00 on a few parts. */
  readonly eraseValue: number;
}

export const norGeometry: FlashGeometry = { blockLength: 4096, writeAlign: 4, eraseValue: 0xff };

/** A U-Boot whose script starts the slot that `ota_slot` names (docs/boot-control.md). */
export interface UBootDescription {
  readonly control: 'u-boot';
  /** Where the two copies of its environment are; both have `size` bytes. */
  readonly environment: readonly { readonly path: string; readonly offset: number }[];
  readonly size: number;
  /** The kernel's command line, on which the script has put the slot: `/proc/cmdline`. */
  readonly startedFrom: string;
}

/** The firmware of a Raspberry Pi. */
export interface TrybootDescription {
  readonly control: 'tryboot';
  /** Path of `autoboot.txt`. */
  readonly autoboot: string;
  /** Numbers of the partitions that start slot A and slot B. */
  readonly partitions: readonly [number, number];
  /** The cell of the device tree that tells the partition. */
  readonly startedFrom: string;
}

export type LoaderDescription = UBootDescription | TrybootDescription;

/** The slot pair of the platform's own program (kind `runtime`). */
export interface RuntimePair {
  readonly slots: readonly [string, string];
  readonly state: string;
  readonly journal: string;
  /** Files that hold the images of slot A and slot B; absolute. */
  readonly files: readonly [string, string];
  /** The machine's loader starts these files; absent: the program on the board does (exec). */
  readonly loader?: LoaderDescription;
}

/** What an ECU is made of; paths are absolute. */
export interface EcuDescription {
  /** Flash part: a file that stands for one, or an MTD device where the platform has them. */
  readonly flashFile: string;
  readonly flashMap: FlashMap;
  /** `norGeometry` when absent. */
  readonly flashGeometry?: FlashGeometry;
  /** Crypto of an ECU that Node runs: its own when absent. Native programs have theirs linked. */
  readonly crypto?: 'node' | 'noble';
  readonly keyValueFolder: string;
  /** CAN port name → address of the bus. */
  readonly buses: Readonly<Record<string, string>>;
  /** Partitions of the agent's own slot pair. */
  readonly slots: readonly [string, string];
  readonly state: string;
  readonly journal: string;
  /** Absent: its program is never replaced over the air. */
  readonly runtime?: RuntimePair;
  /** Folder where a medium with an offline update appears (PURE-2); none when absent. */
  readonly mediumFolder?: string;
  /** Program that tests a hosted ECU's firmware: called with ECU id and slot, status 0 passes. */
  readonly hostedSelfTest?: string;
  /** A Primary's: file that it keeps its progress in, and program that it asks for consent. */
  readonly progressFile?: string;
  readonly consent?: string;
  /** Greatest time of its watchdog, in milliseconds; any when absent. */
  readonly watchdogMilliseconds?: number;
}

/**
 * Parses and checks a description.
 * @param text of the file, JSON
 * @param path names it in the refusal; code `configuration-invalid` names every mistake at once
 */
export function parseDescription(text: string, path: string): EcuDescription | Refusal {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (isOutOfMemory(error)) throw error;
    return refuse('configuration-invalid', `${path}: ${(error as Error).message}`);
  }
  const given = (isObject(value) ? value : {}) as Partial<Record<keyof EcuDescription, unknown>>;
  const mistakes: string[] = [];
  const expect = (name: keyof EcuDescription, right: boolean, what: string) => {
    if (!right) mistakes.push(`${name}: expected ${what}`);
  };
  const isText = (one: unknown) => typeof one === 'string' && one !== '';
  const { flashFile, flashMap, keyValueFolder, buses, slots, state, journal, hostedSelfTest } =
    given;
  expect('flashFile', isText(flashFile), 'a path');
  expect('keyValueFolder', isText(keyValueFolder), 'a path');
  expect('state', isText(state), 'the name of a partition');
  expect('journal', isText(journal), 'the name of a partition');
  expect(
    'flashMap',
    isObject(flashMap) && Object.values(flashMap).every(isRegion),
    'regions by name',
  );
  expect('buses', isObject(buses) && Object.values(buses).every(isText), 'addresses by port');
  const { flashGeometry: geometry, crypto } = given;
  const fits = geometry === undefined || isGeometry(geometry);
  expect('flashGeometry', fits, 'blockLength, writeAlign that divides it, eraseValue 0 or 255');
  const provider = crypto === undefined || crypto === 'node' || crypto === 'noble';
  expect('crypto', provider, '"node" or "noble"');
  const pair = Array.isArray(slots) && slots.length === 2 && slots.every(isText);
  expect('slots', pair, 'the names of two partitions');
  const { runtime } = given;
  const known = isObject(flashMap) ? flashMap : {};
  expect('runtime', runtime === undefined || isRuntimePair(runtime, known), runtimeForm);
  expect('hostedSelfTest', hostedSelfTest === undefined || isText(hostedSelfTest), 'a path');
  const { mediumFolder, watchdogMilliseconds: longest } = given;
  expect('mediumFolder', mediumFolder === undefined || isText(mediumFolder), 'a path');
  const { progressFile, consent } = given;
  expect('progressFile', progressFile === undefined || isText(progressFile), 'a path');
  expect('consent', consent === undefined || isText(consent), 'a path');
  const isTime = longest === undefined || (Number.isSafeInteger(longest) && Number(longest) > 0);
  expect('watchdogMilliseconds', isTime, 'milliseconds');
  if (mistakes.length > 0) {
    return refuse('configuration-invalid', `${path}: ${mistakes.join('; ')}`);
  }
  return given as unknown as EcuDescription;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const runtimeForm =
  'slots, state and journal by the names of partitions, two absolute files, a loader that is known';

function isRuntimePair(value: unknown, map: Readonly<Record<string, unknown>>): boolean {
  if (!isObject(value)) return false;
  const { slots, state, journal, files, loader } = value;
  const names = pairOf(slots);
  const known = (name: unknown) => typeof name === 'string' && map[name] !== undefined;
  const right = [...names, state, journal].every(known) && pairOf(files).every(isAbsolute);
  return right && (loader === undefined || isLoader(loader));
}

/** The entries of a pair; of anything else one that is never right. */
function pairOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) && value.length === 2 ? value : [undefined];
}

function isAbsolute(value: unknown): boolean {
  return typeof value === 'string' && value[0] === '/';
}

function isLoader(value: unknown): boolean {
  if (!isObject(value) || !isAbsolute(value['startedFrom'])) return false;
  const { control, environment, size, autoboot, partitions } = value;
  const isNumber = (one: unknown) => Number.isSafeInteger(one) && Number(one) >= 0;
  if (control === 'tryboot') {
    return isAbsolute(autoboot) && pairOf(partitions).every((one) => isNumber(one) && one !== 0);
  }
  const isCopy = (one: unknown) =>
    isObject(one) && isAbsolute(one['path']) && isNumber(one['offset']);
  return control === 'u-boot' && isNumber(size) && pairOf(environment).every(isCopy);
}

function isGeometry(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { blockLength, writeAlign, eraseValue } = value;
  const isLength = (one: unknown) => Number.isSafeInteger(one) && Number(one) > 0;
  const divides = Number(blockLength) % Number(writeAlign) === 0;
  const erased = eraseValue === 0 || eraseValue === 0xff;
  return isLength(blockLength) && isLength(writeAlign) && divides && erased;
}

function isRegion(value: unknown): boolean {
  return (
    isObject(value) && Number.isSafeInteger(value['offset']) && Number.isSafeInteger(value['size'])
  );
}
