/**
 * Names of properties that only the agent itself uses: a program for a small engine has numbers
 * instead, since every name is a string in its heap and in the slot, and an instruction that names a
 * property takes five bytes, one with a number two to four.
 *
 * A name is internal when it stands as a property in the bundled script, never in a string there
 * (which may be looked up by it), nowhere in the interfaces of the HAL, and on no built-in object.
 */
import { readFileSync } from 'node:fs';
import {
  type AnyNode,
  edited,
  identifierName,
  parseScript,
  propertyName,
  walk,
} from './script-tree.ts';

/** Names on the objects that the language brings, and on their prototypes. */
function builtInNames(): Set<string> {
  const names = new Set<string>();
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return;
    if (seen.has(value)) return;
    seen.add(value);
    for (const name of Object.getOwnPropertyNames(value)) {
      names.add(name);
      const property = Object.getOwnPropertyDescriptor(value, name)!;
      visit(property.value);
    }
    visit(Object.getPrototypeOf(value));
  };
  const {
    Object: object,
    Array: array,
    Uint8Array: bytes,
    Promise: promise,
    Map: map,
  } = globalThis;
  for (const value of [object, array, bytes, promise, map, Set, WeakMap, Symbol]) visit(value);
  for (const value of [String, Number, Boolean, BigInt, Math, JSON, Error, RangeError])
    visit(value);
  for (const iterator of [[].values(), new Map().entries(), (function* () {})()]) visit(iterator);
  for (const name of ['done', 'value', 'stack', 'cause', 'then', 'raw', 'index']) names.add(name);
  return names;
}

/**
 * The internal names of a bundled script, sorted.
 * @param exported properties by which others reach into the program
 */
export function internalNames(script: string, exported: readonly string[]): readonly string[] {
  const hal = readFileSync(new URL('../hal/types.ts', import.meta.url), 'utf8');
  const kept = builtInNames();
  for (const name of hal.match(/[A-Za-z_$][\w$]*/g) ?? []) kept.add(name);
  for (const name of exported) kept.add(name);
  const properties = new Set<string>();
  walk(parseScript(script), (node) => {
    if (node.type === 'Literal' && typeof node['value'] === 'string') kept.add(node['value']);
    if (node.type === 'TemplateElement') kept.add((node['value'] as { cooked: string }).cooked);
    const name = identifierName(propertyName(node));
    if (name !== undefined) properties.add(name);
  });
  return [...properties].filter((name) => !kept.has(name)).sort();
}

/** What stands for the internal name of this index until the script is finished. */
const placeholder = (index: number) => `$p${index}`;
const isPlaceholder = /^\$p\d+$/;

/** For the bundler: the internal names and what each becomes. */
export function placeholders(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, i) => [name, placeholder(i)]));
}

/**
 * Puts numbers in the place of the placeholders, small ones for those that are used most. Only
 * objects of the agent have such properties: never an array, bytes or a text, whose own numbers they
 * would be.
 */
export function numbered(script: string): string {
  const places: { readonly named: AnyNode; readonly member: boolean }[] = [];
  const uses = new Map<string, number>();
  walk(parseScript(script), (node) => {
    const named = propertyName(node);
    const name = identifierName(named) ?? '';
    if (named === undefined || !isPlaceholder.test(name)) return;
    if (node['shorthand'] === true) throw new Error(`${name} is a variable, too`);
    places.push({ named, member: node.type === 'MemberExpression' });
    uses.set(name, (uses.get(name) ?? 0) + 1);
  });
  const order = [...uses].sort(([a, first], [b, second]) => second - first || (a < b ? -1 : 1));
  const numbers = new Map(order.map(([name], i) => [name, i]));
  const edits = places.map(({ named: { name, start, end }, member }) => {
    const number = numbers.get(name as string)!;
    if (!member) return { from: start, to: end, text: `${number}` };
    // A dot goes, that of `?.` stays.
    const from = script.slice(start - 2, start) === '?.' ? start : start - 1;
    return { from, to: end, text: `[${number}]` };
  });
  const text = edited(script, edits);
  if (/\$p\d/.test(text)) throw new Error('a placeholder is left in the script');
  return text;
}
