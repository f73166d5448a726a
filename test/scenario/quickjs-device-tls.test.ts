/**
 * The programs of `make runtime` at the device plane over mutual TLS: enrolment, renewal of the device
 * certificate before it ends and after, resumption, a start without a clock; and servers that the
 * Primary does not believe, at which the old image runs on.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Server, type TLSSocket } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../agent/codec/schema.ts';
import { repositories as repositoryNumbers } from '../../agent/metadata/common.ts';
import { type Configuration, configuration } from '../../agent/metadata/configuration.ts';
import { registrationKey } from '../../agent/primary/enrolment.ts';
import { defaultServerName } from '../../backend/settings.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { makeHierarchy } from '../unit/net/tls-cases.ts';
import { opened, startSeconds, TestBackend } from './backend-fixture.ts';
import { primaryLines } from './primary-lines.ts';

// The layout of the vehicle is read from the board when these are loaded.
process.env['BOARD'] = 'quickjs';
const { registrationOf } = await import('../../backend/fleet/enrol-vehicle.ts');
const { manufactureVehicle, readDeviceRoot, readRoot } = await import(
  '../../backend/fleet/provision.ts'
);

const test = suite('native programs over mutual TLS');
const vehicleId = 'vehicle-1';
const day = 86_400;
/** So much that two thirds of it end before the server's certificate does. */
const certificateSeconds = 9 * day;

/** Connections to the device plane, and those of them that resumed a session. */
const connections = { all: 0, resumed: 0 };
const emit = Server.prototype.emit;
Server.prototype.emit = function (this: Server, name: string, ...given: unknown[]) {
  if (name === 'secureConnection') {
    connections.all += 1;
    if ((given[0] as TLSSocket).isSessionReused()) connections.resumed += 1;
  }
  return Reflect.apply(emit, this, [name, ...given]) as boolean;
};

test('the certificate is renewed before it ends, and after; bad servers change nothing', async () => {
  const deviceTls = { serverName: defaultServerName, certificateSeconds };
  const { backend } = await TestBackend.startWithTls({ deviceTls });
  try {
    await backend.publish('1.targets.cbor', backend.signTargets(1, {}));
    const keys = join(backend.folder, 'keys');
    const endpoint = (port: number) => ({
      host: '127.0.0.1',
      port,
      serverName: defaultServerName,
    });
    const repositories = () => ({
      director: endpoint(backend.backend.ports.director),
      images: endpoint(backend.backend.ports.images),
    });
    const busAddress = `unix:${join(backend.folder, 'can0.sock')}`;
    const vehicle = await manufactureVehicle({
      folder: join(backend.folder, 'vehicle'),
      buildFolder: join(backend.folder, 'build'),
      vehicleId,
      ...repositories(),
      deviceRoot: readDeviceRoot(keys),
      directorRoot: readRoot(keys, 'director'),
      imagesRoot: readRoot(keys, 'images'),
      busAddress,
      downloadBytes: 1_048_576,
      pollMilliseconds: 100,
    });
    const keyValue = createFileKeyValue(vehicle.agents[0]!.keyValueFolder);
    const made = opened(decode(configuration, keyValue.read('configuration')!, 65_536));
    /** As it was made, with the ports that the backend has now. */
    const right = (serverName = defaultServerName): Configuration => {
      const now = repositories();
      const map = made.repositoryMap!;
      const found = map.repositories.map((one) => ({
        ...one,
        endpoint: {
          ...now[one.repository === repositoryNumbers.director ? 'director' : 'images'],
          serverName,
        },
      }));
      return { ...made, repositoryMap: { ...map, repositories: found } };
    };
    const until = (changed: Configuration, wanted: readonly (RegExp | (() => void))[]) => {
      keyValue.write('configuration', encode(configuration, changed));
      return primaryLines({ agents: vehicle.agents, busAddress }, wanted);
    };
    const renewed = /^certificate renewed=true$/;
    const accepted = /^manifest accepted=true /;

    const enrolmentToken = await backend.token();
    // No time was ever attested to it: for its Primary it is 1970.
    keyValue.write(registrationKey, registrationOf(vehicle, { vehicleId, enrolmentToken }));
    const first = await until(right(), [
      /^registered$/,
      accepted,
      // Two thirds of its life are over, a third is left.
      () => {
        backend.now = startSeconds + 7 * day;
      },
      renewed,
      accepted,
    ]);
    assert.not.ok(first.some((line) => /certificate-expired/.test(line)));
    assert.is(keyValue.read(registrationKey), undefined);
    assert.ok(connections.resumed > 0, `${connections.resumed} of ${connections.all}`);

    // It was switched off while its certificate ended, and begins with the time that it knew last.
    backend.now = startSeconds + 20 * day;
    await backend.restart();
    await until(right(), [renewed, accepted]);

    const other = [makeHierarchy().root.der];
    await until({ ...right(), tls: { trustAnchors: other } }, [/^cycle-ended code=tls-untrusted /]);
    await until(right('other.internal'), [/^cycle-ended code=tls-name /]);
    await backend.setRevoked(vehicleId, true);
    await until(right(), [/^cycle-ended code=http-status .*certificate-revoked/]);
    await backend.setRevoked(vehicleId, false);

    // A server that has had no certificate since before the vehicle was made.
    backend.now = startSeconds - 400 * day;
    await backend.restart();
    await until(right(), [/^cycle-ended code=tls-certificate-expired /]);
    backend.now = startSeconds + 21 * day;
    await backend.restart();
    await until(right(), [accepted]);
  } finally {
    await backend.stop();
  }
});

if (existsSync('out/bin/x86_64/ecu-primary')) test.run();
else console.log('skipped: 1 make runtime was not run for x86_64: it needs packages');
