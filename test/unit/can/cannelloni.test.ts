/** The wire format of the emulated bus, byte by byte, and what it refuses. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatBusAddress, parseBusAddress } from '../../../hal/emulated/bus-address.ts';
import {
  decodeFrame,
  encodeFrame,
  incomplete,
  malformed,
  maxEncodedFrameBytes,
  scanFrame,
} from '../../../hal/emulated/cannelloni.ts';
import type { CanFrame } from '../../../hal/types.ts';
import { bytesOf, frame, hex } from './virtual-wire.ts';

const test = suite('cannelloni format');

function encoded(sent: CanFrame): string {
  const bytes = new Uint8Array(maxEncodedFrameBytes);
  return hex(bytes.subarray(0, encodeFrame(sent, bytes, 0)));
}

const frames: [CanFrame, string][] = [
  [frame(0x7ff, '0102'), '000007ff 02 0102'],
  [frame(0, ''), '00000000 00'],
  [frame(0x1fffffff, '01', { extended: true }), '9fffffff 01 01'],
  [frame(0x123, '0102', { flexibleData: true }), '00000123 82 01 0102'],
  [frame(0x123, 'aa'.repeat(64)), `00000123 c0 01 ${'aa'.repeat(64)}`],
  [{ ...frame(0x123, 'aa'.repeat(12)), bitRateSwitch: false }, `00000123 8c 00 ${'aa'.repeat(12)}`],
];

for (const [sent, wire] of frames) {
  test(`${sent.data.length} bytes, FD ${sent.flexibleData}, id ${sent.identifier}`, () => {
    const bytes = bytesOf(wire);
    assert.is(encoded(sent), hex(bytes));
    assert.is(scanFrame(bytes, 0), bytes.length);
    assert.equal(decodeFrame(bytes, 0, bytes.length), sent);
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.is(scanFrame(bytes.subarray(0, cut), 0), incomplete);
    }
  });
}

test('remote and error frames pass the bus but are no message', () => {
  const remote = bytesOf('40000123 08');
  assert.is(scanFrame(remote, 0), 5, 'a remote frame has a length and no data');
  assert.is(decodeFrame(remote, 0, 5), undefined);
  const error = bytesOf('20000ff0 08 0000000000000000');
  assert.is(scanFrame(error, 0), 13);
  assert.is(decodeFrame(error, 0, 13), undefined);
});

test('what cannot be a frame on CAN is malformed', () => {
  for (const wire of [
    '00000800 00', // 12 bits without the extended flag
    '00010000 00',
    '01000000 00',
    '00000123 09', // more than 8 bytes without FD
    '00000123 7f',
    '00000123 89', // no FD length
    '00000123 bf',
    '00000123 c1', // past 64
    '00000123 ff',
    '00000123 82 08', // unknown FD flag
    '40000123 82', // FD has no remote frames
    '20000123 82',
  ]) {
    assert.is(scanFrame(bytesOf(wire), 0), malformed, wire);
  }
});

test('encoding a frame that cannot exist is a bug', () => {
  const good = frame(0x123, '01');
  const bad: CanFrame[] = [
    { ...good, identifier: 0x800 },
    { ...good, identifier: -1 },
    { ...good, identifier: 1.5 },
    { ...good, identifier: 0x20000000, extended: true },
    { ...good, data: new Uint8Array(9) },
    { ...good, data: new Uint8Array(9), flexibleData: true },
    { ...good, data: new Uint8Array(65), flexibleData: true },
    { ...good, bitRateSwitch: true },
  ];
  for (const sent of bad) assert.throws(() => encoded(sent), RangeError);
});

test('random bytes are scanned without a step past their end', () => {
  let whole = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, likely) => {
      if (likely && bytes.length > 4) bytes.set([0, 0, bytes[2]! % 8], 0);
      const size = scanFrame(bytes, 0);
      assert.ok(size === malformed || (size >= 0 && size <= bytes.length));
      if (size <= 0) return;
      whole++;
      const decoded = decodeFrame(bytes, 0, size);
      if (decoded === undefined) return;
      const again = new Uint8Array(maxEncodedFrameBytes);
      const length = encodeFrame(decoded, again, 0);
      // Of the FD flags only the bit rate switch is kept.
      if (decoded.flexibleData) again[5] = bytes[5]!;
      assert.is(hex(again.subarray(0, length)), hex(bytes.subarray(0, size)));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(whole > 50, 'some random bytes were frames');
});

test('addresses of a bus', () => {
  assert.equal(parseBusAddress('unix:/run/can0'), { path: '/run/can0' });
  assert.equal(parseBusAddress('tcp:20000'), { host: '127.0.0.1', port: 20_000 });
  assert.equal(parseBusAddress('tcp:localhost:0'), { host: 'localhost', port: 0 });
  for (const text of ['', 'unix:', `unix:/${'x'.repeat(107)}`, 'tcp:', 'tcp:65536', 'tcp:-1']) {
    assert.is(parseBusAddress(text), undefined, text);
  }
  for (const text of ['unix:/run/can0', 'tcp:127.0.0.1:5']) {
    assert.is(formatBusAddress(parseBusAddress(text)!), text);
  }
});

test.run();
