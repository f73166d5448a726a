/**
 * Independent programs on the bus: python-can reads and writes it, scapy's ISO-TP and UDS are the
 * peer in both roles, can-utils and python-can read the log. Debian packages: python3-can,
 * python3-scapy, can-utils.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IsoTpLink } from '../../agent/can/iso-tp.ts';
import { LinkDriver } from '../../agent/can/link-driver.ts';
import { UdsClient } from '../../agent/can/uds-client.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxUdsMessageBytes } from '../../agent/limits.ts';
import { agentLayouts } from '../../backend/fleet/vehicle-layout.ts';
import { createEmulatedCan } from '../../hal/emulated/can.ts';
import { createNodeClock } from '../../hal/node/clock.ts';
import { type Bus, joinRaw, startBus, until } from './can-bus.ts';
import { hasModule, hasProgram, PythonPeer } from './can-python-peer.ts';
import { openWorkshop } from './workshop.ts';

const test = suite('interoperation on the bus');
const foreign = ['--socketcand', 'tcp:0', '--slcan', 'tcp:0'];

function driverOn(bus: Bus): LinkDriver {
  return new LinkDriver({
    can: createEmulatedCan({ can0: bus.address }),
    clock: createNodeClock(),
    port: 'can0',
  });
}

function patternOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8) * 13) % 256);
}

if (hasModule('can')) {
  test('python-can receives a burst of frames whole and in order, with rising times', async () => {
    const bus = await startBus(undefined, ...foreign);
    const listener = await PythonPeer.start(bus.port('socketcand'), 'listen', ['can0-all']);
    const sender = await joinRaw(bus.address);
    const total = 2_000;
    const frames = Array.from({ length: total }, (_, number) => {
      const flexible = number % 3 === 0;
      const frame = Buffer.alloc(flexible ? 6 + 64 : 5 + 8);
      frame.writeUInt32BE(0x100 + (number % 1024));
      frame[4] = flexible ? 0x80 + 64 : 8;
      frame.writeUInt32BE(number, flexible ? 6 : 5);
      return frame;
    });
    sender.socket.write(Buffer.concat(frames));
    await listener.hears(1 + total);
    const heard = listener.said.slice(1) as [number, string, number][];
    for (const [number, [identifier, data, time]] of heard.entries()) {
      assert.is(identifier, 0x100 + (number % 1024));
      assert.is(data, frames[number]!.subarray(number % 3 === 0 ? 6 : 5).toString('hex'));
      assert.ok(number === 0 || time > heard[number - 1]![2]);
    }
    await listener.stop();
    sender.socket.destroy();
    await bus.stop();
  });

  test('python-can sends standard and extended frames, in order', async () => {
    const bus = await startBus(undefined, ...foreign);
    const reader = await joinRaw(bus.address);
    for (const [identifier, first] of [
      ['7E0', '000007e0'],
      ['18DA10F1', '98da10f1'],
    ] as const) {
      const before = reader.receivedBytes();
      const peer = await PythonPeer.start(bus.port('socketcand'), 'send', [identifier, '500']);
      await until(() => reader.receivedBytes() === before + 500 * 9);
      for (let number = 0; number < 500; number++) {
        const at = before + number * 9;
        const expected = `${first}04${number.toString(16).padStart(8, '0')}`;
        assert.is(
          reader
            .received()
            .subarray(at, at + 9)
            .toString('hex'),
          expected,
        );
      }
      await peer.stop();
    }
    reader.socket.destroy();
    await bus.stop();
  });

  test('python-can speaks SLCAN with the bus', async () => {
    const bus = await startBus(undefined, ...foreign);
    const url = `socket://127.0.0.1:${bus.port('slcan')}`;
    const adapter = await PythonPeer.start(0, 'slcan', [url]);
    const reader = await joinRaw(bus.address);
    reader.socket.write(Buffer.from('0000012303aabbcc98da10f100', 'hex'));
    await until(() => reader.receivedBytes() === 13);
    assert.is(reader.received().toString('hex'), '0000012403aabbcc98da10f200');
    await adapter.stop();
    reader.socket.destroy();
    await bus.stop();
  });

  test("the bus's log is read by python-can", async () => {
    const bus = await startBus(undefined, '--log', 'FOLDER/bus');
    const sender = await joinRaw(bus.address);
    const log = join(bus.folder, 'bus.log');
    sender.socket.write(Buffer.from('0000012302aabb98da10f100400001230400000124c001', 'hex'));
    sender.socket.write(Buffer.alloc(64, 0xcd));
    await until(() => readFileSync(log, 'utf8').split('\n').length === 5);
    const reader = await PythonPeer.start(0, 'read-log', [log], 'at once');
    await reader.ended();
    assert.equal(reader.said, [
      [0x123, false, false, false, false, 'aabb'],
      [0x18da10f1, true, false, false, false, ''],
      [0x123, false, false, false, true, ''],
      [0x124, false, true, true, false, 'cd'.repeat(64)],
    ]);
    sender.socket.destroy();
    await bus.stop();
  });
} else console.log('skipped: 4 package python3-can is not installed');

if (hasProgram('log2asc', '-?')) {
  test("the bus's log is read by can-utils", async () => {
    const bus = await startBus(undefined, '--log', 'FOLDER/bus', '--name', 'vcan3');
    const sender = await joinRaw(bus.address);
    const log = join(bus.folder, 'bus.log');
    sender.socket.write(Buffer.from('0000012302aabb98da10f10111000001248c01', 'hex'));
    sender.socket.write(Buffer.alloc(12, 0xcd));
    await until(() => readFileSync(log, 'utf8').split('\n').length === 4);
    const { stdout, status } = spawnSync('log2asc', ['-I', log, 'vcan3'], { encoding: 'utf8' });
    assert.is(status, 0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .slice(3)
      .map((line) => line.replaceAll(/ +/g, ' '));
    assert.is(lines.length, 3);
    assert.match(lines[0]!, /^ 0\.000000 1 123 Rx d 2 AA BB/);
    assert.match(lines[1]!, /^ 0\.\d{6} 1 18DA10F1x Rx d 1 11/);
    assert.match(
      lines[2]!,
      new RegExp(`^ ?0\\.\\d{6} CANFD 1 Rx 124 1 0 9 12${' CD'.repeat(12)} `),
    );
    sender.socket.destroy();
    await bus.stop();
  });
} else console.log('skipped: 1 package can-utils is not installed');

/** Sends a message to the peer at 0x641 and resolves with what comes back from 0x642, or why not. */
async function echoed(bus: Bus, message: Uint8Array): Promise<Uint8Array | Refusal> {
  const driver = driverOn(bus);
  try {
    return await new Promise((resolve) => {
      const link = new IsoTpLink({
        ...{ transmitId: 0x641, receiveId: 0x642, extended: false, flexibleData: false },
        maxMessageBytes: 100_000,
        onMessage: resolve,
        onSent: () => {},
        onError: resolve,
      });
      driver.add(link);
      link.send(message);
    });
  } finally {
    driver.close();
  }
}

const attempts = 10;

/** Repeats what a loaded machine made too late; anything else is judged at once. */
async function inTime(act: () => Promise<Uint8Array | Refusal>): Promise<Uint8Array | Refusal> {
  for (let attempt = 1; ; attempt++) {
    const result = await act();
    const late = isRefusal(result) && /^(iso-tp-timeout|secondary-silent)$/.test(result.refused);
    if (!late || attempt === attempts) return result;
  }
}

if (hasModule('can') && hasModule('scapy')) {
  for (const [blockSize, separation, lengths] of [
    [0, 0, [7, 8, 100, 4_095, 4_096, 20_000]],
    [8, 1, [6, 8, 62, 1_000]],
  ] as const) {
    test(`scapy receives ISO-TP messages and sends them back; BS ${blockSize}, STmin ${separation}`, async () => {
      const bus = await startBus(undefined, ...foreign);
      const options = ['642', '641', String(blockSize), String(separation)];
      const peer = await PythonPeer.start(bus.port('socketcand'), 'echo', options);
      for (const length of lengths) {
        const message = patternOf(length);
        const back = await inTime(() => echoed(bus, message));
        assert.not.ok(isRefusal(back), `${length}: ${JSON.stringify(back)}`);
        assert.is((back as Uint8Array).length, length);
        assert.is(digest(back as Uint8Array), digest(message));
      }
      await peer.stop();
      await bus.stop();
    });
  }

  test("our UDS client understands scapy's server", async () => {
    const bus = await startBus(undefined, ...foreign);
    const peer = await PythonPeer.start(bus.port('socketcand'), 'uds-server', ['7E8', '7E0']);
    const driver = driverOn(bus);
    const client = new UdsClient({
      ...{ transmitId: 0x7e0, receiveId: 0x7e8, extended: false, flexibleData: false },
      maxMessageBytes: maxUdsMessageBytes,
    });
    driver.add(client);
    const request = (...bytes: number[]) =>
      new Promise<Uint8Array | Refusal>((done) => client.request(Uint8Array.from(bytes), done));
    assert.equal(await inTime(() => request(0x3e, 0)), Uint8Array.of(0x7e, 0));
    const record = await inTime(() => request(0x22, 0xf1, 0x90));
    assert.not.ok(isRefusal(record), JSON.stringify(record));
    const expected = Buffer.concat([
      Buffer.from('62f190', 'hex'),
      ...Array.from({ length: 8 }, () => Uint8Array.from({ length: 256 }, (_, index) => index)),
    ]);
    assert.is(digest(record as Uint8Array), digest(expected));
    const refused = await inTime(() => request(0x22, 0x00, 0x01));
    assert.ok(isRefusal(refused));
    assert.is((refused as Refusal).refused, 'uds-negative-response');
    assert.match((refused as Refusal).detail, 'requestOutOfRange (0x31)');
    driver.close();
    await peer.stop();
    await bus.stop();
  });

  test('a scapy tester reads a real Secondary and is refused what it may not do', async () => {
    const workshop = await openWorkshop('--socketcand', 'tcp:0');
    const { requestId, responseId } = agentLayouts.full.testerAddress!;
    const line = workshop.busLines.find((one) => one.startsWith('socketcand '))!;
    const peer = await PythonPeer.start(Number(/:(\d+) /.exec(line)![1]), 'uds-client', [
      ...[requestId.toString(16), responseId.toString(16)],
      // Status and tester present; then a read of nothing known, a service of none, a download.
      ...['22fd03', '3e00', '22ffff', '2701', '34011100100001'],
    ]);
    await peer.hears(6);
    const answers = peer.said.slice(1) as [string, string[]][];
    const names = answers.map(([, layers]) => layers.slice(1));
    const tester = workshop.tester({ requestId, responseId });
    assert.is(answers[0]![0], await workshop.ask(tester, '22fd03'));
    assert.ok(answers[0]![0].length > 2 * 7, 'the answer takes several classic frames');
    assert.equal(names[0]!.slice(0, 1), ['UDS_RDBIPR']);
    assert.equal(answers[1], ['7e00', ['UDS', 'UDS_TPPR']]);
    assert.equal(answers[2], ['7f2231', ['UDS', 'UDS_NR']]);
    assert.equal(answers[3], ['7f2711', ['UDS', 'UDS_NR']]);
    assert.match(answers[4]![0], /^7f34(34|7f)$/);
    await peer.stop();
    await workshop.stop();
  });
} else console.log('skipped: 4 packages python3-scapy and python3-can are not installed');

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test.run();
