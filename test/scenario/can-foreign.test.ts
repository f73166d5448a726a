/** Foreign tools on a real hub: the socketcand and SLCAN conversations, byte by byte, and bounds. */
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BusAddress, parseBusAddress } from '../../hal/emulated/bus-address.ts';
import { type Bus, joinRaw, startBus, until } from './can-bus.ts';

const test = suite('foreign tools');

/** A classic frame as cannelloni's format has it, and an FD frame with BRS. */
const classic = Buffer.from('0000012302aabb', 'hex');
const flexible = Buffer.from(`000001248c01${'cd'.repeat(12)}`, 'hex');
const flexibleText = 'CD'.repeat(12);

interface Tool {
  readonly socket: Socket;
  /** What arrived, each piece as the network delivered it. */
  readonly pieces: string[];
  readonly text: () => string;
  readonly closed: Promise<void>;
  say(text: string): void;
  /** Waits until the text ends so. */
  hears(end: string): Promise<void>;
}

async function connectTool(address: BusAddress): Promise<Tool> {
  const socket = connect(address);
  const pieces: string[] = [];
  socket.setNoDelay(true);
  socket.on('data', (chunk) => pieces.push(chunk.toString('latin1')));
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  await once(socket, 'connect');
  const text = () => pieces.join('');
  return {
    socket,
    pieces,
    text,
    closed,
    say: (said) => socket.write(said),
    hears: (end) => until(() => text().endsWith(end)),
  };
}

function socketcandTool(bus: Bus): Promise<Tool> {
  return connectTool({ host: '127.0.0.1', port: bus.port('socketcand') });
}

/** A tool in raw mode on one of the bus's names. */
async function rawTool(bus: Bus, name: string): Promise<Tool> {
  const tool = await socketcandTool(bus);
  await tool.hears('< hi >');
  tool.say(`< open ${name} >`);
  await tool.hears('< ok >');
  tool.say('< rawmode >');
  await until(() => tool.text() === '< hi >< ok >< ok >');
  tool.pieces.length = 0;
  return tool;
}

/** The text without times, which differ. */
function untimed(text: string): string {
  return text.replaceAll(/ \d{10}\.\d{6} /g, ' TIME ');
}

test('greeting and answers arrive alone, also when frames are on the bus at that moment', async () => {
  const bus = await startBus(undefined, '--socketcand', 'tcp:0');
  const ecu = await joinRaw(bus.address);
  const tool = await socketcandTool(bus);
  await tool.hears('< hi >');
  tool.say('< open can0 >');
  await until(() => tool.pieces.length === 2);
  tool.say('< rawmode >');
  const talking = setInterval(() => ecu.socket.write(classic), 1);
  await until(() => tool.text().includes('< frame'));
  clearInterval(talking);
  // This is what python-can compares, whole.
  assert.equal(tool.pieces.slice(0, 3), ['< hi >', '< ok >', '< ok >']);
  assert.match(untimed(tool.text()), /^< hi >< ok >< ok >\n< frame 123 TIME AABB >/);
  for (const socket of [tool.socket, ecu.socket]) socket.destroy();
  await bus.stop();
});

test('a tool that sends its handshake in one piece is served as well', async () => {
  const bus = await startBus(undefined, '--socketcand', 'tcp:0', '--name', 'vcan7');
  const ecu = await joinRaw(bus.address);
  const tool = await socketcandTool(bus);
  tool.say('<open vcan7><rawmode>\r\n< send 7E1 3 2 3e 0 >< echo >');
  await tool.hears('< echo >');
  assert.is(tool.text(), '< hi >< ok >< ok >< echo >');
  await until(() => ecu.receivedBytes() === 8);
  assert.is(ecu.received().toString('hex'), '000007e103023e00');
  for (const socket of [tool.socket, ecu.socket]) socket.destroy();
  await bus.stop();
});

test('the name of the bus chooses how FD frames are seen', async () => {
  const bus = await startBus(undefined, '--socketcand', 'tcp:0');
  assert.ok(bus.printed.some((line) => line.endsWith('(can0, can0-fd, can0-all)')));
  const ecu = await joinRaw(bus.address);
  const tools = await Promise.all(
    ['can0', 'can0-fd', 'can0-all'].map((name) => rawTool(bus, name)),
  );
  ecu.socket.write(Buffer.concat([flexible, classic]));
  await Promise.all(tools.map((tool) => tool.hears('AABB >')));
  assert.equal(
    tools.map((tool) => untimed(tool.text())),
    [
      '\n< frame 123 TIME AABB >',
      `\n< fdframe 124 01 TIME ${flexibleText} >\n< frame 123 TIME AABB >`,
      `\n< frame 124 TIME ${flexibleText} >\n< frame 123 TIME AABB >`,
    ],
  );
  tools[0]!.say(`< fdsend 124 1 12 ${'cd '.repeat(12)}>`);
  await until(() => ecu.receivedBytes() === flexible.length);
  assert.ok(ecu.received().equals(flexible));
  for (const { socket } of [...tools, ecu]) socket.destroy();
  await bus.stop();
});

test('outside raw mode, a tool is told the identifiers that it has subscribed to', async () => {
  const bus = await startBus(undefined, '--socketcand', 'tcp:0');
  const ecu = await joinRaw(bus.address);
  const tool = await socketcandTool(bus);
  tool.say('< open can0 >< subscribe 0 0 123 >< echo >');
  await tool.hears('< echo >');
  ecu.socket.write(Buffer.concat([Buffer.from('0000012200', 'hex'), classic]));
  await tool.hears('AABB >');
  tool.say('< unsubscribe 123 >< echo >');
  await tool.hears('< echo >');
  ecu.socket.write(classic);
  tool.say('< echo >');
  await tool.hears('< echo >< echo >');
  assert.is(untimed(tool.text()).split('< frame').length, 2);
  for (const socket of [tool.socket, ecu.socket]) socket.destroy();
  await bus.stop();
});

test('mistakes are answered with what was expected, an unknown bus with the ones there are', async () => {
  const bus = await startBus(undefined, '--socketcand', 'tcp:0');
  const tool = await socketcandTool(bus);
  tool.say('< send 123 0 >< open can0 >< send 123 9 >< controlmode >< echo >');
  await tool.hears('< echo >');
  assert.is(
    tool.text(),
    '< hi >< error open a bus first: ? open can0 ? >< ok >' +
      '< error send: expected a length of 0 to 8, got "9"; fdsend sends FD >' +
      '< error unknown command "controlmode" >< echo >',
  );
  const lost = await socketcandTool(bus);
  lost.say('< open can1 >');
  await lost.closed;
  assert.is(lost.text(), '< hi >< error no bus "can1" here, but can0, can0-fd, can0-all >');
  const stubborn = await socketcandTool(bus);
  stubborn.say('< nonsense >'.repeat(200));
  await stubborn.closed;
  await until(() => bus.log.length > 0);
  assert.match(bus.log[0]!, /^can-frame-malformed socketcand client 3: 100 errors/);
  tool.socket.destroy();
  await bus.stop();
});

test('a tool that does not read is thrown out and named; the bus goes on', async () => {
  const bus = await startBus(undefined, '--socketcand', 'tcp:0', '--slcan', 'unix:FOLDER/slcan');
  const tool = await rawTool(bus, 'can0');
  const adapter = await connectTool({ path: join(bus.folder, 'slcan') });
  adapter.say('O\r');
  await adapter.hears('\r');
  tool.socket.pause();
  adapter.socket.pause();
  const writer = await joinRaw(bus.address);
  const reader = await joinRaw(bus.address);
  const chunk = Buffer.concat(Array.from({ length: 10_000 }, () => classic));
  let rounds = 0;
  for (; bus.log.length < 2; rounds++) {
    writer.socket.write(chunk);
    await until(() => reader.receivedBytes() === (rounds + 1) * chunk.length);
  }
  assert.equal(bus.log.map((line) => line.replace(/left \d+ bytes/, 'left N bytes')).sort(), [
    'can-client-slow slcan client 2: left N bytes unread',
    'can-client-slow socketcand client 1: left N bytes unread',
  ]);
  writer.socket.write(classic);
  await until(() => reader.receivedBytes() === rounds * chunk.length + classic.length);
  for (const socket of [tool.socket, adapter.socket, writer.socket, reader.socket])
    socket.destroy();
  await bus.stop();
});

test('an SLCAN adapter on TCP and on a unix socket: open, both directions, close', async () => {
  const bus = await startBus(undefined, '--slcan', 'tcp:0', '--slcan', 'unix:FOLDER/slcan');
  const ecu = await joinRaw(bus.address);
  const witness = await joinRaw(bus.address);
  for (const address of [`tcp:${bus.port('slcan')}`, `unix:${join(bus.folder, 'slcan')}`]) {
    const before = ecu.receivedBytes();
    const adapter = await connectTool(parseBusAddress(address)!);
    const seen = witness.receivedBytes();
    ecu.socket.write(classic);
    // On the bus before the adapter opens its side, which comes to the hub by another socket.
    await until(() => witness.receivedBytes() === seen + classic.length);
    adapter.say('\r\rt1230\rC\rS6\rO\rO\rS6\rt12');
    adapter.say('32AABB\rT1FFFFFFF0\rr1234\rt12322\rV\rF\rN\r');
    await adapter.hears('N0001\r');
    // Closed: BEL for the frame and for C; open: BEL for O and S6; a frame that is none: BEL.
    assert.is(adapter.text(), '\x07\x07\r\r\x07\x07z\rZ\rz\r\x07V1010\rF00\rN0001\r');
    ecu.socket.write(
      Buffer.concat([flexible, classic, Buffer.from('9fffffff0011', 'hex').subarray(0, 5)]),
    );
    await adapter.hears('T1FFFFFFF0\r');
    assert.ok(adapter.text().endsWith('N0001\rt1232AABB\rT1FFFFFFF0\r'), 'FD is left out');
    await until(() => ecu.receivedBytes() >= before + 17);
    assert.is(
      ecu.received().subarray(before).toString('hex'),
      `${classic.toString('hex')}9fffffff004000012304`,
    );
    adapter.say('C\rL\rt1230\r');
    await adapter.hears('\r\r\x07');
    adapter.socket.destroy();
  }
  ecu.socket.destroy();
  witness.socket.destroy();
  await bus.stop();
});

test('faults are injected on the way to the bus, logged as they were, and counted at the end', async () => {
  const faults = 'loss=0.1,duplicate=0.1,corrupt=0.1,seed=4';
  const bus = await startBus(undefined, '--faults', faults, '--log', 'FOLDER/bus.pcap');
  const sender = await joinRaw(bus.address);
  const reader = await joinRaw(bus.address);
  sender.socket.write(Buffer.concat(Array.from({ length: 1_000 }, () => classic)));
  const counts = () => {
    const line = bus.printed.find((one) => one.startsWith('faults ')) ?? '';
    return Object.fromEntries([...line.matchAll(/(\w+)=(\d+)/g)].map(([, k, v]) => [k, Number(v)]));
  };
  // The hub has read all frames once most have arrived: they came in one piece.
  await until(() => reader.receivedBytes() > 800 * classic.length);
  const folder = bus.folder;
  await bus.stop('keep');
  await until(() => bus.printed.some((line) => line.startsWith('faults ')));
  const { frames, lost, duplicated, corrupted } = counts();
  assert.is(frames, 1_000);
  for (const count of [lost, duplicated, corrupted]) assert.ok(count! > 50 && count! < 150);
  const lines = readFileSync(join(folder, 'bus.log'), 'utf8').trimEnd().split('\n');
  assert.is(lines.length, 1_000 - lost! + duplicated!);
  const changed = lines.filter((line) => !line.endsWith('#AABB')).length;
  assert.ok(changed >= corrupted! && changed <= corrupted! + duplicated!);
  assert.ok(existsSync(join(folder, 'bus.pcap')));
  rmSync(folder, { recursive: true });
});

test('a port that is taken and a log that cannot be written are named', async () => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  for (const [options, pattern] of [
    [['--socketcand', `tcp:${port}`], `port-taken tcp:127.0.0.1:${port}: .*EADDRINUSE`],
    [['--slcan', `tcp:${port}`], `port-taken tcp:127.0.0.1:${port}: .*EADDRINUSE`],
    [['--log', 'FOLDER/none/bus'], 'file-unwritable ENOENT.*none/bus.log'],
  ] as const) {
    const message = await startBus(undefined, ...options).then(
      () => 'started',
      (error: Error) => error.message,
    );
    assert.match(message, new RegExp(pattern));
  }
  other.close();
});

test.run();
