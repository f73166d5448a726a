/**
 * A whole update of one ECU over loopback, with a real backend and a real emulated vehicle: from
 * the assignment until the Director has accepted the manifest that says it is installed. The ECU
 * is one hosted by the Primary, so that the bus is left out.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendProcess } from '../../backend/fleet/backend-process.ts';
import { EmulatedVehicle } from '../../backend/fleet/emulated-vehicle.ts';
import { enrolVehicle } from '../../backend/fleet/enrol-vehicle.ts';
import { Operator } from '../../backend/fleet/operator.ts';
import { manufactureVehicle, readRoot, repositoriesAt } from '../../backend/fleet/provision.ts';
import { hostedEcuId, hostedHardwareId, vehicleId } from '../../backend/fleet/vehicle-layout.ts';
import type { Result } from './measure.ts';

const mebibyte = 1_048_576;
const ecuId = hostedEcuId('primary');
const pollMilliseconds = 20;
const giveUpMilliseconds = 120_000;

export interface VehicleFigures {
  /** Milliseconds from the assignment to the accepted manifest, per image. */
  readonly milliseconds: readonly number[];
  readonly primaryPeakRssBytes: number;
}

/** Installs one image after the other on one ECU of a new vehicle. */
export async function updateVehicle(sizes: readonly number[]): Promise<VehicleFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-bench-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const keys = join(folder, 'keys');
    const secrets = {
      OTA_KEYS: keys,
      OTA_PASSPHRASE: randomBytes(18).toString('base64url'),
      OTA_OPERATOR_TOKEN: randomBytes(24).toString('base64url'),
    };
    await Operator.holdCeremony(secrets);
    const backend = await BackendProcess.start({
      ...secrets,
      OTA_STATE: join(folder, 'backend'),
      OTA_LOG_LEVEL: 'error',
      OTA_DEVICE_TLS: 'off',
      DIRECTOR_PORT: '0',
      IMAGES_PORT: '0',
      OPERATOR_PORT: '0',
    });
    stops.push(() => backend.stop());
    const { ports } = backend;
    const operator = new Operator({ ...secrets, OTA_URL: `http://127.0.0.1:${ports.operator}` });
    const answer = await operator.ota('vehicle', 'token', '--vehicle', vehicleId, '--json');
    const imageBytes = Math.max(...sizes);
    const busAddress = `unix:${join(folder, 'can0.sock')}`;
    const repositories = repositoriesAt({ host: '127.0.0.1', ...ports }, undefined);
    const made = await manufactureVehicle({
      folder: join(folder, 'vehicle'),
      vehicleId,
      buildFolder: join(folder, 'build'),
      ...repositories,
      directorRoot: readRoot(keys, 'director'),
      imagesRoot: readRoot(keys, 'images'),
      busAddress,
      hosted: { on: 'primary', imageBytes },
      downloadBytes: Math.ceil((imageBytes * 1.002) / 4096) * 4096 + mebibyte,
      pollMilliseconds,
    });
    const { token } = JSON.parse(answer) as { token: string };
    await enrolVehicle(made, { vehicleId, enrolmentToken: token, ...repositories });
    const { agents } = made;
    const vehicle = await EmulatedVehicle.powerOn(agents, busAddress, {
      onLine: () => undefined,
      onFailure: () => undefined,
    });
    stops.push(() => vehicle.powerOff());
    await installed(operator, 1);
    const milliseconds: number[] = [];
    for (const [i, size] of sizes.entries()) {
      const release = i + 2;
      const path = join(folder, 'image');
      writeFileSync(path, randomBytes(size));
      const filename = `${ecuId}-${release}.bin`;
      const words = ['--filename', filename, '--hardware', hostedHardwareId, '--kind', 'opaque'];
      await operator.ota('image', 'publish', path, ...words, '--release', String(release));
      await operator.ota('assign', '--vehicle', vehicleId, '--ecu', ecuId, '--image', filename);
      const start = performance.now();
      await installed(operator, release);
      milliseconds.push(performance.now() - start);
    }
    for (const stop of stops.splice(0).reverse()) await stop();
    return { milliseconds, primaryPeakRssBytes: vehicle.peakMemory(agents[0]!).rss };
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function installed(operator: Operator, release: number): Promise<void> {
  const end = performance.now() + giveUpMilliseconds;
  while (performance.now() < end) {
    const view = await operator.vehicle(vehicleId);
    const ecu = view?.ecus.find((one) => one.ecuId === ecuId);
    if (ecu?.installed?.releaseCounter === release) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`release ${release} was not installed`);
}

export async function benchUpdates(): Promise<Result[]> {
  const { milliseconds } = await updateVehicle([1_024, mebibyte, 16 * mebibyte]);
  const peers = ['39–50 ms', '0.10–0.24 s', '0.96–1.05 s'];
  const results: Result[] = ['1 KiB', '1 MiB', '16 MiB'].map((size, i) => ({
    name: `update of one ECU, ${size}`,
    value: milliseconds[i]!,
    unit: 'ms',
    note: `with the ECU's restart and trial boot; published peer without: ${peers[i]}`,
  }));
  const small = await updateVehicle([mebibyte]);
  const large = await updateVehicle([64 * mebibyte]);
  const ratio = large.primaryPeakRssBytes / small.primaryPeakRssBytes;
  const rss = (name: string, bytes: number, note: string): Result => ({
    name,
    value: bytes / mebibyte,
    unit: 'MiB',
    note,
  });
  results.push(
    rss('Primary peak RSS, image of 1 MiB', small.primaryPeakRssBytes, 'Node itself included'),
    rss(
      'Primary peak RSS, image of 64 MiB',
      large.primaryPeakRssBytes,
      `${ratio.toFixed(2)} × that of 1 MiB`,
    ),
  );
  return results;
}
