/** Every length that an FD frame can have, as the longest of a sender and of what a receiver gets. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CanFrame } from '../../../hal/types.ts';
import { exchange, frame, hex, pattern, peerOf, recordingLink } from './virtual-wire.ts';

const test = suite('ISO-TP frame lengths');
const lengths = [8, 12, 16, 20, 24, 32, 48, 64];
const padding = 0xcc;

/** The shortest frame for `count` bytes. */
function shortest(count: number): number {
  return lengths.find((length) => length >= count)!;
}

function isPadded({ data }: CanFrame, used: number): boolean {
  return data.subarray(used).every((byte) => byte === padding);
}

for (const maxFrameBytes of lengths) {
  // A single frame's length is in its first byte up to 7 bytes, else in the second.
  const longestSingle = maxFrameBytes === 8 ? 7 : maxFrameBytes - 2;
  for (const extended of [false, true]) {
    const ids = extended
      ? { transmitId: 0x18da10f1, receiveId: 0x18daf110, extended }
      : { transmitId: 0x700, receiveId: 0x701, extended };
    const options = { ...ids, flexibleData: true, maxFrameBytes };
    const bits = extended ? 29 : 11;

    test(`frames of ${maxFrameBytes}, ${bits} bits: up to ${longestSingle} bytes in one, padded`, () => {
      for (let length = 1; length <= longestSingle; length++) {
        const sender = recordingLink(options);
        const receiver = peerOf(options);
        const message = pattern(length);
        sender.link.send(message);
        const carried = exchange(sender, receiver);
        assert.is(carried.length, 1);
        const used = length + (length <= 7 ? 1 : 2);
        assert.is(carried[0]!.data.length, shortest(used));
        assert.ok(isPadded(carried[0]!, used));
        assert.equal(receiver.messages, [message]);
      }
    });

    test(`frames of ${maxFrameBytes}, ${bits} bits: every length of the last frame, padded`, () => {
      for (let tail = 1; tail < maxFrameBytes; tail++) {
        const sender = recordingLink(options);
        const receiver = peerOf(options);
        const length = maxFrameBytes - 2 + (maxFrameBytes - 1) + tail;
        const message = pattern(length);
        sender.link.send(message);
        const carried = exchange(sender, receiver).filter(({ data }) => data[0]! >>> 4 !== 3);
        assert.is(carried.length, 3);
        assert.is(carried[0]!.data.length, maxFrameBytes);
        assert.is(carried[1]!.data.length, maxFrameBytes);
        const last = carried[2]!;
        assert.is(last.data.length, shortest(1 + tail));
        assert.ok(isPadded(last, 1 + tail));
        assert.equal(receiver.messages, [message]);
      }
    });

    test(`frames of ${maxFrameBytes}, ${bits} bits: one byte more than a single frame holds, 4,095, 4,096`, () => {
      for (const length of [longestSingle + 1, 4_095, 4_096]) {
        const sender = recordingLink(options);
        const receiver = peerOf(options);
        const message = pattern(length);
        sender.link.send(message);
        const [first] = exchange(sender, receiver);
        const head = length > 4_095 ? '1000' : `1${length.toString(16).padStart(3, '0')}`;
        assert.is(hex(first!.data.subarray(0, 2)), head);
        assert.equal(receiver.messages, [message]);
      }
    });
  }
}

for (let length = 1; length <= 8; length++) {
  test(`a classic frame of ${length} bytes, without padding, is taken`, () => {
    const { link, messages } = recordingLink();
    const message = pattern(length - 1);
    const refusal = link.receive(frame(0x701, Uint8Array.of(length - 1, ...message)), 0);
    if (length === 1) assert.is(refusal?.refused, 'can-frame-malformed', 'a message of 0 bytes');
    else assert.equal(messages, [message]);
  });
}

test('a last frame without padding is taken, one that is too short is not', () => {
  const { link, messages } = recordingLink();
  link.receive(frame(0x701, '100a010203040506'), 0);
  link.poll(0, 8);
  assert.is(link.receive(frame(0x701, '21070809'), 1)?.refused, 'can-frame-malformed');
  link.receive(frame(0x701, '210708090a'), 2);
  assert.equal(messages.map(hex), ['0102030405060708090a']);
});

test('frames of lengths that FD has not, and longer ones than the first, are malformed', () => {
  const { link } = recordingLink({ flexibleData: true });
  for (const length of [9, 10, 11, 13, 33, 63]) {
    const data = new Uint8Array(length);
    const refusal = link.receive(frame(0x701, data, { flexibleData: true }), 0);
    assert.is(refusal?.refused, 'can-frame-malformed', `${length}`);
  }
  link.receive(frame(0x701, Uint8Array.of(0x10, 60, ...pattern(10)), { flexibleData: true }), 0);
  link.poll(0, 8);
  const longer = frame(0x701, Uint8Array.of(0x21, ...pattern(15)), { flexibleData: true });
  assert.is(link.receive(longer, 1)?.refused, 'can-frame-malformed');
});

test('a longest frame that FD has not is a bug', () => {
  for (const maxFrameBytes of [0, 7, 9, 65]) {
    assert.throws(() => recordingLink({ maxFrameBytes }), /maxFrameBytes/);
  }
});

test('many links with messages both ways at once do not mix: 11 bits, 29 bits, classic, FD', () => {
  const pairs = Array.from({ length: 12 }, (_, i) => {
    // The same number as 11 and as 29 bits are two identifiers.
    const extended = i % 2 === 1;
    const flexibleData = i % 3 === 0;
    const base = 0x600 + 4 * Math.floor(i / 2);
    const ids = { transmitId: base, receiveId: base + 1, extended, flexibleData, blockSize: i };
    return { a: recordingLink(ids), b: peerOf(ids), up: pattern(300 + i), down: pattern(900 + i) };
  });
  for (const { a, b, up, down } of pairs) {
    a.link.send(up);
    b.link.send(down);
  }
  const links = pairs.flatMap(({ a, b }) => [a, b]);
  for (let carried = -1, now = 0; carried !== 0; now++) {
    carried = 0;
    for (const from of links) {
      for (const one of from.link.poll(now, 2)) {
        carried++;
        // As on a bus: everybody hears it, and takes what is addressed to him.
        for (const { link } of links) {
          const mine = link.receiveId === one.identifier && link.extended === one.extended;
          if (mine) assert.is(link.receive(one, now), undefined);
        }
      }
    }
  }
  for (const { a, b, up, down } of pairs) {
    assert.equal([a.messages, b.messages], [[down], [up]]);
    assert.equal([...a.errors, ...b.errors], []);
  }
});

test.run();
