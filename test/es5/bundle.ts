/** Makes one ES5 script of several test files: esbuild bundles, swc lowers the syntax. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { transform } from '@swc/core';
import { build, type Plugin } from 'esbuild';
import { tier2Roots } from '../checks/import-rules.ts';

const here = import.meta.dirname;
const root = join(here, '../..');

/** Modules that tests load, with what stands for them. */
const standIns: Readonly<Record<string, string>> = {
  uvu: 'suite.ts',
  'uvu/assert': 'assertions.ts',
  'node:fs': 'no-files.ts',
  'node:path': 'no-files.ts',
  'hal/node/crypto.ts': 'crypto.ts',
  'test/unit/crypto/providers.ts': 'crypto.ts',
  'test/vectors.ts': 'hexadecimal.ts',
};

/** Every module with which tier 2 begins. */
function tier2Modules(): string[] {
  const files = readdirSync(join(root, 'agent'), { recursive: true, encoding: 'utf8' });
  return files
    .map((name) => `agent/${name}`)
    .filter((path) => path.endsWith('.ts') && tier2Roots.some((one) => path.startsWith(one)))
    .sort();
}

/** The vectors that the tests read, as far as they are here, become part of the script. */
function vectors(): string {
  const path = join(root, '../shared/vectors/cbor_appendix_a.json');
  const found = existsSync(path) ? readFileSync(path, 'utf8') : 'undefined';
  return `const appendixA = ${found};
    export const loadVectors = (name) => name === 'cbor_appendix_a.json' ? appendixA : undefined;`;
}

const es5Modules: Plugin = {
  name: 'es5-modules',
  setup(builder) {
    builder.onResolve({ filter: /^(uvu|node:)/ }, ({ path }) => {
      const standIn = standIns[path];
      return standIn === undefined ? undefined : { path: join(here, standIn) };
    });
    builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const name = relative(root, path);
      const standIn = standIns[name];
      if (standIn === undefined) return undefined;
      const contents = `export * from './${standIn}';${name === 'test/vectors.ts' ? vectors() : ''}`;
      return { contents, loader: 'ts', resolveDir: here };
    });
  },
};

/**
 * @param paths of the test files below test/
 * @returns the script; throws what esbuild or swc says
 */
export async function bundleForEs5(paths: readonly string[]): Promise<string> {
  const modules = tier2Modules().map((path) => `require(${JSON.stringify(join(root, path))});`);
  const lines = [
    "import { check, conclude } from './suite.ts';",
    // Before the tests' own additions to the engine.
    `check('the modules of tier 2 are loaded', () => { ${modules.join(' ')} });`,
    "require('./globals.ts');",
    ...paths.map((path) => {
      const source = JSON.stringify(join(root, 'test', path));
      return `print('${path}'); check('loading ${path}', () => require(${source}));`;
    }),
    'conclude();',
  ];
  const { outputFiles } = await build({
    stdin: { contents: lines.join('\n'), resolveDir: here, loader: 'js' },
    bundle: true,
    write: false,
    platform: 'neutral',
    target: 'es2020',
    format: 'iife',
    charset: 'ascii',
    logLevel: 'silent',
    plugins: [es5Modules],
  });
  const { code } = await transform(outputFiles[0]!.text, {
    isModule: false,
    jsc: {
      target: 'es5',
      parser: { syntax: 'ecmascript' },
      loose: true,
      assumptions: { iterableIsArray: true },
    },
  });
  return code;
}
