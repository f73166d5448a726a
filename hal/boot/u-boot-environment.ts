/**
 * The environment of U-Boot, stored twice (CONFIG_SYS_REDUNDAND_ENVIRONMENT): each copy is CRC-32,
 * a flags byte and `name=value` strings. The flags are a serial number that rises by one with each
 * write, as U-Boot has it for block devices and UBI; that of NOR parts (1 active, 0 obsolete) is not
 * written here. Offsets and sizes are those of fw_env.config(5).
 */

const crcBytes = 4;
const headerBytes = crcBytes + 1;

export type Environment = Readonly<Record<string, string>>;

export interface StoredEnvironment {
  readonly variables: Environment;
  /** The copy (0 or 1) that is in force; the other one is written next. */
  readonly copy: number;
  readonly flags: number;
}

/** CRC-32 of IEEE 802.3, as zlib has it. Bit by bit: an environment is a few KiB, once a start. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    crc ^= bytes[i]!;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function isValid(copy: Uint8Array): boolean {
  if (copy.length <= headerBytes) return false;
  const stored = (copy[0]! | (copy[1]! << 8) | (copy[2]! << 16) | (copy[3]! << 24)) >>> 0;
  return stored === crc32(copy.subarray(headerBytes));
}

/** Which of two valid copies is newer: serial numbers go round from 255 to 0. */
function newer(first: number, second: number): number {
  if (first === 255 && second === 0) return 1;
  if (second === 255 && first === 0) return 0;
  return second > first ? 1 : 0;
}

/**
 * The environment in force.
 * @param copies both copies as they lie there, whole
 * @returns undefined when neither copy is whole
 */
export function readEnvironment(
  copies: readonly [Uint8Array, Uint8Array],
): StoredEnvironment | undefined {
  const valid = [isValid(copies[0]), isValid(copies[1])];
  if (!valid[0] && !valid[1]) return undefined;
  const flagsOf = (copy: number) => copies[copy]![crcBytes]!;
  const copy = valid[0] && valid[1] ? newer(flagsOf(0), flagsOf(1)) : valid[0] ? 0 : 1;
  const variables: Record<string, string> = {};
  const bytes = copies[copy]!;
  // An empty string ends the list.
  for (let start = headerBytes; start < bytes.length && bytes[start] !== 0; ) {
    const found = bytes.indexOf(0, start);
    const end = found < 0 ? bytes.length : found;
    const text = String.fromCharCode(...bytes.subarray(start, end));
    const equals = text.indexOf('=');
    if (equals > 0) variables[text.slice(0, equals)] = text.slice(equals + 1);
    start = end + 1;
  }
  return { variables, copy, flags: flagsOf(copy) };
}

/**
 * The bytes of the next write, for the copy that is not in force.
 * @param size bytes of a copy; throws when the variables do not fit
 */
export function nextEnvironment(
  before: StoredEnvironment,
  changes: Environment,
  size: number,
): Uint8Array {
  const variables = { ...before.variables, ...changes };
  const text = Object.keys(variables)
    .sort()
    .map((name) => `${name}=${variables[name]}\0`)
    .join('');
  // One more zero ends the list.
  if (headerBytes + text.length + 1 > size) throw new RangeError(`environment: over ${size} bytes`);
  const bytes = new Uint8Array(size);
  for (let i = 0; i < text.length; i++) bytes[headerBytes + i] = text.charCodeAt(i);
  bytes[crcBytes] = (before.flags + 1) & 0xff;
  const crc = crc32(bytes.subarray(headerBytes));
  for (let i = 0; i < crcBytes; i++) bytes[i] = (crc >>> (8 * i)) & 0xff;
  return bytes;
}
