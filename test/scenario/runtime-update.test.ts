/**
 * Kind `runtime`: the ECUs' own programs over the air, on a real vehicle with its backend. A second
 * build of both programs is installed into their A/B files; four broken ones roll back.
 */

import './quickjs-board.ts';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AgentName,
  agentLayouts,
  board,
  runtimeEcuId,
  runtimeHardwareId,
} from '../../backend/fleet/vehicle-layout.ts';
import { machineArchitecture, programPath } from '../../boards/programs.ts';
import { VehicleFixture } from './vehicle-fixture.ts';

const test = suite('Runtime over the air');

const vehicleId = 'runtime-vehicle-1';
/** Shorter than the minute of a trial; a healthy start that is held up for longer is started again. */
const watchdogMilliseconds = 10_000;

const ecuOf = (name: AgentName) => ({
  ecuId: runtimeEcuId(name),
  hardwareId: runtimeHardwareId(agentLayouts[name].program, machineArchitecture),
});

/** Programs that pass every check of their bytes, and what their trials end with. */
const broken: readonly (readonly [string, string | Buffer, string, string])[] = [
  ['no program at all', 'these bytes are no program', 'image-damaged', 'slot-corrupt HRD-15'],
  ['one that crashes', '#!/bin/sh\nkill -SEGV $$\n', 'unconfirmed', 'trial-rolled-back INS-12'],
  ['one that hangs', '#!/bin/sh\nexec sleep 600\n', 'watchdog', 'self-test-hung INS-13'],
];

function buildRelease2(): void {
  const words = ['-j2', '-f', 'hal/quickjs/build/runtime.mk', `ARCH=${machineArchitecture}`];
  execFileSync('make', [...words, 'RUNTIME_RELEASE=2', 'programs'], { stdio: 'inherit' });
}

test('INS-13: a second build of the programs runs from its file; broken ones give way to it', async () => {
  buildRelease2();
  const fixture = await VehicleFixture.start({
    vehicleId,
    runtimeFor: { architecture: machineArchitecture, release: 1 },
    downloadBytes: 4_194_304,
    description: { watchdogMilliseconds },
  });
  try {
    const { folder, lines, operator } = fixture;
    const releases = async () => {
      const ecus = (await operator.vehicle(vehicleId))?.ecus ?? [];
      return ecus
        .filter(({ ecuId }) => ecuId.endsWith('-runtime'))
        .map(({ ecuId, installed }) => `${ecuId} ${installed?.releaseCounter}`)
        .sort()
        .join();
    };
    await fixture.until(
      async () => (await releases()) === 'full-runtime 1,partial-runtime 1,primary-runtime 1',
    );

    const pairs: string[] = [];
    for (const name of ['primary', 'full'] as const) {
      const path = programPath(board, machineArchitecture, agentLayouts[name].program, 2);
      const filename = await fixture.publish(ecuOf(name), path, 2, 'runtime');
      pairs.push('--ecu', runtimeEcuId(name), '--image', filename);
    }
    await operator.ota('assign', '--vehicle', vehicleId, ...pairs);
    await fixture.until(
      async () => (await releases()) === 'full-runtime 2,partial-runtime 1,primary-runtime 2',
    );
    for (const name of ['primary', 'full'] as const) {
      assert.ok(
        lines.includes(`${name} program slot=B image=${name}-runtime-2.bin`),
        lines.join('\n'),
      );
      assert.ok(lines.includes(`${name} confirmed ecu=${name}-runtime release=2`));
      const files = join(folder, 'vehicle', name, 'program');
      assert.equal(readdirSync(files), ['b'], 'a whole file, and only that of the slot');
      const built = programPath(board, machineArchitecture, agentLayouts[name].program, 2);
      assert.ok(readFileSync(join(files, 'b')).equals(readFileSync(built)));
      assert.is(statSync(join(files, 'b')).mode & 0o777, 0o700);
    }

    const trial = async (release: number, path: string, reason: string, code: string) => {
      const filename = await fixture.publish(ecuOf('full'), path, release, 'runtime');
      const pair = ['--ecu', 'full-runtime', '--image', filename];
      await operator.ota('assign', '--vehicle', vehicleId, ...pair);
      const told = async () =>
        (await operator.manifests(vehicleId))
          .flatMap(({ detections }) => detections)
          .some((one) => one.ecuId === 'full-runtime' && `${one.code} ${one.row}` === code);
      await fixture.until(told);
      const event = `full rolled-back ecu=full-runtime image=${filename} reason=${reason}`;
      assert.ok(lines.includes(event), `${event} in\n${lines.slice(-30).join('\n')}`);
      // The release before runs, and reports.
      const after = lines.slice(lines.indexOf(event));
      assert.ok(after.includes('full ready ecu=full release=1'), after.join('\n'));
      assert.is(await releases(), 'full-runtime 2,partial-runtime 1,primary-runtime 2');
    };
    let release = 3;
    for (const [what, content, reason, code] of broken) {
      const path = join(folder, 'build', `${what.replaceAll(' ', '-')}.bin`);
      writeFileSync(path, content);
      await trial(release, path, reason, code);
      release += 1;
    }
    // Sound, but not what its metadata says: it runs, and its own self-test gives it up.
    const other = programPath(board, machineArchitecture, 'secondary', 2);
    await trial(release, other, 'self-test', 'self-test-failed INS-13');
    const starts = lines.filter((line) => line.startsWith('full program slot='));
    assert.match(starts.at(-1)!, /slot=B image=full-runtime-2\.bin$/);
    assert.is(lines.filter((line) => line.includes(' stopped with ')).length, 0);
  } finally {
    await fixture.stop();
  }
});

if (existsSync(`out/bin/${machineArchitecture}/ecu-secondary`)) test.run();
else console.log('skipped: 1 make runtime was not run: it needs packages');
