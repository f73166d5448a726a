/** The UDS client on a virtual clock: waiting, repeating, giving up, and whole transfers. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { negativeResponseOf, UdsClient } from '../../../agent/can/uds-client.ts';
import { type UdsHandlers, UdsServer } from '../../../agent/can/uds-server.ts';
import { UdsServerLink } from '../../../agent/can/uds-server-link.ts';
import type { UdsTransferSource } from '../../../agent/can/uds-transfer.ts';
import {
  decodeDownloadGrant,
  decodeFileTransferGrant,
  encodeDownloadGrant,
  encodeDownloadRequest,
  encodeFileTransferGrant,
  encodeFileTransferRequest,
} from '../../../agent/can/uds-transfer-format.ts';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import {
  maxUdsAttempts,
  maxUdsBlockBytes,
  maxUdsMessageBytes,
  maxUdsPendingResponses,
  udsP2Milliseconds,
  udsP2StarMilliseconds,
} from '../../../agent/limits.ts';
import { bytesOf, frame, hex, pattern } from './virtual-wire.ts';

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
  for (const request of ['3605aa', '22f190', '3e00']) {
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
  for (const request of ['1002', '1101', '2ef15aaa', '3400111020', '37']) {
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

/** Client and server joined by a wire that may drop frames; `run` lets virtual time pass. */
function joined(
  handlers: Partial<UdsHandlers>,
  drop: (toServer: boolean, data: Uint8Array) => boolean = () => false,
) {
  const maxMessageBytes = maxUdsMessageBytes;
  const client = new UdsClient({ ...ids, flexibleData: true, maxMessageBytes });
  const server = new UdsServerLink({
    transmitId: 0x701,
    receiveId: 0x700,
    extended: false,
    flexibleData: true,
    maxMessageBytes,
    server: new UdsServer(handlers),
  });
  let now = 0;
  return {
    client,
    get now() {
      return now;
    },
    run(until: () => boolean) {
      for (let turn = 0; !until(); turn++) {
        if (turn > 100_000) throw new Error('nothing more happens');
        const toServer = client.poll(now, 64);
        for (const sent of toServer) if (!drop(true, sent.data)) server.receive(sent, now);
        const toClient = server.poll(now, 64);
        for (const sent of toClient) if (!drop(false, sent.data)) client.receive(sent, now);
        if (toServer.length + toClient.length > 0) continue;
        const due = [client.nextDeadline(), server.nextDeadline()].filter((at) => at !== undefined);
        if (due.length > 0) now = Math.max(now, Math.min(...due));
      }
    },
  };
}

/** A source of `data` that records how the transfer ends. */
function sourceOf(data: Uint8Array, changes: Partial<UdsTransferSource> = {}) {
  const outcomes: (Uint8Array | Refusal)[] = [];
  const progress: number[] = [];
  const source: UdsTransferSource = {
    read: (into, offset) => {
      into.set(data.subarray(offset, offset + into.length));
      return into.length;
    },
    onProgress: (sent) => progress.push(sent),
    onDone: (result) => outcomes.push(result),
    ...changes,
  };
  return { source, outcomes, progress };
}

/** Handlers that keep what is transferred in `received`. */
function storing(received: number[], maxBlockBytes = 1_002, position = 0): Partial<UdsHandlers> {
  return {
    requestDownload: () => encodeDownloadGrant(maxBlockBytes),
    requestFileTransfer: (request) => encodeFileTransferGrant(request, maxBlockBytes, position),
    transferData: (block) => {
      received.push(...block);
      return new Uint8Array(0);
    },
    requestTransferExit: (record) => Uint8Array.of(received.length % 256, ...record),
  };
}

const request = { dataFormat: 0, address: 0x8000, size: 5_500 };

test('a download arrives block after block and ends with the exit record', () => {
  const received: number[] = [];
  const wire = joined(storing(received));
  const data = pattern(5_500);
  const { source, outcomes, progress } = sourceOf(data, { exitRecord: bytesOf('c0de') });
  wire.client.download(request, source);
  wire.run(() => outcomes.length > 0);
  assert.equal(Uint8Array.from(received), data);
  assert.equal(progress, [0, 1_000, 2_000, 3_000, 4_000, 5_000, 5_500]);
  assert.is(hex(outcomes[0] as Uint8Array), '7cc0de');
});

test('blocks never exceed the bound, whatever the server grants', () => {
  const lengths: number[] = [];
  const wire = joined({
    ...storing([], 0xffffffff),
    transferData: (block) => {
      lengths.push(block.length);
      return new Uint8Array(0);
    },
  });
  const { source, outcomes } = sourceOf(pattern(20_000));
  wire.client.download({ ...request, size: 20_000 }, source);
  wire.run(() => outcomes.length > 0);
  assert.equal(lengths, [maxUdsBlockBytes - 2, 20_000 - maxUdsBlockBytes + 2]);
});

test('lost answers cost repetitions, never bytes', () => {
  const received: number[] = [];
  let lost = 0;
  // Every third answer to TransferData disappears.
  let answers = 0;
  const wire = joined(storing(received), (toServer, data) => {
    if (toServer || data[1] !== 0x76) return false;
    answers++;
    if (answers % 3 !== 0) return false;
    lost++;
    return true;
  });
  const data = pattern(5_500);
  const { source, outcomes } = sourceOf(data);
  wire.client.download(request, source);
  wire.run(() => outcomes.length > 0);
  assert.ok(lost >= 2);
  assert.equal(Uint8Array.from(received), data);
  assert.is(hex(outcomes[0] as Uint8Array), '7c');
});

test('lost consecutive frames cost a repetition of the block', () => {
  const received: number[] = [];
  let seen = 0;
  const wire = joined(storing(received), (toServer, data) => {
    if (!toServer || data[0]! >>> 4 !== 2) return false;
    seen++;
    return seen === 20;
  });
  const data = pattern(5_500);
  const { source, outcomes } = sourceOf(data);
  wire.client.download(request, source);
  wire.run(() => outcomes.length > 0);
  assert.equal(Uint8Array.from(received), data);
});

test('a silent server ends the transfer', () => {
  const wire = joined(storing([]), (toServer, data) => toServer && data[0]! >>> 4 === 2);
  const { source, outcomes } = sourceOf(pattern(5_500));
  wire.client.download(request, source);
  wire.run(() => outcomes.length > 0);
  assert.is((outcomes[0] as Refusal).refused, 'secondary-silent');
});

test('a server without room (OVFLW) ends the request at once', () => {
  const b = bench();
  b.client.request(new Uint8Array(300).fill(0x36), (r) => b.results.push(r));
  b.client.poll(0, 8);
  b.client.receive(frame(0x701, '320000'), 0);
  assert.equal(b.outcomes, ['iso-tp-overflow']);
});

test('a resumed file goes on at the position that the server names', () => {
  const data = pattern(3_000);
  const received = Array.from(data.subarray(0, 1_700));
  const wire = joined(storing(received, 1_002, 1_700));
  const { source, outcomes, progress } = sourceOf(data);
  const file = { mode: 6, path: 'image', dataFormat: 0, uncompressedSize: 2_900 };
  wire.client.transferFile({ ...file, compressedSize: 3_000 }, source);
  wire.run(() => outcomes.length > 0);
  assert.equal(progress, [1_700, 2_700, 3_000]);
  assert.equal(Uint8Array.from(received), data);
});

test('a source that has nothing yet is asked again when it resumes; short reads are sent', () => {
  const received: number[] = [];
  const wire = joined(storing(received));
  const data = pattern(1_200);
  let available = 0;
  const { source, outcomes } = sourceOf(data, {
    read: (into, offset) => {
      const count = Math.min(into.length, available - offset);
      into.set(data.subarray(offset, offset + count));
      return count;
    },
  });
  const transfer = wire.client.download({ ...request, size: 1_200 }, source);
  for (available of [0, 10, 500, 1_200]) {
    transfer.resume();
    wire.run(() => !wire.client.busy);
    assert.is(received.length, available);
  }
  assert.is(outcomes.length, 1);
  assert.equal(Uint8Array.from(received), data);
});

test('a source that refuses, and a cancelled transfer, end without exit', () => {
  let exits = 0;
  const handlers: Partial<UdsHandlers> = {
    ...storing([]),
    requestTransferExit: () => {
      exits++;
      return new Uint8Array(0);
    },
  };
  const refusing = joined(handlers);
  const one = sourceOf(pattern(10), { read: () => refuse('net-closed', 'gone') });
  refusing.client.download(request, one.source);
  refusing.run(() => one.outcomes.length > 0);
  assert.is((one.outcomes[0] as Refusal).refused, 'net-closed');

  const cancelled = joined(handlers);
  const two = sourceOf(pattern(10), { read: () => 0 });
  const transfer = cancelled.client.download(request, two.source);
  cancelled.run(() => two.progress.length > 0);
  transfer.cancel(refuse('net-too-slow'));
  transfer.cancel(refuse('net-closed'));
  assert.equal(
    two.outcomes.map((result) => (result as Refusal).refused),
    ['net-too-slow'],
  );
  assert.is(exits, 0);
});

test('work of the server that takes long is announced and waited for', () => {
  const wire = joined({
    routineControl: () => ({ pending: () => ({ pending: () => bytesOf('07') }) }),
  });
  const done: string[] = [];
  wire.client.request(bytesOf('3101ff00'), (r) => done.push(isRefusal(r) ? r.refused : hex(r)));
  wire.run(() => done.length > 0);
  assert.equal(done, ['7101ff0007']);
});

test('a grant that is malformed ends the transfer', () => {
  for (const grant of ['', '00', '50aabbccdd', '2010', '1002', '10060000']) {
    const refused = decodeDownloadGrant(bytesOf(grant));
    assert.ok(isRefusal(refused) && refused.refused === 'uds-malformed', grant);
  }
  assert.equal(decodeDownloadGrant(bytesOf('40ffffffff')), {
    maxBlockBytes: 0xffffffff,
    position: 0,
  });
  for (const grant of ['', '0106', '050000000000', '010200', `010600ff${'00'.repeat(7)}`]) {
    const refused = decodeFileTransferGrant(6, bytesOf(grant));
    assert.ok(isRefusal(refused) && refused.refused === 'uds-malformed', grant);
  }
});

test('requests for transfers have the bytes of the standard', () => {
  assert.is(hex(encodeDownloadRequest(request)), '3400228000157c');
  const large = { dataFormat: 0x11, address: 0, size: 4_294_967_296 };
  assert.is(hex(encodeDownloadRequest(large)), '3411510001 00000000'.replace(' ', ''));
  const file = { mode: 1, path: 'a.b', dataFormat: 0, uncompressedSize: 256, compressedSize: 1 };
  assert.is(hex(encodeFileTransferRequest(file)), '38010003612e62000201000001');
  for (const path of ['', 'ä', 'x'.repeat(129)]) {
    assert.throws(() => encodeFileTransferRequest({ ...file, path }), RangeError);
  }
});

test.run();
