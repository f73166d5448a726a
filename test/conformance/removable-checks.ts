/**
 * Finds every check of the code that names a row, and how to take it out: as edits of the source
 * that make it depend on the environment variable REMOVED_CHECK, so that one copy of the project
 * holds all removals and each program runs with one of them.
 *
 * A check is a condition on which a refusal hangs:
 *   `if (C) return refuse(…)`            → `if (on && (C)) …`
 *   `C ? undefined : refuse(…)`          → `off || (C) ? …`, and the other way round
 *   `found ?? refuse(…)`, `return refuse(…)` → `off ? undefined : refuse(…)`
 *   `const r = check(…); if (r !== undefined) return r;` under a comment that names a row
 *   a row handed to a shared check (`checkExpiry(…, 'CTS-04')`): the shared check refuses nothing
 *   under the row `removed`, which is handed over instead.
 *
 * Its rows are those it states itself, those of the comment above it or beside it, or else those of
 * the comment of the function that holds it. A check without any is none of a requirement.
 */
import { rowsIn } from './rows.ts';
import {
  child,
  children,
  field,
  type Node,
  nameOf,
  type Source,
  stringOf,
  walk,
} from './source.ts';

export interface Edit {
  readonly at: number;
  readonly insert: string;
}

export interface RemovableCheck {
  readonly path: string;
  readonly line: number;
  readonly rows: readonly string[];
  /** The check's first line, for a person. */
  readonly text: string;
  /** Makes the edits for a removal by that number. */
  readonly edits: (removal: number) => readonly Edit[];
}

export interface CheckedSource {
  readonly checks: readonly RemovableCheck[];
  /** Edits that belong to no single removal: shared checks heed the row `removed`. */
  readonly edits: readonly Edit[];
}

/**
 * Declared at the beginning of every edited file, on one line: tells whether a check is the one that is
 * off. With REACHED_CHECKS, a file, it also notes there, once, that the check was reached, and by which
 * process; `named-tests.ts` clears `reached$checks`.
 */
export const declaration = [
  'const removed$check=globalThis.removed$check??=(()=>{',
  'const{env,pid,getBuiltinModule}=globalThis.process??{};',
  'const removed=env?.REMOVED_CHECK;const file=env?.REACHED_CHECKS;',
  'if(!file)return(n)=>removed===String(n);',
  'const reached=globalThis.reached$checks=new Set();const{appendFileSync}=getBuiltinModule("fs");',
  'return(n)=>{if(reached.has(n))return false;reached.add(n);',
  'appendFileSync(file,JSON.stringify(["reached",n,pid])+"\\n");return false;};})();',
].join('');

const off = (removal: number): string => `removed$check(${removal})`;

/** A condition and how it is made to let everything pass, given when it shall be off. */
interface Guard {
  readonly node: Node;
  readonly edits: (off: string) => readonly Edit[];
}

/** Functions of one file that do nothing but refuse: name, and which argument is the row. */
type Refusers = ReadonlyMap<string, number | undefined>;

/** Every check of one file that names a row. */
export function findRemovableChecks(source: Source): CheckedSource {
  const refusers = refusersOf(source);
  const checks: RemovableCheck[] = [];
  const shared: Edit[] = [];
  const seen = new Set<number>();
  const add = (guard: Guard, rows: readonly string[], at: Node): void => {
    if (rows.length === 0 || seen.has(guard.node.start)) return;
    seen.add(guard.node.start);
    checks.push({
      path: source.path,
      line: lineAt(source.text, at.start),
      rows,
      text: source.text
        .slice(at.start, at.start + 120)
        .split('\n')[0]!
        .trim(),
      edits: (removal) => guard.edits(off(removal)),
    });
  };

  walk(source.program, (node, ancestors) => {
    const refusal = refusalAt(node, ancestors, refusers);
    if (refusal !== undefined) {
      const guard = guardOf(source, node, ancestors);
      const { row } = refusal;
      if (row !== undefined && stringOf(row) === undefined && row.type !== 'TemplateLiteral') {
        // Known only behind the condition: a refusal that was there already, told in other words.
        if (isDeclaredWithin(guard.node, row)) return;
        const name = source.text.slice(row.start, row.end);
        // Without blanks an edit inside the name stays one: `this.step?.row ?? 'CRT-02'`.
        shared.push(...guard.edits(`(${name}) === 'removed'`));
        return;
      }
      const stated = row === undefined ? [] : rowsIn(stringOf(row) ?? '');
      add(guard, unique([...stated, ...commentedRows(source, node, ancestors, guard)]), guard.node);
      return;
    }
    if (node.type === 'IfStatement' && isPassedOn(node)) {
      const rows = rowsAbove(source, node, ancestors.at(-1));
      add(conditionOf(source, node), rows, node);
    }
    const literal = stringOf(node);
    if (literal !== undefined && isHandedOver(node, ancestors, refusers)) {
      const edits = (when: string) => replaced(node, when, `'removed'`);
      add({ node, edits }, [literal], ancestors.at(-1)!);
    }
  });
  return { checks, edits: shared };
}

/** True when the variable of an expression is declared inside `node`. */
function isDeclaredWithin(node: Node, expression: Node): boolean {
  const names: (string | undefined)[] = [];
  walk(expression, (inner) => names.push(nameOf(inner)));
  const name = names.find((one) => one !== undefined);
  let found = false;
  walk(node, (inner) => {
    if (inner.type !== 'VariableDeclarator') return;
    walk(child(inner, 'id')!, (part) => {
      if (nameOf(part) === name) found = true;
    });
  });
  return found;
}

/** A call that makes a refusal, with the row it states, if any. */
function refusalAt(
  node: Node,
  ancestors: readonly Node[],
  refusers: Refusers,
): { readonly row: Node | undefined } | undefined {
  if (node.type === 'ObjectExpression' && ancestors.at(-1)?.type === 'ReturnStatement') {
    const properties = children(node, 'properties');
    const names = properties.map((property) => nameOf(child(property, 'key')));
    const row = properties[names.indexOf('row')];
    const isCopy = names[0] === 'refused' && names.includes('detail');
    return isCopy && row !== undefined ? { row: child(row, 'value') } : undefined;
  }
  if (node.type !== 'CallExpression') return undefined;
  const callee = child(node, 'callee');
  const passed = children(node, 'arguments');
  if (nameOf(callee) === 'refuse') {
    const inRefuser = ancestors.some(
      (one) => one.type === 'FunctionDeclaration' && refusers.has(nameOf(child(one, 'id')) ?? ''),
    );
    return inRefuser ? undefined : { row: passed[2] };
  }
  const name = nameOf(callee);
  if (name !== undefined && refusers.has(name)) {
    const index = refusers.get(name);
    return { row: index === undefined ? undefined : passed[index] };
  }
  const isReader = nameOf(child(callee, 'property')) === 'refuse';
  return isReader && passed.length >= 2 ? { row: undefined } : undefined;
}

/** Functions whose whole body is `return refuse(…)`. */
function refusersOf({ program }: Source): Refusers {
  const refusers = new Map<string, number | undefined>();
  for (const statement of children(program, 'body')) {
    const declared = child(statement, 'declaration') ?? statement;
    if (declared.type !== 'FunctionDeclaration') continue;
    const body = children(child(declared, 'body'), 'body');
    const call = child(body[0], 'argument');
    if (body.length !== 1 || nameOf(child(call, 'callee')) !== 'refuse') continue;
    const parameters = children(declared, 'params').map((one) => nameOf(child(one, 'left') ?? one));
    const row = nameOf(children(call, 'arguments')[2]);
    const index = row === undefined ? -1 : parameters.indexOf(row);
    refusers.set(nameOf(child(declared, 'id'))!, index < 0 ? undefined : index);
  }
  return refusers;
}

/** The innermost condition on which a refusal hangs; the refusal itself when there is none. */
function guardOf(source: Source, refusal: Node, ancestors: readonly Node[]): Guard {
  let inner = refusal;
  for (const node of [...ancestors].reverse()) {
    if (/Function|Method|Class/.test(node.type)) break;
    if (node.type === 'LogicalExpression' && child(node, 'right') === inner) break;
    if (node.type === 'ConditionalExpression' && child(node, 'test') !== inner) {
      return choiceOf(source, node, child(node, 'consequent') === inner);
    }
    if (node.type === 'IfStatement' && child(node, 'consequent') === inner) {
      return conditionOf(source, node);
    }
    inner = node;
  }
  return { node: refusal, edits: (when) => replaced(refusal, when, 'undefined') };
}

function conditionOf({ text }: Source, node: Node): Guard {
  const open = text.indexOf('(', node.start) + 1;
  const test = child(node, 'test')!;
  const gap = text.slice(test.end, child(node, 'consequent')!.start);
  const close = test.end + gap.lastIndexOf(')');
  return {
    node,
    edits: (when) => [
      { at: open, insert: `!(${when}) && (` },
      { at: close, insert: ')' },
    ],
  };
}

/** `refusesWhenTrue`: the refusal is the consequent. */
function choiceOf({ text }: Source, node: Node, refusesWhenTrue: boolean): Guard {
  const test = child(node, 'test')!;
  const question =
    test.end + text.slice(test.end, child(node, 'consequent')!.start).lastIndexOf('?');
  return {
    node,
    edits: (when) => [
      { at: node.start, insert: refusesWhenTrue ? `(!(${when}) && (` : `((${when}) || (` },
      { at: question, insert: ')) ' },
    ],
  };
}

function replaced(node: Node, when: string, instead: string): readonly Edit[] {
  return [
    { at: node.start, insert: `(${when} ? ${instead} : ` },
    { at: node.end, insert: ')' },
  ];
}

/** `if (refused !== undefined) return refused;`: hands on what a check said. */
function isPassedOn(node: Node): boolean {
  const test = child(node, 'test');
  const name = nameOf(child(test, 'left'));
  if (name === undefined || field(test, 'operator') !== '!==') return false;
  if (nameOf(child(test, 'right')) !== 'undefined') return false;
  const body = child(node, 'consequent');
  const last = body?.type === 'BlockStatement' ? children(body, 'body').at(-1) : body;
  return last?.type === 'ReturnStatement' && nameOf(child(last, 'argument')) === name;
}

/** A row as a whole string that is not stated by a refusal itself but given to another function. */
function isHandedOver(node: Node, ancestors: readonly Node[], refusers: Refusers): boolean {
  const text = stringOf(node)!;
  if (rowsIn(text)[0] !== text) return false;
  const parent = ancestors.at(-1);
  if (parent?.type === 'Property') {
    return child(parent, 'value') === node && nameOf(child(parent, 'key')) === 'row';
  }
  if (parent?.type === 'LogicalExpression') {
    const call = ancestors.at(-2);
    return call !== undefined && refusalAt(call, ancestors.slice(0, -2), refusers)?.row === parent;
  }
  if (parent?.type !== 'CallExpression') return false;
  return refusalAt(parent, ancestors.slice(0, -1), refusers)?.row !== node;
}

/** Rows of the comments that belong to a refusal: nearest first, the function's own last. */
function commentedRows(
  source: Source,
  refusal: Node,
  ancestors: readonly Node[],
  guard: Guard,
): readonly string[] {
  const near: string[] = [];
  const around = [...ancestors, refusal];
  for (let i = around.length - 1; i >= 0; i--) {
    const node = around[i]!;
    if (/Statement|Declaration/.test(node.type) && node.type !== 'BlockStatement') {
      near.push(...rowsAbove(source, node, around[i - 1]), ...rowsBeside(source, node));
    }
    if (node.start <= guard.node.start) {
      const isStatement = /Statement|Declaration/.test(node.type);
      if (isStatement && node.start < guard.node.start) break;
      if (isStatement) break;
    }
  }
  if (near.length > 0) return near;
  for (const node of [...ancestors].reverse()) {
    if (!/Function|Method|Property/.test(node.type)) continue;
    const rows = rowsOfComment(source, node.start);
    if (rows.length > 0) return rows;
  }
  return rowsOfComment(source, ancestors[1]?.start ?? refusal.start);
}

/** Rows of the comment above a statement, or above the declarations directly before it. */
function rowsAbove(source: Source, node: Node, parent: Node | undefined): readonly string[] {
  const siblings = children(parent, 'body');
  let index = siblings.indexOf(node);
  let statement: Node | undefined = node;
  while (statement !== undefined) {
    const rows = rowsOfComment(source, statement.start);
    if (rows.length > 0) return rows;
    index -= 1;
    statement = siblings[index]?.type === 'VariableDeclaration' ? siblings[index] : undefined;
  }
  return [];
}

/** Rows of the comment lines that end directly before an offset. */
function rowsOfComment({ comments, text }: Source, offset: number): readonly string[] {
  const rows: string[] = [];
  let end = offset;
  for (const comment of [...comments].reverse()) {
    if (comment.end > end) continue;
    const gap = text.slice(comment.end, end);
    if (!/^\s*(?:export |async |private |static )*$/.test(gap) || /\n\s*\n/.test(gap)) break;
    // A comment behind code belongs to that code.
    const lineStart = text.lastIndexOf('\n', comment.start) + 1;
    if (text.slice(lineStart, comment.start).trim() !== '') break;
    rows.unshift(...rowsIn(comment.value));
    end = comment.start;
  }
  return unique(rows);
}

/** Rows of a comment at the end of the line on which a statement ends. */
function rowsBeside({ comments, text }: Source, node: Node): readonly string[] {
  const lineEnd = text.indexOf('\n', node.end);
  return comments
    .filter(({ start }) => start >= node.end && (lineEnd < 0 || start < lineEnd))
    .flatMap(({ value }) => rowsIn(value));
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

function unique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)];
}
