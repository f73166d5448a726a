/**
 * A heap that is too small for an update, on the real programs: what is under way ends with a code,
 * the old image keeps running, nothing is half installed, and with the board's heap the same update
 * succeeds.
 */

import './quickjs-board.ts';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentLayouts, board } from '../../backend/fleet/vehicle-layout.ts';
import { buildAgent } from '../../boards/build.ts';
import { machineArchitecture, programPath } from '../../boards/programs.ts';
import { VehicleFixture } from './vehicle-fixture.ts';

const test = suite('Heap of an update on QuickJS-ng');
const vehicleId = 'heap-vehicle-1';
/**
 * Parts of what an ECU has needed for cycles without an update. With too little it does not even start
 * or end such a cycle; with a little more than those took, an update still finds too little.
 */
const steps = [0.95, 1, 1.03];

test('VER-02: heap-exhausted in the midst of an update: the old image runs, and the update succeeds later', async () => {
  const fixture = await VehicleFixture.start({ vehicleId, downloadBytes: 2_097_152 });
  try {
    const { folder, lines, operator, vehicle } = fixture;
    const full = fixture.agents.find(({ layout }) => layout.name === 'full')!;
    const ofFull = (start: string) => lines.filter((line) => line.startsWith(`full ${start}`));
    const installed = async () => {
      const ecus = (await operator.vehicle(vehicleId))?.ecus ?? [];
      return ecus.find(({ ecuId }) => ecuId === 'full')?.installed?.releaseCounter;
    };
    const exhausted = async () =>
      (await operator.manifests(vehicleId))
        .flatMap(({ detections }) => detections)
        .filter((one) => one.ecuId === 'full' && one.code === 'heap-exhausted').length;
    await fixture.until(async () => (await installed()) === 1);
    const outfile = join(folder, 'build', 'full-agent-2');
    const { path } = await buildAgent({
      program: 'secondary',
      release: 2,
      outfile,
      runtime: board.engine.runtime,
    });
    const filename = await fixture.publish(agentLayouts.full, path, 2, 'agent');
    const assign = () =>
      operator.ota('assign', '--vehicle', vehicleId, '--ecu', 'full', '--image', filename);

    // The first report may come before the first verification, which is what takes the most.
    await fixture.until(async () => ofFull('verified ').length > 0);
    await vehicle.powerOffEcu(full);
    const needed = vehicle.peakMemory(full).heap!;
    assert.ok(needed > 65_536, `${needed}`);
    let failed = false;
    for (const part of steps) {
      const heap = Math.floor(part * needed);
      fixture.heapBytes = ({ layout }) => (layout.name === 'full' ? heap : undefined);
      const [verified, ended] = [ofFull('verified ').length, ofFull('restarted by=crash').length];
      vehicle.powerOnEcu(full);
      // Two: what earlier starts came to is reported by the second one.
      const works = () => ofFull('verified ').length >= verified + 2;
      await fixture.until(() => works() || ofFull('restarted by=crash').length >= ended + 2);
      if (!works()) {
        await vehicle.powerOffEcu(full);
        continue;
      }
      const before = await exhausted();
      await assign();
      await fixture.until(async () => (await exhausted()) > before || (await installed()) === 2);
      await vehicle.powerOffEcu(full);
      if ((await installed()) === 2) break;
      failed = true;
      // The last start was one of the old image, and so is every one before.
      assert.not.ok(
        ofFull('boot slot=B').some((line) => line.includes(filename)),
        `${heap} bytes of heap`,
      );
      // Once: the Primary waits half a minute each time for an ECU that is gone.
      break;
    }
    assert.ok(failed, lines.slice(-40).join('\n'));
    assert.is(ofFull('failed').length, 0, 'no other exception');

    fixture.heapBytes = () => undefined;
    vehicle.powerOnEcu(full);
    if ((await installed()) !== 2) await assign();
    await fixture.until(async () => (await installed()) === 2);
    assert.ok(ofFull(`boot slot=B image=${filename}`).length > 0);
  } finally {
    await fixture.stop();
  }
});

if (existsSync(programPath(board, machineArchitecture, 'secondary'))) test.run();
else console.log('skipped: 1 make runtime was not run: it needs packages');
