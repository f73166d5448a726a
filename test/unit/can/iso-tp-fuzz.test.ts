/** ISO-TP against a hostile bus: random frames never throw and never allocate past the bound. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isFrameLength } from '../../../agent/can/iso-tp-frames.ts';
import type { CanFrame } from '../../../hal/types.ts';
import { exchange, pattern, peerOf, recordingLink } from './virtual-wire.ts';

const test = suite('ISO-TP fuzz');

/** Frames whose first bytes often make sense, so that the states behind them are reached. */
const anyFrame: fc.Arbitrary<CanFrame> = fc
  .record({
    identifier: fc.constantFrom(0x701, 0x701, 0x701, 0x700),
    extended: fc.constantFrom(false, false, false, true),
    flexibleData: fc.boolean(),
    head: fc.oneof(
      fc.constantFrom([0x10, 0x64], [0x10, 0, 0, 0, 0x20, 0], [0x10, 0, 0xff, 0xff, 0xff, 0xff]),
      fc.constantFrom([0x21], [0x22], [0x30, 0, 0], [0x30, 1, 0xf1], [0x31, 0, 0], [0x32, 0, 0]),
      fc.array(fc.nat(255), { maxLength: 8 }),
    ),
    length: fc.oneof(fc.constantFrom(8, 8, 64), fc.nat(70)),
  })
  .map(({ identifier, extended, flexibleData, head, length }) => {
    const data = new Uint8Array(length).fill(0x55);
    data.set(head.slice(0, length));
    return { identifier, extended, flexibleData, bitRateSwitch: flexibleData, data };
  });

test('random frames never throw, never exceed the bound, and only legal frames come out', () => {
  const bound = 5_000;
  let delivered = 0;
  let largest = 0;
  const Original = globalThis.Uint8Array;
  // Counts what the receiver asks for; the bound must hold before the allocation.
  class Counting extends Original {
    constructor(...given: unknown[]) {
      super(...(given as [number]));
      if (typeof given[0] === 'number' && given[0] > largest) largest = given[0];
    }
  }
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 60 }), fc.boolean(), (frames, flexibleData) => {
      const record = recordingLink({ maxMessageBytes: bound, flexibleData, blockSize: 2 });
      record.link.send(pattern(300));
      let now = 0;
      globalThis.Uint8Array = Counting as unknown as Uint8ArrayConstructor;
      try {
        for (const received of frames) {
          now += 7;
          record.link.receive(received, now);
          for (const sent of record.link.poll(now, 3)) {
            assert.ok(isFrameLength(sent.data.length, sent.flexibleData));
            assert.is(sent.identifier, 0x700);
          }
        }
      } finally {
        globalThis.Uint8Array = Original;
      }
      for (const message of record.messages) assert.ok(message.length <= bound);
      delivered += record.messages.length;
      // Whatever happened, the link works again once its timeouts have passed.
      record.link.poll(now + 100_000, 64);
      record.link.poll(now + 200_000, 64);
      record.messages.length = 0;
      const peer = peerOf({ flexibleData });
      peer.link.send(pattern(500));
      exchange(record, peer, now + 200_000);
      assert.equal(record.messages, [pattern(500)]);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(delivered > 0, 'the frames reached the delivery of messages');
  assert.ok(largest > 64 && largest <= bound, `largest allocation: ${largest} bytes`);
});

test('any message survives any block size, separation time and bus width', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20_000 }),
      fc.boolean(),
      fc.nat(255),
      fc.constantFrom(0, 1, 0x7f, 0xf1, 0xf9),
      fc.integer({ min: 1, max: 70 }),
      (length, flexibleData, blockSize, separationTime, writable) => {
        const sender = recordingLink({ flexibleData });
        const receiver = peerOf({ flexibleData, blockSize, separationTime });
        sender.link.send(pattern(length));
        let now = 0;
        for (let turn = 0; receiver.messages.length === 0 && turn < 30_000; turn++) {
          for (const sent of sender.link.poll(now, writable)) receiver.link.receive(sent, now);
          for (const sent of receiver.link.poll(now, writable)) sender.link.receive(sent, now);
          const due = sender.link.nextDeadline();
          if (due !== undefined && due > now && due < now + 500) now = due;
        }
        assert.equal(receiver.messages, [pattern(length)]);
        assert.equal(sender.errors.concat(receiver.errors), []);
      },
    ),
    { numRuns: 150 },
  );
});

test.run();
