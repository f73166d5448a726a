/** Which native programs of `make runtime` a board runs: architecture and crypto choose the file. */
import { join } from 'node:path';
import { type Architecture, type Board, BoardError, type ProgramName } from './load.ts';

const programs = join(import.meta.dirname, '../out/bin');

/** This machine's. */
export const machineArchitecture: Architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/**
 * The architecture to build and run for: `wanted`, else this machine's where the board may have it,
 * else the board's usual one. Throws `BoardError` when the board cannot have `wanted`.
 */
export function architectureOf(board: Board, wanted: string | undefined): Architecture {
  const { architectures } = board.engine;
  const found = architectures.find((one) => one === (wanted || machineArchitecture));
  if (found !== undefined) return found;
  if (!wanted) return architectures[0]!;
  throw new BoardError(`ARCH=${wanted}`, [`${board.name} has ${architectures.join(' or ')}`]);
}

/** Path of the program, as runtime.mk names it (RUNTIME_RELEASE=`release`). */
export function programPath(
  board: Board,
  architecture: Architecture,
  kind: ProgramName,
  release = 1,
): string {
  const variant = board.engine.crypto === 'openssl' ? '-openssl' : '';
  const folder = release === 1 ? '' : `release-${release}`;
  return join(programs, `${architecture}${variant}`, folder, `ecu-${kind}`);
}
