/** The folder that goes to the board: install.sh, the files it replaces, and new state if any. */
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Architecture } from '../../../boards/load.ts';
import { programPath } from '../../../boards/programs.ts';
import { canUnit, type EcuPaths, ecuUnit, userDeclaration } from '../../../boards/systemd/units.ts';
import {
  agentLayouts,
  board,
  boardUpdatesRuntime,
  describeEcu,
  downloadPartition,
  flashMap,
  roomFor,
} from '../vehicle-layout.ts';
import type { FlashOptions } from './flash-options.ts';

const installer = join(import.meta.dirname, '../../../boards/systemd/install.sh');

/** The texts of the bundle by their paths on the board. */
export function bundleTexts(
  options: FlashOptions,
  paths: EcuPaths,
): Readonly<Record<string, string>> {
  const { ecu, canInterface } = options;
  const isPrimary = agentLayouts[ecu].program === 'primary';
  const description = describeEcu({
    flashFile: `${paths.state}/flash.bin`,
    flashMap: flashMap(isPrimary ? roomFor(downloadPartition, 0) : 0, 0, boardUpdatesRuntime),
    keyValueFolder: `${paths.state}/key-value`,
    busAddress: `can:${canInterface}`,
    ...(boardUpdatesRuntime && { runtimeFolder: `${paths.state}/program` }),
  });
  const units = '/etc/systemd/system';
  return {
    [paths.description]: `${JSON.stringify(description, undefined, 2)}\n`,
    [`${units}/${paths.ecuUnit}`]: ecuUnit(ecu, board, paths, isPrimary),
    [`${units}/${paths.canUnit}`]: canUnit(canInterface, board),
    [`/etc/sysusers.d/${paths.user}.conf`]: userDeclaration(paths),
  };
}

/** @param state folder with `flash.bin` and `key-value`; undefined leaves the board's own */
export function writeBundle(
  folder: string,
  options: FlashOptions,
  paths: EcuPaths,
  architecture: Architecture,
  state: string | undefined,
): void {
  const { program: kind } = agentLayouts[options.ecu];
  const program = programPath(board, architecture, kind, options.runtimeRelease);
  cpSync(installer, join(folder, 'install.sh'));
  for (const [path, text] of Object.entries(bundleTexts(options, paths))) {
    const file = join(folder, 'files', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const target = join(folder, 'files', paths.program);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(program, target);
  chmodSync(target, 0o755);
  if (state === undefined) return;
  cpSync(join(state, 'flash.bin'), join(folder, 'state/flash.bin'));
  cpSync(join(state, 'key-value'), join(folder, 'state/key-value'), { recursive: true });
}
