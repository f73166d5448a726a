/** Where a row id stands: in comments and refusals of the code, and in the names of tests. */
import { rowId, rowsIn } from './rows.ts';
import {
  child,
  children,
  type Node,
  nameOf,
  readSource,
  type Source,
  sourcesBelow,
  stringOf,
  walk,
} from './source.ts';

/** Folders of the product; tests and tools are no evidence that something is built. */
export const codeFolders = ['agent', 'hal', 'boards', 'backend'] as const;

/** A row of the code: its file, and the declaration in which it stands, if any. */
export interface CodePlace {
  readonly row: string;
  readonly path: string;
  readonly declaration: string | undefined;
}

/** A test by its name as written, with the rows in it. */
export interface NamedTest {
  readonly path: string;
  readonly name: string;
  readonly rows: readonly string[];
}

/** Every mention of a row in the code, once per declaration. */
export function findCodePlaces(): readonly CodePlace[] {
  const places: CodePlace[] = [];
  for (const path of codeFolders.flatMap(sourcesBelow)) {
    // The catalogue names the rows of every code; where the code is used is the place.
    if (path === 'agent/codes.ts' || path === 'agent/code-rows.ts') continue;
    const source = readSource(path);
    const mentions = source.text.matchAll(rowId);
    for (const { 0: row, index } of mentions) {
      const declaration = declarationAt(source, index);
      const known = places.some(
        (one) => one.row === row && one.path === path && one.declaration === declaration,
      );
      if (!known) places.push({ row, path, declaration });
    }
  }
  return places;
}

/** The top-level declaration around an offset, or the one whose head comment it stands in. */
function declarationAt({ program, comments, text }: Source, offset: number): string | undefined {
  const statements = children(program, 'body');
  const comment = comments.find(({ start, end }) => start <= offset && offset < end);
  const statement =
    statements.find(({ start, end }) => start <= offset && offset < end) ??
    statements.find(
      ({ start }) => comment !== undefined && isDirectlyBefore(text, comment.end, start),
    );
  const declared = child(statement, 'declaration') ?? statement;
  if (declared?.type === 'VariableDeclaration') {
    return nameOf(child(children(declared, 'declarations')[0], 'id'));
  }
  return nameOf(child(declared, 'id'));
}

/** True when nothing but blanks and types that were stripped lies between; no empty line. */
function isDirectlyBefore(text: string, end: number, start: number): boolean {
  return end <= start && !/\n\s*\n/.test(text.slice(end, start));
}

/** The tests of all test files. */
export function findNamedTests(): readonly NamedTest[] {
  const tests: NamedTest[] = [];
  for (const path of ['test/unit', 'test/scenario'].flatMap(sourcesBelow)) {
    if (!path.endsWith('.test.ts')) continue;
    tests.push(...namedTestsOf(readSource(path)));
  }
  return tests;
}

/** Every `test(name, …)` of one file, with the rows that its name can hold. */
export function namedTestsOf(source: Source): readonly NamedTest[] {
  const tests: NamedTest[] = [];
  walk(source.program, (node, ancestors) => {
    if (node.type !== 'CallExpression' || nameOf(child(node, 'callee')) !== 'test') return;
    const argument = children(node, 'arguments')[0];
    if (argument === undefined) return;
    const written = source.text.slice(argument.start, argument.end);
    const looped = children(argument, 'expressions').flatMap((expression) =>
      rowsOfVariable(source, nameOf(expression), ancestors),
    );
    const name = stringOf(argument) ?? written.replace(/^`|`$/g, '');
    const rows = [...new Set([...rowsIn(written), ...looped])];
    tests.push({ path: source.path, name, rows });
  });
  return tests;
}

/**
 * Rows that a variable in a test's name can hold: those with which a string begins where it is
 * declared, in the head of a loop around the test, or in the list that such a loop goes through.
 */
function rowsOfVariable(
  source: Source,
  name: string | undefined,
  ancestors: readonly Node[],
): string[] {
  if (name === undefined) return [];
  const rows: string[] = [];
  for (const node of ancestors) {
    if (node.type === 'ForOfStatement') {
      const list = child(node, 'right')!;
      if (!declares(child(node, 'left'), name)) continue;
      const listName = nameOf(list);
      rows.push(...leadingRows(list));
      if (listName !== undefined) rows.push(...rowsOfDeclaration(source.program, listName));
    } else {
      for (const statement of children(node, 'body')) {
        if (declares(statement, name)) rows.push(...leadingRows(statement));
      }
    }
  }
  return rows;
}

function rowsOfDeclaration(program: Node, name: string): string[] {
  return children(program, 'body')
    .filter((statement) => declares(statement, name))
    .flatMap(leadingRows);
}

function declares(node: Node | undefined, name: string): boolean {
  if (node?.type !== 'VariableDeclaration') return false;
  let found = false;
  for (const declarator of children(node, 'declarations')) {
    walk(child(declarator, 'id')!, (inner) => {
      if (nameOf(inner) === name) found = true;
    });
  }
  return found;
}

/** Row ids with which a string literal begins. */
function leadingRows(node: Node): string[] {
  const rows: string[] = [];
  walk(node, (inner) => {
    const text = stringOf(inner);
    const row = rowsIn(text ?? '')[0];
    if (row !== undefined && text!.startsWith(row)) rows.push(row);
  });
  return rows;
}
