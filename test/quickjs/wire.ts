/**
 * Values on their way between a test inside QuickJS and Node: JSON, in which an object with one key
 * that begins with `$` is something JSON has not. Both sides use this module, each with its own way
 * to make the bytes' Base64 and to stand for what stays on the other side.
 */

export interface Call {
  /** A module's name, or the number of an object on Node's side. */
  readonly of: string | number;
  /** The function's name; absent: the object is the function. */
  readonly name?: string | undefined;
  readonly given: unknown;
}

export interface Answer {
  readonly value?: unknown;
  readonly error?: { readonly name: string; readonly message: string; readonly code?: unknown };
}

export interface Side {
  toBase64(bytes: Uint8Array): string;
  /** Number of what stands for the other side's, or of what cannot travel; undefined: it can. */
  numberOf(value: object, travels: boolean): number | undefined;
  /** What stands here for the other side's object or function. */
  standFor(number: number, kind: 'object' | 'function'): unknown;
}

/** True for what travels as it is: made by a literal, in either side's realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The value as JSON can hold it. */
export function pack(side: Side, value: unknown): unknown {
  if (value === undefined) return { $undefined: true };
  if (typeof value === 'bigint') return { $bigint: String(value) };
  if (typeof value === 'function') return { $function: side.numberOf(value, false) };
  if (typeof value !== 'object' || value === null) return value;
  if (Buffer.isBuffer(value)) return { $buffer: side.toBase64(value) };
  if (value instanceof Uint8Array) return { $bytes: side.toBase64(value) };
  if (Array.isArray(value)) return value.map((item) => pack(side, item));
  const number = side.numberOf(value, isPlain(value));
  if (number !== undefined) return { $object: number };
  const packed: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) packed[key] = pack(side, item);
  return packed;
}

/** The value that the other side packed. */
export function unpack(side: Side, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => unpack(side, item));
  const entries = Object.entries(value);
  const [key, item] = entries.length === 1 ? entries[0]! : ['', undefined];
  switch (key) {
    case '$undefined':
      return undefined;
    case '$bigint':
      return BigInt(item as string);
    case '$bytes':
      return new Uint8Array(Buffer.from(item as string, 'base64'));
    case '$buffer':
      return Buffer.from(item as string, 'base64');
    case '$function':
    case '$object':
      return side.standFor(item as number, key === '$object' ? 'object' : 'function');
    default:
      return Object.fromEntries(entries.map(([name, one]) => [name, unpack(side, one)]));
  }
}
