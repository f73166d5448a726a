/**
 * Names of properties that only the agent itself uses: a program for a small engine carries short
 * ones instead, since every name is a string in its heap and in the slot.
 *
 * A name is internal when it stands as a property in the bundled script, never in a string there
 * (which may be looked up by it), nowhere in the interfaces of the HAL, and on no built-in object.
 */
import { readFileSync } from 'node:fs';
import { type Node, parse } from 'acorn';

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

interface AnyNode extends Node {
  readonly [key: string]: unknown;
}

/** Calls back for every node of a parsed script. */
function walk(node: unknown, visit: (node: AnyNode) => void): void {
  if (Array.isArray(node)) {
    for (const one of node) walk(one, visit);
  } else if (typeof node === 'object' && node !== null) {
    if (typeof (node as AnyNode).type === 'string') visit(node as AnyNode);
    for (const value of Object.values(node)) walk(value, visit);
  }
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
  walk(parse(script, { ecmaVersion: 2020, sourceType: 'script' }), (node) => {
    if (node.type === 'Literal' && typeof node['value'] === 'string') kept.add(node['value']);
    if (node.type === 'TemplateElement') kept.add((node['value'] as { cooked: string }).cooked);
    const named = node.type === 'MemberExpression' ? node['property'] : node['key'];
    const isName = ['MemberExpression', 'Property', 'MethodDefinition'].includes(node.type);
    if (!isName || node['computed'] === true) return;
    const { type, name } = named as { type: string; name?: string };
    if (type === 'Identifier' && name !== undefined) properties.add(name);
  });
  return [...properties].filter((name) => !kept.has(name)).sort();
}
