/** The two formats of the bus's log, byte by byte, and the files. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BusFrame, extendedFlag } from '../../../hal/emulated/bus-frame.ts';
import { CanLog, logPaths } from '../../../hal/emulated/can-log.ts';
import { encodeFileHeader, encodePacket } from '../../../hal/emulated/can-pcap.ts';
import { FrameBatch } from '../../../hal/emulated/can-wire.ts';
import { formatLogLine } from '../../../hal/emulated/candump.ts';
import { encodeBusFrame } from '../../../hal/emulated/cannelloni.ts';
import { busFrame, remoteFrame } from './bus-frames.ts';

const test = suite('log of the bus');
const microseconds = 1_436_509_052_249_713;

const frames: readonly (readonly [BusFrame, string, string])[] = [
  [busFrame(0x044, '2a366c2bba'), '044#2A366C2BBA', '00000044 05 00 0000 2a366c2bba'],
  [busFrame(0x123, ''), '123#', '00000123 00 00 0000'],
  [busFrame(extendedFlag + 0x123, 'ff'), '00000123#FF', '80000123 01 00 0000 ff'],
  [busFrame(0x123, '0102', 1), '123##10102', '00000123 02 05 0000 0102'],
  [
    busFrame(0x123, 'aa'.repeat(64), 3),
    `123##3${'AA'.repeat(64)}`,
    `00000123 40 07 0000 ${'aa'.repeat(64)}`,
  ],
  [remoteFrame(0x123, 4), '123#R4', '40000123 04 00 0000'],
  [remoteFrame(0x123, 0), '123#R', '40000123 00 00 0000'],
  [
    busFrame(0x20000004, '00'.repeat(8)),
    `20000004#${'00'.repeat(8)}`,
    `20000004 08 00 0000 ${'00'.repeat(8)}`,
  ],
];

test('candump -L', () => {
  for (const [frame, text] of frames) {
    assert.is(formatLogLine({ frame, microseconds }, 'can0'), `(1436509052.249713) can0 ${text}\n`);
  }
  const early = { frame: frames[0]![0], microseconds: 1_000_002 };
  assert.is(formatLogLine(early, 'x'), '(0000000001.000002) x 044#2A366C2BBA\n');
});

test('pcap with link type 227', () => {
  const header = 'd4c3b2a1 0200 0400 00000000 00000000 48000000 e3000000';
  assert.is(encodeFileHeader().toString('hex'), header.replaceAll(' ', ''));
  for (const [frame, , wire] of frames) {
    const packet = Buffer.from(wire.replaceAll(' ', ''), 'hex');
    const encoded = encodePacket({ frame, microseconds });
    assert.is(encoded.readUInt32LE(0), 1_436_509_052);
    assert.is(encoded.readUInt32LE(4), 249_713);
    assert.is(encoded.readUInt32LE(8), packet.length);
    assert.is(encoded.readUInt32LE(12), packet.length);
    assert.is(encoded.subarray(16).toString('hex'), packet.toString('hex'));
  }
});

test('a name with or without suffix means the same two files', () => {
  for (const name of ['out/bus', 'out/bus.log', 'out/bus.pcap']) {
    assert.equal(logPaths(name), { text: 'out/bus.log', capture: 'out/bus.pcap' });
  }
});

test('both files are whole after every turn of the bus', () => {
  const folder = mkdtempSync(join(tmpdir(), 'can-log-'));
  const errors: Error[] = [];
  const log = new CanLog(join(folder, 'bus'), 'can0', (error) => errors.push(error));
  let expected = encodeFileHeader().toString('hex');
  let text = '';
  for (const [frame] of frames) {
    log.receive(new FrameBatch(encodeBusFrame(frame), () => microseconds));
    expected += encodePacket({ frame, microseconds }).toString('hex');
    text += formatLogLine({ frame, microseconds }, 'can0');
    assert.is(readFileSync(join(folder, 'bus.pcap')).toString('hex'), expected);
    assert.is(readFileSync(join(folder, 'bus.log'), 'utf8'), text);
  }
  log.close();
  rmSync(folder, { recursive: true });
  assert.equal(errors, []);
});

test('a log that cannot be made says why; a full device ends the log and not the bus', () => {
  assert.throws(() => new CanLog('/nonexistent/bus', 'can0', () => {}), /ENOENT.*bus\.log/);
  const folder = mkdtempSync(join(tmpdir(), 'can-log-'));
  symlinkSync('/dev/full', join(folder, 'bus.log'));
  const errors: string[] = [];
  const log = new CanLog(join(folder, 'bus'), 'can0', ({ message }) => errors.push(message));
  const batch = new FrameBatch(encodeBusFrame(frames[0]![0]), () => microseconds);
  log.receive(batch);
  log.receive(batch);
  assert.is(errors.length, 1);
  assert.match(errors[0]!, 'ENOSPC');
  rmSync(folder, { recursive: true });
});

test.run();
