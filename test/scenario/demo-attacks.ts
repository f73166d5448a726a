/** What has to be true after `make demo ATTACK=…`, for every attack alike. */
import * as assert from 'uvu/assert';
import { runDemo } from './demo-run.ts';

/**
 * Runs the demonstration against one attacker.
 * @param code the refusal that stops it, with its row
 */
export async function expectRefused(attack: string, code: string, row: string): Promise<void> {
  const run = await runDemo({ ATTACK: attack });
  try {
    assert.is(run.status, 0, run.output);
    const report = run.report!;
    assert.is(report.result, 'refused');
    assert.is(report.ecus.length, 3);
    for (const ecu of report.ecus) {
      assert.is(ecu.version, 1, `${ecu.ecuId} keeps release 1`);
      assert.is(ecu.slot, 'A');
    }
    assert.ok(report.attacksReported.includes(attack), report.attacksReported.join());
    const found = report.refusals.find((one) => one.code === code);
    assert.equal(found, { ecuId: 'primary', code, row, attack });
    assert.is(report.manifestAccepted, true);
  } finally {
    run.remove();
  }
}
