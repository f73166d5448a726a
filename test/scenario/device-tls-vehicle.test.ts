/** A real Primary at a device plane that it does not believe: it keeps running, and says why. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../agent/codec/schema.ts';
import { type Configuration, configuration } from '../../agent/metadata/configuration.ts';
import { enrolVehicle } from '../../backend/fleet/enrol-vehicle.ts';
import { manufactureVehicle, readDeviceRoot, readRoot } from '../../backend/fleet/provision.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { makeHierarchy } from '../unit/net/tls-cases.ts';
import { opened, TestBackend } from './backend-fixture.ts';
import { primaryLines } from './primary-lines.ts';

const test = suite('vehicle over mutual TLS');
const vehicleId = 'vehicle-1';

test('a server of another CA or name, a revoked vehicle: the old image runs on and comes back', async () => {
  const { backend } = await TestBackend.startWithTls();
  const stops: (() => Promise<unknown>)[] = [() => backend.stop()];
  try {
    await backend.publish('1.targets.cbor', backend.signTargets(1, {}));
    const keys = join(backend.folder, 'keys');
    const at = (port: number) => ({ host: '127.0.0.1', port, serverName: 'ota.internal' });
    const { ports } = backend.backend;
    const repositories = { director: at(ports.director), images: at(ports.images) };
    const deviceRoot = readDeviceRoot(keys);
    const busAddress = `unix:${join(backend.folder, 'can0.sock')}`;
    const vehicle = await manufactureVehicle({
      folder: join(backend.folder, 'vehicle'),
      buildFolder: join(backend.folder, 'build'),
      vehicleId,
      ...repositories,
      deviceRoot,
      directorRoot: readRoot(keys, 'director'),
      imagesRoot: readRoot(keys, 'images'),
      busAddress,
      downloadBytes: 1_048_576,
      pollMilliseconds: 100,
    });
    const enrolmentToken = await backend.token();
    await enrolVehicle(vehicle, { vehicleId, enrolmentToken, ...repositories, deviceRoot });

    const keyValue = createFileKeyValue(vehicle.agents[0]!.keyValueFolder);
    const right = opened(decode(configuration, keyValue.read('configuration')!, 65_536));
    const until = (changed: Configuration, ...wanted: RegExp[]) => {
      keyValue.write('configuration', encode(configuration, changed));
      return primaryLines({ agents: vehicle.agents, busAddress }, wanted);
    };

    const trust = (anchor: Uint8Array) => ({ ...right, tls: { trustAnchors: [anchor] } });
    const untrusted = /^cycle-ended code=tls-untrusted /;
    const lines = await until(trust(makeHierarchy().root.der), untrusted, untrusted);
    assert.not.ok(lines.some((line) => line.startsWith('manifest accepted=true')));

    const renamed = right.repositoryMap!.repositories.map(({ repository, endpoint }) => ({
      repository,
      endpoint: { ...endpoint, serverName: 'other.internal' },
    }));
    const repositoryMap = { ...right.repositoryMap!, repositories: renamed };
    await until({ ...right, repositoryMap }, /^cycle-ended code=tls-name /);

    await backend.setRevoked(vehicleId, true);
    await until(right, /^cycle-ended code=http-status .*certificate-revoked/);
    await backend.setRevoked(vehicleId, false);
    await until(right, /^manifest accepted=true /);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
});

test.run();
