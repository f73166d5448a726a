/** The vehicle of the demonstration with its agents in quickjs-emscripten: no compiler is needed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runDemo } from './demo-run.ts';

const test = suite('vehicle on quickjs-emscripten');

test('Primary and Secondaries boot in WebAssembly, update and confirm release 2', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-wasm-'));
  const board = join(folder, 'board.json');
  writeFileSync(board, JSON.stringify(boardWithRoom()));
  const run = await runDemo({ OTA_EMULATED_ECU: 'test/quickjs/wasm-ecu.ts', BOARD: board });
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
    rmSync(folder, { recursive: true });
  }
});

/** The emulated board, with room in V8's heap for the compiled engine beside the agent. */
function boardWithRoom(): object {
  const heapBytes = 96 * 1_048_576;
  return {
    ...JSON.parse(readFileSync('boards/emulated/board.json', 'utf8')),
    memory: { heapBytes: { primary: heapBytes, secondary: heapBytes } },
  };
}

test.run();
