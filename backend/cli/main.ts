/** The program `ota`: arguments in, lines and an exit status out. Started by ota.js. */
import { run } from './run.ts';

// Started by the launcher: when that is killed outright, no command may go on without it.
const orphaned = (): void => process.exit(1);
process.once('disconnect', orphaned);
process.channel?.unref();

// A reader that closed early (`ota image list | head`) is no failure of the command.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await run(process.argv.slice(2), {
  environment: process.env,
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
  interactive: process.stderr.isTTY === true,
});
process.off('disconnect', orphaned);
if (process.channel) process.disconnect();
