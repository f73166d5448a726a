/**
 * Schemas of the formats that are made when they are used: a program for a small engine would hold
 * some sixty records from its start on, and needs those of one message at a time.
 *
 * In the bundled script every declaration `const x = record(…)` outside of functions becomes a
 * function, and every use of `x` its call. Nothing can tell: a schema never changes, nobody compares
 * two of them, and what a declaration is made of is as constant. Schemas of single values, which many
 * records share, stay.
 */
import {
  type AnyNode,
  type Edit,
  edited,
  identifierName,
  parseScript,
  propertyName,
  walk,
} from './script-tree.ts';

/** Where the bundler's comments say that a function comes from. */
const schemaModule = 'agent/codec/schema.ts';
const makers = /^(record|tuple|array|dictionary)\d*$/;

/** The statements of the one function that the script is. */
function blockOf(script: AnyNode): readonly AnyNode[] {
  let block: readonly AnyNode[] | undefined;
  walk(script, (node) => {
    if (/^(Arrow)?FunctionExpression$/.test(node.type)) {
      block ??= (node['body'] as AnyNode)['body'] as readonly AnyNode[];
    }
  });
  return block ?? [];
}

/** Names of the functions of the module that make a record, tuple, array or dictionary. */
function makerNames(script: string, block: readonly AnyNode[]): Set<string> {
  const start = script.indexOf(`// ${schemaModule}\n`);
  const end = script.indexOf('\n  // agent/', start);
  if (start < 0 || end < 0) throw new Error(`the bundle does not say where ${schemaModule} lies`);
  const functions = block.filter(
    (node) => node.type === 'FunctionDeclaration' && node.start > start && node.end < end,
  );
  return new Set(
    functions.map((node) => identifierName(node['id'])!).filter((n) => makers.test(n)),
  );
}

/**
 * @param script a bundle as esbuild writes it, with its comments: one function, in which no function
 *   declares a name of the outermost block again
 */
export function schemasOnDemand(script: string): string {
  const block = blockOf(parseScript(script));
  const made = makerNames(script, block);
  const declared = new Map<string, AnyNode>();
  for (const statement of block) {
    if (statement.type !== 'VariableDeclaration') continue;
    for (const { id, init } of statement['declarations'] as AnyNode[]) {
      const call = init as AnyNode | null;
      if (call?.type !== 'CallExpression') continue;
      if (made.has(identifierName(call['callee']) ?? '')) declared.set(identifierName(id)!, call);
    }
  }
  const edits: Edit[] = [];
  const put = (at: number, text: string) => edits.push({ from: at, to: at, text });
  for (const { start, end } of declared.values()) {
    put(start, '() => (');
    put(end, ')');
  }
  for (const statement of block) {
    walk(statement, (node, parent, field) => {
      const name = identifierName(node) ?? '';
      if (!declared.has(name)) return;
      const isShort = parent['shorthand'] === true;
      if (propertyName(parent) === node && (!isShort || field === 'key')) return;
      const outermost = statement['declarations'] as AnyNode[] | undefined;
      if (field === 'id' && outermost?.includes(parent)) return;
      if (field === 'id' || field === 'params' || field === 'param') {
        throw new Error(`${name} is declared again`);
      }
      put(node.end, isShort ? `: ${name}()` : '()');
    });
  }
  return edited(script, edits);
}
