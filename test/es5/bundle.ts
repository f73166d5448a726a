/** Makes one ES5 script of several test files: esbuild bundles, swc lowers the syntax. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { transform } from '@swc/core';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { tier2Roots } from '../checks/import-rules.ts';
import type { Recorded } from './recorded.ts';

const here = import.meta.dirname;
const root = join(here, '../..');

/** Modules that tests load, with what stands for them. */
const standIns: Readonly<Record<string, string>> = {
  uvu: 'suite.ts',
  'uvu/assert': 'assertions.ts',
  'node:fs': 'no-files.ts',
  'node:path': 'no-files.ts',
  'hal/node/crypto.ts': 'crypto.ts',
  'hal/node/signing.ts': 'signing.ts',
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

const recording = join(here, 'recording.ts');

/** The tests as they run here, on Node: only the suite is the engine's, so that all run in its order. */
const recordingModules: Plugin = {
  name: 'recording-modules',
  setup(builder) {
    builder.onResolve({ filter: /^uvu/ }, ({ path }) => ({ path: join(here, standIns[path]!) }));
    builder.onResolve({ filter: /signing\.ts$/ }, ({ path, resolveDir, importer }) => {
      const found = relative(root, join(resolveDir, path));
      const replaced = found === 'hal/node/signing.ts' && importer !== recording;
      return replaced ? { path: recording } : undefined;
    });
  },
};

async function bundled(lines: readonly string[], options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: lines.join('\n'), resolveDir: here, loader: 'js' },
    bundle: true,
    write: false,
    charset: 'ascii',
    logLevel: 'silent',
    ...options,
  });
  return outputFiles![0]!.text;
}

function loading(paths: readonly string[]): string[] {
  return paths.map((path) => {
    const source = JSON.stringify(join(root, 'test', path));
    return `print('${path}'); check('loading ${path}', () => require(${source}));`;
  });
}

/**
 * The same tests as a program for Node, which writes the keys and signatures that were made for them
 * to a file of its own name and `.lines`.
 * @param paths of the test files below test/
 */
export function bundleForRecording(paths: readonly string[]): Promise<string> {
  const lines = [
    "const { check, conclude } = require('./suite.ts');",
    'globalThis.print = console.log;',
    ...loading(paths),
    'conclude();',
  ];
  const plugins = [recordingModules];
  return bundled(lines, { platform: 'node', target: 'node24', format: 'cjs', plugins });
}

/**
 * @param paths of the test files below test/
 * @param recorded keys and signatures for them
 * @returns the script; throws what esbuild or swc says
 */
export async function bundleForEs5(
  paths: readonly string[],
  recorded: readonly Recorded[],
): Promise<string> {
  const modules = tier2Modules().map((path) => `require(${JSON.stringify(join(root, path))});`);
  const lines = [
    "import { check, conclude } from './suite.ts';",
    // Before the tests' own additions to the engine.
    `check('the modules of tier 2 are loaded', () => { ${modules.join(' ')} });`,
    "require('./globals.ts');",
    ...loading(paths),
    'conclude();',
  ];
  const script = await bundled(lines, {
    platform: 'neutral',
    target: 'es2020',
    format: 'iife',
    define: { Map: 'TextMap' },
    plugins: [es5Modules],
  });
  const { code } = await transform(script, {
    isModule: false,
    jsc: {
      target: 'es5',
      parser: { syntax: 'ecmascript' },
      loose: true,
      assumptions: { iterableIsArray: true },
    },
  });
  return `var recorded = ${JSON.stringify(recorded)};\n${code}`;
}
