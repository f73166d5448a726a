/** Transfers from a UDS client to a UDS server over a wire that may lose frames. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UdsClient } from '../../../agent/can/uds-client.ts';
import type { UdsHandlers } from '../../../agent/can/uds-handlers.ts';
import { UdsServer } from '../../../agent/can/uds-server.ts';
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
import { maxUdsBlockBytes, maxUdsMessageBytes } from '../../../agent/limits.ts';
import { bytesOf, hex, pattern } from './virtual-wire.ts';

const test = suite('UDS transfer');
const ids = { transmitId: 0x700, receiveId: 0x701, extended: false };

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
