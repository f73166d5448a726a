/** A receiver that is not ready yet (WAIT), and the timers of flow control (N_Ar, N_Br, N_Cs). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isoTpTimeoutMilliseconds, maxIsoTpWaitFrames } from '../../../agent/limits.ts';
import { frame, hex, pattern, peerOf, type RecordingLink, recordingLink } from './virtual-wire.ts';

const test = suite('ISO-TP waiting');
const timeout = isoTpTimeoutMilliseconds;
const interval = timeout / 2;
const firstFrame = frame(0x701, '100a010203040506');
const rest = frame(0x701, '210708090a');

function sent({ link }: RecordingLink, now: number, writable = 8): string[] {
  return link.poll(now, writable).map(({ data }) => hex(data));
}

test('WAIT: a receiver that is not ready says so at once and before N_Bs ends, then grants', () => {
  let ready = false;
  const asked: number[] = [];
  const isReady = (length: number) => {
    asked.push(length);
    return ready;
  };
  const receiver = recordingLink({ isReady });
  receiver.link.receive(firstFrame, 0);
  assert.equal(sent(receiver, 0), ['310000cccccccccc']);
  assert.is(receiver.link.nextDeadline(), interval);
  assert.equal(sent(receiver, interval - 1), []);
  assert.equal(sent(receiver, interval), ['310000cccccccccc']);
  ready = true;
  assert.equal(sent(receiver, interval + 1), ['300000cccccccccc']);
  receiver.link.receive(rest, interval + 2);
  assert.equal(receiver.messages.map(hex), ['0102030405060708090a']);
  assert.ok(asked.every((length) => length === 10));
});

test('WAIT: after N_WFTmax of its own the receiver gives the message up', () => {
  const receiver = recordingLink({ isReady: () => false });
  receiver.link.receive(firstFrame, 0);
  let now = 0;
  for (let i = 0; i < maxIsoTpWaitFrames; i++) {
    assert.equal(sent(receiver, now), ['310000cccccccccc']);
    now += interval;
  }
  assert.equal(sent(receiver, now), []);
  assert.equal(receiver.errors, ['receive: iso-tp-timeout']);
  assert.match(receiver.refusals[0]!.detail, 'N_WFTmax');
  assert.not.ok(receiver.link.receiving);
});

test('WAIT: nothing is granted or taken before the receiver is ready', () => {
  const receiver = recordingLink({ isReady: () => false });
  receiver.link.receive(firstFrame, 0);
  sent(receiver, 0);
  assert.ok(receiver.link.receiving);
  assert.is(receiver.link.receive(rest, 1)?.refused, 'iso-tp-unexpected-frame');
  assert.equal(receiver.messages, []);
});

test('WAIT: our own sender bears the WAITs of our own receiver', () => {
  let now = 0;
  const sender = recordingLink();
  const receiver = peerOf({ isReady: () => now >= 5 * interval });
  const message = pattern(200);
  sender.link.send(message);
  for (; now < 6 * interval; now += 10) {
    for (const one of sender.link.poll(now, 64)) receiver.link.receive(one, now);
    for (const one of receiver.link.poll(now, 64)) sender.link.receive(one, now);
    for (const one of sender.link.poll(now, 64)) receiver.link.receive(one, now);
  }
  assert.equal(receiver.messages, [message]);
  assert.is(sender.sent, 1);
});

test('a new message takes the place of one that waits', () => {
  const receiver = recordingLink({ isReady: () => false });
  receiver.link.receive(firstFrame, 0);
  sent(receiver, 0);
  receiver.link.receive(frame(0x701, '03aabbcc'), 1);
  assert.equal(receiver.errors, ['receive: iso-tp-unexpected-frame']);
  assert.equal(receiver.messages.map(hex), ['aabbcc']);
  assert.equal(sent(receiver, 2 * interval), []);
});

test('N_Ar: a receiver whose flow control the bus does not take gives up at 1000 ms, not before', () => {
  const receiver = recordingLink();
  receiver.link.receive(firstFrame, 0);
  assert.is(receiver.link.nextDeadline(), timeout);
  assert.equal(sent(receiver, timeout - 1, 0), []);
  assert.equal(receiver.errors, []);
  assert.equal(sent(receiver, timeout, 0), []);
  assert.equal(receiver.errors, ['receive: iso-tp-timeout']);
  assert.match(receiver.refusals[0]!.detail, 'N_Ar');
});

test('N_Ar: an OVFLW that the bus does not take in time is dropped, and never sent late', () => {
  const receiver = recordingLink({ maxMessageBytes: 9 });
  receiver.link.receive(firstFrame, 0);
  assert.equal(receiver.errors, ['receive: iso-tp-overflow']);
  assert.equal(sent(receiver, timeout, 0), []);
  assert.equal(sent(receiver, timeout + 1), []);
  assert.equal(receiver.errors, ['receive: iso-tp-overflow']);
});

test('N_Br: flow control is due with the first frame and with the last of each block', () => {
  const receiver = recordingLink({ blockSize: 2 });
  receiver.link.receive(frame(0x701, '1020000000000000'), 5);
  assert.equal(sent(receiver, 5), ['300200cccccccccc']);
  receiver.link.receive(frame(0x701, '2101010101010101'), 6);
  assert.equal(sent(receiver, 6), []);
  receiver.link.receive(frame(0x701, '2202020202020202'), 7);
  assert.equal(sent(receiver, 7), ['300200cccccccccc']);
});

/** Encoded STmin and the milliseconds that it means (ISO 15765-2:2016, table 20). */
const separations: readonly (readonly [number, number])[] = [
  [0x00, 0],
  [0x01, 1],
  [0x02, 2],
  [0x0a, 10],
  [0x7e, 126],
  [0x7f, 127],
  [0x80, 127],
  [0xf0, 127],
  [0xf1, 0.1],
  [0xf2, 0.2],
  [0xf3, 0.3],
  [0xf4, 0.4],
  [0xf5, 0.5],
  [0xf6, 0.6],
  [0xf7, 0.7],
  [0xf8, 0.8],
  [0xf9, 0.9],
  [0xfa, 127],
  [0xff, 127],
];
for (const [encoded, milliseconds] of separations) {
  const name = `0x${encoded.toString(16).padStart(2, '0')}`;
  test(`STmin ${name}: consecutive frames keep ${milliseconds} ms; N_Cs adds nothing`, () => {
    const sender = recordingLink();
    sender.link.send(pattern(27));
    sender.link.poll(0, 8);
    sender.link.receive(frame(0x701, Uint8Array.of(0x30, 0, encoded)), 10);
    const times: number[] = [];
    for (let now = 10; times.length < 3; ) {
      const frames = sender.link.poll(now, 8);
      for (const _ of frames) times.push(now);
      if (times.length === 3) break;
      const next = sender.link.nextDeadline()!;
      assert.equal(sender.link.poll(next - 0.01, 8), [], 'not before STmin');
      now = next;
    }
    times.forEach((time, i) => {
      assert.ok(Math.abs(time - (10 + i * milliseconds)) < 1e-9, `${time}`);
    });
  });
}

for (const blockSize of [0, 1, 2, 3, 14, 15, 16, 17, 254, 255]) {
  test(`BS ${blockSize}: one flow control for every ${blockSize || 'whole message'}`, () => {
    const sender = recordingLink();
    const receiver = peerOf({ blockSize });
    const message = pattern(6 + 7 * 520);
    sender.link.send(message);
    let granted = 0;
    let sinceGrant = 0;
    let longest = 0;
    while (receiver.messages.length === 0) {
      for (const one of sender.link.poll(0, 64)) {
        if (one.data[0]! >>> 4 === 2) longest = Math.max(longest, ++sinceGrant);
        receiver.link.receive(one, 0);
      }
      for (const one of receiver.link.poll(0, 64)) {
        granted++;
        sinceGrant = 0;
        sender.link.receive(one, 0);
      }
    }
    assert.equal(receiver.messages, [message]);
    assert.is(granted, blockSize === 0 ? 1 : Math.ceil(520 / blockSize));
    assert.is(longest, blockSize === 0 ? 520 : blockSize);
  });
}

test.run();
