/**
 * What the tests (not the agent: `make arrows` forbids it) use beyond ES5 with byte arrays. Each method
 * is added where the engine has none, invisible to loops over keys.
 */

import { fromHex } from '../simulator/hexadecimal.ts';

declare function print(text: string): void;

function add(owner: object, name: string, method: unknown): void {
  if (name in owner) return;
  Object.defineProperty(owner, name, { value: method, configurable: true, writable: true });
}

type Bytes = Uint8Array;
const bytes = Uint8Array.prototype as object;

for (const name of ['every', 'filter', 'forEach', 'indexOf', 'join', 'reduce', 'some', 'reverse']) {
  add(bytes, name, (Array.prototype as unknown as Record<string, unknown>)[name]);
}
add(bytes, 'fill', function (this: Bytes, value: number, from = 0, to = this.length) {
  for (let i = from; i < to; i++) this[i] = value;
  return this;
});
add(bytes, 'slice', function (this: Bytes, from?: number, to?: number) {
  return new Uint8Array(this.subarray(from ?? 0, to ?? this.length));
});
add(bytes, 'map', function (this: Bytes, change: (value: number, i: number) => number) {
  const changed = new Uint8Array(this.length);
  for (let i = 0; i < this.length; i++) changed[i] = change(this[i]!, i);
  return changed;
});
add(bytes, 'at', function (this: Bytes, i: number) {
  return this[i < 0 ? this.length + i : i];
});

function itemsOf<T>(source: ArrayLike<T> | string, change?: (item: T, i: number) => unknown) {
  const items: unknown[] = [];
  for (let i = 0; i < source.length; i++) {
    const item = (typeof source === 'string' ? source.charAt(i) : source[i]) as T;
    items.push(change === undefined ? item : change(item, i));
  }
  return items;
}
add(Array, 'from', itemsOf);
add(
  Uint8Array,
  'from',
  (source: ArrayLike<number>, change?: (item: number, i: number) => number) =>
    new Uint8Array(itemsOf(source, change) as number[]),
);
add(Uint8Array, 'of', (...items: number[]) => new Uint8Array(items));
add(Array.prototype, 'at', function (this: unknown[], i: number) {
  return this[i < 0 ? this.length + i : i];
});
add(Array.prototype, 'fill', function (this: unknown[], value: unknown) {
  for (let i = 0; i < this.length; i++) this[i] = value;
  return this;
});
add(Array.prototype, 'find', function (this: unknown[], test: (item: unknown) => boolean) {
  return this.filter(test)[0];
});
add(Array.prototype, 'findIndex', function (this: unknown[], test: (item: unknown) => boolean) {
  for (let i = 0; i < this.length; i++) if (test(this[i])) return i;
  return -1;
});
add(Array.prototype, 'includes', function (this: unknown[], item: unknown) {
  return this.indexOf(item) >= 0;
});
add(Array.prototype, 'flatMap', function (this: unknown[], change: (item: unknown) => unknown) {
  return ([] as unknown[]).concat(...(this.map((item) => change(item)) as unknown[][]));
});
add(Array.prototype, 'flat', function (this: unknown[][]) {
  return ([] as unknown[]).concat(...this);
});
// A spread becomes a `concat`, which takes byte arrays for one item each.
const concat = Array.prototype.concat;
Object.defineProperty(Array.prototype, 'concat', {
  value(this: unknown[], ...parts: unknown[]) {
    const lists = parts.map((part) => (part instanceof Uint8Array ? itemsOf(part) : part));
    return concat.apply(this, lists);
  },
});
add(Object, 'entries', (value: Record<string, unknown>) =>
  Object.keys(value).map((name) => [name, value[name]]),
);
const pairs = function (this: ArrayLike<unknown>) {
  return itemsOf(this, (item, i) => [i, item]);
};
const indices = function (this: ArrayLike<unknown>) {
  return itemsOf(this, (_, i) => i);
};
for (const owner of [Array.prototype, bytes]) {
  add(owner, 'entries', pairs);
  add(owner, 'keys', indices);
}
add(Object, 'hasOwn', (value: object, name: string) => {
  return Object.getOwnPropertyDescriptor(value, name) !== undefined;
});
add(Object, 'values', (value: Record<string, unknown>) =>
  Object.keys(value).map((name) => value[name]),
);
add(Object, 'fromEntries', (entries: readonly (readonly [string, unknown])[]) => {
  const made: Record<string, unknown> = {};
  for (const [name, value] of entries) made[name] = value;
  return made;
});
add(Number, 'isSafeInteger', (value: unknown) => {
  const number = value as number;
  return typeof value === 'number' && Math.floor(number) === number && Math.abs(number) < 2 ** 53;
});
add(Number, 'isInteger', (value: unknown) => {
  return typeof value === 'number' && Math.floor(value) === value;
});
add(Number, 'MAX_SAFE_INTEGER', 2 ** 53 - 1);
add(String.prototype, 'replaceAll', function (this: string, sought: string, by: string) {
  return this.split(sought).join(by);
});
add(String.prototype, 'padStart', function (this: string, length: number, by = ' ') {
  let text = String(this);
  while (text.length < length) text = by + text;
  return text;
});
add(String.prototype, 'repeat', function (this: string, count: number) {
  let text = '';
  for (let i = 0; i < count; i++) text += this;
  return text;
});
add(String.prototype, 'includes', function (this: string, sought: string) {
  return this.indexOf(sought) >= 0;
});
add(String.prototype, 'endsWith', function (this: string, end: string) {
  return this.slice(-end.length) === end;
});

/** As much of a Map as the simulator's key-value store needs, whose keys are texts. */
class TextMap {
  private readonly held: Record<string, unknown> = {};

  get(key: string): unknown {
    return Object.hasOwn(this.held, key) ? this.held[key] : undefined;
  }

  set(key: string, value: unknown): this {
    this.held[key] = value;
    return this;
  }

  delete(key: string): boolean {
    return delete this.held[key];
  }
}

/** The part of Node's Buffer that the tests use: bytes of hexadecimal and Latin-1 text, and back. */
const global = Function('return this')() as Record<string, unknown>;
global['console'] = { log: print };
// Not as `Map`, which what swc adds would take for a whole one (bundle.ts renames the tests' own).
global['TextMap'] = TextMap;
add(Number, 'parseInt', global['parseInt']);
global['Buffer'] = {
  compare(a: Uint8Array, b: Uint8Array) {
    for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
    return a.length - b.length;
  },
  alloc: (length: number) => new Uint8Array(length),
  concat(parts: readonly Uint8Array[]) {
    return new Uint8Array(([] as number[]).concat(...(parts as unknown as number[][])));
  },
  from(source: string | ArrayLike<number>, encoding?: string) {
    const made =
      typeof source !== 'string'
        ? new Uint8Array(source)
        : encoding === 'hex'
          ? fromHex(source)
          : Uint8Array.from(source as unknown as ArrayLike<number>, (_, i) => source.charCodeAt(i));
    const hex = () => itemsOf(made, (byte) => byte.toString(16).padStart(2, '0')).join('');
    const latin1 = () => itemsOf(made, (byte) => String.fromCharCode(byte)).join('');
    Object.defineProperty(made, 'toString', {
      value: (kind?: string) => (kind === 'hex' ? hex() : latin1()),
    });
    return made;
  },
};
