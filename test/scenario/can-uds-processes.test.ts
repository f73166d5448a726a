/** Two processes exchange 1 MiB over UDS, ISO-TP and a real hub process. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LinkDriver } from '../../agent/can/link-driver.ts';
import { UdsClient } from '../../agent/can/uds-client.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxUdsMessageBytes } from '../../agent/limits.ts';
import { createEmulatedCan } from '../../hal/emulated/can.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { type Bus, joinRaw, startBus, until } from './can-bus.ts';

const test = suite('UDS between processes');
const mebibyte = 1_048_576;

type Outcome = Uint8Array | Refusal;

interface Tester {
  readonly client: UdsClient;
  readonly driver: LinkDriver;
  request(bytes: number[]): Promise<Outcome>;
  download(data: Uint8Array): Promise<Outcome>;
}

function testerOn(bus: Bus): Tester {
  const driver = new LinkDriver({
    can: createEmulatedCan({ can0: bus.address }),
    clock: createNodeClock(),
    port: 'can0',
  });
  const client = new UdsClient({
    transmitId: 0x700,
    receiveId: 0x701,
    extended: false,
    flexibleData: true,
    maxMessageBytes: maxUdsMessageBytes,
  });
  driver.add(client);
  return {
    client,
    driver,
    request: (bytes) => new Promise((done) => client.request(Uint8Array.from(bytes), done)),
    download: (data) =>
      new Promise((onDone) => {
        client.download(
          { dataFormat: 0, address: 0, size: data.length },
          {
            read: (into, offset) => {
              into.set(data.subarray(offset, offset + into.length));
              return into.length;
            },
            onDone,
          },
        );
      }),
  };
}

/** Asks until the ECU, whose process has to start first, answers. */
async function awaitEcu(tester: Tester): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const answer = await tester.request([0x22, 0xf1, 0x8c]);
    if (!isRefusal(answer)) return;
  }
  throw new Error('the ECU does not answer');
}

function mebibyteOf(seed: number): Uint8Array {
  const data = new Uint8Array(mebibyte);
  for (let i = 0; i < data.length; i++) data[i] = (i * 31 + Math.floor(i / 251) + seed) % 256;
  return data;
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

for (const listen of [undefined, 'tcp:0']) {
  test(`1 MiB arrives unchanged over ${listen ?? 'a unix socket'}`, async () => {
    const bus = await startBus(listen);
    const tester = testerOn(bus);
    try {
      bus.start('can-ecu.ts');
      await awaitEcu(tester);
      const data = mebibyteOf(1);
      const record = await tester.download(data);
      assert.not.ok(isRefusal(record), JSON.stringify(record));
      assert.is(Buffer.from(record as Uint8Array).toString('hex'), sha256(data));
      assert.equal(bus.log, []);
    } finally {
      tester.driver.close();
      await bus.stop();
    }
  });
}

test('a client that sends malformed frames is thrown out while a transfer goes on', async () => {
  const bus = await startBus();
  const tester = testerOn(bus);
  try {
    bus.start('can-ecu.ts');
    await awaitEcu(tester);
    const data = mebibyteOf(2);
    const transfer = tester.download(data);
    const attacks = ['00000701 89 01', '00000700 0f', 'ffffffff ffffffff', '00000801 00'];
    for (const attack of attacks) {
      const raw = await joinRaw(bus.address);
      raw.socket.write(Buffer.from(attack.replaceAll(' ', ''), 'hex'));
      await raw.closed;
    }
    const record = await transfer;
    assert.not.ok(isRefusal(record), JSON.stringify(record));
    assert.is(Buffer.from(record as Uint8Array).toString('hex'), sha256(data));
    assert.is(bus.log.length, attacks.length);
    assert.ok(bus.log.every((line) => line.startsWith('can-frame-malformed ')));
  } finally {
    tester.driver.close();
    await bus.stop();
  }
});

test('over a bus with faults, what is said to have arrived has arrived unchanged', async () => {
  // Rare enough that one of the attempts gets through whichever frames are hit.
  const faults = 'loss=0.0002,duplicate=0.0005,reorder=0.0002,delay=0.002,delay-ms=5,seed=11';
  const bus = await startBus(undefined, '--faults', faults);
  const tester = testerOn(bus);
  try {
    bus.start('can-ecu.ts');
    await awaitEcu(tester);
    const data = mebibyteOf(3).subarray(0, 200_000);
    for (let attempt = 1; ; attempt++) {
      const record = await tester.download(data);
      if (isRefusal(record) && attempt < 20) continue;
      assert.not.ok(isRefusal(record), JSON.stringify(record));
      assert.is(Buffer.from(record as Uint8Array).toString('hex'), sha256(data));
      break;
    }
  } finally {
    tester.driver.close();
    await bus.stop();
  }
  await until(() => bus.printed.some((line) => line.startsWith('faults ')));
  const counts = bus.printed.find((line) => line.startsWith('faults '))!;
  const happened = [...counts.matchAll(/(?:lost|duplicated|reordered|delayed)=(\d+)/g)];
  assert.is(happened.length, 4);
  assert.ok(happened.reduce((sum, [, count]) => sum + Number(count), 0) > 0, counts);
});

test('a client that asks an empty bus is told that nobody answers', async () => {
  const bus = await startBus();
  const tester = testerOn(bus);
  try {
    const answer = await tester.request([0x11, 0x01]);
    assert.is((answer as Refusal).refused, 'secondary-silent');
  } finally {
    tester.driver.close();
    await bus.stop();
  }
});

test.run();
