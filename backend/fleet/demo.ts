/**
 * `make demo`: the main job with real parts. One signed, encrypted update travels from the backend
 * to every ECU of an emulated vehicle, and the ECUs boot it; or, with ATTACK=, an attacker tries
 * to get in between and the vehicle refuses; or, with KILLS=, the ECUs lose their power meanwhile,
 * and the last line is `N kills, vehicle updated N of N rounds`.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal } from '../../agent/codes.ts';
import { BoardError } from '../../boards/load.ts';

/** The board is loaded with these modules: what is wrong with it is an answer, not a crash. */
async function load() {
  try {
    const { readDemoOptions } = await import('./demo-options.ts');
    const { isReportTrue, writeReport } = await import('./demo-report.ts');
    const { summariseCuts } = await import('./power-cuts.ts');
    const { Demonstration } = await import('./demonstration.ts');
    return { readDemoOptions, isReportTrue, writeReport, summariseCuts, Demonstration };
  } catch (error) {
    if (error instanceof BoardError) return error;
    throw error;
  }
}

async function main(): Promise<number> {
  const loaded = await load();
  if (loaded instanceof BoardError) {
    process.stderr.write(`${loaded.message}\n`);
    return 2;
  }
  const { readDemoOptions, isReportTrue, writeReport, summariseCuts, Demonstration } = loaded;
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
    const asWanted = outcome.result === wanted;
    if (options.kills === undefined) return asWanted ? 0 : 1;
    const updated = asWanted && isReportTrue(report);
    process.stdout.write(`${summariseCuts(demonstration.powerCuts, updated ? 1 : 0, 1)}\n`);
    return updated ? 0 : 1;
  } catch (error) {
    if (!interrupted) process.stderr.write(`\n${(error as Error).message}\n`);
    return 1;
  } finally {
    await demonstration.stop();
  }
}

process.exitCode = await main();
