/**
 * Builds an agent program for a slot: one classic script that defines the global `agent`, as source
 * text or compiled to the bytecode of QuickJS-ng.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { minify } from '@swc/core';
import { type BuildOptions, build } from 'esbuild';
import { internalNames, numbered, placeholders } from './internal-names.ts';
import type { ProgramName, Runtime } from './load.ts';
import { schemasOnDemand } from './schemas-on-demand.ts';

const root = join(import.meta.dirname, '..');
/** By which the programs in the binary (hal/quickjs) reach into the agent and its refusals. */
const interfaceNames = ['start', 'BootBlock', 'isRefusal', 'open', 'refused', 'detail'];
const compiler = join(root, 'out/bin/bytecode-compiler');

export interface AgentBuild {
  readonly program: ProgramName;
  /** Release number that the program reports as running (AGENT_RELEASE). */
  readonly release: number;
  readonly outfile: string;
  readonly runtime: Runtime;
}

export interface AgentProgram {
  /** The program's text, ready for a slot; equal sources and release give equal bytes. */
  readonly bytes: Uint8Array;
  /** Bytes of the minified script that come from each source file. */
  readonly modules: Readonly<Record<string, number>>;
  readonly path: string;
}

/**
 * Bundles `agent/<program>.ts` for ES2020 engines, minified, without unreachable code. The script
 * defines `agent` with `start(hal)`.
 * Throws when the sources do not bundle, or reach anything but the agent and the HAL's types.
 */
export async function buildAgent(options: AgentBuild): Promise<AgentProgram> {
  if (!Number.isSafeInteger(options.release) || options.release < 0) {
    throw new RangeError(`release: expected an integer from 0, got ${options.release}`);
  }
  const small = options.runtime === 'quickjs';
  const bundle = (
    changed: Pick<
      BuildOptions,
      'mangleProps' | 'mangleCache' | 'minifyIdentifiers' | 'minifyWhitespace'
    >,
  ) =>
    build({
      absWorkingDir: root,
      entryPoints: [`agent/${options.program}.ts`],
      bundle: true,
      write: false,
      metafile: true,
      platform: 'neutral',
      target: 'es2020',
      format: 'iife',
      globalName: 'agent',
      minifySyntax: true,
      minifyIdentifiers: true,
      minifyWhitespace: true,
      treeShaking: true,
      charset: 'ascii',
      define: { AGENT_RELEASE: String(options.release), ECU_PROGRAM: 'true' },
      // Fields by plain assignment, not by a call with their names for each (3 KB, Secondary).
      tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
      logLevel: 'silent',
      ...changed,
    });
  const result = await bundle({});
  for (const input of Object.keys(result.metafile.inputs)) {
    if (!input.startsWith('agent/') && input !== 'hal/types.ts') {
      throw new Error(`the agent must not reach ${input}`);
    }
  }
  const { contents, text } = result.outputFiles[0]!;
  let script = contents;
  if (small) {
    const names = internalNames(text, interfaceNames);
    const { outputFiles } = await bundle({
      mangleProps: new RegExp(`^(${names.join('|')})$`),
      mangleCache: placeholders(names),
      minifyIdentifiers: false,
      minifyWhitespace: false,
    });
    const minified = await inlined(schemasOnDemand(outputFiles[0]!.text));
    script = new TextEncoder().encode(numbered(minified));
  }
  const path = resolve(options.outfile);
  await mkdir(dirname(path), { recursive: true });
  if (small) await compile(script, path);
  else await writeFile(path, script);
  const [output] = Object.values(result.metafile.outputs);
  const modules: Record<string, number> = {};
  for (const [source, { bytesInOutput }] of Object.entries(output!.inputs)) {
    modules[source] = bytesInOutput;
  }
  return { bytes: await readFile(path), modules, path };
}

/**
 * Puts functions and constants that are used once where they are used: each function, and each variable
 * that a function captures, costs a small engine memory (5 KB less in the slot, Secondary).
 */
async function inlined(script: string): Promise<string> {
  const { code } = await minify(script, {
    compress: { passes: 3, inline: 3, reduce_funcs: true, reduce_vars: true, keep_fargs: false },
    mangle: true,
    ecma: 2020,
    module: false,
  });
  return code;
}

/** Compiles a script to bytecode without names, lines and source. */
async function compile(script: Uint8Array, path: string): Promise<void> {
  const source = `${path}.js`;
  await writeFile(source, script);
  try {
    execFileSync(compiler, [source, path], { stdio: ['ignore', 'inherit', 'inherit'] });
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw absent ? new Error(`${compiler} is missing: run make runtime first`) : error;
  } finally {
    await rm(source, { force: true });
  }
}
