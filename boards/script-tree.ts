/** Nodes of a parsed script (ESTree), each with the one above it. */
import { type Node, parse } from 'acorn';

export interface AnyNode extends Node {
  readonly [key: string]: unknown;
}

/** @param field of `parent` that holds the node, alone or in a list */
export type Visitor = (node: AnyNode, parent: AnyNode, field: string) => void;

export function parseScript(script: string): AnyNode {
  return parse(script, { ecmaVersion: 2020, sourceType: 'script' }) as unknown as AnyNode;
}

/** The nodes that a node holds, without those that these hold. */
function visitChildren(node: AnyNode, visit: Visitor): void {
  for (const [field, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child?.type === 'string') visit(child, node, field);
    }
  }
}

/** Calls back for every node below `top`, each before those below it. */
export function walk(top: AnyNode, visit: Visitor): void {
  visitChildren(top, (node, parent, field) => {
    visit(node, parent, field);
    walk(node, visit);
  });
}

/** What comes in the place of a part of a script. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** The script with edits, none of which overlap. */
export function edited(script: string, edits: readonly Edit[]): string {
  let at = 0;
  let result = '';
  for (const { from, to, text } of [...edits].sort((a, b) => a.from - b.from)) {
    result += script.slice(at, from) + text;
    at = to;
  }
  return result + script.slice(at);
}

/** The name of an identifier; undefined for everything else. */
export function identifierName(node: unknown): string | undefined {
  const found = node as AnyNode | null | undefined;
  return found?.type === 'Identifier' ? (found['name'] as string) : undefined;
}

/** The identifier by which a node names a property as it is: `a.name`, `{ name: … }`, `name() {}`. */
export function propertyName(node: AnyNode): AnyNode | undefined {
  if (node['computed'] === true) return undefined;
  const isKey = ['Property', 'MethodDefinition'].includes(node.type);
  const found = node.type === 'MemberExpression' ? node['property'] : isKey && node['key'];
  return identifierName(found) === undefined ? undefined : (found as AnyNode);
}
