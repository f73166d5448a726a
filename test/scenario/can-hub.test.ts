/** The hub as other processes see it: order, refusals, back-pressure, its end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmulatedCan } from '../../hal/emulated/can.ts';
import { handshake, maxEncodedFrameBytes } from '../../hal/emulated/cannelloni.ts';
import type { CanFrame } from '../../hal/types.ts';
import { joinRaw, startBus, until } from './can-bus.ts';

const test = suite('CAN hub');

function numbered(number: number, identifier = 0x100): CanFrame {
  const data = new Uint8Array(64);
  new DataView(data.buffer).setUint32(0, number);
  return { identifier, extended: false, flexibleData: true, bitRateSwitch: true, data };
}

function numberOf({ data }: CanFrame): number {
  return new DataView(data.buffer, data.byteOffset).getUint32(0);
}

/** A frame of 8 bytes as it travels. */
function wire(identifier: number, fill: number): Buffer {
  const bytes = Buffer.alloc(13, fill);
  bytes.writeUInt32BE(identifier, 0);
  bytes[4] = 8;
  return bytes;
}

test('every other client receives all frames in order, the sender none', async () => {
  const bus = await startBus();
  const total = 50_000;
  const can = createEmulatedCan({ can0: bus.address });
  const listeners = [0, 1].map(() => {
    const received: number[] = [];
    const port = can.open({
      port: 'can0',
      onReadable: (count) => {
        assert.ok(count > 0);
        for (let got = port.read(); got !== undefined; got = port.read()) {
          received.push(numberOf(got));
        }
      },
      onWritable: () => {},
    });
    assert.is(port.writable, 0, 'nothing is writable before the bus is reached');
    assert.throws(() => port.write(numbered(0)));
    return { port, received };
  });
  await Promise.all(listeners.map(({ port }) => until(() => port.writable > 0)));
  let sent = 0;
  let echoes = 0;
  const sender = can.open({
    port: 'can0',
    onReadable: () => {
      echoes++;
    },
    onWritable: (count) => {
      assert.ok(count > 0);
      while (sent < total && sender.writable > 0) sender.write(numbered(sent++));
    },
  });
  assert.is(sender.writable, 0);
  await until(() => listeners.every(({ received }) => received.length === total));
  for (const { received } of listeners) assert.ok(received.every((number, i) => number === i));
  assert.is(echoes, 0);
  for (const { port } of [...listeners, { port: sender }]) port.close();
  await bus.stop();
});

test('frames of several senders arrive in one order for all', async () => {
  const bus = await startBus();
  const observers = [await joinRaw(bus.address), await joinRaw(bus.address)];
  const senders = [await joinRaw(bus.address), await joinRaw(bus.address)];
  for (let i = 0; i < 200; i++) {
    for (const [which, sender] of senders.entries()) sender.socket.write(wire(0x200 + which, i));
  }
  await until(() => observers.every(({ received }) => received().length === 400 * 13));
  assert.ok(observers[0]!.received().equals(observers[1]!.received()));
  for (const raw of [...observers, ...senders]) raw.socket.destroy();
  await bus.stop();
});

test('frames before a malformed one pass, nothing of it or after it does', async () => {
  const bus = await startBus();
  const observer = await joinRaw(bus.address);
  const attacker = await joinRaw(bus.address);
  const good = wire(0x123, 0xaa);
  const bad = Buffer.from('0000012389', 'hex');
  attacker.socket.write(Buffer.concat([good, good, bad, good]));
  await attacker.closed;
  const honest = await joinRaw(bus.address);
  honest.socket.write(wire(0x124, 0xbb));
  await until(() => observer.receivedBytes() >= 3 * 13);
  const expected = Buffer.concat([good, good, wire(0x124, 0xbb)]);
  assert.ok(observer.received().equals(expected));
  assert.is(bus.log.length, 1);
  assert.ok(bus.log[0]!.startsWith('can-frame-malformed client 2'));
  for (const raw of [observer, honest]) raw.socket.destroy();
  await bus.stop();
});

test('a frame and a handshake in single bytes are put together', async () => {
  const bus = await startBus();
  const observer = await joinRaw(bus.address);
  const slow = await joinRaw(bus.address, new Uint8Array(0));
  slow.socket.setNoDelay(true);
  for (const byte of Buffer.concat([Buffer.from('CANNELLONIv1'), wire(0x1, 1), wire(0x2, 2)])) {
    slow.socket.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => observer.receivedBytes() === 26);
  assert.ok(observer.received().equals(Buffer.concat([wire(0x1, 1), wire(0x2, 2)])));
  for (const raw of [observer, slow]) raw.socket.destroy();
  await bus.stop();
});

test('a client is greeted once it has greeted, and hears every frame from then on', async () => {
  const bus = await startBus();
  const sender = await joinRaw(bus.address);
  const other = await joinRaw(bus.address);
  const late = await joinRaw(bus.address, handshake.subarray(0, -1));
  sender.socket.write(wire(0x1, 1));
  await until(() => other.receivedBytes() === 13);
  assert.is(late.socket.bytesRead, 0);
  late.socket.write(handshake.subarray(-1));
  await until(() => late.socket.bytesRead >= handshake.length);
  sender.socket.write(wire(0x2, 2));
  await until(() => late.receivedBytes() === 13);
  assert.ok(late.received().equals(wire(0x2, 2)));
  for (const raw of [sender, other, late]) raw.socket.destroy();
  await bus.stop();
});

test('a client without handshake is thrown out and receives no frame', async () => {
  const bus = await startBus();
  const stranger = await joinRaw(bus.address, Buffer.from('GET / HTTP/1.1\r\n'));
  await stranger.closed;
  assert.is(stranger.receivedBytes(), 0);
  await until(() => bus.log.length > 0);
  assert.match(bus.log[0]!, 'can-frame-malformed');
  await bus.stop();
});

test('a slow reader pauses the writers and loses nothing; a stopped one frees them', async () => {
  const bus = await startBus();
  const slow = await joinRaw(bus.address);
  slow.socket.pause();
  const can = createEmulatedCan({ can0: bus.address });
  const total = 300_000; // 20 MB, far more than socket buffers and the hub may hold
  let sent = 0;
  const fill = () => {
    while (sent < total && port.writable > 0) port.write(numbered(sent++));
  };
  const port = can.open({ port: 'can0', onReadable: () => {}, onWritable: fill });
  fill();
  let before = -1;
  await until(() => sent > 0);
  while (sent !== before) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(sent < total, `the writer is held back, at ${sent} frames`);
  let bytes = 0;
  let last = Buffer.alloc(0);
  slow.socket.removeAllListeners('data');
  slow.socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    last = Buffer.concat([last, chunk]).subarray(-maxEncodedFrameBytes);
  });
  slow.socket.resume();
  await until(() => bytes === total * maxEncodedFrameBytes);
  assert.is(last.readUInt32BE(6), total - 1);
  port.close();
  slow.socket.destroy();
  await bus.stop();
});

test('filters keep other identifiers away; unknown ports and addresses are bugs', async () => {
  const bus = await startBus();
  const can = createEmulatedCan({ can0: bus.address, can1: 'nonsense' });
  const received: number[] = [];
  const port = can.open({
    port: 'can0',
    filters: [0x300],
    onReadable: () => {
      for (let got = port.read(); got !== undefined; got = port.read()) {
        received.push(got.identifier);
      }
    },
  });
  await until(() => port.writable > 0);
  const raw = await joinRaw(bus.address);
  raw.socket.write(
    Buffer.concat([wire(0x301, 0), wire(0x300, 0), wire(0x40000300, 0).subarray(0, 5)]),
  );
  raw.socket.write(wire(0x300, 1));
  await until(() => received.length === 2);
  assert.equal(received, [0x300, 0x300]);
  for (const unknown of ['can1', 'can2', 'toString']) {
    assert.throws(() => can.open({ port: unknown, onReadable: () => {} }), /CAN port/);
  }
  assert.throws(() => port.write({ ...numbered(0), identifier: 0x800 }), RangeError);
  port.close();
  raw.socket.destroy();
  await bus.stop();
});

test('the hub ends with its standard input, and its clients are told once', async () => {
  const bus = await startBus();
  const errors: Error[] = [];
  const can = createEmulatedCan({ can0: bus.address });
  const port = can.open({
    port: 'can0',
    onReadable: () => {},
    onError: (error) => errors.push(error),
  });
  await until(() => port.writable > 0);
  await bus.stop();
  await until(() => errors.length > 0);
  assert.is(errors.length, 1);
  assert.is(port.writable, 0);
  assert.throws(() => port.write(numbered(1)));
  assert.not.ok(existsSync(bus.address.slice('unix:'.length)));
});

test('without a starter that waits for it, the hub runs until it is interrupted', async () => {
  const argv = ['hal/emulated/can-hub.ts', '--listen', 'tcp:0'];
  const hub = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(hub.stdout, 'data');
  const raw = await joinRaw(String(line).trim().slice('listening '.length));
  assert.is(hub.exitCode, null);
  raw.socket.destroy();
  hub.kill('SIGINT');
  const [code] = await once(hub, 'exit');
  assert.is(code, 0);
});

test('the hub ends on SIGTERM', async () => {
  const bus = await startBus();
  bus.hub.kill('SIGTERM');
  const [code] = await once(bus.hub, 'exit');
  assert.is(code, 0);
  await bus.stop();
});

test('a socket file left behind is replaced; a bus that lives and other files are not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'can-'));
  const listen = `unix:${join(folder, 'bus')}`;
  const first = await startBus(listen);
  first.hub.kill('SIGKILL');
  await once(first.hub, 'exit');
  const second = await startBus(listen);
  assert.match(await refusalOf(listen), 'port-taken');
  const raw = await joinRaw(second.address);
  raw.socket.destroy();
  const file = join(folder, 'notes');
  writeFileSync(file, 'mine');
  assert.match(await refusalOf(`unix:${file}`), 'port-taken');
  assert.is(readFileSync(file, 'utf8'), 'mine');
  await first.stop();
  await second.stop();
  rmSync(folder, { recursive: true });
});

test('wrong arguments are refused with the usage', async () => {
  for (const listen of ['', 'nonsense', 'tcp:99999']) {
    assert.match(await refusalOf(listen), 'argument-invalid');
  }
});

/** What a hub that cannot start says. */
async function refusalOf(listen: string): Promise<string> {
  const hub = spawn(process.execPath, ['hal/emulated/can-hub.ts', '--listen', listen]);
  let text = '';
  hub.stderr.on('data', (chunk) => {
    text += chunk;
  });
  const [code] = await once(hub, 'close');
  assert.ok(code !== 0);
  return text;
}

test.run();
