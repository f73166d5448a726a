/**
 * Builds an agent program for a slot: one classic script that defines the global `agent`, as source
 * text or compiled to the bytecode of QuickJS-ng.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';
import type { Runtime } from './load.ts';

const root = join(import.meta.dirname, '..');
const compiler = join(root, 'out/bin/bytecode-compiler');

export interface AgentBuild {
  readonly program: 'primary' | 'secondary';
  /** Release number that the program reports as running (AGENT_RELEASE). */
  readonly release: number;
  readonly outfile: string;
  readonly runtime: Runtime;
}

export interface AgentProgram {
  /** The program's text, ready for a slot; equal sources and release give equal bytes. */
  readonly bytes: Uint8Array;
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
  const result = await build({
    absWorkingDir: root,
    entryPoints: [`agent/${options.program}.ts`],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'neutral',
    target: 'es2020',
    format: 'iife',
    globalName: 'agent',
    minify: true,
    treeShaking: true,
    charset: 'ascii',
    define: { AGENT_RELEASE: String(options.release) },
    logLevel: 'silent',
  });
  for (const input of Object.keys(result.metafile.inputs)) {
    if (!input.startsWith('agent/') && input !== 'hal/types.ts') {
      throw new Error(`the agent must not reach ${input}`);
    }
  }
  const script = result.outputFiles[0]!.contents;
  const path = resolve(options.outfile);
  await mkdir(dirname(path), { recursive: true });
  if (options.runtime === 'quickjs') await compile(script, path);
  else await writeFile(path, script);
  return { bytes: await readFile(path), path };
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
