/**
 * The doorbell's brokers under one contract: aedes in the backend, mosquitto and NATS as
 * `ota broker-files` configures them. Access rights are tried by what is delivered: a broker may
 * grant what it does not deliver. Debian packages: mosquitto, nats-server.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { storedKeyPair } from '../../agent/metadata/configuration.ts';
import { deviceCertificate } from '../../agent/metadata/device-messages.ts';
import { doorbellClient, doorbellTopic } from '../../agent/metadata/doorbell.ts';
import { DeviceTls } from '../../agent/net/device-tls.ts';
import { DoorbellClient } from '../../agent/net/doorbell-client.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { createNodeNet } from '../../hal/node/net.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import { MemoryKeyValue } from '../simulator/repository-simulator.ts';
import { makeHierarchy } from '../unit/net/tls-cases.ts';
import { codeOf } from './backend-fixture.ts';
import {
  type BrokerFixture,
  EmbeddedFixture,
  MosquittoFixture,
  NatsFixture,
  until,
} from './broker-fixture.ts';
import { hasProgram } from './can-python-peer.ts';
import { callByTls, clientOptions } from './tls-device.ts';

const [mine, other, third] = ['car-1', 'car-2', 'car-3'];
const forgery = Buffer.from('a1011903e7', 'hex'); // version 999

/** Connects and tries; resolves to whether anything came of it. */
async function refused(attempt: Promise<unknown>): Promise<boolean> {
  return attempt.then(
    () => false,
    () => true,
  );
}

interface Limits {
  /** Whoever comes with the client identifier of another ends that one's connection. */
  readonly sharesIdentifiers?: boolean;
}

function contract(name: string, start: () => Promise<BrokerFixture>, limits: Limits = {}): void {
  const test = suite<{ fixture: BrokerFixture }>(`doorbell: ${name}`);
  test.before(async (context) => {
    context.fixture = await start();
    for (const vehicleId of [mine, other, third]) await context.fixture.enrol(vehicleId);
  });
  test.after(({ fixture }) => fixture.stop());

  test('a vehicle is told the newest version when it comes, and every newer one at once', async ({
    fixture,
  }) => {
    const before = await fixture.ring(mine);
    const listener = await fixture.listen(mine);
    await listener.heard(before);
    assert.equal(listener.messages[0], {
      topic: doorbellTopic(mine),
      version: before,
      retain: true,
    });
    const next = await fixture.ring(mine);
    await listener.heard(next);
    assert.ok(next > before);
    await listener.leave();
    const missed = await fixture.ring(mine);
    const back = await fixture.listen(mine);
    await back.heard(missed);
    await back.leave();
  });

  test('a foreign vehicle that subscribes to everything is delivered nothing', async ({
    fixture,
  }) => {
    const foreign = [await fixture.connect(other)];
    const wild = ['#', '+/#', 'ota/#', 'ota/+', '+/+', doorbellTopic(mine)];
    // Where brokers keep what is theirs, and what is on its way to others.
    const inner = ['$SYS/#', '$MQTT/#', '$MQTT/sub/#', '$MQTT/sub/+', '$JS/#'];
    for (const topic of [...wild, ...inner]) {
      if (foreign[0]!.ended) foreign.unshift(await fixture.connect(other));
      await foreign[0]!.subscribe(topic);
    }
    const still = foreign[0]!.ended ? await fixture.connect(other) : foreign[0]!;
    await still.subscribe(doorbellTopic(other));
    const listener = await fixture.listen(mine);
    for (let i = 0; i < 3; i++) await listener.heard(await fixture.ring(mine));
    // What is its own does come, so it was listening all the while.
    await still.heard(await fixture.ring(other));
    assert.not.ok(still.ended);
    for (const { topic } of [...foreign, still].flatMap(({ messages }) => messages)) {
      assert.is(topic, doorbellTopic(other));
    }
    await still.leave();
    await listener.leave();
  });

  test('what a vehicle publishes reaches nobody, retained or not, its will neither', async ({
    fixture,
  }) => {
    const listener = await fixture.listen(mine);
    for (const topic of [doorbellTopic(mine), doorbellTopic(other), 'ota/x']) {
      for (const qos of [0, 1] as const) {
        const forger = await fixture.connect(other);
        // Whether it is answered, or its connection ended, is the broker's affair.
        await Promise.race([
          forger.client.publishAsync(topic, forgery, { qos, retain: true }).catch(() => undefined),
          forger.end,
        ]);
        await forger.leave();
      }
    }
    const will = { topic: doorbellTopic(mine), payload: forgery, qos: 0, retain: true } as const;
    const dying = await fixture.connect(other, { will }).catch(() => undefined);
    dying?.client.stream.destroy();
    await listener.heard(await fixture.ring(mine));
    assert.not.ok(listener.messages.some(({ version }) => version === 999));
    await listener.leave();
    for (const vehicleId of [mine, other]) {
      const late = await fixture.listen(vehicleId);
      assert.not.ok(
        late.messages.some(({ version }) => version === 999),
        vehicleId,
      );
      await late.leave();
    }
  });

  const ends = limits.sharesIdentifiers
    ? 'another vehicle hears nothing'
    : 'nobody ends a connection';
  test(`${ends} by the client identifier of its owner`, async ({ fixture }) => {
    const listener = await fixture.listen(mine);
    const usurper = await fixture
      .connect(other, { clientId: doorbellClient(mine) })
      .catch(() => undefined);
    await usurper?.subscribe(doorbellTopic(mine));
    if (limits.sharesIdentifiers) await listener.end;
    const hearing = limits.sharesIdentifiers ? await fixture.listen(mine) : listener;
    await hearing.heard(await fixture.ring(mine));
    assert.not.ok(hearing.ended);
    assert.equal(usurper?.messages ?? [], []);
    await usurper?.leave();
    await hearing.leave();
  });

  test('what is kept for a vehicle that is away goes to nobody who takes its identifier', async ({
    fixture,
  }) => {
    const listener = await fixture.connect(mine, { clean: false }).catch(() => undefined);
    if (listener === undefined) return; // nothing is kept for anybody
    await listener.subscribe(doorbellTopic(mine));
    await listener.heard(await fixture.ring(mine));
    await listener.leave();
    await fixture.ring(mine);
    const usurper = await fixture
      .connect(other, { clientId: doorbellClient(mine), clean: false })
      .catch(() => undefined);
    const version = await fixture.ring(mine);
    const witness = await fixture.connect(third);
    await witness.subscribe(doorbellTopic(third));
    await witness.heard(await fixture.ring(third));
    assert.equal(usurper?.messages ?? [], []);
    await usurper?.leave();
    await witness.leave();
    // Nothing of the session that was left stays behind.
    const back = await fixture.listen(mine);
    await back.heard(version);
    await back.leave();
  });

  test('without a certificate of the enrolment CA nobody gets in', async ({ fixture }) => {
    const { cert: _cert, key: _key, ...none } = clientOptions(fixture.root!);
    assert.ok(await refused(fixture.connect('nobody', none)));
    const { der, pair } = makeHierarchy().device(mine);
    const foreign = clientOptions(fixture.root!, { pair, chain: [der] });
    assert.ok(await refused(fixture.connect(mine, foreign)));
  });

  test('a vehicle that was revoked hears nothing more', async ({ fixture }) => {
    await fixture.ring(third);
    const listener = await fixture.listen(third);
    await fixture.backend.setRevoked(third, true);
    const known = listener.messages.length;
    const version = await fixture.ring(third);
    const witness = await fixture.listen(mine);
    await witness.heard(await fixture.ring(mine));
    const later = await fixture.connect(third).catch(() => undefined);
    await later?.subscribe(doorbellTopic(third));
    await witness.heard(await fixture.ring(mine));
    const heard = [...listener.messages.slice(known), ...(later?.messages ?? [])];
    assert.not.ok(
      heard.some((message) => message.version !== undefined),
      String(version),
    );
    await fixture.backend.setRevoked(third, false);
    const back = await fixture.connect(third);
    await back.subscribe(doorbellTopic(third));
    await back.heard(await fixture.ring(third));
    for (const one of [listener, back, witness, later]) await one?.leave();
  });

  test("the agent's own client hears it, and hears it again after the broker was away", async ({
    fixture,
  }) => {
    const { device } = fixture.vehicles.get(mine)!;
    const keyValue = new MemoryKeyValue();
    keyValue.write('device-key', encode(storedKeyPair, device.pair));
    const seconds = fixture.backend.now;
    const bounds = { notBefore: seconds - 1, notAfter: seconds + 86_400 };
    const held = encode(deviceCertificate, { chain: device.chain, ...bounds });
    keyValue.write('device-certificate', held);
    const time = { now: () => seconds, lowerBound: () => seconds };
    const anchors = [new Uint8Array(fixture.root!.raw)];
    const tls = DeviceTls.open(keyValue, time, { tls: { trustAnchors: anchors } });
    assert.ok(tls !== undefined && !isRefusal(tls));
    const rung: number[] = [];
    const changes: string[] = [];
    const client = new DoorbellClient({
      net: createNodeNet(),
      clock: createNodeClock(),
      random: createNodeRandom(),
      vehicleId: mine,
      broker: { host: '127.0.0.1', port: fixture.port, serverName: 'ota.internal' },
      tls,
      onRing: (version) => rung.push(version),
      onChange: (refusal) => changes.push(refusal?.refused ?? 'on'),
    });
    const heard = (version: number) => until(`${version}`, () => rung.includes(version));
    try {
      await heard(await fixture.ring(mine));
      await fixture.stopBroker();
      await until('the loss', () => changes.length >= 2);
      await fixture.startBroker();
      // Once it is back it says what is the newest, and rings as before.
      const during = await fixture.ring(mine);
      await heard(during);
      await heard(await fixture.ring(mine));
    } finally {
      client.close();
    }
    assert.is(changes[0], 'on');
    assert.ok(changes.slice(1).includes('on'), changes.join(' '));
    assert.ok(rung.every((version) => version < 999));
  });

  test('what was rung while nobody could hear it is told afterwards', async ({ fixture }) => {
    // An embedded broker is not away while its backend is there.
    const before = name === 'aedes' ? await fixture.ring(other) : 0;
    await fixture.stopBroker();
    const version = before || (await fixture.ring(other));
    await fixture.startBroker();
    const listener = await fixture.connect(other);
    await listener.subscribe(doorbellTopic(other));
    await listener.heard(version);
    await listener.leave();
  });

  if (name !== 'aedes') {
    test('a broker that is stopped and started under load costs no answer, and tells all of it', async ({
      fixture,
    }) => {
      const vehicles = [mine, other, third];
      const newest = new Map<string, number>();
      let answered = 0;
      let running = true;
      const load = vehicles.map(async (vehicleId) => {
        const { vehicle, device } = fixture.vehicles.get(vehicleId)!;
        const { director } = fixture.backend.ports;
        for (let counter = 1; running; counter++) {
          const reported = await callByTls(fixture.root!, director, `/manifest/${vehicleId}`, {
            method: 'POST',
            body: vehicle.manifest({ counter, time: fixture.backend.now }),
            device,
          });
          assert.is(codeOf(reported), '200');
          // Throws for every answer but success.
          newest.set(vehicleId, await fixture.ring(vehicleId));
          answered += 1;
        }
      });
      const more = async () => {
        const enough = answered + 12;
        await until('answers', () => answered >= enough);
      };
      try {
        for (let i = 0; i < 2; i++) {
          await more();
          await fixture.stopBroker();
          await more();
          await fixture.startBroker();
        }
        await more();
      } finally {
        running = false;
        await Promise.all(load);
      }
      for (const vehicleId of vehicles) {
        const listener = await fixture.listen(vehicleId);
        await listener.heard(newest.get(vehicleId)!);
        await listener.leave();
      }
    });
  }

  test.run();
}

contract('aedes', () => EmbeddedFixture.start());
if (hasProgram('mosquitto', '-h')) contract('mosquitto', MosquittoFixture.start);
else console.log('skipped: 10 package mosquitto is not installed');
if (hasProgram('nats-server', '--version'))
  contract('NATS', NatsFixture.start, { sharesIdentifiers: true });
else console.log('skipped: 10 package nats-server is not installed');
