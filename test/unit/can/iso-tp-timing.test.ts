/** Flow control, separation times and timeouts of ISO-TP on a virtual clock. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isoTpTimeoutMilliseconds, maxIsoTpWaitFrames } from '../../../agent/limits.ts';
import { exchange, frame, hex, pattern, peerOf, recordingLink } from './virtual-wire.ts';

const test = suite('ISO-TP timing');
const limit = isoTpTimeoutMilliseconds;

/** A link that has sent its first frame of 100 bytes at time 0 and waits for flow control. */
function waitingSender() {
  const record = recordingLink();
  record.link.send(pattern(100));
  assert.is(record.link.poll(0, 8).length, 1);
  return record;
}

/** A link that has taken a first frame of 100 bytes at time 0 and granted everything. */
function waitingReceiver(options = {}) {
  const record = recordingLink(options);
  assert.is(record.link.receive(frame(0x701, '1064 000102030405'), 0), undefined);
  assert.is(record.link.poll(0, 8).length, 1);
  return record;
}

test('N_Bs: a sender without flow control gives up at 1000 ms, not before', () => {
  const sender = waitingSender();
  assert.is(sender.link.nextDeadline(), limit);
  sender.link.poll(limit - 1, 8);
  assert.equal(sender.errors, []);
  sender.link.poll(limit, 8);
  assert.equal(sender.errors, ['send: iso-tp-timeout']);
  assert.not.ok(sender.link.sending);
  assert.is(sender.link.nextDeadline(), undefined);
  assert.ok(sender.link.send(pattern(3)));
});

test('N_Bs runs again after every block', () => {
  const sender = waitingSender();
  sender.link.receive(frame(0x701, '300100'), 500);
  assert.is(sender.link.poll(600, 8).length, 1);
  assert.is(sender.link.nextDeadline(), 600 + limit);
  sender.link.poll(600 + limit, 8);
  assert.equal(sender.errors, ['send: iso-tp-timeout']);
});

test('N_Cr: a receiver without consecutive frames gives up at 1000 ms, not before', () => {
  const receiver = waitingReceiver();
  receiver.link.receive(frame(0x701, '2106070809101112'), 400);
  assert.is(receiver.link.nextDeadline(), 400 + limit);
  receiver.link.poll(400 + limit - 1, 8);
  assert.equal(receiver.errors, []);
  receiver.link.poll(400 + limit, 8);
  assert.equal(receiver.errors, ['receive: iso-tp-timeout']);
  const late = receiver.link.receive(frame(0x701, '2206070809101112'), 400 + limit);
  assert.is(late?.refused, 'iso-tp-unexpected-frame');
});

test('N_As: a sender whose frames the bus does not take gives up at 1000 ms', () => {
  const sender = recordingLink();
  sender.link.send(pattern(5));
  assert.equal(sender.link.poll(10, 0), []);
  assert.is(sender.link.nextDeadline(), 10 + limit);
  sender.link.poll(10 + limit - 1, 0);
  assert.equal(sender.errors, []);
  sender.link.poll(10 + limit, 0);
  assert.equal(sender.errors, ['send: iso-tp-timeout']);
});

test('N_As starts anew when the bus took a frame in between', () => {
  const sender = waitingSender();
  sender.link.receive(frame(0x701, '300000'), 0);
  sender.link.poll(0, 0);
  assert.is(sender.link.poll(limit - 1, 1).length, 1);
  sender.link.poll(limit, 0);
  sender.link.poll(limit + 500, 0);
  assert.equal(sender.errors, []);
});

test('WAIT prolongs N_Bs; one WAIT too many ends the message', () => {
  const sender = waitingSender();
  for (let i = 1; i <= maxIsoTpWaitFrames; i++) {
    sender.link.receive(frame(0x701, '310000'), i * 900);
    sender.link.poll(i * 900, 8);
    assert.is(sender.link.nextDeadline(), i * 900 + limit);
  }
  assert.equal(sender.errors, []);
  sender.link.receive(frame(0x701, '310000'), maxIsoTpWaitFrames * 900);
  assert.equal(sender.errors, ['send: iso-tp-timeout']);
});

test('after WAIT, continue-to-send lets the message go on, and the count starts again', () => {
  const sender = waitingSender();
  for (let block = 0; block < 3; block++) {
    for (let i = 0; i < maxIsoTpWaitFrames; i++) {
      sender.link.receive(frame(0x701, '310000'), 0);
    }
    sender.link.receive(frame(0x701, '300100'), 0);
    assert.is(sender.link.poll(0, 8).length, 1);
  }
  assert.equal(sender.errors, []);
});

test('OVFLW ends the message', () => {
  const sender = waitingSender();
  sender.link.receive(frame(0x701, '320000'), 0);
  assert.equal(sender.errors, ['send: iso-tp-overflow']);
  assert.is(sender.sent, 0);
});

test('a reserved flow status ends the message; a short flow control is ignored', () => {
  const sender = waitingSender();
  const short = sender.link.receive(frame(0x701, '3000'), 0);
  assert.is(short?.refused, 'can-frame-malformed');
  assert.ok(sender.link.sending);
  sender.link.receive(frame(0x701, '330000'), 0);
  assert.equal(sender.errors, ['send: iso-tp-unexpected-frame']);
});

test('block size: the sender stops after every block until flow control comes', () => {
  const sender = waitingSender();
  sender.link.receive(frame(0x701, '300300'), 0);
  assert.is(sender.link.poll(0, 64).length, 3);
  assert.is(sender.link.poll(0, 64).length, 0);
  sender.link.receive(frame(0x701, '300500'), 0);
  assert.is(sender.link.poll(0, 64).length, 5);
  sender.link.receive(frame(0x701, '300000'), 0);
  // 94 bytes after the first frame make 14 consecutive frames.
  assert.is(sender.link.poll(0, 64).length, 6);
  assert.is(sender.sent, 1);
});

test('block size: the receiver grants every block, and none after the last frame', () => {
  for (const blockSize of [1, 2, 7, 14]) {
    const receiver = peerOf({ blockSize });
    const sender = recordingLink();
    sender.link.send(pattern(100));
    const carried = exchange(sender, receiver);
    const grants = carried.filter((sent) => sent.identifier === 0x701).length;
    assert.is(grants, Math.ceil(14 / blockSize), `block size ${blockSize}`);
    assert.equal(receiver.messages, [pattern(100)]);
  }
});

test('the receiver asks for its block size and separation time, padded', () => {
  const record = recordingLink({ blockSize: 8, separationTime: 0xf3 });
  record.link.receive(frame(0x701, '1064 000102030405'), 0);
  assert.is(hex(record.link.poll(0, 8)[0]!.data), '3008f3cccccccccc');
});

test('STmin: consecutive frames keep the distance that the receiver asks for', () => {
  for (const [encoded, distance] of [
    ['01', 1],
    ['14', 20],
    ['7f', 127],
    ['f1', 0.1],
    ['f9', 0.9],
    ['80', 127],
    ['fa', 127],
  ] as const) {
    const sender = waitingSender();
    sender.link.receive(frame(0x701, `3000${encoded}`), 5);
    let now = 5;
    assert.is(sender.link.poll(now, 64).length, 1, 'the first frame goes at once');
    for (let i = 1; i < 14; i++) {
      assert.is(sender.link.nextDeadline(), now + distance);
      assert.is(sender.link.poll(now + distance * 0.9, 64).length, 0, `STmin ${encoded}`);
      now += distance;
      assert.is(sender.link.poll(now, 64).length, 1);
    }
    assert.is(sender.sent, 1);
  }
});

test('a new separation time of a later flow control counts from then on', () => {
  const sender = waitingSender();
  sender.link.receive(frame(0x701, '30027f'), 0);
  sender.link.poll(0, 64);
  assert.is(sender.link.poll(127, 64).length, 1);
  sender.link.receive(frame(0x701, '300000'), 130);
  assert.is(sender.link.poll(130, 64).length, 12);
});

test('never more frames than writable; the rest follows', () => {
  const sender = waitingSender();
  sender.link.receive(frame(0x701, '300000'), 0);
  assert.is(sender.link.poll(0, 5).length, 5);
  assert.is(sender.link.poll(0, 0).length, 0);
  assert.is(sender.link.poll(0, 64).length, 9);
  assert.is(sender.sent, 1);
});

test('flow control has to wait for the bus too, and N_Cr starts when it is out', () => {
  const record = recordingLink();
  record.link.receive(frame(0x701, '1064 000102030405'), 0);
  assert.equal(record.link.poll(300, 0), []);
  assert.is(record.link.poll(600, 1).length, 1);
  assert.is(record.link.nextDeadline(), 600 + limit);
});

test('a wrong sequence number ends the message; the next message is taken', () => {
  const receiver = waitingReceiver();
  receiver.link.receive(frame(0x701, '2106070809101112'), 0);
  receiver.link.receive(frame(0x701, '2306070809101112'), 0);
  assert.equal(receiver.errors, ['receive: iso-tp-sequence']);
  receiver.link.receive(frame(0x701, '02aabb'), 0);
  assert.equal(receiver.messages.map(hex), ['aabb']);
});

test('a consecutive frame that comes twice is ignored, and the message goes on', () => {
  const receiver = recordingLink();
  const message = pattern(30);
  receiver.link.receive(frame(0x701, Uint8Array.of(0x10, 30, ...message.subarray(0, 6))), 0);
  receiver.link.poll(0, 1);
  const consecutive = (sequence: number, at: number) =>
    frame(0x701, Uint8Array.of(0x20 + sequence, ...message.subarray(at, at + 7)));
  receiver.link.receive(consecutive(1, 6), 1);
  assert.is(receiver.link.receive(consecutive(1, 6), 2)?.refused, 'iso-tp-unexpected-frame');
  receiver.link.receive(consecutive(2, 13), 3);
  receiver.link.receive(consecutive(3, 20), 4);
  receiver.link.receive(frame(0x701, Uint8Array.of(0x24, ...message.subarray(27))), 5);
  assert.equal(receiver.errors, []);
  assert.equal(receiver.messages, [message]);
});

test('the last sequence number with other bytes is a wrong one', () => {
  const receiver = recordingLink();
  receiver.link.receive(frame(0x701, '101e000000000000'), 0);
  receiver.link.poll(0, 1);
  receiver.link.receive(frame(0x701, '2101010101010101'), 1);
  receiver.link.receive(frame(0x701, '2102020202020202'), 2);
  assert.equal(receiver.errors, ['receive: iso-tp-sequence']);
});

test('a single frame in the midst of a message ends that message and is delivered', () => {
  const receiver = waitingReceiver();
  receiver.link.receive(frame(0x701, '02aabb'), 0);
  assert.equal(receiver.errors, ['receive: iso-tp-unexpected-frame']);
  assert.equal(receiver.messages.map(hex), ['aabb']);
});

test('a first frame in the midst of a message ends that message and starts the new one', () => {
  const receiver = waitingReceiver();
  receiver.link.receive(frame(0x701, '1008 a0a1a2a3a4a5'), 0);
  assert.equal(receiver.errors, ['receive: iso-tp-unexpected-frame']);
  assert.is(receiver.link.poll(0, 8).length, 1);
  receiver.link.receive(frame(0x701, '21a6a7'), 0);
  assert.equal(receiver.messages.map(hex), ['a0a1a2a3a4a5a6a7']);
});

test('consecutive frames and flow control that nobody awaits are ignored', () => {
  const { link, errors, messages } = recordingLink();
  for (const data of ['2100', '300000', '320000', '4000', 'f000']) {
    assert.is(link.receive(frame(0x701, data), 0)?.refused, 'iso-tp-unexpected-frame', data);
  }
  assert.is(link.poll(0, 8).length + errors.length + messages.length, 0);
});

test('consecutive frames before flow control was granted are ignored', () => {
  const { link, messages, errors } = recordingLink();
  link.receive(frame(0x701, '1008 000102030405'), 0);
  assert.is(link.receive(frame(0x701, '210607'), 0)?.refused, 'iso-tp-unexpected-frame');
  assert.is(link.poll(0, 8).length, 1);
  link.receive(frame(0x701, '210607'), 0);
  assert.equal(messages.map(hex), ['0001020304050607']);
  assert.equal(errors, []);
});

test('a message past the bound is answered with OVFLW and never begun', () => {
  const record = recordingLink({ maxMessageBytes: 99 });
  record.link.receive(frame(0x701, '1064 000102030405'), 0);
  assert.equal(record.errors, ['receive: iso-tp-overflow']);
  assert.is(hex(record.link.poll(0, 8)[0]!.data), '320000cccccccccc');
  assert.not.ok(record.link.receiving);
  assert.is(record.link.receive(frame(0x701, '21'), 0)?.refused, 'iso-tp-unexpected-frame');
});

test('malformed frames are refused and leave a message that is on its way alone', () => {
  const cases: [string, boolean][] = [
    ['', false],
    ['00', false], // single frame of no bytes
    ['03aabb', false], // fewer bytes than it says
    ['08aabbccddeeff00', false], // length past 7
    ['10640001020304', false], // first frame of 7 bytes
    ['1007000102030405', false], // fits a single frame
    ['1000000000ff0001', false], // escape for 255
    ['100000000fff0001', false], // escape for 4095
    [`0007${'aa'.repeat(10)}`, true], // escape for 7
    [`000b${'aa'.repeat(10)}`, true], // 11 bytes in 12
    [`08${'aa'.repeat(11)}`, true], // more than 8 bytes without escape
    [`103e${'aa'.repeat(62)}`, true], // first frame that fits a single one
    ['21060708091011', false], // consecutive frame that is too short
    [`21${'aa'.repeat(11)}`, true], // and one longer than the first frame
    ['aa'.repeat(9), true], // no FD length
  ];
  for (const [data, flexibleData] of cases) {
    const receiver = waitingReceiver({ flexibleData: true });
    const refusal = receiver.link.receive(frame(0x701, data, { flexibleData }), 0);
    assert.is(refusal?.refused, 'can-frame-malformed', data);
    assert.equal(receiver.errors, []);
    assert.ok(receiver.link.receiving);
  }
  const classic = waitingReceiver();
  const fd = classic.link.receive(frame(0x701, '2100', { flexibleData: true }), 0);
  assert.is(fd?.refused, 'can-frame-malformed');
});

test('a single frame past the bound is refused', () => {
  const record = recordingLink({ maxMessageBytes: 4 });
  assert.is(record.link.receive(frame(0x701, '05aabbccddee'), 0)?.refused, 'iso-tp-overflow');
  assert.is(record.link.receive(frame(0x701, '04aabbccdd'), 0), undefined);
  assert.is(record.messages.length, 1);
});

test.run();
