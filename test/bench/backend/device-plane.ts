/** What a vehicle costs by mutual TLS: connections, polls, image bytes, and memory while it is silent. */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { makeImage, TestBackend, TestVehicle } from '../../scenario/backend-fixture.ts';
import { clientOptions, enrolDevice } from '../../scenario/tls-device.ts';
import type { Result } from '../measure.ts';
import type { DeviceLoad, DeviceResult } from './device-client.ts';
import { unlimitedQuotas } from './load.ts';

const program = fileURLToPath(new URL('device-client.ts', import.meta.url));
const imageBytes = 64 * 1_048_576;
const gibibyte = 1_073_741_824;
const downloads = 4;
const handshakes = 300;
const polls = 2_000;
const silentVehicles = 800;

interface Spent extends DeviceResult {
  /** CPU seconds of the backend's process. */
  readonly cpu: number;
}

/** Runs a load; the backend is this process, the vehicles are another one. */
async function spend(
  load: DeviceLoad,
  whileConnected: () => Promise<void> = async () => {},
): Promise<Spent> {
  const before = process.cpuUsage();
  const result = await new Promise<DeviceResult>((resolve, reject) => {
    const child = fork(program, [], { serialization: 'advanced', execArgv: [] });
    child.on('message', (message) => {
      if (message !== 'connected') resolve(message as DeviceResult);
      else whileConnected().then(() => child.send('end'), reject);
    });
    child.once('error', reject);
    child.once('exit', (status) => reject(new Error(`the vehicles ended with status ${status}`)));
    child.send(load);
  });
  const { user, system } = process.cpuUsage(before);
  return { ...result, cpu: (user + system) / 1e6 };
}

export async function benchDevicePlane(): Promise<Result[]> {
  const { backend, root } = await TestBackend.startWithTls({ quotas: unlimitedQuotas });
  backend.now = Math.floor(Date.now() / 1_000);
  const vehicle = new TestVehicle('vehicle-1');
  const tls = clientOptions(root, await enrolDevice(backend, root, vehicle));
  const { director, images } = backend.backend.ports;
  const poll = { port: director, tls, path: '/metadata/vehicle-1/timestamp.cbor' };
  await spend({ ...poll, connections: 'full', count: 10 });
  // First of all: later, this process has room from what it has freed.
  const before = process.memoryUsage.rss();
  let during = before;
  await spend({ ...poll, connections: 'idle', count: silentVehicles }, async () => {
    during = process.memoryUsage.rss();
  });
  const image = makeImage('large.bin', new Uint8Array(randomBytes(imageBytes)), ['hw-brakes']);
  await backend.release(1, [image]);
  const full = await spend({ ...poll, connections: 'full', count: handshakes });
  const resumed = await spend({ ...poll, connections: 'resumed', count: handshakes });
  const kept = await spend({ ...poll, connections: 'kept', count: polls });
  const sha256 = Buffer.from(image.target.hashes[0]!.value).toString('hex');
  const path = `/targets/${sha256}.large.bin`;
  const load = { port: images, tls, path, connections: 'kept', count: downloads } as const;
  const downloaded = await spend(load);
  await backend.stop();
  const cost = (name: string, { cpu }: Spent, count: number, note: string): Result => ({
    ...{ name, value: (cpu / count) * 1_000, unit: 'CPU ms', note },
  });
  const share = `${resumed.resumed} of ${handshakes} resumed`;
  const bytesPerSecond = downloaded.bodyBytes / downloaded.seconds;
  return [
    cost('full mTLS handshake and one poll', full, handshakes, 'of the server'),
    cost('resumed handshake and one poll', resumed, handshakes, `of the server; ${share}`),
    cost('poll over a kept connection', kept, polls, 'of the server, mutual TLS'),
    {
      name: 'image bytes by mutual TLS',
      value: bytesPerSecond / 1e6,
      unit: 'MB/s',
      note: `one receiver, ${imageBytes / 1_048_576} MiB ${downloads} times`,
    },
    {
      name: 'image bytes: CPU of the server',
      value: downloaded.cpu / (downloaded.bodyBytes / gibibyte),
      unit: 's/GiB',
      note: 'TLS included',
    },
    {
      name: 'a connected, silent vehicle',
      value: (during - before) / silentVehicles / 1_024,
      unit: 'KiB',
      note: `resident memory, ${silentVehicles} at once by mutual TLS`,
    },
  ];
}
