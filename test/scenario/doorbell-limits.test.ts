/** The embedded broker under clients that want more than a subscriber is given (docs/dos.md). */
import { connect as connectTls } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../agent/codes.ts';
import { doorbellTopic } from '../../agent/metadata/doorbell.ts';
import { startBackend } from '../../backend/server.ts';
import { defaultQuotas } from '../../backend/settings.ts';
import { TestBackend, TestVehicle } from './backend-fixture.ts';
import { EmbeddedFixture, until } from './broker-fixture.ts';
import { clientOptions } from './tls-device.ts';

const test = suite<{ fixture: EmbeddedFixture }>('limits of the embedded broker');
const vehicleId = 'car-1';

test.before(async (context) => {
  const quotas = { ...defaultQuotas, vehicle: 12 };
  context.fixture = await EmbeddedFixture.start({ quotas });
  for (const id of [vehicleId, 'car-2', 'car-3', 'car-4']) await context.fixture.enrol(id);
});
test.after(({ fixture }) => fixture.stop());

const refusals = ({ backend }: EmbeddedFixture, what: string): Promise<number> =>
  backend.backend.metrics.valueOf('ota_doorbell_refused_total', { what });

test('without a certificate not one byte is read', async ({ fixture }) => {
  const socket = connectTls({ port: fixture.port, ...clientOptions(fixture.root!) });
  let received = 0;
  socket.on('data', (piece) => {
    received += piece.length;
  });
  socket.on('error', () => undefined);
  socket.on('secureConnect', () => socket.write(Buffer.alloc(100_000, 0x10)));
  await new Promise((resolve) => socket.on('close', resolve));
  assert.is(received, 0);
  assert.is(await refusals(fixture, 'certificate-missing'), 1);
});

test('a client that announces and sends a large packet is cut off, long before it is whole', async ({
  fixture,
}) => {
  const listener = await fixture.connect(vehicleId);
  const megabytes = Buffer.alloc(4_194_304);
  listener.client.publish(doorbellTopic(vehicleId), megabytes, { qos: 0 });
  await listener.end;
  assert.is(await refusals(fixture, 'bytes'), 1);
  assert.is(await refusals(fixture, 'publish'), 0);
});

test('a session that is kept, a will, no keep-alive or too long a one: not taken', async ({
  fixture,
}) => {
  const will = { topic: doorbellTopic('car-2'), payload: 'x', qos: 0, retain: false } as const;
  for (const changes of [{ clean: false }, { will }, { keepalive: 0 }, { keepalive: 601 }]) {
    const attempt = fixture.connect('car-2', changes);
    const refused = await attempt.then(() => false).catch(() => true);
    assert.ok(refused, JSON.stringify(changes));
  }
  assert.is(await refusals(fixture, 'session'), 4);
  await (await fixture.connect('car-2', { keepalive: 600 })).leave();
});

test('a second connection of a vehicle ends its first', async ({ fixture }) => {
  const first = await fixture.listen('car-2');
  const second = await fixture.listen('car-2');
  await first.end;
  await second.heard(await fixture.ring('car-2'));
  const { metrics } = fixture.backend.backend;
  assert.is(await metrics.valueOf('ota_doorbell_connections'), 1);
  await second.leave();
  await until('nobody is there', async () => {
    return (await metrics.valueOf('ota_doorbell_connections')) === 0;
  });
});

test('DIR-05: a vehicle that is revoked loses its connection at once, and gets no other', async ({
  fixture,
}) => {
  const listener = await fixture.listen('car-3');
  await fixture.backend.setRevoked('car-3', true);
  await listener.end;
  const refused = await fixture
    .connect('car-3')
    .then(() => false)
    .catch(() => true);
  assert.ok(refused);
  assert.is(await refusals(fixture, 'certificate-revoked'), 1);
});

test('connections count against the quota of their vehicle, and of no other', async ({
  fixture,
}) => {
  let taken = 0;
  while (taken < 50) {
    const listener = await fixture.connect('car-4').catch(() => undefined);
    if (listener === undefined) break;
    await listener.leave();
    taken += 1;
  }
  assert.is(taken, 12);
  assert.is(await refusals(fixture, 'quota-exceeded'), 1);
  await (await fixture.connect('car-2')).leave();
});

test('metrics name no vehicle', async ({ fixture }) => {
  const answer = await fixture.backend.operator('/metrics');
  const text = Buffer.from(answer.body).toString();
  assert.match(text, /^ota_doorbell_rings_total\{outcome="sent"\} \d/m);
  assert.match(text, /^ota_doorbell_connections \d/m);
  assert.not.match(text, /car-\d/);
});

test('a port that is taken is named, with what to set', async ({ fixture }) => {
  const { configuration } = fixture.backend;
  const other = await TestBackend.start();
  const keys = (name: string) => other.keys.online[name as keyof typeof other.keys.online];
  const at = { ...other.configuration, stateFolder: `${other.folder}/second` };
  const started = await startBackend({ ...at, doorbell: configuration.doorbell! }, { keys });
  await other.stop();
  assert.ok(isRefusal(started));
  assert.is(started.refused, 'port-taken');
  assert.match(started.detail, /DOORBELL_PORT/);
});

test('on loopback without TLS a vehicle is who it says, and hears its own topic alone', async () => {
  const backend = await TestBackend.start({ doorbell: { port: 0 } });
  const plain = new EmbeddedFixture(backend, undefined, { port: 0 });
  try {
    for (const id of [vehicleId, 'car-2']) await backend.register(new TestVehicle(id));
    const listener = await plain.listen(vehicleId);
    assert.equal(await listener.subscribe(doorbellTopic('car-2')), [128]);
    await plain.ring('car-2');
    await listener.heard(await plain.ring(vehicleId));
    assert.ok(listener.messages.every(({ topic }) => topic === doorbellTopic(vehicleId)));
    assert.ok(
      await plain
        .connect('car-9')
        .then(() => false)
        .catch(() => true),
    );
  } finally {
    await plain.stop();
  }
});

test.run();
