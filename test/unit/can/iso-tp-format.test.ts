/** Frames of ISO-TP, byte by byte (ISO 15765-2:2016 §9), and messages of every critical length. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  frameLength,
  isFrameLength,
  separationMilliseconds,
} from '../../../agent/can/iso-tp-frames.ts';
import { maxUdsMessageBytes } from '../../../agent/limits.ts';
import { exchange, frame, hex, pattern, peerOf, recordingLink } from './virtual-wire.ts';

const test = suite('ISO-TP format');

test('a message of 7 bytes is one classic frame', () => {
  const { link, sent } = recordingLink();
  assert.is(sent, 0);
  link.send(pattern(7));
  assert.equal(link.poll(0, 8), [frame(0x700, '07 00070e15 1c232a')]);
});

test('a shorter single frame is padded with 0xcc', () => {
  const { link } = recordingLink();
  link.send(pattern(2));
  assert.is(hex(link.poll(0, 8)[0]!.data), '020007cccccccccc');
});

test('a message of 8 bytes takes a first frame on classic CAN', () => {
  const { link } = recordingLink();
  link.send(pattern(8));
  assert.is(hex(link.poll(0, 8)[0]!.data), '100800070e151c23');
});

test('FD single frames use the escape from 8 bytes on and the next FD length', () => {
  const lengths: [number, number, string][] = [
    [7, 8, '07'],
    [8, 12, '0008'],
    [10, 12, '000a'],
    [11, 16, '000b'],
    [14, 16, '000e'],
    [15, 20, '000f'],
    [19, 24, '0013'],
    [23, 32, '0017'],
    [31, 48, '001f'],
    [47, 64, '002f'],
    [62, 64, '003e'],
  ];
  for (const [length, size, head] of lengths) {
    const { link } = recordingLink({ flexibleData: true });
    link.send(pattern(length));
    const [sent, none] = link.poll(0, 8);
    assert.is(none, undefined);
    assert.is(sent!.data.length, size, `message of ${length}`);
    assert.ok(sent!.flexibleData && sent!.bitRateSwitch);
    const body = hex(pattern(length));
    const padding = 'cc'.repeat(size - head.length / 2 - length);
    assert.is(hex(sent!.data), head + body + padding);
  }
});

test('an FD message of 63 bytes takes a first frame of 64 bytes', () => {
  const { link } = recordingLink({ flexibleData: true });
  link.send(pattern(63));
  const [first] = link.poll(0, 8);
  assert.is(first!.data.length, 64);
  assert.is(hex(first!.data.subarray(0, 2)), '103f');
});

test('4095 bytes use the short first frame, 4096 the 32-bit escape', () => {
  for (const flexibleData of [false, true]) {
    const short = recordingLink({ flexibleData });
    short.link.send(pattern(4_095));
    assert.is(hex(short.link.poll(0, 8)[0]!.data.subarray(0, 3)), '1fff00');
    const long = recordingLink({ flexibleData });
    long.link.send(pattern(4_096));
    assert.is(hex(long.link.poll(0, 8)[0]!.data.subarray(0, 8)), '1000000010000007');
  }
});

test('consecutive frames count from 1 and wrap from 15 to 0; the last FD one is shortened', () => {
  const a = recordingLink({ flexibleData: true });
  const b = peerOf({ flexibleData: true });
  // First frame 62 bytes, 16 whole consecutive frames, 10 bytes left: 11 of a frame of 12.
  a.link.send(pattern(62 + 16 * 63 + 10));
  const heads: string[] = [];
  const carried = exchange(a, b);
  for (const sent of carried) if (sent.identifier === 0x700) heads.push(hex(sent.data).slice(0, 2));
  assert.is(heads.join(' '), '14 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f 20 21');
  assert.is(carried.at(-1)!.data.length, 12);
  assert.is(carried.at(-1)!.data[11], 0xcc);
  assert.equal(b.messages, [pattern(62 + 16 * 63 + 10)]);
});

test('messages of every length around a boundary arrive unchanged', () => {
  const around = [1, 6, 7, 8, 13, 14, 61, 62, 63, 64, 124, 125, 126, 4_094, 4_095, 4_096, 4_097];
  for (const flexibleData of [false, true]) {
    for (const length of [...around, 16_402, 70_000]) {
      const a = recordingLink({ flexibleData });
      const b = peerOf({ flexibleData });
      assert.ok(a.link.send(pattern(length)));
      exchange(a, b);
      assert.equal(b.messages, [pattern(length)], `${length} bytes, FD ${flexibleData}`);
      assert.is(a.sent, 1);
      assert.equal(a.errors.concat(b.errors), []);
    }
  }
});

test('both directions run at the same time on one pair of identifiers', () => {
  const a = recordingLink({ blockSize: 3 });
  const b = peerOf({ blockSize: 5 });
  a.link.send(pattern(1_000));
  b.link.send(pattern(2_000));
  exchange(a, b);
  assert.equal(b.messages, [pattern(1_000)]);
  assert.equal(a.messages, [pattern(2_000)]);
});

test('29-bit identifiers are used and told apart from 11-bit ones', () => {
  const ids = { transmitId: 0x18da10f1, receiveId: 0x18daf110, extended: true };
  const a = recordingLink(ids);
  const b = peerOf(ids);
  a.link.send(pattern(20));
  const carried = exchange(a, b);
  assert.ok(carried.every((sent) => sent.extended));
  assert.equal(b.messages, [pattern(20)]);
  const c = recordingLink({ receiveId: 0x123 });
  const strange = c.link.receive(frame(0x123, '0101', { extended: true }), 0);
  assert.is(strange?.refused, 'iso-tp-unexpected-frame');
  assert.is(c.messages.length, 0);
});

test('a receiver takes classic frames on an FD link, by the length of the first frame', () => {
  const a = recordingLink({ flexibleData: false });
  const b = peerOf({ flexibleData: true });
  a.link.send(pattern(100));
  b.link.receive(a.link.poll(0, 1)[0]!, 0);
  // The answer is an FD frame: a gateway between both would translate it.
  const { data } = b.link.poll(0, 1)[0]!;
  a.link.receive(frame(0x701, data), 0);
  for (const sent of a.link.poll(0, 64)) b.link.receive(sent, 0);
  assert.equal(b.messages, [pattern(100)]);
});

test('a link that follows its peer answers in the kind of frames that it was asked in', () => {
  const server = recordingLink({ flexibleData: true, followsPeer: true });
  for (const flexibleData of [false, true]) {
    const tester = peerOf({ flexibleData });
    tester.link.send(pattern(100));
    assert.ok(exchange(tester, server).every((one) => one.flexibleData === flexibleData));
    assert.equal(server.messages.at(-1), pattern(100));
    server.link.send(pattern(300));
    assert.ok(exchange(tester, server).every((one) => one.flexibleData === flexibleData));
    assert.equal(tester.messages.at(-1), pattern(300));
  }
});

test('what arrives while an answer leaves does not change the kind of its frames', () => {
  const server = recordingLink({ flexibleData: true, followsPeer: true });
  server.link.receive(frame(0x701, '01 3e', { flexibleData: true }), 0);
  server.link.send(pattern(200));
  const [first] = server.link.poll(0, 8);
  server.link.receive(frame(0x701, '01 3e'), 0);
  server.link.receive(frame(0x701, '30 00 00'), 0);
  const rest = server.link.poll(0, 8);
  assert.ok([first!, ...rest].every((one) => one.flexibleData && one.data.length > 8));
});

test('while a message is in flight, a second one is not taken', () => {
  const { link } = recordingLink();
  assert.ok(link.send(pattern(100)));
  assert.not.ok(link.send(pattern(3)));
  assert.ok(link.sending);
});

test('an empty message, a wrong identifier and a reserved STmin are bugs', () => {
  assert.throws(() => recordingLink().link.send(new Uint8Array(0)), RangeError);
  assert.throws(() => recordingLink({ transmitId: 0x800 }), RangeError);
  assert.throws(() => recordingLink({ receiveId: 0x20000000, extended: true }), RangeError);
  assert.throws(() => recordingLink({ separationTime: 0x80 }), RangeError);
  assert.throws(() => recordingLink({ blockSize: 256 }), RangeError);
});

test('the longest UDS message is taken at the bound and refused one past it', () => {
  for (const [length, code] of [
    [maxUdsMessageBytes, undefined],
    [maxUdsMessageBytes + 1, 'iso-tp-overflow'],
  ] as const) {
    const a = recordingLink({ flexibleData: true, maxMessageBytes: maxUdsMessageBytes });
    const b = peerOf({ flexibleData: true, maxMessageBytes: maxUdsMessageBytes });
    a.link.send(pattern(length));
    exchange(a, b);
    assert.is(b.messages.length, code === undefined ? 1 : 0);
    assert.is(a.refusals[0]?.refused, code);
    assert.is(b.refusals[0]?.refused, code);
  }
});

test('frame lengths and separation times are those of the standard', () => {
  assert.equal(
    [1, 8, 9, 12, 13, 17, 21, 25, 33, 49, 64].map(frameLength),
    [8, 8, 12, 12, 16, 20, 24, 32, 48, 64, 64],
  );
  assert.throws(() => frameLength(65));
  assert.equal(
    [9, 63, 65].map((length) => isFrameLength(length, true)),
    [false, false, false],
  );
  assert.equal(
    [8, 12].map((length) => isFrameLength(length, false)),
    [true, false],
  );
  assert.equal(
    [0, 1, 0x7f, 0x80, 0xf0, 0xf1, 0xf9, 0xfa, 0xff].map(separationMilliseconds),
    [0, 1, 127, 127, 127, 0.1, 0.9, 127, 127],
  );
});

test.run();
