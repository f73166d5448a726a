/**
 * Records of the formats, declared once: a schema decodes strictly, encodes deterministically and
 * names the fields for the JSON view. Decoding allocates only the records themselves.
 */
import type { Refusal } from '../codes.ts';
import {
  compareBytes,
  majorArray,
  majorMap,
  majorNegative,
  majorUnsigned,
  Reader,
} from './reader.ts';
import { Writer } from './writer.ts';

/** Least and greatest value, length in bytes or characters, or number of items. */
interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** How a value looks to a tool that walks schemas (the JSON view, generated tests). */
export type Shape =
  | { readonly kind: 'boolean' | 'key' }
  | ({ readonly kind: 'integer' | 'bytes' } & Bounds)
  | ({ readonly kind: 'text'; readonly allowed?: (characterCode: number) => boolean } & Bounds)
  | { readonly kind: 'named'; readonly names: Readonly<Record<string, number>> }
  | ({ readonly kind: 'array'; readonly item: Schema<unknown> } & Bounds)
  | { readonly kind: 'tuple'; readonly items: readonly Schema<unknown>[] }
  | ({
      readonly kind: 'dictionary';
      readonly keys: 'integer' | 'text';
      readonly key: Schema<unknown>;
      readonly value: Schema<unknown>;
    } & Bounds)
  | { readonly kind: 'record'; readonly fields: Readonly<Record<string, AnyField>> };

export interface Schema<T> {
  readonly shape: Shape;
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

export type Infer<S> = S extends Schema<infer T> ? T : never;

/** One field of a record: its integer key and the schema of its value. */
export interface Field<T, Optional extends boolean> {
  readonly key: number;
  readonly schema: Schema<T>;
  readonly optional: Optional;
}

// biome-ignore lint/suspicious/noExplicitAny: a record's fields have unrelated types
export type AnyField = Field<any, boolean>;

export function field<T>(key: number, schema: Schema<T>): Field<T, false> {
  return { key, schema, optional: false };
}

export function optional<T>(key: number, schema: Schema<T>): Field<T, true> {
  return { key, schema, optional: true };
}

type RecordOf<F extends Record<string, AnyField>> = {
  readonly [K in keyof F as F[K]['optional'] extends true ? never : K]: Infer<F[K]['schema']>;
} & {
  readonly [K in keyof F as F[K]['optional'] extends true ? K : never]?: Infer<F[K]['schema']>;
};

/** An integer from `min` to `max`. */
export function integer(min: number, max: number): Schema<number> {
  return {
    shape: { kind: 'integer', min, max },
    read(reader) {
      const negative = min < 0 && reader.peekMajor() === majorNegative;
      const argument = reader.head(negative ? majorNegative : majorUnsigned);
      const value = negative ? -1 - argument : argument;
      if (reader.refused === undefined && (value < min || value > max)) {
        reader.refuse('cbor-integer-range', `integer ${value} outside ${min} to ${max}`);
      }
      return value;
    },
    write(writer, value) {
      if (!(value >= min && value <= max)) {
        throw new RangeError(`value: expected ${min} to ${max}, got ${value}`);
      }
      writer.integer(value);
    },
  };
}

/** Any integer 0 … 2⁵³−1: versions, seconds, sizes in bytes. */
export const unsigned = integer(0, Number.MAX_SAFE_INTEGER);

/** One of a closed set of integers, with their names in the JSON view. */
export function named<const N extends Readonly<Record<string, number>>>(
  names: N,
): Schema<N[keyof N]> {
  const values = Object.keys(names).map((name) => names[name]!);
  return {
    shape: { kind: 'named', names },
    read(reader) {
      const negative = reader.peekMajor() === majorNegative;
      const argument = reader.head(negative ? majorNegative : majorUnsigned);
      const value = negative ? -1 - argument : argument;
      if (reader.refused === undefined && values.indexOf(value) < 0) {
        reader.refuse('cbor-unknown-value', `value ${value}`);
      }
      return value as N[keyof N];
    },
    write(writer, value) {
      if (values.indexOf(value) < 0) throw new RangeError(`value: ${value} has no name`);
      writer.integer(value);
    },
  };
}

/** A byte string of `min` to `max` bytes; a decoded one is a view into the input. */
export function bytes(min: number, max: number = min): Schema<Uint8Array> {
  return {
    shape: { kind: 'bytes', min, max },
    read(reader) {
      const value = reader.byteString(max);
      if (reader.refused === undefined && value.length < min) {
        reader.refuse('cbor-too-short', `byte string of ${value.length} bytes, at least ${min}`);
      }
      return value;
    },
    write(writer, value) {
      if (value.length < min || value.length > max) {
        throw new RangeError(`value: expected ${min} to ${max} bytes, got ${value.length}`);
      }
      writer.byteString(value);
    },
  };
}

/** Printable ASCII text of 1 to `max` characters. `allowed` refuses further characters by code. */
export function text(max: number, allowed?: (characterCode: number) => boolean): Schema<string> {
  return {
    shape: { kind: 'text', min: 1, max, ...(allowed && { allowed }) },
    read(reader) {
      const value = reader.text(max);
      if (reader.refused === undefined && value.length === 0) {
        reader.refuse('cbor-too-short', 'empty text');
      }
      for (let i = 0; allowed !== undefined && i < value.length; i++) {
        if (!allowed(value.charCodeAt(i))) {
          reader.refuse('cbor-text-charset', 'character not allowed in this identifier');
          return value;
        }
      }
      return value;
    },
    write(writer, value) {
      if (value.length === 0 || value.length > max) {
        throw new RangeError(`value: expected 1 to ${max} characters, got ${value.length}`);
      }
      for (let i = 0; allowed !== undefined && i < value.length; i++) {
        if (!allowed(value.charCodeAt(i))) {
          throw new RangeError(`value: character '${value.charAt(i)}' is not allowed`);
        }
      }
      writer.text(value);
    },
  };
}

export const boolean: Schema<boolean> = {
  shape: { kind: 'boolean' },
  read: (reader) => reader.boolean(),
  write: (writer, value) => writer.boolean(value),
};

/** An array of `min` to `max` items. */
export function array<T>(item: Schema<T>, min: number, max: number): Schema<readonly T[]> {
  return {
    shape: { kind: 'array', item: item as Schema<unknown>, min, max },
    read(reader) {
      const count = reader.enter(majorArray, max);
      const items: T[] = [];
      for (let i = 0; i < count && reader.refused === undefined; i++) items.push(item.read(reader));
      reader.leave();
      if (reader.refused === undefined && count < min) {
        reader.refuse('cbor-too-short', `${count} items, at least ${min}`);
      }
      return items;
    },
    write(writer, value) {
      if (value.length < min || value.length > max) {
        throw new RangeError(`value: expected ${min} to ${max} items, got ${value.length}`);
      }
      writer.array(value.length);
      for (let i = 0; i < value.length; i++) item.write(writer, value[i]!);
    },
  };
}

type TupleOf<S extends readonly Schema<unknown>[]> = { readonly [I in keyof S]: Infer<S[I]> };

/** An array of fixed length, each item with a schema of its own. */
// biome-ignore lint/suspicious/noExplicitAny: the items have unrelated types
export function tuple<const S extends readonly Schema<any>[]>(...items: S): Schema<TupleOf<S>> {
  return {
    shape: { kind: 'tuple', items },
    read(reader) {
      const count = reader.enter(majorArray, items.length);
      if (reader.refused === undefined && count !== items.length) {
        reader.refuse('cbor-too-short', `${count} items where ${items.length} are expected`);
      }
      const values: unknown[] = [];
      for (let i = 0; i < items.length && reader.refused === undefined; i++) {
        values.push(items[i]!.read(reader));
      }
      reader.leave();
      return values as unknown as TupleOf<S>;
    },
    write(writer, value) {
      if (value.length !== items.length) {
        throw new RangeError(`value: expected ${items.length} items, got ${value.length}`);
      }
      writer.array(items.length);
      for (let i = 0; i < items.length; i++) items[i]!.write(writer, value[i]);
    },
  };
}

/** One entry of a dictionary. Dictionaries are arrays of entries: tier 2 has no Map. */
export interface Entry<K, V> {
  readonly key: K;
  readonly value: V;
}

/** A map with free keys (integers or text) of `min` to `max` entries, in deterministic key order. */
export function dictionary<K extends number | string, V>(
  key: Schema<K>,
  value: Schema<V>,
  min: number,
  max: number,
): Schema<readonly Entry<K, V>[]> {
  return {
    shape: {
      kind: 'dictionary',
      keys: key.shape.kind === 'text' ? 'text' : 'integer',
      key: key as Schema<unknown>,
      value: value as Schema<unknown>,
      min,
      max,
    },
    read(reader) {
      const count = reader.enter(majorMap, max);
      const entries: Entry<K, V>[] = [];
      let previous: Uint8Array | undefined;
      for (let i = 0; i < count && reader.refused === undefined; i++) {
        const start = reader.offset;
        const name = key.read(reader);
        const encoded = reader.bytes.subarray(start, reader.offset);
        if (reader.refused === undefined) refuseOutOfOrder(reader, previous, encoded);
        previous = encoded;
        if (reader.refused === undefined) entries.push({ key: name, value: value.read(reader) });
      }
      reader.leave();
      if (reader.refused === undefined && count < min) {
        reader.refuse('cbor-too-short', `${count} entries, at least ${min}`);
      }
      return entries;
    },
    write(writer, entries) {
      if (entries.length < min || entries.length > max) {
        throw new RangeError(`value: expected ${min} to ${max} entries, got ${entries.length}`);
      }
      const encoded = entries.map((entry) => ({ name: encode(key, entry.key), entry }));
      encoded.sort((a, b) => compareBytes(a.name, b.name));
      writer.map(encoded.length);
      for (let i = 0; i < encoded.length; i++) {
        if (i > 0 && compareBytes(encoded[i - 1]!.name, encoded[i]!.name) === 0) {
          throw new RangeError(`value: duplicate key ${encoded[i]!.entry.key}`);
        }
        writer.raw(encoded[i]!.name);
        value.write(writer, encoded[i]!.entry.value);
      }
    },
  };
}

function refuseOutOfOrder(reader: Reader, previous: Uint8Array | undefined, key: Uint8Array): void {
  if (previous === undefined) return;
  const order = compareBytes(previous, key);
  if (order === 0) reader.refuse('cbor-duplicate-key', 'key repeated');
  else if (order > 0) reader.refuse('cbor-not-deterministic', 'keys out of order');
}

/** Compares integer keys in deterministic order: 0, 1, 2 … then −1, −2 … */
function compareKeys(a: number, b: number): number {
  if (a >= 0 !== b >= 0) return a >= 0 ? -1 : 1;
  return a >= 0 ? a - b : b - a;
}

/** A map with fixed integer keys. Unknown, repeated, misplaced and missing keys are refused. */
export function record<const F extends Record<string, AnyField>>(
  fields: F,
): Schema<RecordOf<F>> & { readonly fields: F } {
  const names = Object.keys(fields).sort((a, b) => compareKeys(fields[a]!.key, fields[b]!.key));
  const keySchema = integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return {
    fields,
    shape: { kind: 'record', fields },
    read(reader) {
      const count = reader.enter(majorMap, names.length + 1);
      const value: Record<string, unknown> = {};
      let next = 0;
      let previous: number | undefined;
      for (let i = 0; i < count && reader.refused === undefined; i++) {
        const key = keySchema.read(reader);
        if (reader.refused !== undefined) break;
        const order = previous === undefined ? 1 : compareKeys(key, previous);
        if (order === 0) reader.refuse('cbor-duplicate-key', `key ${key} repeated`);
        else if (order < 0) reader.refuse('cbor-not-deterministic', 'keys out of order');
        previous = key;
        while (next < names.length && compareKeys(fields[names[next]!]!.key, key) < 0) {
          refuseMissing(reader, fields[names[next]!]!, names[next]!);
          next += 1;
        }
        const name = names[next];
        if (name === undefined || fields[name]!.key !== key) {
          reader.refuse('cbor-unknown-field', `key ${key}`);
        }
        if (reader.refused !== undefined) break;
        value[name!] = fields[name!]!.schema.read(reader);
        next += 1;
      }
      for (; next < names.length; next++) {
        refuseMissing(reader, fields[names[next]!]!, names[next]!);
      }
      reader.leave();
      return value as RecordOf<F>;
    },
    write(writer, value) {
      const record = value as Record<string, unknown>;
      const present = names.filter((name) => record[name] !== undefined);
      writer.map(present.length);
      for (const name of names) {
        if (record[name] === undefined) {
          if (!fields[name]!.optional) throw new RangeError(`value: field ${name} is missing`);
          continue;
        }
        writer.integer(fields[name]!.key);
        fields[name]!.schema.write(writer, record[name]);
      }
    },
  };
}

function refuseMissing(reader: Reader, field: AnyField, name: string): void {
  if (!field.optional) reader.refuse('cbor-missing-field', `field ${name} missing`);
}

/** Keeps, beside a record, the bytes it was decoded from, so that they can be compared or hashed. */
export type Encoded<T> = T & { readonly encoded?: Uint8Array };

export function withEncoding<T extends object>(inner: Schema<T>): Schema<Encoded<T>> {
  return {
    shape: inner.shape,
    read(reader) {
      const start = reader.offset;
      const value = inner.read(reader);
      return { ...value, encoded: reader.bytes.subarray(start, reader.offset) };
    },
    write: (writer, value) => inner.write(writer, value),
  };
}

/**
 * Decodes exactly one item.
 * @param maxBytes refused before reading when `input` is longer (code `cbor-too-large`)
 * @returns the value, or the first refusal (codes `cbor-…`)
 */
export function decode<T>(schema: Schema<T>, input: Uint8Array, maxBytes: number): T | Refusal {
  const reader = new Reader(input);
  if (input.length > maxBytes) {
    reader.refuse('cbor-too-large', `${input.length} bytes, at most ${maxBytes} allowed`);
    return reader.refused!;
  }
  const value = schema.read(reader);
  reader.end();
  return reader.refused ?? value;
}

/** Encodes a value deterministically. A value that does not fit its schema is a bug and throws. */
export function encode<T>(schema: Schema<T>, value: T): Uint8Array {
  const writer = new Writer();
  schema.write(writer, value);
  return writer.finish();
}
