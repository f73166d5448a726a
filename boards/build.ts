/** Builds an agent program: one classic script that defines the global `agent`, for a slot. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');

export interface AgentBuild {
  readonly program: 'primary' | 'secondary';
  /** Release number that the program reports as running (AGENT_RELEASE). */
  readonly release: number;
  readonly outfile: string;
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
  const bytes = result.outputFiles[0]!.contents;
  const path = resolve(options.outfile);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return { bytes, path };
}
