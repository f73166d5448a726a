/** The text protocol of socketcand: what tools send and are told, and what is refused. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { extendedFlag, isRemote } from '../../../hal/emulated/bus-frame.ts';
import { encodeBusFrame } from '../../../hal/emulated/cannelloni.ts';
import {
  formatError,
  formatFrame,
  type SocketcandCommand,
  SocketcandParser,
} from '../../../hal/emulated/socketcand.ts';
import { busFrame, busFrames, remoteFrame } from './bus-frames.ts';

const test = suite('socketcand');

function parse(text: string): SocketcandCommand[] {
  return new SocketcandParser().push(Buffer.from(text, 'latin1'));
}

const microseconds = 1_436_509_052_249_713;

test('commands of the handshake, alone, in one piece and without blanks inside', () => {
  const wanted = [{ command: 'open', bus: 'can0' }, { command: 'rawmode' }];
  assert.equal(parse('< open can0 >< rawmode >'), wanted);
  assert.equal(parse('<open can0>\r\n<rawmode>\n'), wanted);
  assert.equal(parse('< echo >< bcmmode >'), [{ command: 'echo' }, { command: 'bcmmode' }]);
});

test('frames are sent as the protocol and as python-can write them', () => {
  const extended = extendedFlag;
  for (const [text, frame] of [
    ['< send 123 0 >', busFrame(0x123, '')],
    ['< send 123 0  >', busFrame(0x123, '')],
    ['< send 7E0 2 1 F1 >', busFrame(0x7e0, '01f1')],
    ['< send 1AAAAAAA 2 1 F1 >', busFrame(extended + 0x1aaaaaaa, '01f1')],
    ['< send 00000123 1 aa >', busFrame(extended + 0x123, 'aa')],
    ['< send 12 1 aa >', busFrame(0x12, 'aa')],
    ['< send ABCDEF 1 aa >', busFrame(extended + 0xabcdef, 'aa')],
    ['< send 800 1 aa >', busFrame(extended + 0x800, 'aa')],
    ['< sendrtr 123 4 >', remoteFrame(0x123, 4)],
    ['< fdsend 123 1 12 0 1 2 3 4 5 6 7 8 9 a b >', busFrame(0x123, '000102030405060708090a0b', 1)],
    ['< fdsend 123 05 1 ff >', busFrame(0x123, 'ff', 1)],
  ] as const) {
    assert.equal(parse(text), [{ command: 'send', frame }], text);
  }
});

test('subscriptions name an identifier; throttled ones are refused', () => {
  assert.equal(parse('< subscribe 0 0 123 >'), [{ command: 'subscribe', canId: 0x123 }]);
  assert.equal(parse('< unsubscribe 00000123 >'), [
    { command: 'unsubscribe', canId: extendedFlag + 0x123 },
  ]);
  assert.match(detailOf('< subscribe 1 0 123 >'), 'intervals are not supported');
});

test('what is no command is refused with what was expected', () => {
  for (const [text, detail] of [
    ['< >', 'unknown command ""'],
    ['< isotpmode >', 'unknown command "isotpmode"'],
    ['< open >', 'expected: open BUS'],
    ['< open a-name-of-17-char >', 'expected: open BUS'],
    ['< rawmode 1 >', 'expected: rawmode'],
    ['< send 20000000 0 >', 'no identifier'],
    ['< send xyz 0 >', 'no identifier'],
    ['< send >', 'no identifier'],
    ['< send 123 9 1 2 3 4 5 6 7 8 9 >', 'a length of 0 to 8, got "9"; fdsend'],
    ['< send 123 -1 >', 'a length of 0 to 8'],
    ['< send 123 2 1 >', 'expected 2 bytes'],
    ['< send 123 1 1 2 >', 'expected 1 bytes'],
    ['< send 123 1 100 >', 'expected 1 bytes'],
    ['< send 123 1 0x >', 'expected 1 bytes'],
    ['< fdsend 123 8 1 1 >', 'flags of 0 to 7'],
    ['< fdsend 123 0 9 1 2 3 4 5 6 7 8 9 >', 'no FD frame has "9" bytes'],
    ['< fdsend 123 0 12 1 >', 'expected 12 bytes'],
    ['< sendrtr 123 9 >', 'sendrtr ID LENGTH'],
    ['nonsense', 'expected "<", got "nonsense"'],
    ['GET / HTTP/1.1\r\n\r\n', 'expected "<"'],
  ] as const) {
    assert.match(detailOf(text), detail, text);
  }
});

test('an endless command is refused and takes no memory', () => {
  const parser = new SocketcandParser();
  const found: SocketcandCommand[] = [];
  for (let i = 0; i < 100; i++)
    found.push(...parser.push(Buffer.from(`< send ${'1'.repeat(400)}`)));
  assert.ok(found.every(({ command }) => command === 'malformed'));
  assert.ok(JSON.stringify(parser).length < 500);
  assert.equal(parser.push(Buffer.from('< echo >')), [{ command: 'echo' }]);
});

test('frames are told as the daemon tells them', () => {
  for (const [frame, text] of [
    [busFrame(0x123, '11224a'), '< frame 123 1436509052.249713 11224A >'],
    [busFrame(0x001, ''), '< frame 001 1436509052.249713  >'],
    [busFrame(extendedFlag + 0x123, '11'), '< frame 00000123 1436509052.249713 11 >'],
    [remoteFrame(0x123, 4), '< rtr 123 1436509052.249713 4 >'],
    [busFrame(0x20000004, '0000000000000000'), '< error 004 1436509052.249713 >'],
    [
      busFrame(0x123, 'aa'.repeat(12), 1),
      `< fdframe 123 01 1436509052.249713 ${'AA'.repeat(12)} >`,
    ],
  ] as const) {
    assert.is(formatFrame({ frame, microseconds }, false), text);
  }
  const plain = { frame: busFrame(0x123, 'aa'.repeat(12), 1), microseconds: 5 };
  assert.is(formatFrame(plain, true), `< frame 123 0.000005 ${'AA'.repeat(12)} >`);
});

test('an error is one message, whatever it quotes', () => {
  assert.is(formatError('got "<a>\n"'), '< error got "?a??" >');
});

test('every frame survives being sent by a tool', () => {
  fc.assert(
    fc.property(busFrames, (frame) => {
      const told = formatFrame({ frame, microseconds }, false);
      const [, kind, id, ...fields] = told.split(' ');
      const bytes = (hexadecimal: string) => hexadecimal.match(/../g)?.join(' ') ?? '';
      let text = `< send ${id} ${frame.length} ${bytes(fields[1] ?? '')} >`;
      if (isRemote(frame)) text = `< sendrtr ${id} ${frame.length} >`;
      else if (kind === 'fdframe') {
        text = `< fdsend ${id} ${fields[0]} ${frame.length} ${bytes(fields[2] ?? '')} >`;
      }
      assert.equal(parse(text), [{ command: 'send', frame }]);
    }),
  );
});

test('any bytes in any pieces give commands whose frames can be on a bus', () => {
  const words = fc.constantFrom(
    '<',
    '>',
    ' ',
    'send',
    'fdsend',
    'sendrtr',
    'open',
    '123',
    '8',
    'ff',
  );
  const inputs = fc.array(fc.oneof(words, fc.string({ unit: 'binary' })), { maxLength: 60 });
  fc.assert(
    fc.property(inputs, (pieces) => {
      const parser = new SocketcandParser();
      const whole = parse(pieces.join(' ').replaceAll(/[^\0-\xff]/g, '?'));
      const found = pieces.flatMap((piece, index) => {
        const text = (index === 0 ? '' : ' ') + piece;
        return parser.push(Buffer.from(text.replaceAll(/[^\0-\xff]/g, '?'), 'latin1'));
      });
      const commands = (all: SocketcandCommand[]) =>
        all.filter(({ command }) => command !== 'malformed');
      assert.equal(commands(found), commands(whole));
      for (const one of found) if (one.command === 'send') encodeBusFrame(one.frame);
    }),
  );
});

function detailOf(text: string): string {
  const [command, ...more] = parse(text);
  assert.is(more.length, 0);
  return command?.command === 'malformed' ? command.detail : '';
}

test.run();
