/** SLCAN, Lawicel's ASCII: commands, frames and what is refused. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { extendedFlag } from '../../../hal/emulated/bus-frame.ts';
import { encodeBusFrame } from '../../../hal/emulated/cannelloni.ts';
import { formatFrame, type SlcanCommand, SlcanParser } from '../../../hal/emulated/slcan.ts';
import { busFrame, classicFrames, remoteFrame } from './bus-frames.ts';

const test = suite('SLCAN');

function parse(text: string): SlcanCommand[] {
  return new SlcanParser().push(Buffer.from(text, 'latin1'));
}

test('the commands of slcand and python-can', () => {
  assert.equal(parse('C\rS6\rO\r'), [
    { command: 'close' },
    { command: 'bit-rate' },
    { command: 'open', listenOnly: false },
  ]);
  assert.equal(parse('\r\r\rs031C\rL\rV\rN\rF\rZ1\r'), [
    { command: 'bit-rate' },
    { command: 'open', listenOnly: true },
    { command: 'version' },
    { command: 'serial-number' },
    { command: 'status' },
    { command: 'timestamps', on: true },
  ]);
});

test('frames with 11 and 29 bits, with data and remote', () => {
  for (const [line, frame] of [
    ['t7E0201F1\r', busFrame(0x7e0, '01f1')],
    ['t0000\r', busFrame(0, '')],
    ['T1FFFFFFF1aa\r', busFrame(extendedFlag + 0x1fffffff, 'aa')],
    ['T0000000181122334455667788\r', busFrame(extendedFlag + 1, '1122334455667788')],
    ['r1234\r', remoteFrame(0x123, 4)],
    ['R000001230\r', remoteFrame(extendedFlag + 0x123, 0)],
  ] as const) {
    assert.equal(parse(line), [{ command: 'send', frame }], line);
    assert.is(formatFrame({ frame, microseconds: 0 }, false).toLowerCase(), line.toLowerCase());
  }
});

test('with time stamps, a frame ends with the milliseconds of the minute', () => {
  const stamped = { frame: busFrame(0x123, 'aa'), microseconds: 59_999_000 + 60_000_000 * 7 };
  assert.is(formatFrame(stamped, true), 't1231AAEA5F\r');
});

test('FD and error frames have no form', () => {
  for (const frame of [busFrame(1, 'aa'.repeat(12), 1), busFrame(0x20000004, '00'.repeat(8))]) {
    assert.is(formatFrame({ frame, microseconds: 0 }, false), '');
  }
});

test('what is no command is refused', () => {
  for (const line of [
    'S9',
    'S',
    's12',
    's12345',
    'Z2',
    'O1',
    'X1',
    't8000',
    't12',
    't1239',
    't123',
    't1232AA',
    't1231AAB',
    't1231AABB',
    't1231GG',
    'T123',
    'T200000000',
    'r12341',
    'x'.repeat(200),
  ]) {
    const [command, ...more] = parse(`${line}\r`);
    assert.is(command?.command, 'malformed', line);
    assert.is(more.length, 0);
  }
});

test('an endless line is refused once, and the next one is taken', () => {
  const parser = new SlcanParser();
  const found: SlcanCommand[] = [];
  for (let i = 0; i < 1000; i++) found.push(...parser.push(Buffer.from('t123456789')));
  assert.is(found.length, 1);
  assert.ok(JSON.stringify(parser).length < 200);
  assert.equal(parser.push(Buffer.from('x\rO\r')), [{ command: 'open', listenOnly: false }]);
});

test('every classic frame survives', () => {
  fc.assert(
    fc.property(classicFrames, (frame) => {
      assert.equal(parse(formatFrame({ frame, microseconds: 0 }, false)), [
        { command: 'send', frame },
      ]);
    }),
  );
});

test('any bytes in any pieces give the same commands, whose frames can be on a bus', () => {
  const words = fc.constantFrom('\r', 't', 'T', '123', '8', 'ff', 'O', '\n', '0011223344556677');
  const inputs = fc.array(fc.oneof(words, fc.string({ unit: 'binary-ascii' })), { maxLength: 60 });
  fc.assert(
    fc.property(inputs, (pieces) => {
      const parser = new SlcanParser();
      const found = pieces.flatMap((piece) => parser.push(Buffer.from(piece, 'latin1')));
      const names = (all: SlcanCommand[]) => all.map(({ command }) => command);
      assert.equal(names(found), names(parse(pieces.join(''))));
      for (const one of found) if (one.command === 'send') encodeBusFrame(one.frame);
    }),
  );
});

test.run();
