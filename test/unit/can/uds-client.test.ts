/** The UDS client on a virtual clock: waiting, repeating, giving up. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { negativeResponseOf, UdsClient } from '../../../agent/can/uds-client.ts';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import {
  maxUdsAttempts,
  maxUdsPendingMilliseconds,
  maxUdsPendingResponses,
  udsP2Milliseconds,
  udsP2StarMilliseconds,
  udsTesterPresentMilliseconds,
} from '../../../agent/limits.ts';
import { bytesOf, frame, hex } from './virtual-wire.ts';

const test = suite('UDS client');
const ids = { transmitId: 0x700, receiveId: 0x701, extended: false };

/** A client whose frames the test answers by hand. */
function bench() {
  const client = new UdsClient({ ...ids, flexibleData: true, maxMessageBytes: 4_096 });
  const results: (Uint8Array | Refusal)[] = [];
  return {
    client,
    ask(request: string) {
      client.request(bytesOf(request), (response) => results.push(response));
    },
    /** The single frames sent at `now`, as hexadecimal messages. */
    sent(now: number): string[] {
      return client.poll(now, 8).map(({ data }) => hex(data.subarray(1, 1 + data[0]!)));
    },
    answer(now: number, response: string) {
      const bytes = bytesOf(response);
      client.receive(frame(0x701, Uint8Array.of(bytes.length, ...bytes)), now);
    },
    get outcomes(): string[] {
      return results.map((result) => (isRefusal(result) ? result.refused : hex(result)));
    },
    results,
  };
}

test('a positive answer is handed over whole, once', () => {
  const b = bench();
  b.ask('22f190');
  assert.equal(b.sent(0), ['22f190']);
  b.answer(1, '62f19041');
  b.answer(2, '62f19042');
  assert.equal(b.outcomes, ['62f19041']);
  assert.not.ok(b.client.busy);
});

test('a negative answer names the service and the code', () => {
  const b = bench();
  b.ask('3101ff00');
  b.sent(0);
  b.answer(1, '7f3122');
  const [refusal] = b.results as [Refusal];
  assert.is(refusal.refused, 'uds-negative-response');
  assert.is(refusal.detail, 'routineControl: conditionsNotCorrect (0x22)');
  assert.is(negativeResponseOf(refusal), 0x22);
  assert.is(negativeResponseOf(refuse('secondary-silent')), undefined);
});

test('answers to something else are passed over', () => {
  const b = bench();
  b.ask('3605aa');
  b.sent(0);
  for (const other of ['7604', '62f190', '7f2231', '7f36', '7f367300', '76', '00']) {
    b.answer(1, other);
  }
  assert.equal(b.outcomes, []);
  b.answer(2, '7605');
  assert.equal(b.outcomes, ['7605']);
});

test('an answer has to repeat what the standard says', () => {
  const table: [string, string, string][] = [
    ['1002', '5001', '500203e80bb8'],
    ['1101', '5102', '5101'],
    ['22f190', '62f191aa', '62f190aa'],
    ['2ef15aaa', '6ef15b', '6ef15a'],
    ['3101ff00', '7101ff01', '7101ff00'],
    ['3801000161000101 01', '7806', '7801024012'],
    ['3e00', '7e', '7e00'],
    ['37', '7f', '77'],
  ];
  for (const [request, wrong, right] of table) {
    const b = bench();
    b.client.request(bytesOf(request), (response) => b.results.push(response));
    b.client.poll(0, 8);
    b.answer(1, wrong);
    assert.equal(b.outcomes, [], wrong);
    b.answer(1, right);
    assert.equal(b.outcomes, [right]);
  }
});

test('without an answer the request fails at P2, not before', () => {
  const b = bench();
  b.ask('3101ff00');
  b.sent(10);
  assert.is(b.client.nextDeadline(), 10 + udsP2Milliseconds);
  assert.equal(b.sent(9 + udsP2Milliseconds), []);
  assert.equal(b.outcomes, []);
  assert.equal(b.sent(10 + udsP2Milliseconds), [], 'a routine is never started twice');
  assert.equal(b.outcomes, ['secondary-silent']);
});

test('harmless requests are repeated as they were, a bounded number of times', () => {
  for (const request of ['3605aa', '22f190', '3e00', '1002', '290500', '37', '380600']) {
    const b = bench();
    b.ask(request);
    let now = 0;
    for (let attempt = 1; attempt <= maxUdsAttempts; attempt++) {
      assert.equal(b.sent(now), [request], `attempt ${attempt}`);
      now += udsP2Milliseconds;
    }
    assert.equal(b.sent(now), []);
    assert.equal(b.outcomes, ['secondary-silent']);
  }
});

test('other requests are never repeated', () => {
  for (const request of ['1101', '2906', '2ef15aaa', '3400111020', '380100']) {
    const b = bench();
    b.ask(request);
    assert.equal(b.sent(0), [request]);
    assert.equal(b.sent(udsP2Milliseconds), []);
    assert.equal(b.outcomes, ['secondary-silent']);
  }
});

test('0x78 gives the server P2*, each time anew', () => {
  const b = bench();
  b.ask('3101ff00');
  b.sent(0);
  b.answer(900, '7f3178');
  assert.is(b.client.nextDeadline(), 900 + udsP2StarMilliseconds);
  b.answer(20_000, '7f3178');
  assert.equal(b.sent(19_999 + udsP2StarMilliseconds), []);
  assert.equal(b.outcomes, []);
  b.answer(20_000 + udsP2StarMilliseconds - 1, '7101ff00');
  assert.equal(b.outcomes, ['7101ff00']);
});

test('ECU-03: a server that is busy for too long is slow, however often it says so', () => {
  const b = bench();
  b.ask('31010102');
  b.sent(0);
  for (let now = 10_000; now <= 10_000 + maxUdsPendingMilliseconds; now += 20_000) {
    b.answer(now, '7f3178');
    assert.equal(b.outcomes, []);
  }
  b.answer(11_000 + maxUdsPendingMilliseconds, '7f3178');
  assert.equal(b.outcomes, ['secondary-slow']);
  // The late answer is nobody's, and the next request has its own time.
  b.answer(12_000 + maxUdsPendingMilliseconds, '71010102');
  b.ask('31010102');
  b.sent(13_000 + maxUdsPendingMilliseconds);
  b.answer(14_000 + maxUdsPendingMilliseconds, '7f3178');
  b.answer(15_000 + maxUdsPendingMilliseconds, '71010102');
  assert.equal(b.outcomes, ['secondary-slow', '71010102']);
});

test('a server that stays pending for ever is given up', () => {
  const b = bench();
  b.ask('3101ff00');
  b.sent(0);
  for (let i = 0; i < maxUdsPendingResponses; i++) b.answer(i, '7f3178');
  assert.equal(b.outcomes, []);
  b.answer(1_000, '7f3178');
  assert.equal(b.outcomes, ['uds-negative-response']);
  const silent = bench();
  silent.ask('3101ff00');
  silent.sent(0);
  silent.answer(1, '7f3178');
  silent.sent(1 + udsP2StarMilliseconds);
  assert.equal(silent.outcomes, ['secondary-silent']);
});

test('a busy server (0x21) is asked again after P2, whatever the service', () => {
  const b = bench();
  b.ask('37');
  assert.equal(b.sent(0), ['37']);
  b.answer(5, '7f3721');
  assert.equal(b.sent(6), []);
  assert.equal(b.sent(5 + udsP2Milliseconds), ['37']);
  b.answer(2_000, '7f3721');
  assert.equal(b.sent(2_000 + udsP2Milliseconds), ['37']);
  b.answer(4_000, '7f3721');
  assert.equal(b.outcomes, ['uds-negative-response']);
});

test('a request that suppresses its answer is done when it is sent', () => {
  const b = bench();
  b.ask('3e80');
  assert.equal(b.outcomes, []);
  assert.equal(b.sent(0), ['3e80']);
  assert.equal(b.outcomes, ['']);
});

test('an answer on its way is guarded by N_Cr, and P2 does not cut it off', () => {
  const b = bench();
  b.ask('22f190');
  b.sent(0);
  b.client.receive(frame(0x701, '100a 62f190414243'), 900);
  assert.is(b.client.poll(900, 8).length, 1);
  assert.is(b.client.poll(udsP2Milliseconds + 500, 8).length, 0);
  b.client.receive(frame(0x701, '2144454647'), 1_600);
  assert.equal(b.outcomes, ['62f19041424344454647']);
});

test('an answer that is cut off counts as lost', () => {
  const b = bench();
  b.ask('22f190');
  b.sent(0);
  b.client.receive(frame(0x701, '100a 62f190414243'), 100);
  b.client.poll(100, 8);
  assert.equal(b.sent(1_100), ['22f190']);
});

test('an answer that is too long ends the request', () => {
  const b = bench();
  b.ask('22f190');
  b.sent(0);
  b.client.receive(frame(0x701, '1fff 62f190414243'), 1);
  assert.equal(b.outcomes, []);
  const small = new UdsClient({ ...ids, flexibleData: true, maxMessageBytes: 100 });
  const outcomes: string[] = [];
  small.request(bytesOf('22f190'), (r) => outcomes.push(isRefusal(r) ? r.refused : hex(r)));
  small.poll(0, 8);
  small.receive(frame(0x701, '1fff 62f190414243'), 1);
  assert.equal(outcomes, ['iso-tp-overflow']);
});

test('a second request while one is under way is a bug', () => {
  const b = bench();
  b.ask('3e00');
  assert.throws(() => b.ask('3e00'));
});

test('a server without room (OVFLW) ends the request at once', () => {
  const b = bench();
  b.client.request(new Uint8Array(300).fill(0x36), (r) => b.results.push(r));
  b.client.poll(0, 8);
  b.client.receive(frame(0x701, '320000'), 0);
  assert.equal(b.outcomes, ['iso-tp-overflow']);
});

test('a session that is kept gets a TesterPresent whenever nothing else was said', () => {
  const b = bench();
  b.ask('1002');
  assert.equal(b.sent(0), ['1002']);
  b.answer(10, '500203e80bb8');
  b.client.keepSession(true);
  const quiet = udsTesterPresentMilliseconds;
  assert.is(b.client.nextDeadline(), 10 + quiet);
  assert.equal(b.sent(9 + quiet), []);
  assert.equal(b.sent(10 + quiet), ['3e80']);
  b.ask('22f190');
  assert.equal(b.sent(20 + quiet), ['22f190']);
  b.answer(500 + quiet, '62f19041');
  assert.equal(b.sent(19 + 2 * quiet), []);
  assert.equal(b.sent(20 + 2 * quiet), ['3e80']);
  b.client.keepSession(false);
  assert.is(b.client.nextDeadline(), undefined);
  assert.equal(b.sent(10 * quiet), []);
});

test('no TesterPresent goes out while an answer is awaited', () => {
  const b = bench();
  b.client.keepSession(true);
  b.ask('3101ff00');
  b.sent(0);
  b.answer(500, '7f3178');
  assert.equal(b.sent(500 + 2 * udsTesterPresentMilliseconds), []);
});

test('a request waits for a TesterPresent that the bus has not taken yet', () => {
  const b = bench();
  b.client.keepSession(true);
  const quiet = udsTesterPresentMilliseconds;
  assert.equal(b.client.poll(quiet, 0), []);
  b.ask('22f190');
  assert.equal(b.sent(quiet + 1), ['3e80']);
  assert.equal(b.sent(quiet + 2), ['22f190']);
  assert.equal(b.outcomes, []);
});

test.run();
