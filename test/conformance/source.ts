/**
 * TypeScript as a syntax tree. Node strips the types and leaves blanks, so that every offset of the
 * tree is one of the source; acorn parses what remains.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { type Comment, type Node, parse } from 'acorn';

export type { Node } from 'acorn';

export interface Source {
  readonly path: string;
  readonly text: string;
  readonly program: Node;
  readonly comments: readonly Comment[];
}

/** Paths of the TypeScript files below `folder`, sorted, with `/`. */
export function sourcesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .map((path) => `${folder}/${path}`)
    .sort();
}

/** Reads and parses one file. */
export function readSource(path: string): Source {
  return parseSource(path, readFileSync(path, 'utf8'));
}

/** Parses a source. Throws when it is no TypeScript that Node can run. */
export function parseSource(path: string, text: string): Source {
  const stripped = stripTypeScriptTypes(text, { mode: 'strip' });
  if (stripped.length !== text.length) throw new Error(`${path}: stripping types moved offsets`);
  const comments: Comment[] = [];
  const program = parse(stripped, {
    ecmaVersion: 'latest',
    sourceType: 'module',
    allowHashBang: true,
    onComment: comments,
  });
  return { path, text, program, comments };
}

/** The nodes directly below `node`, in the order of the source. */
export function childrenOf(node: Node): Node[] {
  const children: Node[] = [];
  for (const value of Object.values(node)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (isNode(item)) children.push(item);
    }
  }
  return children.sort((a, b) => a.start - b.start);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

/** Calls `visit` for every node, with its ancestors, nearest last. */
export function walk(node: Node, visit: (node: Node, ancestors: readonly Node[]) => void): void {
  const ancestors: Node[] = [];
  const descend = (current: Node): void => {
    visit(current, ancestors);
    ancestors.push(current);
    for (const child of childrenOf(current)) descend(child);
    ancestors.pop();
  };
  descend(node);
}

/** A child node by field name, when there is one. */
export function child(node: Node | undefined, field: string): Node | undefined {
  const value = (node as unknown as Record<string, unknown> | undefined)?.[field];
  return isNode(value) ? value : undefined;
}

/** A list of child nodes by field name. */
export function children(node: Node | undefined, field: string): readonly Node[] {
  const value = (node as unknown as Record<string, unknown> | undefined)?.[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** A field that is no node: an identifier's `name`, a literal's `value`. */
export function field(node: Node | undefined, name: string): unknown {
  return (node as unknown as Record<string, unknown> | undefined)?.[name];
}

/** Name of an identifier, undefined for anything else. */
export function nameOf(node: Node | undefined): string | undefined {
  return node?.type === 'Identifier' ? String(field(node, 'name')) : undefined;
}

/** Text of a string literal, undefined for anything else. */
export function stringOf(node: Node | undefined): string | undefined {
  const value = node?.type === 'Literal' ? field(node, 'value') : undefined;
  return typeof value === 'string' ? value : undefined;
}
