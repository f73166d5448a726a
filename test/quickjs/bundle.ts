/** Makes one classic script of several test files, for an engine that has only the language. */
import { mkdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { definitions, sourceLocations } from '../runner/bundle.ts';
import { nodeModules } from './node-calls.ts';

const root = join(import.meta.dirname, '../..');
const here = import.meta.dirname;

/** Modules that the engine has another of, by their paths in the project. */
const standIns: Readonly<Record<string, string>> = {
  'hal/node/crypto.ts': 'native-crypto.ts',
  'hal/node/random.ts': 'native-random.ts',
  'test/unit/crypto/providers.ts': 'native-providers.ts',
};

/** Imports of tests that would take a minute interpreted, with what does less in their place. */
const lighter: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'test/unit/codec/round-trip.test.ts': { 'fast-check': 'fewer-runs.ts' },
  'test/unit/crypto/signatures.test.ts': { './providers.ts': 'native-provider.ts' },
};

/** A module whose functions are called on Node's side; its other values travel once. */
function remoteModule(name: string): string {
  const lines = [`import { callNode } from ${JSON.stringify(join(here, 'call-node.ts'))};`];
  for (const [key, value] of Object.entries(nodeModules[name]!)) {
    if (key === 'default') continue;
    const module = JSON.stringify(name);
    if (typeof value === 'function') {
      lines.push(`export const ${key} = (...given) => callNode(${module}, '${key}', given);`);
    } else if (typeof value !== 'object') {
      lines.push(`export const ${key} = ${JSON.stringify(value)};`);
    } else if (name.endsWith('.ts')) {
      lines.push(`export const ${key} = ${JSON.stringify(value)};`);
    }
  }
  return lines.join('\n');
}

const engineModules: Plugin = {
  name: 'engine-modules',
  setup(builder) {
    builder.onResolve({ filter: /^node:/ }, ({ path }) =>
      path in nodeModules ? { path, namespace: 'node' } : undefined,
    );
    builder.onResolve({ filter: /^(fast-check|\.\/providers\.ts)$/ }, ({ path, importer }) => {
      const standIn = lighter[relative(root, importer)]?.[path];
      return standIn === undefined ? undefined : { path: join(here, standIn) };
    });
    builder.onLoad({ filter: /./, namespace: 'node' }, ({ path }) => ({
      contents: remoteModule(path),
      resolveDir: here,
    }));
    builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const name = relative(root, path);
      const standIn = standIns[name];
      if (standIn !== undefined) {
        return { contents: `export * from './${standIn}';`, loader: 'ts', resolveDir: here };
      }
      if (!(name in nodeModules)) return undefined;
      return { contents: remoteModule(name), loader: 'ts', resolveDir: here };
    });
  },
};

/**
 * Why a test cannot run in the engine: the first module of Node or of the backend that it loads and
 * whose functions cannot be called from there. Undefined: it can.
 */
export async function needsNode(path: string): Promise<string | undefined> {
  const { metafile } = await build({
    entryPoints: [join(root, 'test', path)],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
  });
  const reached = new Set([`test/${path}`]);
  // What is added meanwhile is visited, too.
  for (const input of reached) {
    if (input in standIns || input in nodeModules) continue;
    for (const { path: module, external } of metafile.inputs[input]?.imports ?? []) {
      if (external !== true) reached.add(module);
      else if (builtinModules.includes(module.replace(/^node:/, '')) && !(module in nodeModules)) {
        return `needs ${module}`;
      }
    }
  }
  return undefined;
}

/**
 * Bundles test files into a script that runs them one after the other.
 * @param paths of the test files below test/
 * @returns the bundler's messages when it could not, undefined otherwise
 */
export async function bundleForEngine(
  paths: readonly string[],
  outfile: string,
): Promise<string | undefined> {
  const lines = [
    "import './globals.ts';",
    "import { exec } from 'uvu';",
    // A file that throws while it is loaded counts as one failed check of its own.
    'const load = (name, run) => {',
    '  globalThis.UVU_INDEX = UVU_QUEUE.push([name]) - 1;',
    '  try { run(); } catch (error) {',
    '    const text = "FAIL " + name + ": " + error + "\\n" + error.stack;',
    '    UVU_QUEUE[UVU_INDEX].push(async () => [text, 0, 0, 1]);',
    '  }',
    '};',
    ...paths.map((path) => `load('${path}', () => require('../${path}'));`),
    'exec();',
  ];
  mkdirSync(dirname(outfile), { recursive: true });
  try {
    await build({
      stdin: { contents: lines.join('\n'), resolveDir: here, loader: 'js' },
      outfile: resolve(outfile),
      bundle: true,
      platform: 'neutral',
      mainFields: ['module', 'main'],
      conditions: ['import'],
      target: 'es2022',
      format: 'iife',
      charset: 'ascii',
      logLevel: 'silent',
      define: { ...definitions, global: 'globalThis' },
      plugins: [engineModules, sourceLocations],
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
