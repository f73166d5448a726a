/**
 * `make demo` asks what has to be built for BOARD (and ARCH): prints the arguments of `make
 * runtime`, or nothing when Node runs the agent. A wrong description ends with status 2 and every
 * mistake.
 */
import { findBoard } from './find.ts';
import { BoardError, loadBoard } from './load.ts';
import { architectureOf } from './programs.ts';

try {
  const board = loadBoard(findBoard(process.env['BOARD'] || 'emulated'));
  if (board.engine.runtime === 'quickjs') {
    const architecture = architectureOf(board, process.env['ARCH']);
    process.stdout.write(`ARCHITECTURES=${architecture} CRYPTO=${board.engine.crypto}\n`);
  }
} catch (error) {
  if (!(error instanceof BoardError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
