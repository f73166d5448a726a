/**
 * `make agent BOARD=… PROGRAM=primary|secondary RELEASE=N OUT=FILE`: the agent program of a release,
 * to be published as an image of the kind `agent`.
 */
import { buildAgent } from './build.ts';
import { findBoard } from './find.ts';
import { loadBoard } from './load.ts';

const { BOARD, PROGRAM: program, RELEASE: release = '', OUT: outfile } = process.env;

async function main(): Promise<number> {
  const known = program === 'primary' || program === 'secondary';
  if (!known || !/^\d{1,9}$/.test(release) || !outfile) {
    process.stderr.write('expected PROGRAM=primary or secondary, RELEASE=a number, OUT=a file\n');
    return 2;
  }
  try {
    const { runtime } = loadBoard(findBoard(BOARD || 'emulated')).engine;
    const { bytes, path } = await buildAgent({
      program,
      release: Number(release),
      outfile,
      runtime,
    });
    process.stdout.write(`${path}: ${bytes.length} bytes\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
}

process.exitCode = await main();
