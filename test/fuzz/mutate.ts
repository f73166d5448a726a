/** Changes to inputs: of bytes, as a channel or an attacker makes them, and of records by their shape. */
import type { Entry, Shape } from '../../agent/codec/schema.ts';
import type { Random } from './random.ts';

/** Bytes that mean something in CBOR: heads of every type, breaks, floats, tags, long arguments. */
const telling = [
  0x00, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x20, 0x38, 0x40, 0x58, 0x5b, 0x5f, 0x60, 0x78, 0x7f,
  0x80, 0x84, 0x98, 0x9f, 0xa0, 0xa1, 0xb8, 0xbf, 0xc0, 0xd8, 0xf4, 0xf5, 0xf6, 0xf9, 0xfb, 0xff,
];
const edges = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_296, Number.MAX_SAFE_INTEGER];
const maxBytes = 65_536;

/** One to four changes of `bytes`; `other` is another input, to take pieces from. */
export function mutateBytes(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let result = bytes;
  for (let times = 1 + random.below(4); times > 0; times--)
    result = mutateOnce(random, result, other);
  return result.subarray(0, maxBytes);
}

function mutateOnce(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  const count = 1 + random.below(random.below(4) === 0 ? 64 : 4);
  switch (random.below(7)) {
    case 0: {
      const changed = bytes.slice();
      if (at < bytes.length) changed[at]! ^= 1 << random.below(8);
      return changed;
    }
    case 1: {
      const changed = bytes.slice();
      if (at < bytes.length) changed[at] = random.pick(telling);
      return changed;
    }
    case 2:
      return joined(
        bytes.subarray(0, at),
        new Uint8Array([random.pick(telling)]),
        bytes.subarray(at),
      );
    case 3:
      return joined(bytes.subarray(0, at), bytes.subarray(at + count));
    case 4:
      return joined(bytes.subarray(0, at), bytes.subarray(at, at + count), bytes.subarray(at));
    case 5: {
      const from = random.below(other.length + 1);
      const piece = other.subarray(from, from + count);
      return joined(bytes.subarray(0, at), piece, bytes.subarray(at + piece.length));
    }
    default:
      return random.below(4) === 0 ? bytes.subarray(0, at) : random.pick([bytes, other]).slice();
  }
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A value that still fits `shape`, changed in one place; sometimes the same. */
export function mutateValue(random: Random, shape: Shape, value: unknown): unknown {
  switch (shape.kind) {
    case 'boolean':
      return !value;
    case 'integer': {
      const near = [(value as number) + 1, (value as number) - 1, random.pick(edges)];
      const fitting = near.filter((one) => one >= shape.min && one <= shape.max);
      return fitting.length > 0 ? random.pick(fitting) : value;
    }
    case 'named':
      return random.pick(Object.values(shape.names));
    case 'bytes': {
      const bytes = (value as Uint8Array).slice();
      if (bytes.length > 0) bytes[random.below(bytes.length)]! ^= 1 + random.below(255);
      return bytes;
    }
    case 'text': {
      const text = value as string;
      const longer = text + random.pick(['1', 'a', '-']);
      const shorter = text.slice(0, -1);
      return random.pick([
        longer.slice(0, shape.max),
        shorter.length >= shape.min ? shorter : text,
      ]);
    }
    case 'key':
      return value;
    case 'array':
      return mutateItems(random, value as readonly unknown[], shape.min, shape.max, (item) =>
        mutateValue(random, shape.item.shape, item),
      );
    case 'tuple': {
      const items = [...(value as readonly unknown[])];
      const at = random.below(items.length);
      items[at] = mutateValue(random, shape.items[at]!.shape, items[at]);
      return items;
    }
    case 'dictionary': {
      const entries = value as readonly Entry<number | string, unknown>[];
      return mutateItems(random, entries, shape.min, entries.length, (entry) => ({
        ...entry,
        value: mutateValue(random, shape.value.shape, entry.value),
      }));
    }
    case 'record': {
      const record = { ...(value as Record<string, unknown>) };
      const names = Object.keys(shape.fields).filter((name) => record[name] !== undefined);
      const name = random.pick(names);
      const field = shape.fields[name]!;
      if (field.optional && random.below(4) === 0) delete record[name];
      else record[name] = mutateValue(random, field.schema.shape, record[name]);
      return record;
    }
  }
}

function mutateItems<T>(
  random: Random,
  items: readonly T[],
  min: number,
  max: number,
  change: (item: T) => T,
): readonly T[] {
  const result = [...items];
  if (result.length === 0) return result;
  const at = random.below(result.length);
  const action = random.below(6);
  if (action === 0 && result.length > min) result.splice(at, 1);
  else if (action === 1 && result.length < max) result.splice(at, 0, result[at]!);
  else if (action === 2) result.reverse();
  else result[at] = change(result[at]!);
  return result;
}
