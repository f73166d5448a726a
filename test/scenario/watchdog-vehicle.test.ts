/**
 * Trials that hang in real ECU processes: nobody but the watchdog can end them. The old images run
 * again, and the Director is told why (INS-13).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentLayouts, hostedEcuId, hostedHardwareId } from '../../backend/fleet/vehicle-layout.ts';
import { changeDescription, VehicleFixture } from './vehicle-fixture.ts';

const test = suite('Watchdog of a vehicle');

/** Shorter than the minute of a trial; a healthy start that is held up for longer is started again. */
const watchdogMilliseconds = 4_000;
const hosted = hostedEcuId('full');

/** Bootable, and never says a word: only the watchdog that the bootloader opened can end it. */
const loopingAgent = 'var agent = { start: function () { for (;;) {} } };\n';
/** Never answers; ends with the ECU that waits for it. */
const sleepingSelfTest = '#!/bin/sh\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.2; done\n';

test('INS-13: a self-test that never answers and a program that loops are ended, rolled back and told', async () => {
  const fixture = await VehicleFixture.start({
    vehicleId: 'watchdog-vehicle-1',
    hosted: { on: 'full', imageBytes: 20_000 },
    downloadBytes: 2_097_152,
    description: { watchdogMilliseconds },
  });
  try {
    const { folder, lines, operator } = fixture;
    const selfTest = join(folder, 'self-test');
    writeFileSync(selfTest, sleepingSelfTest, { mode: 0o755 });
    const { description } = fixture.agents.find(({ layout }) => layout.name === 'full')!;
    // Read at every start of the ECU: there is none before the trial.
    const healthy = readFileSync(description, 'utf8');
    changeDescription(description, { hostedSelfTest: selfTest });

    const told = async (ecuId: string) =>
      (await operator.manifests('watchdog-vehicle-1'))
        .flatMap(({ detections }) => detections)
        .filter((one) => one.ecuId === ecuId)
        .map(({ code, row }) => `${code} ${row}`);
    const trial = async (
      ecu: { readonly ecuId: string; readonly hardwareId: string },
      content: string,
      kind: 'agent' | 'opaque',
    ) => {
      const path = join(folder, 'build', `${ecu.ecuId}.bin`);
      writeFileSync(path, content);
      const filename = await fixture.publish(ecu, path, 2, kind);
      const pair = ['--ecu', ecu.ecuId, '--image', filename];
      await operator.ota('assign', '--vehicle', 'watchdog-vehicle-1', ...pair);
      await fixture.until(async () => (await told(ecu.ecuId)).includes('self-test-hung INS-13'));
    };
    await trial({ ecuId: hosted, hardwareId: hostedHardwareId }, 'firmware of 2', 'opaque');
    assert.ok(lines.includes('full restarted by=watchdog'), lines.join('\n'));
    assert.ok(
      lines.includes(`full rolled-back ecu=${hosted} image=${hosted}-2.bin reason=watchdog`),
    );

    // The next bundle tries the same firmware again, which passes now; then the other ECU's turn comes.
    writeFileSync(description, healthy);
    await trial(agentLayouts.partial, loopingAgent, 'agent');
    const name = 'partial-agent-2.bin';
    const events = lines.filter((line) => line.startsWith('partial ')).map((line) => line.slice(8));
    const booted = events.indexOf(`boot slot=B image=${name}`);
    assert.ok(booted > 0, events.join('\n'));
    const after = events.slice(booted + 1).filter((line) => !line.startsWith('watchdog '));
    // It said nothing; what follows is the supervisor's, then the old image's.
    assert.equal(after.slice(0, 3), [
      'restarted by=watchdog',
      'boot slot=A image=partial-agent-1.bin',
      `rolled-back ecu=partial image=${name} reason=watchdog`,
    ]);
    await fixture.until(async () => {
      const ecus = (await operator.vehicle('watchdog-vehicle-1'))?.ecus ?? [];
      const releases = ecus.map(({ ecuId, installed }) => `${ecuId} ${installed?.releaseCounter}`);
      return releases.sort().join() === `full 1,${hosted} 2,partial 1,primary 1`;
    });
    assert.is(lines.filter((line) => line.includes(' stopped with ')).length, 0);
  } finally {
    await fixture.stop();
  }
});

test.run();
