/**
 * VER-01, ECU-03, INS-09: one image from a server that misbehaves, a row for each misbehaviour. A
 * real TCP server and the shipped client; only the waiting between attempts is virtual.
 */
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Refusal } from '../../../agent/codes.ts';
import { maxDownloadFailures, maxDownloadRestarts } from '../../../agent/limits.ts';
import { Backoff } from '../../../agent/net/backoff.ts';
import { HttpClient, type HttpRefusal } from '../../../agent/net/http.ts';
import { ImageDownload } from '../../../agent/net/image-download.ts';
import { ResumedDownload } from '../../../agent/net/resumed-download.ts';
import { createNodeClock } from '../../../hal/node/clock.ts';
import { createNodeNet } from '../../../hal/node/net.ts';
import { createNodeRandom } from '../../../hal/node/random.ts';
import type { Clock } from '../../../hal/types.ts';
import {
  type Break,
  breakingOff,
  chunkSize,
  dripping,
  honest,
  honestAnswer,
  raw,
} from './hostile-server.ts';
import { type Answer, startPeer } from './peer.ts';

const test = suite('hostile image server');

const image = randomBytes(100_000);
const other = randomBytes(100_000);
const rangeBytes = 40_000;
const served = { bytes: image, etag: '"1"' };
const good = honest(served);

interface Outcome {
  readonly refusal: HttpRefusal | undefined;
  readonly bytes: Buffer;
  /** First byte of each request's range. */
  readonly asked: readonly number[];
  readonly restarts: number;
  /** Waiting times between attempts, in milliseconds. */
  readonly waits: readonly number[];
  /** Bytes handed on, with those that were thrown away at a restart. */
  readonly handedOn: number;
  /** Memory that pieces came in. */
  readonly buffers: number;
  readonly retried: readonly Refusal[];
}

/** A clock on which every wait is over at once, and is noted. */
function impatientClock(waits: number[]): Clock {
  return {
    monotonic: () => 0,
    after: (milliseconds, callback) => {
      waits.push(milliseconds);
      const timer = setImmediate(callback);
      return { cancel: () => clearImmediate(timer) };
    },
  };
}

/** Node's clock, so many times as fast. */
function hastyClock(times: number): Clock {
  const clock = createNodeClock();
  return {
    monotonic: () => clock.monotonic() * times,
    after: (milliseconds, callback) => clock.after(milliseconds / times, callback),
  };
}

/** Downloads with one answer for each connection, the last for all further ones. */
async function download(
  answers: readonly Answer[],
  settings: { readonly from?: number; readonly etag?: string; readonly clock?: Clock } = {},
): Promise<Outcome> {
  let connections = 0;
  const peer = await startPeer((socket, head) => {
    const answer = answers[Math.min(connections, answers.length - 1)]!;
    connections += 1;
    answer(socket, head);
  });
  const { from = 0, etag, clock = createNodeClock() } = settings;
  const http = new HttpClient({ net: createNodeNet(), clock });
  const waits: number[] = [];
  const retried: Refusal[] = [];
  const memory = new Set<ArrayBufferLike>();
  const bytes = Buffer.alloc(image.length);
  let next = from;
  let handedOn = 0;
  let restarts = 0;
  const refusal = await new Promise<HttpRefusal | undefined>((resolve) => {
    new ResumedDownload({
      start: (at, tag, events) =>
        new ImageDownload({
          http,
          host: '127.0.0.1',
          port: peer.port,
          path: '/image',
          length: image.length,
          from: at,
          rangeBytes,
          minimumRate: 1_024,
          etag: tag,
          events,
        }),
      from,
      etag,
      clock: impatientClock(waits),
      backoff: new Backoff({
        random: createNodeRandom(),
        baseMilliseconds: 500,
        maxMilliseconds: 30_000,
      }),
      events: {
        onPiece(piece, offset) {
          assert.is(offset, next, 'no byte twice, none left out');
          bytes.set(piece, offset);
          next += piece.length;
          handedOn += piece.length;
          memory.add(piece.buffer);
        },
        onRestart() {
          next = 0;
          restarts += 1;
        },
        onRetry: (why) => retried.push(why),
        onDone: resolve,
      },
    });
  });
  await peer.close();
  const asked = peer.heads.map((head) => Number(/\r\nRange: bytes=(\d+)/.exec(head)![1]));
  const buffers = memory.size;
  return {
    ...{ refusal, asked, restarts, waits, handedOn, buffers, retried },
    bytes: bytes.subarray(0, next),
  };
}

const chunked = { ...served, chunked: true };
const plain = { ...served, etag: undefined };
const noRanges = { ...served, withoutRanges: true };

// A connection that breaks at every class of offset, in order or by a reset, then an honest one.
const chunkLine = chunkSize.toString(16).length + 2;
const breaks: readonly (readonly [string, typeof served, Break['part'], number])[] = [
  ['before the first byte', served, 'head', 0],
  ['in the status line', served, 'head', 5],
  ['behind the status line', served, 'head', 'HTTP/1.1 206 Partial Content\r\n'.length],
  ['in a header', served, 'head', 40],
  ['in the empty line', served, 'head', -1],
  ['between head and body', served, 'body', 0],
  ['behind the first byte of the body', served, 'body', 1],
  ['in the body', served, 'body', 20_123],
  ['before the last byte of the body', served, 'body', -1],
  ['in a chunk’s size', chunked, 'body', 2],
  ['between a chunk’s size and its bytes', chunked, 'body', chunkLine],
  ['in a chunk', chunked, 'body', chunkLine + 500],
  ['between a chunk and its line end', chunked, 'body', chunkLine + chunkSize],
  ['at a border of chunks', chunked, 'body', chunkLine + chunkSize + 2],
  ['in the last chunk’s line', chunked, 'body', -4],
  ['before the end of the trailer', chunked, 'body', -1],
];
for (const [where, what, part, after] of breaks) {
  for (const how of ['end', 'reset'] as const) {
    test(`VER-01: a connection with an ${how} ${where}: goes on at that byte`, async () => {
      const outcome = await download([breakingOff(what, { part, after, how }), honest(what)]);
      assert.is(outcome.refusal, undefined);
      assert.ok(outcome.bytes.equals(image));
      assert.is(outcome.handedOn, image.length, 'no byte was fetched twice');
      assert.is(outcome.restarts, 0);
      assert.is(outcome.waits.length, 1);
      assert.ok(outcome.waits[0]! <= 500, 'full jitter below the first bound');
      assert.is(outcome.retried[0]?.refused, 'net-closed');
    });
  }
}

interface Row {
  readonly does: string;
  readonly answers: readonly Answer[];
  /** Code of the refusal; undefined: the image comes whole. */
  readonly code?: string;
  /** First bytes of the ranges that are asked for. */
  readonly asked?: readonly number[];
  readonly connections?: number;
  readonly restarts?: number;
  /** What comes, when it is not the image. */
  readonly bytes?: Buffer;
}

const length = `Content-Length: ${rangeBytes}`;
const body = image.subarray(0, rangeBytes);
const partial = 'HTTP/1.1 206 Partial Content';
const always = 1 + maxDownloadFailures;

const rows: readonly Row[] = [
  { does: 'behaves', answers: [good], asked: [0, 40_000, 80_000] },
  { does: 'names no entity tag', answers: [honest(plain)], asked: [0, 40_000, 80_000] },
  { does: 'has a weak tag only', answers: [honest({ bytes: image, etag: 'W/"1"' })] },
  { does: 'serves no ranges', answers: [honest(noRanges)], asked: [0] },
  {
    does: 'serves no ranges, and breaks off',
    answers: [breakingOff(noRanges, { part: 'body', after: 70_000, how: 'end' }), honest(noRanges)],
    asked: [0, 70_000, 0],
    restarts: 1,
  },
  {
    does: 'serves neither ranges nor tags, and breaks off',
    answers: [
      breakingOff({ ...plain, withoutRanges: true }, { part: 'body', after: 70_000, how: 'end' }),
      honest({ ...plain, withoutRanges: true }),
    ],
    asked: [0, 70_000, 0],
    restarts: 1,
  },
  {
    does: 'has replaced the object between two attempts (PRI-09)',
    answers: [
      breakingOff(served, { part: 'body', after: 30_000, how: 'end' }),
      honest({ bytes: other, etag: '"2"' }),
    ],
    asked: [0, 30_000, 0, 40_000, 80_000],
    restarts: 1,
    bytes: other,
  },
  {
    does: 'replaces the object for every request (PRI-09)',
    answers: [
      (socket, head) => {
        const etag = `"${randomBytes(4).toString('hex')}"`;
        const first = head.includes('bytes=0-');
        honest({ bytes: image, etag: first ? etag : '"never"' })(socket, head);
      },
    ],
    code: 'http-object-changed',
    restarts: maxDownloadRestarts,
  },
  {
    does: 'serves a range of the new object under If-Range',
    answers: [
      good,
      raw([partial, 'ETag: "2"', 'Content-Range: bytes 40000-79999/100000', length], body),
      good,
    ],
    restarts: 1,
  },
  {
    does: 'has an object of another length (INS-09)',
    answers: [honest({ bytes: image.subarray(1), etag: '"1"' })],
    code: 'image-length',
    connections: 1,
  },
  {
    does: 'ends a body before its announced length, each time after 100 bytes',
    answers: [breakingOff(served, { part: 'body', after: 100, how: 'end' })],
    code: 'net-closed',
    connections: always,
  },
  {
    does: 'ends each body early, but after a complete chunk',
    answers: [breakingOff(served, { part: 'body', after: 16_400, how: 'end' })],
  },
  {
    does: 'announces more than the range (INS-09)',
    answers: [raw([partial, 'Content-Range: bytes 0-39999/100000', 'Content-Length: 40001'])],
    code: 'net-endless',
    connections: 1,
  },
  {
    does: 'announces less than the range',
    answers: [raw([partial, 'Content-Range: bytes 0-39999/100000', 'Content-Length: 39999']), good],
    restarts: 0,
  },
  {
    does: 'always sends another range',
    answers: [raw([partial, 'Content-Range: bytes 1-40000/100000', length], body)],
    code: 'http-malformed',
    connections: always,
  },
  {
    does: 'sends a range without saying which',
    answers: [raw([partial, length], body), good],
  },
  { does: 'sends more chunks than the range', answers: [endless()], code: 'net-endless' },
  { does: 'speaks another protocol, once', answers: [raw(['SSH-2.0-x']), good] },
  {
    does: 'redirects',
    answers: [raw(['HTTP/1.1 302 x', 'Content-Length: 0'])],
    code: 'http-status',
    connections: 1,
  },
  {
    does: 'has no such object',
    answers: [raw(['HTTP/1.1 404 x', 'Content-Length: 0'])],
    code: 'http-status',
    connections: 1,
  },
  { does: 'fails once', answers: [raw(['HTTP/1.1 500 x', 'Content-Length: 0']), good] },
  {
    does: 'fails always',
    answers: [raw(['HTTP/1.1 502 x', 'Content-Length: 0'])],
    code: 'http-status',
    connections: always,
  },
];

function endless(): Answer {
  return (socket) => {
    socket.write(`${partial}\r\nContent-Range: bytes 0-39999/100000\r\n`);
    socket.write('Transfer-Encoding: chunked\r\n\r\n');
    const more = (): void => {
      while (!socket.destroyed && socket.write(`4000\r\n${'x'.repeat(16_384)}\r\n`));
    };
    socket.on('drain', more);
    more();
  };
}

for (const row of rows) {
  const end = row.code === undefined ? 'the image comes whole' : `refused as ${row.code}`;
  test(`VER-01: a server that ${row.does}: ${end}`, async () => {
    const outcome = await download(row.answers);
    assert.is(outcome.refusal?.refused, row.code, outcome.refusal?.detail);
    if (row.code === undefined) assert.ok(outcome.bytes.equals(row.bytes ?? image));
    if (row.asked !== undefined) assert.equal(outcome.asked, row.asked);
    if (row.connections !== undefined) assert.is(outcome.asked.length, row.connections);
    assert.is(outcome.restarts, row.restarts ?? 0);
    assert.ok(outcome.buffers <= 1, 'every piece came in the one buffer');
  });
}

test('INS-09: a body beyond the range is refused under the row of images', async () => {
  const answer = raw([partial, 'Content-Range: bytes 0-39999/100000', 'Content-Length: 40001']);
  const { refusal } = await download([answer]);
  assert.is(`${refusal?.refused} ${refusal?.row}`, 'net-endless INS-09');
});

for (const status of [429, 503]) {
  test(`VER-01: ${status} with Retry-After is obeyed`, async () => {
    const busy = raw([`HTTP/1.1 ${status} x`, 'Retry-After: 7', 'Content-Length: 0']);
    const outcome = await download([busy, busy, good]);
    assert.is(outcome.refusal, undefined);
    assert.is(outcome.waits.length, 2);
    for (const wait of outcome.waits) assert.ok(wait >= 7_000 && wait <= 8_000, `${wait}`);
  });
}

test('VER-01: a server that asks for a long rest is left alone', async () => {
  const busy = raw(['HTTP/1.1 503 x', 'Retry-After: 3600', 'Content-Length: 0']);
  const outcome = await download([busy]);
  assert.is(outcome.refusal?.refused, 'http-status');
  assert.is(outcome.refusal?.retryAfterSeconds, 3_600);
  assert.is(outcome.asked.length, 1);
});

for (const [does, answer, from] of [
  ['never answers', breakingOff(served, { part: 'head', after: 0, how: 'stall' }), 0],
  ['stalls in the head', breakingOff(served, { part: 'head', after: 30, how: 'stall' }), 0],
  [
    'stalls in the body',
    breakingOff(served, { part: 'body', after: 12_345, how: 'stall' }),
    12_345,
  ],
  ['drips', dripping(served, 2), undefined],
] as const) {
  test(`ECU-03: a server that ${does} is given up at once, to be reported (ECU-04)`, async () => {
    // 5 s of the window in 250 ms; 2 ms a byte are 25 bytes a second then.
    const outcome = await download([answer], { clock: hastyClock(20) });
    assert.is(outcome.refusal?.refused, 'net-too-slow');
    assert.is(outcome.refusal?.row, 'ECU-03');
    assert.is(outcome.asked.length, 1);
    if (from !== undefined) assert.is(outcome.bytes.length, from, 'what came is kept');
    assert.ok(outcome.bytes.equals(image.subarray(0, outcome.bytes.length)));
  });
}

test('a download that was interrupted by a restart goes on under the tag it had', async () => {
  const outcome = await download([good], { from: 61_440, etag: '"1"' });
  assert.is(outcome.refusal, undefined);
  assert.ok(outcome.bytes.subarray(61_440).equals(image.subarray(61_440)));
  assert.is(outcome.handedOn, image.length - 61_440);
  const changed = await download([honest({ bytes: other, etag: '"2"' })], {
    from: 61_440,
    etag: '"1"',
  });
  assert.is(changed.restarts, 1);
  assert.ok(changed.bytes.equals(other), 'and never joins two objects');
});

test('the honest answer of these tests is what the rows break', () => {
  const { head, body: sent } = honestAnswer('GET / HTTP/1.1\r\nRange: bytes=5-9\r\n', served);
  assert.match(head.toString(), 'Content-Range: bytes 5-9/100000');
  assert.ok(sent.equals(image.subarray(5, 10)));
});

test.run();
