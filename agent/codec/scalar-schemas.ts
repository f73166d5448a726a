/**
 * Schemas of single values. Each kind is a class whose instances carry their bounds and are their own
 * shape: the formats have some hundred of them, and on a small engine an object costs a hundred bytes.
 */
import { majorNegative, majorUnsigned, type Reader } from './reader.ts';
import type { Bounds, Schema, Shape } from './schema-types.ts';
import type { Writer } from './writer.ts';

class IntegerSchema implements Schema<number> {
  readonly kind = 'integer';
  readonly min: number;
  readonly max: number;

  constructor(min: number, max: number) {
    this.min = min;
    this.max = max;
  }

  get shape(): Shape {
    return this;
  }

  read(reader: Reader): number {
    const { min, max } = this;
    const value = readInteger(reader, min < 0);
    if (reader.refused === undefined && (value < min || value > max)) {
      reader.refuse('cbor-integer-range', `integer ${value} outside ${min} to ${max}`);
    }
    return value;
  }

  write(writer: Writer, value: number): void {
    if (!(value >= this.min && value <= this.max)) {
      throw new RangeError(`value: expected ${this.min} to ${this.max}, got ${value}`);
    }
    writer.integer(value);
  }
}

function readInteger(reader: Reader, mayBeNegative: boolean): number {
  const negative = mayBeNegative && reader.peekMajor() === majorNegative;
  const argument = reader.head(negative ? majorNegative : majorUnsigned);
  return negative ? -1 - argument : argument;
}

/** An integer from `min` to `max`. */
export function integer(min: number, max: number): Schema<number> {
  return new IntegerSchema(min, max);
}

/** Any integer 0 … 2⁵³−1: versions, seconds, sizes in bytes. */
export const unsigned = integer(0, Number.MAX_SAFE_INTEGER);

class NamedSchema implements Schema<number> {
  readonly kind = 'named';
  readonly names: Readonly<Record<string, number>>;

  constructor(names: Readonly<Record<string, number>>) {
    this.names = names;
  }

  get shape(): Shape {
    return this;
  }

  read(reader: Reader): number {
    const value = readInteger(reader, true);
    if (reader.refused === undefined && !this.has(value)) {
      reader.refuse('cbor-unknown-value', `value ${value}`);
    }
    return value;
  }

  write(writer: Writer, value: number): void {
    if (!this.has(value)) throw new RangeError(`value: ${value} has no name`);
    writer.integer(value);
  }

  private has(value: number): boolean {
    return Object.keys(this.names).some((name) => this.names[name] === value);
  }
}

/** One of a closed set of integers, with their names in the JSON view. */
export function named<const N extends Readonly<Record<string, number>>>(
  names: N,
): Schema<N[keyof N]> {
  return new NamedSchema(names) as unknown as Schema<N[keyof N]>;
}

class BytesSchema implements Schema<Uint8Array> {
  readonly kind = 'bytes';
  readonly min: number;
  readonly max: number;

  constructor(min: number, max: number) {
    this.min = min;
    this.max = max;
  }

  get shape(): Shape {
    return this;
  }

  read(reader: Reader): Uint8Array {
    const value = reader.byteString(this.max);
    if (reader.refused === undefined && value.length < this.min) {
      const what = `byte string of ${value.length} bytes, at least ${this.min}`;
      reader.refuse('cbor-too-short', what);
    }
    return value;
  }

  write(writer: Writer, value: Uint8Array): void {
    checkCount(value.length, this, 'bytes');
    writer.byteString(value);
  }
}

export function checkCount(count: number, { min, max }: Bounds, what: string): void {
  if (count < min || count > max) {
    throw new RangeError(`value: expected ${min} to ${max} ${what}, got ${count}`);
  }
}

/** A byte string of `min` to `max` bytes; a decoded one is a view into the input. */
export function bytes(min: number, max: number = min): Schema<Uint8Array> {
  return new BytesSchema(min, max);
}

class TextSchema implements Schema<string> {
  readonly kind = 'text';
  readonly min = 1;
  readonly max: number;
  readonly allowed?: (characterCode: number) => boolean;

  constructor(max: number, allowed: ((characterCode: number) => boolean) | undefined) {
    this.max = max;
    if (allowed !== undefined) this.allowed = allowed;
  }

  get shape(): Shape {
    return this;
  }

  read(reader: Reader): string {
    const value = reader.text(this.max);
    if (reader.refused === undefined && value.length === 0) {
      reader.refuse('cbor-too-short', 'empty text');
    }
    if (this.forbidden(value) !== undefined) {
      reader.refuse('cbor-text-charset', 'character not allowed in this identifier');
    }
    return value;
  }

  write(writer: Writer, value: string): void {
    checkCount(value.length, this, 'characters');
    const forbidden = this.forbidden(value);
    if (forbidden !== undefined) {
      throw new RangeError(`value: character '${forbidden}' is not allowed`);
    }
    writer.text(value);
  }

  private forbidden(value: string): string | undefined {
    for (let i = 0; this.allowed !== undefined && i < value.length; i++) {
      if (!this.allowed(value.charCodeAt(i))) return value.charAt(i);
    }
    return undefined;
  }
}

/** Printable ASCII text of 1 to `max` characters. `allowed` refuses further characters by code. */
export function text(max: number, allowed?: (characterCode: number) => boolean): Schema<string> {
  return new TextSchema(max, allowed);
}

export const boolean: Schema<boolean> = {
  shape: { kind: 'boolean' },
  read: (reader) => reader.boolean(),
  write: (writer, value) => writer.boolean(value),
};
