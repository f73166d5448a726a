/**
 * `make flash BOARD=raspberrypi HOST=user@address`: puts one ECU of a vehicle onto a Linux board over
 * ssh and starts it. Safe to run again: program, description and units are replaced, the ECU's keys,
 * metadata and images only with REPROVISION=1. DRY_RUN=1 looks at the board and says what it would do.
 */
import { isRefusal } from '../../../agent/codes.ts';
import { BoardError } from '../../../boards/load.ts';

async function main(): Promise<number> {
  try {
    // The board is loaded with these modules.
    const { readFlashOptions } = await import('./flash-options.ts');
    const options = readFlashOptions(process.env);
    if (isRefusal(options)) {
      process.stderr.write(`${options.refused}: ${options.detail}\n`);
      return 2;
    }
    const { flashBoard } = await import('./flash-board.ts');
    await flashBoard(options, (line) => process.stdout.write(`${line}\n`));
    return 0;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return error instanceof BoardError ? 2 : 1;
  }
}

process.exitCode = await main();
