/**
 * Records of the formats, declared once: a schema decodes strictly, encodes deterministically and
 * names the fields for the JSON view. Decoding allocates only the records themselves.
 */
import type { Refusal } from '../codes.ts';
import { compareBytes, majorArray, majorMap, Reader } from './reader.ts';
import { checkCount, integer } from './scalar-schemas.ts';
import type { AnyField, Field, Infer, RecordOf, Schema, Shape } from './schema-types.ts';
import { Writer } from './writer.ts';

export { boolean, bytes, integer, named, text, unsigned } from './scalar-schemas.ts';
export type { AnyField, Field, Infer, Schema, Shape } from './schema-types.ts';

export function field<T>(key: number, schema: Schema<T>): Field<T, false> {
  return { key, schema, optional: false };
}

export function optional<T>(key: number, schema: Schema<T>): Field<T, true> {
  return { key, schema, optional: true };
}

class ArraySchema<T> implements Schema<readonly T[]> {
  readonly kind = 'array';
  readonly item: Schema<T>;
  readonly min: number;
  readonly max: number;

  constructor(item: Schema<T>, min: number, max: number) {
    this.item = item;
    this.min = min;
    this.max = max;
  }

  get shape(): Shape {
    return this as unknown as Shape;
  }

  read(reader: Reader): readonly T[] {
    const count = reader.enter(majorArray, this.max);
    const items: T[] = [];
    for (let i = 0; i < count && reader.refused === undefined; i++) {
      items.push(this.item.read(reader));
    }
    reader.leave();
    if (reader.refused === undefined && count < this.min) {
      reader.refuse('cbor-too-short', `${count} items, at least ${this.min}`);
    }
    return items;
  }

  write(writer: Writer, value: readonly T[]): void {
    checkCount(value.length, this, 'items');
    writer.array(value.length);
    for (let i = 0; i < value.length; i++) this.item.write(writer, value[i]!);
  }
}

/** An array of `min` to `max` items. */
export function array<T>(item: Schema<T>, min: number, max: number): Schema<readonly T[]> {
  return new ArraySchema(item, min, max);
}

type TupleOf<S extends readonly Schema<unknown>[]> = { readonly [I in keyof S]: Infer<S[I]> };

class TupleSchema implements Schema<readonly unknown[]> {
  readonly kind = 'tuple';
  readonly items: readonly Schema<unknown>[];

  constructor(items: readonly Schema<unknown>[]) {
    this.items = items;
  }

  get shape(): Shape {
    return this;
  }

  read(reader: Reader): readonly unknown[] {
    const { items } = this;
    const count = reader.enter(majorArray, items.length);
    if (reader.refused === undefined && count !== items.length) {
      reader.refuse('cbor-too-short', `${count} items where ${items.length} are expected`);
    }
    const values: unknown[] = [];
    for (let i = 0; i < items.length && reader.refused === undefined; i++) {
      values.push(items[i]!.read(reader));
    }
    reader.leave();
    return values;
  }

  write(writer: Writer, value: readonly unknown[]): void {
    const { items } = this;
    if (value.length !== items.length) {
      throw new RangeError(`value: expected ${items.length} items, got ${value.length}`);
    }
    writer.array(items.length);
    for (let i = 0; i < items.length; i++) items[i]!.write(writer, value[i]);
  }
}

/** An array of fixed length, each item with a schema of its own. */
// biome-ignore lint/suspicious/noExplicitAny: the items have unrelated types
export function tuple<const S extends readonly Schema<any>[]>(...items: S): Schema<TupleOf<S>> {
  return new TupleSchema(items) as unknown as Schema<TupleOf<S>>;
}

/** One entry of a dictionary. Dictionaries are arrays of entries: tier 2 has no Map. */
export interface Entry<K, V> {
  readonly key: K;
  readonly value: V;
}

/** Room for a key: a longer one grows it. */
const keyBytes = 16;

class DictionarySchema<K extends number | string, V> implements Schema<readonly Entry<K, V>[]> {
  readonly kind = 'dictionary';
  readonly key: Schema<K>;
  readonly value: Schema<V>;
  readonly min: number;
  readonly max: number;

  constructor(key: Schema<K>, value: Schema<V>, min: number, max: number) {
    this.key = key;
    this.value = value;
    this.min = min;
    this.max = max;
  }

  get keys(): 'integer' | 'text' {
    return this.key.shape.kind === 'text' ? 'text' : 'integer';
  }

  get shape(): Shape {
    return this as unknown as Shape;
  }

  read(reader: Reader): readonly Entry<K, V>[] {
    const count = reader.enter(majorMap, this.max);
    const entries: Entry<K, V>[] = [];
    let previous: Uint8Array | undefined;
    for (let i = 0; i < count && reader.refused === undefined; i++) {
      const start = reader.offset;
      const key = this.key.read(reader);
      const encoded = reader.bytes.subarray(start, reader.offset);
      if (reader.refused === undefined) refuseOutOfOrder(reader, previous, encoded);
      previous = encoded;
      if (reader.refused === undefined) entries.push({ key, value: this.value.read(reader) });
    }
    reader.leave();
    if (reader.refused === undefined && count < this.min) {
      reader.refuse('cbor-too-short', `${count} entries, at least ${this.min}`);
    }
    return entries;
  }

  write(writer: Writer, entries: readonly Entry<K, V>[]): void {
    checkCount(entries.length, this, 'entries');
    const encoded = entries.map((entry) => ({
      name: encode(this.key, entry.key, keyBytes),
      entry,
    }));
    encoded.sort((a, b) => compareBytes(a.name, b.name));
    writer.map(encoded.length);
    for (let i = 0; i < encoded.length; i++) {
      if (i > 0 && compareBytes(encoded[i - 1]!.name, encoded[i]!.name) === 0) {
        throw new RangeError(`value: duplicate key ${encoded[i]!.entry.key}`);
      }
      writer.raw(encoded[i]!.name);
      this.value.write(writer, encoded[i]!.entry.value);
    }
  }
}

/** A map with free keys (integers or text) of `min` to `max` entries, in deterministic key order. */
export function dictionary<K extends number | string, V>(
  key: Schema<K>,
  value: Schema<V>,
  min: number,
  max: number,
): Schema<readonly Entry<K, V>[]> {
  return new DictionarySchema(key, value, min, max);
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

const anyInteger = integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

/**
 * A record's fields as columns in the order of their keys: an object for each of some hundred fields
 * would cost a small engine 20 KB more.
 */
class RecordSchema implements Schema<Readonly<Record<string, unknown>>> {
  readonly kind = 'record';
  private readonly names: readonly string[];
  private readonly keys: readonly number[];
  private readonly schemas: readonly AnyField['schema'][];
  /** Keys of fields that may be absent. */
  private readonly optionals: readonly number[];

  constructor(fields: Readonly<Record<string, AnyField>>) {
    this.names = Object.keys(fields).sort((a, b) => compareKeys(fields[a]!.key, fields[b]!.key));
    const list = this.names.map((name) => fields[name]!);
    this.keys = list.map(({ key }) => key);
    this.schemas = list.map(({ schema }) => schema);
    this.optionals = list.filter(({ optional }) => optional).map(({ key }) => key);
  }

  get fields(): Readonly<Record<string, AnyField>> {
    const fields: Record<string, AnyField> = {};
    this.names.forEach((name, i) => {
      const key = this.keys[i]!;
      fields[name] = { key, schema: this.schemas[i]!, optional: this.isOptional(key) };
    });
    return fields;
  }

  get shape(): Shape {
    return this;
  }

  read(reader: Reader): Readonly<Record<string, unknown>> {
    const { names, keys } = this;
    const count = reader.enter(majorMap, names.length + 1);
    const value: Record<string, unknown> = {};
    let next = 0;
    let previous: number | undefined;
    for (let i = 0; i < count && reader.refused === undefined; i++) {
      const key = anyInteger.read(reader);
      if (reader.refused !== undefined) break;
      const order = previous === undefined ? 1 : compareKeys(key, previous);
      if (order === 0) reader.refuse('cbor-duplicate-key', `key ${key} repeated`);
      else if (order < 0) reader.refuse('cbor-not-deterministic', 'keys out of order');
      previous = key;
      for (; next < keys.length && compareKeys(keys[next]!, key) < 0; next++) {
        this.refuseMissing(reader, next);
      }
      if (keys[next] !== key) reader.refuse('cbor-unknown-field', `key ${key}`);
      if (reader.refused !== undefined) break;
      value[names[next]!] = this.schemas[next]!.read(reader);
      next += 1;
    }
    for (; next < keys.length; next++) this.refuseMissing(reader, next);
    reader.leave();
    return value;
  }

  write(writer: Writer, value: Readonly<Record<string, unknown>>): void {
    const { names, keys } = this;
    writer.map(names.filter((name) => value[name] !== undefined).length);
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      if (value[name] === undefined) {
        if (!this.isOptional(keys[i]!)) throw new RangeError(`value: field ${name} is missing`);
        continue;
      }
      writer.integer(keys[i]!);
      this.schemas[i]!.write(writer, value[name]);
    }
  }

  private isOptional(key: number): boolean {
    return this.optionals.indexOf(key) >= 0;
  }

  private refuseMissing(reader: Reader, i: number): void {
    const key = this.keys[i]!;
    if (!this.isOptional(key)) {
      // A program for a small engine has short names: the key says which field it is.
      reader.refuse('cbor-missing-field', `field ${this.names[i]} (key ${key}) missing`);
    }
  }
}

/** A map with fixed integer keys. Unknown, repeated, misplaced and missing keys are refused. */
export function record<const F extends Record<string, AnyField>>(
  fields: F,
): Schema<RecordOf<F>> & { readonly fields: F } {
  return new RecordSchema(fields) as unknown as Schema<RecordOf<F>> & { readonly fields: F };
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

/**
 * Encodes a value deterministically. A value that does not fit its schema is a bug and throws.
 * @param expectedBytes what it will come to, where that is known: spares copies of large values
 */
export function encode<T>(schema: Schema<T>, value: T, expectedBytes?: number): Uint8Array {
  const writer = new Writer(expectedBytes);
  schema.write(writer, value);
  return writer.finish();
}
