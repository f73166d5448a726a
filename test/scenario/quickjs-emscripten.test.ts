/** The vehicle of the demonstration with its agents in quickjs-emscripten: no compiler is needed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runDemo } from './demo-run.ts';

const test = suite('vehicle on quickjs-emscripten');

test('Primary and Secondaries boot in WebAssembly, update and confirm release 2', async () => {
  const run = await runDemo({ OTA_EMULATED_ECU: 'test/quickjs/wasm-ecu.ts' });
  try {
    assert.is(run.status, 0, run.output);
    const report = run.report!;
    assert.is(report.result, 'installed');
    assert.is(report.manifestAccepted, true);
    assert.equal(report.attacksReported, []);
    assert.is(report.ecus.length, 3);
    for (const ecu of report.ecus) {
      assert.is(ecu.version, 2);
      assert.is(ecu.slot, 'B');
    }
  } finally {
    run.remove();
  }
});

test.run();
