/**
 * A bundle for four ECUs of a real vehicle, in two phases: backend, bus and ECUs are processes. The
 * backend is killed in the middle of a download and comes back; then the Primary's power is cut.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseLogLine } from '../../backend/fleet/log-line.ts';
import { progressFileName } from '../../backend/fleet/provision.ts';
import {
  agentLayouts,
  agentNames,
  board,
  hostedEcuId,
  hostedHardwareId,
} from '../../backend/fleet/vehicle-layout.ts';
import { buildAgent } from '../../boards/build.ts';
import type { EcuProgress } from '../../hal/types.ts';
import { VehicleFixture } from './vehicle-fixture.ts';

const test = suite('Bundle on a vehicle');

const vehicleId = 'bundle-vehicle-1';
const hosted = hostedEcuId('primary');
const firmwareBytes = 4_000_000;
const chunkBytes = 16_400;

test('DBP-18: four ECUs confirm together, through a killed backend and a cut Primary', async () => {
  const fixture = await VehicleFixture.start({
    vehicleId,
    hosted: { on: 'primary', imageBytes: firmwareBytes },
    downloadBytes: 8_388_608,
  });
  try {
    const { folder, lines, operator, vehicle } = fixture;
    const pairs = await publish(fixture);
    /** Downloaded bytes of the firmware as the Primary told them, with the cuts between. */
    const downloaded: (number | 'backend killed' | 'power cut')[] = [];
    let cuts = 0;
    fixture.onLine = (_, line) => {
      const { event, fields } = parseLogLine(line) ?? { event: '', fields: {} };
      const isDownload = event === 'progress' && fields['stage'] === 'download';
      if (!isDownload || fields['ecu'] !== hosted) return;
      const bytes = Number(fields['bytes']);
      downloaded.push(bytes);
      if (cuts === 0) {
        cuts = 1;
        fixture.backend.kill();
        downloaded.push('backend killed');
      } else if (cuts === 2 && bytes > 2_500_000) {
        cuts = 3;
        vehicle.cutPower(fixture.agents[0]!);
        downloaded.push('power cut');
      }
    };
    await operator.ota('assign', '--vehicle', vehicleId, ...pairs, '--policy', 'two-phase');
    await fixture.until(() => cuts > 0);
    await fixture.until(() => lines.some((line) => line.startsWith(`primary retry ecu=${hosted}`)));
    await fixture.restartBackend();
    cuts = 2;
    await fixture.until(async () => {
      const ecus = (await operator.vehicle(vehicleId))?.ecus ?? [];
      return ecus.length === 4 && ecus.every((ecu) => ecu.installed?.releaseCounter === 2);
    });

    assert.is(cuts, 3, 'both cuts fired');
    checkDownloads(downloaded);
    // Nothing was confirmed before the last ECU had passed its trial.
    const events = lines.filter((line) => / (trial-passed|bundle-decided|confirmed) ?/.test(line));
    const decided = events.findIndex((line) => line.includes('bundle-decided commit=true'));
    const passed = events.slice(0, decided).filter((line) => line.includes('trial-passed'));
    assert.is(new Set(passed.map((line) => line.split(' ')[2])).size, 4, events.join('\n'));
    assert.not.ok(events.slice(0, decided).some((line) => line.includes(' confirmed ')));
    const told = JSON.parse(
      readFileSync(join(folder, 'vehicle', 'primary', progressFileName), 'utf8'),
    ) as readonly EcuProgress[];
    assert.equal(
      told.map(({ ecuId, bytes, of }) => [ecuId, bytes === of]).sort(),
      [...agentNames, hosted].sort().map((ecuId) => [ecuId, true]),
    );
    const detections = (await operator.manifests(vehicleId)).flatMap((one) => one.detections);
    assert.equal(
      detections.filter(({ code }) => code !== 'secondary-silent' && code !== 'time-silent'),
      [],
      'nothing was refused',
    );
  } finally {
    await fixture.stop();
  }
});

/** Bytes only rise, but for less than one chunk at the power cut; nothing at the killed backend. */
function checkDownloads(downloaded: readonly (number | string)[]): void {
  let last = 0;
  let lost = 0;
  for (const entry of downloaded) {
    if (entry === 'power cut') lost = chunkBytes + 16_384;
    if (typeof entry !== 'number') continue;
    assert.ok(entry > last - lost, `${entry} after ${last}`);
    if (entry < last) lost = 0;
    last = entry;
  }
  assert.is(last, firmwareBytes + 56 + 16 * (Math.floor(firmwareBytes / 16_384) + 1));
}

/** Release 2 of every agent, and firmware for the hosted ECU; what `ota assign` has to be told. */
async function publish(fixture: VehicleFixture): Promise<readonly string[]> {
  const pairs: string[] = [];
  const folder = join(fixture.folder, 'build');
  for (const name of agentNames) {
    const layout = agentLayouts[name];
    const outfile = join(folder, `${name}-agent-2`);
    const { runtime } = board.engine;
    const { path } = await buildAgent({ program: layout.program, release: 2, outfile, runtime });
    pairs.push('--ecu', name, '--image', await fixture.publish(layout, path, 2, 'agent'));
  }
  const path = join(folder, 'firmware.bin');
  writeFileSync(path, randomBytes(firmwareBytes));
  const ecu = { ecuId: hosted, hardwareId: hostedHardwareId };
  pairs.push('--ecu', hosted, '--image', await fixture.publish(ecu, path, 2, 'opaque'));
  return pairs;
}

test.run();
