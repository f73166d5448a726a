/**
 * A bundle for four ECUs of a real vehicle, in two phases: backend, bus and ECUs are processes. The
 * backend is killed in the middle of a download and comes back; then the Primary's power is cut.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BackendProcess } from '../../backend/fleet/backend-process.ts';
import { EmulatedVehicle } from '../../backend/fleet/emulated-vehicle.ts';
import { enrolVehicle } from '../../backend/fleet/enrol-vehicle.ts';
import { parseLogLine } from '../../backend/fleet/log-line.ts';
import { Operator } from '../../backend/fleet/operator.ts';
import {
  manufactureVehicle,
  type ProvisionedAgent,
  progressFileName,
  readRoot,
} from '../../backend/fleet/provision.ts';
import {
  agentLayouts,
  agentNames,
  board,
  hostedEcuId,
  hostedHardwareId,
} from '../../backend/fleet/vehicle-layout.ts';
import { buildAgent } from '../../boards/build.ts';
import type { EcuProgress } from '../../hal/types.ts';

const test = suite('Bundle on a vehicle');

const vehicleId = 'bundle-vehicle-1';
const hosted = hostedEcuId('primary');
const firmwareBytes = 4_000_000;
const chunkBytes = 16_400;
const giveUpMilliseconds = 200_000;

test('DBP-18: four ECUs confirm together, through a killed backend and a cut Primary', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-bundle-'));
  const stops: (() => Promise<void>)[] = [];
  const lines: string[] = [];
  /** Downloaded bytes of the firmware as the Primary told them, with the cuts between. */
  const downloaded: (number | 'backend killed' | 'power cut')[] = [];
  let onDownload: (bytes: number) => void = () => undefined;
  try {
    const keys = join(folder, 'keys');
    const secrets = {
      OTA_KEYS: keys,
      OTA_PASSPHRASE: 'passphrase of the bundle test',
      OTA_OPERATOR_TOKEN: 'operator-token-of-the-bundle-test',
    };
    await new Operator({ ...secrets, OTA_URL: 'http://127.0.0.1:1' }).ota(
      'ceremony',
      '--out',
      keys,
    );
    const environment = (ports: { director: number; images: number; operator: number }) => ({
      ...secrets,
      OTA_STATE: join(folder, 'backend'),
      OTA_LOG_LEVEL: 'error',
      OTA_DEVICE_TLS: 'off',
      DIRECTOR_PORT: String(ports.director),
      IMAGES_PORT: String(ports.images),
      OPERATOR_PORT: String(ports.operator),
    });
    let backend = await BackendProcess.start(environment({ director: 0, images: 0, operator: 0 }));
    stops.push(() => backend.stop());
    const { ports } = backend;
    const operator = new Operator({ ...secrets, OTA_URL: `http://127.0.0.1:${ports.operator}` });

    const director = { host: '127.0.0.1', port: ports.director };
    const images = { host: '127.0.0.1', port: ports.images };
    const busAddress = `unix:${join(folder, 'can0.sock')}`;
    const answer = await operator.ota('vehicle', 'token', '--vehicle', vehicleId, '--json');
    const made = await manufactureVehicle({
      folder: join(folder, 'vehicle'),
      vehicleId,
      buildFolder: join(folder, 'build'),
      director,
      images,
      directorRoot: readRoot(keys, 'director'),
      imagesRoot: readRoot(keys, 'images'),
      busAddress,
      hosted: { on: 'primary', imageBytes: firmwareBytes },
      downloadBytes: 8_388_608,
      pollMilliseconds: 300,
    });
    const { token } = JSON.parse(answer) as { token: string };
    await enrolVehicle(made, { vehicleId, enrolmentToken: token, director, images });
    const { agents } = made;
    const vehicle = await EmulatedVehicle.powerOn(agents, busAddress, {
      onLine: (agent: ProvisionedAgent, line: string) => {
        lines.push(`${agent.layout.name} ${line}`);
        const { event, fields } = parseLogLine(line) ?? { event: '', fields: {} };
        const isDownload = event === 'progress' && fields['stage'] === 'download';
        if (!isDownload || fields['ecu'] !== hosted) return;
        downloaded.push(Number(fields['bytes']));
        onDownload(Number(fields['bytes']));
      },
      onFailure: (agent: ProvisionedAgent, status: number | null) =>
        lines.push(`${agent.layout.name} stopped with ${status}`),
    });
    stops.push(() => vehicle.powerOff());

    const firmware = randomBytes(firmwareBytes);
    const pairs = await publish(operator, folder, firmware);
    let cuts = 0;
    onDownload = (bytes) => {
      if (cuts === 0) {
        cuts = 1;
        backend.kill();
        downloaded.push('backend killed');
      } else if (cuts === 2 && bytes > 2_500_000) {
        cuts = 3;
        vehicle.cutPower(agents[0]!);
        downloaded.push('power cut');
      }
    };
    await operator.ota('assign', '--vehicle', vehicleId, ...pairs, '--policy', 'two-phase');
    await until(() => cuts > 0, lines);
    await until(() => lines.some((line) => line.startsWith(`primary retry ecu=${hosted}`)), lines);
    backend = await BackendProcess.start(environment(ports));
    cuts = 2;
    await until(async () => {
      const ecus = (await operator.vehicle(vehicleId))?.ecus ?? [];
      return ecus.length === 4 && ecus.every((ecu) => ecu.installed?.releaseCounter === 2);
    }, lines);

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
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
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
async function publish(operator: Operator, folder: string, firmware: Uint8Array) {
  const pairs: string[] = [];
  const { bytecodeVersion, halVersion, runtime } = board.engine;
  const put = async (ecuId: string, hardwareId: string, path: string, more: readonly string[]) => {
    const filename = ecuId === hosted ? `${hosted}-2.bin` : `${ecuId}-agent-2.bin`;
    await operator.ota(
      ...['image', 'publish', path, '--filename', filename, '--hardware', hardwareId],
      ...['--release', '2', ...more],
    );
    pairs.push('--ecu', ecuId, '--image', filename);
  };
  for (const name of agentNames) {
    const { ecuId, hardwareId, program } = agentLayouts[name];
    const outfile = join(folder, 'build', `${name}-agent-2`);
    const { path } = await buildAgent({ program, release: 2, outfile, runtime });
    await put(ecuId, hardwareId, path, [
      ...['--kind', 'agent', '--bytecode-version', String(bytecodeVersion)],
      ...['--hal-version', String(halVersion)],
    ]);
  }
  mkdirSync(join(folder, 'build'), { recursive: true });
  const path = join(folder, 'build', 'firmware.bin');
  writeFileSync(path, firmware);
  await put(hosted, hostedHardwareId, path, ['--kind', 'opaque']);
  return pairs;
}

/** Looks until `done`; with the vehicle's last lines when it stands still. */
async function until(done: () => boolean | Promise<boolean>, lines: string[]): Promise<void> {
  const end = performance.now() + giveUpMilliseconds;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`in vain\n${lines.slice(-40).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

test.run();
