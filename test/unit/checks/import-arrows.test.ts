/** The check of the import arrows finds what is planted, and nothing in allowed sources. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkImports } from '../../checks/import-arrows.ts';
import { scanSource } from '../../checks/source-scan.ts';

const test = suite('import arrows');

/** Checks planted files (path → text); package.json has `fastify` and, to build, `esbuild`. */
function violations(files: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'arrows-'));
  const manifest = { dependencies: { fastify: '5.0.0' }, devDependencies: { esbuild: '0.1.0' } };
  try {
    const all = { 'package.json': JSON.stringify(manifest), ...files };
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return checkImports(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** The one violation of one file. */
function violation(path: string, text: string): string {
  const found = violations({ [path]: text });
  assert.is(found.length, 1, `${path}: ${JSON.stringify(found)}`);
  return found[0]!;
}

const refused: readonly (readonly [path: string, source: string])[] = [
  ['agent/net/a.ts', "import { readFileSync } from 'node:fs';"],
  ['agent/net/a.ts', "import 'fs';"],
  ['agent/net/a.ts', "import { sha256 } from '@noble/hashes/sha2.js';"],
  ['agent/net/a.ts', "import type { Net } from '../../hal/node/net.ts';"],
  ['agent/net/a.ts', "export { x } from '../../backend/main.ts';"],
  ['agent/net/a.ts', "type X = import('../../boards/build.ts').X;"],
  ['agent/net/a.ts', "const x = await import('node:fs');"],
  ['agent/net/a.ts', 'const x = import(name);'],
  ['agent/net/a.ts', 'const now = Date.now();'],
  ['hal/types.ts', "import type { Code } from '../agent/codes.ts';"],
  ['hal/node/a.ts', "import { start } from '../../agent/primary.ts';"],
  ['hal/noble/a.ts', "import { randomBytes } from 'node:crypto';"],
  ['hal/node/a.ts', "import { build } from 'esbuild';"],
  ['boards/a.ts', "import { x } from '../backend/main.ts';"],
  ['backend/director/a.ts', "import { x } from '../../agent/net/http.ts';"],
  ['backend/director/a.ts', "import { x } from '../../hal/emulated/flash.ts';"],
  ['backend/cli/a.ts', "import { x } from '../../agent/install/boot-block.ts';"],
  ['agent/codec/a.ts', 'const big = BigInt(3);'],
  ['agent/codec/a.ts', 'const big = 3n;'],
  ['agent/can/a.ts', 'const map = new Map();'],
  ['agent/image/a.ts', 'export function f(): Promise<void> { return g(); }'],
  ['agent/install/a.ts', 'const view = new DataView(buffer);'],
  ['agent/crypto/a.ts', 'const ok = /^a+$/.test(text);'],
  ['agent/install/b.ts', 'const unit = new Uint8Array(4).fill(0xff);'],
  ['agent/limits.ts', 'export const f = async () => 3;'],
  ['agent/codes.ts', 'function* f() {}'],
  ['agent/verify/partial-verification.ts', 'class A { *items() {} }'],
];
for (const [path, source] of refused) {
  test(`refuses in ${path}: ${source}`, () => {
    assert.match(violation(path, `// first line\n${source}\n`), new RegExp(`^${path}:2: `));
  });
}

test('what a tier-2 module loads belongs to tier 2', () => {
  const loaded = 'export const x = new Set();\n';
  const used = { 'agent/metadata/a.ts': loaded };
  assert.is(violations(used).length, 0);
  const importing = "import { x } from '../metadata/a.ts';\n";
  assert.is(violations({ ...used, 'agent/codec/b.ts': importing }).length, 1);
  const typeOnly = "import type { X } from '../metadata/a.ts';\n";
  assert.is(violations({ ...used, 'agent/codec/b.ts': typeOnly }).length, 0);
});

test('allowed imports and other words pass', () => {
  const found = violations({
    'agent/codec/a.ts': `/* new Map() */ // import 'node:fs'
import { b } from './b.ts';
import type { Crypto } from '../../hal/types.ts';
const text = 'import x from "node:fs"; new Promise() /a/';
const template = \`new Set() \${b / 2 / c} async \`;
const half = total / 2 / count;
interface Options { readonly Map: number }
const items = Array.from('abc'); const n = value.Set;
`,
    'agent/codec/b.ts': 'export const b = 31;\n',
    'hal/types.ts': 'export interface Crypto {}\n',
    'hal/node/a.ts': "import { x } from '../../agent/codec/a.ts';\nimport 'node:fs';\n",
    'boards/a.ts': "import { build } from 'esbuild';\n",
    'backend/main.ts': "import fastify from 'fastify';\nimport { x } from '../hal/node/a.ts';\n",
    'backend/cli/a.ts': "import { x } from '../../agent/verify/root.ts';\n",
    'backend/fleet/a.ts': "import { x } from '../../hal/emulated/flash.ts';\n",
  });
  assert.equal(found, []);
});

test('a slash after an operand divides, elsewhere it begins a regular expression', () => {
  assert.is(scanSource('a / b / c; x[0] / 2; f() / 3; `text` / 4').regularExpressions.length, 0);
  assert.is(scanSource('f(/a/); x = /[/]b/; return /c/;').regularExpressions.length, 3);
});

test.run();
