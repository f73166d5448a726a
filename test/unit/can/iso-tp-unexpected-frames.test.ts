/**
 * Frames that nobody waits for, in every state of a link (ISO 15765-2:2016, §9.8.3, full duplex):
 * what they end, what they begin, and that everything else goes on.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { frame, hex, pattern, type RecordingLink, recordingLink } from './virtual-wire.ts';

const test = suite('ISO-TP unexpected frames');

type State = 'idle' | 'receiving' | 'awaiting flow control' | 'sending' | 'receiving and sending';

const frames = {
  'single frame': '03aabbcc',
  'first frame': '100a010203040506',
  'consecutive frame': '2501010101010101',
  'flow control': '300000',
  'reserved type 4': '4000000000000000',
  'reserved type 15': 'f000000000000000',
} as const;
type Kind = keyof typeof frames;

function linkIn(state: State): RecordingLink {
  const recording = recordingLink();
  const { link } = recording;
  if (state.startsWith('receiving')) {
    link.receive(frame(0x701, '1014000000000000'), 0);
    link.poll(0, 8);
  }
  if (state === 'awaiting flow control' || state.endsWith('sending')) {
    link.send(pattern(30));
    link.poll(0, 8);
  }
  if (state.endsWith('sending')) {
    link.receive(frame(0x701, '30007f'), 0);
    link.poll(0, 8);
  }
  return recording;
}

/** What the frame does: `ends` a message with an error, `begins` one, `delivers` one, or nothing. */
const table: readonly (readonly [State, Kind, string])[] = [
  ['idle', 'single frame', 'delivers'],
  ['idle', 'first frame', 'begins'],
  ['idle', 'consecutive frame', 'ignored'],
  ['idle', 'flow control', 'ignored'],
  ['idle', 'reserved type 4', 'ignored'],
  ['idle', 'reserved type 15', 'ignored'],
  ['receiving', 'single frame', 'ends, delivers'],
  ['receiving', 'first frame', 'ends, begins'],
  ['receiving', 'consecutive frame', 'ends (sequence)'],
  ['receiving', 'flow control', 'ignored'],
  ['receiving', 'reserved type 4', 'ignored'],
  ['awaiting flow control', 'single frame', 'delivers'],
  ['awaiting flow control', 'first frame', 'begins'],
  ['awaiting flow control', 'consecutive frame', 'ignored'],
  ['awaiting flow control', 'flow control', 'goes on'],
  ['awaiting flow control', 'reserved type 15', 'ignored'],
  ['sending', 'single frame', 'delivers'],
  ['sending', 'first frame', 'begins'],
  ['sending', 'consecutive frame', 'ignored'],
  ['sending', 'flow control', 'ignored'],
  ['sending', 'reserved type 4', 'ignored'],
  ['receiving and sending', 'single frame', 'ends, delivers'],
  ['receiving and sending', 'first frame', 'ends, begins'],
  ['receiving and sending', 'flow control', 'ignored'],
];

for (const [state, kind, effect] of table) {
  test(`${state}: a ${kind} ${effect === 'ignored' ? 'is ignored' : effect}`, () => {
    const recording = linkIn(state);
    const { link, errors, messages } = recording;
    const before = { sending: link.sending, receiving: link.receiving };
    const refusal = link.receive(frame(0x701, frames[kind]), 1);
    const ends = effect.startsWith('ends');
    const sequence = effect.includes('sequence');
    const code = sequence ? 'receive: iso-tp-sequence' : 'receive: iso-tp-unexpected-frame';
    assert.equal(errors, ends ? [code] : []);
    assert.is(refusal?.refused, effect === 'ignored' ? 'iso-tp-unexpected-frame' : undefined);
    assert.equal(messages.map(hex), effect.endsWith('delivers') ? ['aabbcc'] : []);
    assert.is(link.sending, before.sending, 'what is being sent is sent on');
    const receiving = effect.endsWith('begins') || (before.receiving && !ends);
    assert.is(link.receiving, receiving);
    if (effect.endsWith('begins')) {
      link.poll(2, 8);
      link.receive(frame(0x701, '210708090a'), 3);
      assert.equal(messages.map(hex), ['0102030405060708090a']);
    }
    if (before.sending) {
      link.receive(frame(0x701, '300000'), 4);
      for (let now = 5; link.sending && now < 2_000; now += 50) link.poll(now, 8);
      assert.is(recording.sent, 1, 'the message that was being sent arrives');
    }
  });
}

test('a frame of another identifier, or of 29 bits in place of 11, is none of this link', () => {
  const { link, messages } = recordingLink();
  assert.is(link.receive(frame(0x702, '01aa'), 0)?.refused, 'iso-tp-unexpected-frame');
  const extended = frame(0x701, '01aa', { extended: true });
  assert.is(link.receive(extended, 0)?.refused, 'iso-tp-unexpected-frame');
  assert.equal(messages, []);
});

test.run();
