/** Bytes of the native programs and of the agents in their slots, and what they are made of. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { buildAgent } from '../../boards/build.ts';
import { type Figure, figure } from './figures.ts';

export const architectures = ['x86_64', 'aarch64', 'armhf'] as const;
const programs = ['secondary', 'primary'] as const;

/** Where an object file of the linker's map belongs, by the first pattern that matches its path. */
const owners: readonly (readonly [RegExp, string])[] = [
  [/\/(quickjs|libregexp|libunicode|dtoa)\.o$/, 'engine'],
  [/\/crypto\/|libbearssl/, 'crypto'],
  [/\/(bootloader|main)\.o$/, 'bytecode'],
  [/\/(engine|linux)\//, 'host'],
];

/** Sections that the program's file holds, by the map that the linker wrote. */
function readMap(path: string): Record<string, number> {
  const parts: Record<string, number> = {};
  const [, map = ''] = readFileSync(path, 'utf8').split('Linker script and memory map');
  // A long name has its numbers on the next line.
  const lines = map.replace(/^( \.\S+)\n +0x/gm, '$1 0x');
  for (const [, section, address, size, object] of lines.matchAll(
    /^ (\.\S+) +0x([0-9a-f]+) +0x([0-9a-f]+) (\S+)$/gm,
  )) {
    const inFile = !/^\.(t?bss|comment|debug|note|ARM\.attributes)/.test(section!);
    if (!inFile || Number.parseInt(address!, 16) === 0) continue;
    const owner = owners.find(([pattern]) => pattern.test(object!))?.[1] ?? 'C library';
    parts[owner] = (parts[owner] ?? 0) + Number.parseInt(size!, 16);
  }
  return parts;
}

/** The programs that were built; none where `make runtime` was not run. */
export function measurePrograms(): Figure[] {
  const figures: Figure[] = [];
  for (const architecture of architectures) {
    for (const program of programs) {
      const path = `out/bin/${architecture}/ecu-${program}`;
      if (!existsSync(path)) continue;
      const map = `out/runtime/objects/${architecture}/ecu-${program}.map`;
      const parts = existsSync(map) ? readMap(map) : {};
      const value = statSync(path).size;
      const known = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
      const all = { ...parts, 'headers and padding': value - known };
      figures.push(figure(`ecu-${program} ${architecture}`, value, all));
    }
  }
  return figures;
}

/** The agents as bytecode; their parts are that of the folders, by their shares of the script. */
export async function measureAgents(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const program of programs) {
    const outfile = `out/build/size/${program}`;
    const { bytes, modules } = await buildAgent({
      program,
      release: 1,
      outfile,
      runtime: 'quickjs',
    });
    const script = Object.values(modules).reduce((sum, length) => sum + length, 0);
    const parts: Record<string, number> = {};
    for (const [module, length] of Object.entries(modules)) {
      const folder = module.split('/').slice(0, 2).join('/');
      parts[folder] = (parts[folder] ?? 0) + (length * bytes.length) / script;
    }
    for (const folder of Object.keys(parts)) parts[folder] = Math.round(parts[folder]!);
    figures.push(figure(`agent ${program}`, bytes.length, parts));
  }
  return figures;
}
