/**
 * A real vehicle that polls once an hour, and a broker that is away for a while: what is assigned
 * comes when it is rung for, what could not be rung for when the broker is back, and with a short
 * poll without any broker. Its loss costs nothing but time.
 */
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../agent/codec/schema.ts';
import { configuration } from '../../agent/metadata/configuration.ts';
import { EmulatedVehicle } from '../../backend/fleet/emulated-vehicle.ts';
import { hostedEcuId, hostedHardwareId } from '../../backend/fleet/vehicle-layout.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { opened } from './backend-fixture.ts';
import { VehicleFixture } from './vehicle-fixture.ts';

const test = suite('vehicle with a doorbell');
const vehicleId = 'doorbell-vehicle-1';
const ecuId = hostedEcuId('primary');
const ecu = { ecuId, hardwareId: hostedHardwareId };
const hour = 3_600_000;

/** The way to the broker, which can be closed and opened again. */
class Way {
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();
  private port = 0;

  async open(broker: number): Promise<number> {
    const server = createServer((socket) => {
      const onward = connect(broker, '127.0.0.1');
      for (const one of [socket, onward]) {
        this.sockets.add(one);
        one.on('error', () => undefined);
        one.on('close', () => {
          socket.destroy();
          onward.destroy();
        });
      }
      socket.pipe(onward);
      onward.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
    return this.port;
  }

  close(): void {
    this.server?.close();
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }
}

test('an update comes by the doorbell; a broker that is away costs nothing but time', async () => {
  const way = new Way();
  const fixture = await VehicleFixture.start({
    vehicleId,
    hosted: { on: 'primary', imageBytes: 4_096 },
    downloadBytes: 1_048_576,
    pollMilliseconds: hour,
    doorbellAt: (port) => way.open(port),
  });
  try {
    const { lines, operator } = fixture;
    const count = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
    const assign = async (release: number): Promise<void> => {
      const path = join(fixture.folder, 'build', `${ecuId}-${release}.bin`);
      writeFileSync(path, `firmware ${release}`);
      const filename = await fixture.publish(ecu, path, release, 'opaque');
      await operator.ota('assign', '--vehicle', vehicleId, '--ecu', ecuId, '--image', filename);
    };
    const reported = (release: number) =>
      fixture.until(async () => {
        const vehicle = await operator.vehicle(vehicleId);
        const installed = vehicle?.ecus.find((one) => one.ecuId === ecuId)?.installed;
        return installed?.releaseCounter === release;
      });
    await fixture.until(() => count(/^primary doorbell state=on$/) === 1);

    await assign(2);
    await reported(2);
    const rung = count(/^primary doorbell rung=/);
    assert.ok(rung >= 2, 'the one that is retained, and the new one');

    // Away while something is assigned: it comes when the way is open again.
    way.close();
    await fixture.until(() => count(/^primary doorbell code=net-/) >= 1);
    await assign(3);
    await way.open(fixture.backend.ports.doorbell!);
    await reported(3);
    assert.ok(count(/^primary doorbell state=on$/) >= 2);
    await assign(4);
    await reported(4);

    // Away for good: the poll brings it.
    way.close();
    await fixture.vehicle.powerOff();
    const [primary] = fixture.agents;
    const keyValue = createFileKeyValue(primary!.keyValueFolder);
    const told = opened(decode(configuration, keyValue.read('configuration')!, 65_536));
    const hurried = { ...told, primary: { ...told.primary!, pollMilliseconds: 500 } };
    keyValue.write('configuration', encode(configuration, hurried));
    const before = count(/^primary doorbell rung=/);
    const busAddress = `unix:${join(fixture.folder, 'can0.sock')}`;
    const again = await EmulatedVehicle.powerOn(fixture.agents, busAddress, {
      onLine: (agent, line) => lines.push(`${agent.layout.name} ${line}`),
      onFailure: (agent, status) => lines.push(`${agent.layout.name} stopped with ${status}`),
    });
    try {
      await assign(5);
      await reported(5);
    } finally {
      await again.powerOff();
    }
    assert.is(count(/^primary doorbell rung=/), before);
  } finally {
    way.close();
    await fixture.stop();
  }
});

test.run();
