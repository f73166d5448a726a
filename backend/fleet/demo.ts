/**
 * `make demo`: the main job with real parts. One signed, encrypted update travels from the backend
 * to every ECU of an emulated vehicle, and the ECUs boot it; or, with ATTACK=, an attacker tries
 * to get in between and the vehicle refuses.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal } from '../../agent/codes.ts';
import { readDemoOptions } from './demo-options.ts';
import { writeReport } from './demo-report.ts';
import { Demonstration } from './demonstration.ts';

async function main(): Promise<number> {
  const options = readDemoOptions(process.env);
  if (isRefusal(options)) {
    process.stderr.write(`${options.refused}: ${options.detail}\n`);
    return 2;
  }
  const report = join(options.folder, 'report.json');
  // Whatever an earlier run left must never be taken for this run's.
  rmSync(options.folder, { recursive: true, force: true });
  const demonstration = new Demonstration(options);
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      interrupted = true;
      demonstration.stop().finally(() => process.exit(130));
    });
  }
  try {
    const outcome = await demonstration.run();
    writeReport(report, outcome);
    process.stdout.write(`\nreport: ${report}\n`);
    const wanted = options.attack === undefined ? 'installed' : 'refused';
    return outcome.result === wanted ? 0 : 1;
  } catch (error) {
    if (!interrupted) process.stderr.write(`\n${(error as Error).message}\n`);
    return 1;
  } finally {
    await demonstration.stop();
  }
}

process.exitCode = await main();
