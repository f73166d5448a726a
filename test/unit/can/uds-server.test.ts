/** The UDS server, byte by byte (ISO 14229-1:2020). */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { negative, negativeResponseName, sessionParameters } from '../../../agent/can/uds.ts';
import type { UdsHandlers, UdsOutcome } from '../../../agent/can/uds-handlers.ts';
import { UdsServer } from '../../../agent/can/uds-server.ts';
import {
  encodeDownloadGrant,
  encodeFileTransferGrant,
} from '../../../agent/can/uds-transfer-format.ts';
import { maxFilenameCharacters, maxUdsIdentifiersPerRead } from '../../../agent/limits.ts';
import { bytesOf, hex } from './virtual-wire.ts';

const test = suite('UDS server');
const nothing = new Uint8Array(0);

interface Bench {
  readonly server: UdsServer;
  /** What the handlers were called with. */
  readonly calls: string[];
  ask(request: string, functional?: boolean): string;
}

/** A server with every handler; `changes` replaces some. */
function bench(changes: Partial<UdsHandlers> = {}, maxResponseBytes?: number): Bench {
  const calls: string[] = [];
  const note = (text: string, outcome: UdsOutcome): UdsOutcome => {
    calls.push(text);
    return outcome;
  };
  const handlers: Partial<UdsHandlers> = {
    diagnosticSessionControl: (to) => note(`session ${to}`, sessionParameters()),
    ecuReset: (kind) => note(`reset ${kind}`, nothing),
    readDataByIdentifier: (id) =>
      id === 0xf190 ? bytesOf('414243') : id === 0xf18c ? bytesOf('01') : 0x31,
    writeDataByIdentifier: (id, record) => note(`write ${id} ${hex(record)}`, nothing),
    routineControl: (control, id, option) =>
      note(`routine ${control} ${id} ${hex(option)}`, bytesOf('1005')),
    requestDownload: ({ dataFormat, address, size }) =>
      note(`download ${dataFormat} ${address} ${size}`, encodeDownloadGrant(6)),
    transferData: (block) => note(`block ${hex(block)}`, nothing),
    requestTransferExit: (record) => note(`exit ${hex(record)}`, bytesOf('beef')),
    requestFileTransfer: (request) =>
      note(
        `file ${request.mode} ${request.path} ${request.uncompressedSize} ${request.compressedSize}`,
        encodeFileTransferGrant(request, 0x4012, 3),
      ),
    ...changes,
  };
  const server = new UdsServer(handlers, maxResponseBytes);
  return {
    server,
    calls,
    ask(request, functional = false) {
      const { response } = server.handle(bytesOf(request), { tester: 0, nowMs: 0, functional });
      return response === undefined ? 'silent' : hex(response);
    },
  };
}

/** Requests and answers of a fresh server: [what, request, answer, call]. */
const table: [string, string, string, string?][] = [
  ['empty request', '', '7f0013'],
  ['unknown service', 'aa00', '7faa11'],
  ['programming session', '1002', '500203e80bb8', 'session 2'],
  ['session without answer', '1082', 'silent', 'session 2'],
  ['session 0', '1000', '7f1012'],
  ['session truncated', '10', '7f1013'],
  ['session oversized', '100200', '7f1013'],
  ['hard reset', '1101', '5101', 'reset 1'],
  ['reset without answer', '1181', 'silent', 'reset 1'],
  ['reset truncated', '11', '7f1113'],
  ['reset oversized', '110100', '7f1113'],
  ['read one', '22f190', '62f190414243'],
  ['read two', '22f190f18c', '62f190414243f18c01'],
  ['read two, one unknown', '220001f18c', '62f18c01'],
  ['read unknown', '220001', '7f2231'],
  ['read truncated', '22', '7f2213'],
  ['read half an identifier', '22f1', '7f2213'],
  ['read one and a half', '22f190f1', '7f2213'],
  ['write', '2ef15a0102', '6ef15a', 'write 61786 0102'],
  ['write truncated', '2ef15a', '7f2e13'],
  ['routine start', '3101ff00aa', '7101ff001005', 'routine 1 65280 aa'],
  ['routine results', '3103ff00', '7103ff001005', 'routine 3 65280 '],
  ['routine without answer', '3181ff00', 'silent', 'routine 1 65280 '],
  ['routine control 4', '3104ff00', '7f3112'],
  ['routine truncated', '3101ff', '7f3113'],
  ['download', '340011 10 20', '741006', 'download 0 16 32'],
  ['download, 8-byte size', '34008400000010 0000000000000020', '741006', 'download 0 16 32'],
  ['download, size of 2^53 bytes', '34008110 0020000000000000', '7f3431'],
  ['download of nothing', '340011 10 00', '7f3431'],
  ['download, no address size', '340010 1020', '7f3431'],
  ['download, 9-byte size', `340091 10 ${'00'.repeat(9)}`, '7f3431'],
  ['download truncated', '340011 10', '7f3413'],
  ['download short for its format', '340022 10 20', '7f3413'],
  ['download oversized', '340011 10 20 30', '7f3413'],
  ['block without download', '3601aa', '7f3624'],
  ['block without data', '3601', '7f3613'],
  ['exit without download', '37', '7f3724'],
  ['add file', '3801 0003 612e62 00 02 0100 0080', '7801 02 4012 00', 'file 1 a.b 256 128'],
  [
    'resume file',
    '3806 0003 612e62 11 01 40 80',
    '7806 02 4012 11 0000000000000003',
    'file 6 a.b 64 128',
  ],
  ['file mode 2', '3802 0003 612e62 00 01 01 01', '7f3831'],
  ['file without name', '3801 0000 00 01 01 01', '7f3831'],
  ['file name with a zero', '3801 0003 610062 00 01 01 01', '7f3831'],
  ['file name in UTF-8', '3801 0002 c3a4 00 01 01 01', '7f3831'],
  ['file of no bytes', '3801 0001 61 00 01 01 00', '7f3831'],
  ['file, sizes of no bytes', '3801 0001 61 00 00', '7f3831'],
  ['file, sizes of 9 bytes', `3801 0001 61 00 09 ${'00'.repeat(18)}`, '7f3831'],
  ['file truncated', '38010003', '7f3813'],
  ['file, name cut', '3801 0003 6162', '7f3813'],
  ['file, sizes cut', '3801 0001 61 00 02 0100 00', '7f3813'],
  ['file oversized', '3801 0001 61 00 01 01 01 00', '7f3813'],
  ['tester present', '3e00', '7e00'],
  ['tester present without answer', '3e80', 'silent'],
  ['tester present 1', '3e01', '7f3e12'],
  ['tester present truncated', '3e', '7f3e13'],
  ['tester present oversized', '3e0000', '7f3e13'],
];

for (const [what, request, answer, call] of table) {
  test(`${what}: ${request || 'nothing'} → ${answer}`, () => {
    const { ask, calls } = bench();
    assert.is(ask(request), answer.replaceAll(' ', ''));
    assert.equal(calls, call === undefined ? [] : [call]);
  });
}

test('names and reads are bounded', () => {
  const name = (length: number) =>
    `3801${length.toString(16).padStart(4, '0')}${'61'.repeat(length)}00010101`;
  assert.ok(bench().ask(name(maxFilenameCharacters)).startsWith('78'));
  assert.is(bench().ask(name(maxFilenameCharacters + 1)), '7f3831');
  const read = (count: number) => `22${'f18c'.repeat(count)}`;
  assert.ok(bench().ask(read(maxUdsIdentifiersPerRead)).startsWith('62'));
  assert.is(bench().ask(read(maxUdsIdentifiersPerRead + 1)), '7f2213');
});

test('a service without handler is answered with 0x11, even when the request is malformed', () => {
  const server = new UdsServer({});
  for (const id of ['10', '11', '22', '2e', '31', '34', '36', '37', '38']) {
    assert.is(hex(server.handle(bytesOf(id)).response!), `7f${id}11`);
  }
  assert.is(hex(server.handle(bytesOf('3e00')).response!), '7e00');
});

test('an answer that is too long is refused with 0x14', () => {
  assert.is(bench({}, 6).ask('22f190'), '62f190414243');
  assert.is(bench({}, 5).ask('22f190'), '7f2214');
  const routine = bench({ routineControl: () => new Uint8Array(10) }, 8);
  assert.is(routine.ask('3101ff00'), '7f3114');
});

test('a handler refuses with its own code', () => {
  for (const code of [0x10, 0x22, 0x24, 0x31, 0x33, 0x70, 0x72]) {
    const { ask } = bench({ requestDownload: () => code, routineControl: () => code });
    const text = code.toString(16);
    assert.is(ask('3400111020'), `7f34${text}`);
    assert.is(ask('3101ff00'), `7f31${text}`);
    assert.is(ask('3601aa'), '7f3624', 'a refused download starts no transfer');
  }
});

test('admission is asked before the handler, with session and sub-function', () => {
  const asked: string[] = [];
  const { ask, calls } = bench({
    admit: (id, active, sub) => {
      asked.push(`${id} ${active} ${sub}`);
      if (id === 0x34 && active !== 2) return negative.serviceNotSupportedInActiveSession;
      return id === 0x11 && sub === 2 ? negative.subFunctionNotSupportedInActiveSession : undefined;
    },
  });
  assert.is(ask('3400111020'), '7f347f');
  assert.is(ask('1102'), '7f117e');
  assert.is(ask('1002'), '500203e80bb8');
  assert.is(ask('3400111020'), '741006');
  assert.equal(calls, ['session 2', 'download 0 16 32']);
  assert.equal(asked, ['52 1 undefined', '17 1 2', '16 1 2', '52 2 undefined']);
});

test('a functional request that does not concern the ECU stays unanswered', () => {
  const { ask } = bench({ ecuReset: () => 0x22 });
  assert.is(ask('220001', true), 'silent');
  assert.is(ask('aa00', true), 'silent');
  assert.is(ask('3e01', true), 'silent');
  assert.is(ask('3e', true), '7f3e13');
  assert.is(ask('1101', true), '7f1122');
  assert.is(ask('3e00', true), '7e00');
});

test('blocks are delivered in order, then the exit', () => {
  const { ask, calls } = bench();
  ask('3400111009');
  assert.is(ask('360101020304'), '7601');
  assert.is(ask('360205060708'), '7602');
  assert.is(ask('37'), '7f3724', 'one byte is missing');
  assert.is(ask('360309'), '7603');
  assert.is(ask('37cafe'), '77beef');
  assert.equal(calls.slice(1), ['block 01020304', 'block 05060708', 'block 09', 'exit cafe']);
});

test('a repeated exit is answered again and not handled again, until the next transfer', () => {
  const { ask, calls } = bench();
  ask('3400111001');
  ask('360109');
  assert.is(ask('37'), '77beef');
  assert.is(ask('37'), '77beef');
  assert.equal(calls.slice(2), ['exit ']);
  ask('3400111001');
  assert.is(ask('37'), '7f3724');
  ask('360109');
  ask('37');
  ask('1001');
  assert.is(ask('37'), '7f3724');
});

test('a repeated block is acknowledged with the same answer and not delivered again', () => {
  let answers = 0;
  const { ask, calls } = bench({
    transferData: (block) => {
      calls.push(`block ${hex(block)}`);
      return Uint8Array.of(++answers);
    },
  });
  ask('3400111008');
  assert.is(ask('360101020304'), '760101');
  assert.is(ask('360101020304'), '760101');
  assert.is(ask('360205060708'), '760202');
  assert.is(ask('360205060708'), '760202');
  assert.is(ask('360205060708'), '760202');
  assert.is(ask('37'), '77beef');
  assert.equal(calls.slice(1, 3), ['block 01020304', 'block 05060708']);
});

test('a wrong counter is refused with 0x73 and changes nothing', () => {
  const { ask, calls } = bench();
  ask('3400111008');
  assert.is(ask('3600aa'), '7f3673', 'nothing was delivered that this could repeat');
  assert.is(ask('3602aa'), '7f3673');
  assert.is(ask('360101020304'), '7601');
  assert.is(ask('3603aa'), '7f3673');
  assert.is(ask('3600aa'), '7f3673');
  assert.is(ask('360205060708'), '7602');
  assert.is(calls.length, 3);
});

test('the counter wraps from 0xff to 0', () => {
  const { ask, calls } = bench();
  ask(`340021100200`);
  for (let i = 1; i <= 0x200; i++) {
    const counter = (i % 256).toString(16).padStart(2, '0');
    assert.is(ask(`36${counter}aa`), `76${counter}`);
    assert.is(ask(`36${counter}aa`), `76${counter}`);
  }
  assert.is(calls.length, 1 + 0x200);
  assert.is(ask('37'), '77beef');
});

test('a block that the handler refuses is not counted and may be sent again', () => {
  let fail = true;
  const { ask } = bench({ transferData: () => (fail ? 0x72 : nothing) });
  ask('3400111004');
  assert.is(ask('3601aabbccdd'), '7f3672');
  fail = false;
  assert.is(ask('3601aabbccdd'), '7601');
});

test('more data than announced is refused with 0x71, a longer block than granted with 0x13', () => {
  const { ask, calls } = bench();
  ask('3400111005');
  assert.is(ask('36010102030405'), '7f3613');
  assert.is(ask('360101020304'), '7601');
  assert.is(ask('36020506'), '7f3671');
  assert.is(ask('360205'), '7602');
  assert.is(calls.length, 3);
});

test('packed data are not measured against the memory that they fill', () => {
  const { ask } = bench();
  ask('3411111002');
  assert.is(ask('360101020304'), '7601');
  assert.is(ask('37'), '77beef');
});

test('a resumed file ends after what its position leaves', () => {
  const { ask } = bench();
  ask('3806 0001 61 00 01 05 05');
  assert.is(ask('3601aabbcc'), '7f3671');
  assert.is(ask('3601aabb'), '7601');
  assert.is(ask('37'), '77beef');
});

test('a change of session ends a transfer', () => {
  const { ask } = bench();
  ask('3400111005');
  ask('1002');
  assert.is(ask('3601aa'), '7f3624');
});

test('pending work: 0x78 first, then the answer; other requests are told to repeat', () => {
  const order: string[] = [];
  const { server, ask } = bench({
    routineControl: () => ({
      pending: () => {
        order.push('first');
        return {
          pending: () => {
            order.push('second');
            return bytesOf('00');
          },
        };
      },
    }),
  });
  const reply = server.handle(bytesOf('3181ff00'));
  assert.is(hex(reply.response!), '7f3178');
  assert.equal(order, [], 'the work waits until the answer is out');
  assert.is(ask('22f190'), '7f2221');
  assert.is(ask('3e00'), '7e00');
  const again = reply.pending!();
  assert.is(hex(again.response!), '7f3178');
  const last = again.pending!();
  assert.is(hex(last.response!), '7101ff0000', 'sent although the request suppressed it');
  assert.is(last.pending, undefined);
  assert.equal(order, ['first', 'second']);
  assert.is(ask('22f190'), '62f190414243');
});

test('pending blocks are counted once, when they are done', () => {
  let outcome: UdsOutcome = nothing;
  const { server, ask } = bench({ transferData: () => ({ pending: () => outcome }) });
  ask('3400111002');
  outcome = 0x72;
  assert.is(hex(server.handle(bytesOf('3601aa')).pending!().response!), '7f3672');
  outcome = nothing;
  assert.is(hex(server.handle(bytesOf('3601aa')).pending!().response!), '7601');
  assert.is(ask('3601aa'), '7601');
});

test('pending reads of several identifiers come together', () => {
  const { server } = bench({
    readDataByIdentifier: (id) => ({ pending: () => Uint8Array.of(id % 256) }),
  });
  const first = server.handle(bytesOf('2200010002'));
  const second = first.pending!();
  assert.is(hex(second.response!), '7f2278');
  assert.is(hex(second.pending!().response!), '62000101000202');
});

test('codes have the names of the standard', () => {
  assert.is(negativeResponseName(0x73), 'wrongBlockSequenceCounter (0x73)');
  assert.is(negativeResponseName(0x05), '0x05');
});

test('random requests never throw and always get an answer in form', () => {
  const ids = [0x10, 0x11, 0x22, 0x2e, 0x31, 0x34, 0x36, 0x37, 0x38, 0x3e];
  const request = fc
    .tuple(fc.oneof(fc.constantFrom(...ids), fc.nat(255)), fc.uint8Array({ maxLength: 40 }))
    .map(([id, rest]) => Uint8Array.of(id, ...rest));
  fc.assert(
    fc.property(fc.array(request, { maxLength: 30 }), (requests) => {
      const { server } = bench();
      for (const bytes of requests) {
        const { response } = server.handle(bytes);
        if (response === undefined) continue;
        const positive = response[0] === (bytes[0]! + 0x40) % 256;
        assert.ok(positive || (response[0] === 0x7f && response[1] === bytes[0]), hex(bytes));
      }
    }),
    { numRuns: 2_000 },
  );
});

test.run();
