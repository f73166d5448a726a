/** What a schema is, and how it looks to tools. */
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** Least and greatest value, length in bytes or characters, or number of items. */
export interface Bounds {
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

export type RecordOf<F extends Record<string, AnyField>> = {
  readonly [K in keyof F as F[K]['optional'] extends true ? never : K]: Infer<F[K]['schema']>;
} & {
  readonly [K in keyof F as F[K]['optional'] extends true ? K : never]?: Infer<F[K]['schema']>;
};
