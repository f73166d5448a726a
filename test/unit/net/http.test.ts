/** The HTTP client against real peers on loopback: honest, broken and hostile ones. */
import type { Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxHttpHeaderBytes } from '../../../agent/limits.ts';
import type { HttpHandle, HttpRefusal } from '../../../agent/net/http.ts';
import type { ResponseHead } from '../../../agent/net/response-parser.ts';
import { exchange, fetchFrom, newClient, type Settings, startPeer } from './peer.ts';

const test = suite('HTTP client');

const ok = 'HTTP/1.1 200 OK\r\n';
const whole = (body: string | Buffer) =>
  Buffer.concat([Buffer.from(`${ok}Content-Length: ${body.length}\r\n\r\n`), Buffer.from(body)]);
/** Slow enough to be refused within a fraction of a second. */
const hasty: Settings = { minimumRate: 1_000, slowWindowMilliseconds: 300 };

/** Writes `piece` for ever, as fast as it is taken. */
function pour(socket: Socket, piece: Buffer | string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', more);
  more();
}

test('a body arrives whole, in pieces of one fixed buffer', async () => {
  const body = Buffer.alloc(1_000_000, 'abcdefg');
  const outcome = await exchange((socket) => socket.end(whole(body)), { maxBodyBytes: 1_000_000 });
  assert.is(outcome.code, 'ok');
  assert.ok(outcome.body.equals(body));
  assert.ok(outcome.largestPiece <= 16_384);
});

test('a chunked body arrives without its framing', async () => {
  const outcome = await exchange((socket) => {
    socket.write(`${ok}Transfer-Encoding: chunked\r\n\r\n`);
    socket.end('5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n');
  });
  assert.is(outcome.body.toString(), 'hello!');
});

test('a request says its host, its headers and the length of its body', async () => {
  const peer = await startPeer((socket) => socket.end(whole('')));
  const body = Buffer.alloc(300_000, 'x');
  const settings: Settings = { method: 'POST', path: '/manifest/a', headers: { Accept: 'a/b' } };
  const outcome = await fetchFrom(peer.port, { ...settings, body });
  await peer.close();
  assert.is(outcome.code, 'ok');
  const lines = peer.heads[0]!.split('\r\n');
  assert.is(lines[0], 'POST /manifest/a HTTP/1.1');
  for (const line of [`Host: 127.0.0.1:${peer.port}`, 'Accept: a/b', 'Content-Length: 300000']) {
    assert.ok(lines.includes(line), line);
  }
  assert.ok(peer.bodies[0]!.equals(body));
});

test('line breaks in a request are a bug of the caller', () => {
  const request = { host: 'a', port: 1, method: 'GET', path: '/', maxBodyBytes: 1 } as const;
  const callbacks = { onBody: () => undefined, onDone: () => undefined };
  for (const bad of [
    { path: '/a b' },
    { path: 'a' },
    { path: '/\r\nX: y' },
    { headers: { X: '\n' } },
  ]) {
    assert.throws(() => newClient().request({ ...request, ...callbacks, ...bad }), /path|X/);
  }
});

test('a peer that nobody is, is unreachable', async () => {
  const peer = await startPeer(() => undefined);
  await peer.close();
  assert.is((await fetchFrom(peer.port)).code, 'net-unreachable');
});

test('statuses but 2xx are refused, with status and answer', async () => {
  for (const status of [301, 302, 404, 500]) {
    const outcome = await exchange((socket) => {
      socket.end(`HTTP/1.1 ${status} x\r\nLocation: /other\r\nContent-Length: 3\r\n\r\nwhy`);
    });
    const refusal = outcome.result as HttpRefusal;
    assert.is(refusal.refused, 'http-status');
    assert.is(refusal.status, status);
    assert.is(Buffer.from(refusal.answer!).toString(), 'why');
    assert.is(outcome.body.length, 0);
  }
});

test('the answer of a refusing peer is bounded', async () => {
  const outcome = await exchange((socket) => {
    socket.write('HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n');
    pour(socket, `400\r\n${'x'.repeat(1024)}\r\n`);
  });
  const refusal = outcome.result as HttpRefusal;
  assert.is(refusal.refused, 'http-status');
  assert.is(refusal.status, 404);
});

test('CTG-01: an announced length beyond the bound is refused before the body', async () => {
  const outcome = await exchange(
    (socket) => {
      socket.write(`${ok}Content-Length: 100001\r\n\r\n`);
      pour(socket, 'x'.repeat(1_000));
    },
    { row: 'CTG-01' },
  );
  const refusal = outcome.result as HttpRefusal;
  assert.is(refusal.refused, 'net-endless');
  assert.is(refusal.row, 'CTG-01');
  assert.is(outcome.body.length, 0);
});

test('CTS-01: an endless chunked body is cut at the bound', async () => {
  const outcome = await exchange((socket) => {
    socket.write(`${ok}Transfer-Encoding: chunked\r\n\r\n`);
    pour(socket, `1000\r\n${'x'.repeat(4096)}\r\n`);
  });
  assert.is(outcome.code, 'net-endless');
  assert.ok(outcome.body.length <= 100_000);
});

test('CTS-01: endless headers are cut at the bound', async () => {
  const lines = await exchange((socket) => {
    socket.write(ok);
    pour(socket, 'X-Flood: xxxxxxxxxxxxxxxx\r\n');
  });
  assert.is(lines.code, 'net-endless');
  const line = await exchange((socket) => {
    socket.write(`${ok}X: `);
    pour(socket, 'x'.repeat(maxHttpHeaderBytes));
  });
  assert.is(line.code, 'net-endless');
});

test('ECU-03: a dripping body is given up', async () => {
  const outcome = await exchange((socket) => {
    socket.write(`${ok}Content-Length: 1000\r\n\r\n`);
    const drip = setInterval(() => socket.write('x'), 20);
    socket.on('close', () => clearInterval(drip));
  }, hasty);
  assert.is(outcome.code, 'net-too-slow');
});

test('ECU-03: chunk framing does not count as speed', async () => {
  const outcome = await exchange((socket) => {
    socket.write(`${ok}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `1;${'x'.repeat(200)}\r\nx\r\n`;
    const drip = setInterval(() => socket.write(chunk), 10);
    socket.on('close', () => clearInterval(drip));
  }, hasty);
  assert.is(outcome.code, 'net-too-slow');
});

test('ECU-03: headers that never come, or come in drops, are given up', async () => {
  assert.is((await exchange(() => undefined, hasty)).code, 'net-too-slow');
  const dripped = await exchange((socket) => {
    const text = `${ok}X: ${'x'.repeat(1_000)}`;
    let sent = 0;
    const drip = setInterval(() => socket.write(text.charAt(sent++)), 20);
    socket.on('close', () => clearInterval(drip));
  }, hasty);
  assert.is(dripped.code, 'net-too-slow');
});

test('ECU-03: a consumer that pauses is not taken for a slow peer', async () => {
  let pauses = 0;
  const outcome = await exchange((socket) => socket.end(whole('x'.repeat(50_000))), {
    minimumRate: 10_000,
    slowWindowMilliseconds: 50,
    onPiece(_, handle) {
      pauses += 1;
      handle.pause();
      setTimeout(() => handle.resume(), 150);
    },
  });
  assert.is(outcome.code, 'ok');
  assert.is(outcome.body.length, 50_000);
  assert.ok(pauses >= 4);
});

test("ECU-03: the time of a pause is not the peer's, before and within an answer", async () => {
  const window: Settings = { minimumRate: 1_000, slowWindowMilliseconds: 500 };
  let send = () => assert.unreachable('no request came');
  const resumeLater = (handle: HttpHandle) => {
    handle.pause();
    setTimeout(() => {
      handle.resume();
      setTimeout(() => send(), 50);
    }, 700);
  };
  const within = await exchange(
    (socket) => {
      socket.write(`${ok}Content-Length: 20\r\n\r\nfirst half`);
      send = () => socket.end('other half');
    },
    {
      ...window,
      onPiece(piece, handle) {
        if (piece[0] === 'f'.charCodeAt(0)) resumeLater(handle);
      },
    },
  );
  assert.is(within.code, 'ok');
  const before = await exchange(
    (socket) => {
      send = () => socket.end(whole('late'));
    },
    { ...window, onStart: resumeLater },
  );
  assert.is(before.code, 'ok');
  send = () => undefined;
  const silent = await exchange(() => undefined, { ...hasty, onStart: resumeLater });
  assert.is(silent.code, 'net-too-slow');
});

test('ECU-03: pausing after every piece does not hide a slow peer', async () => {
  const outcome = await exchange(
    (socket) => {
      socket.write(`${ok}Content-Length: 1000\r\n\r\n`);
      const drip = setInterval(() => socket.write('x'), 50);
      socket.on('close', () => clearInterval(drip));
    },
    {
      ...hasty,
      onPiece(_, handle) {
        handle.pause();
        setTimeout(() => handle.resume(), 5);
      },
    },
  );
  assert.is(outcome.code, 'net-too-slow');
});

test('nothing is delivered while paused, and the peer is held back', async () => {
  let paused = false;
  let delivered = 0;
  const outcome = await exchange((socket) => socket.end(whole('x'.repeat(90_000))), {
    onPiece(_, handle) {
      assert.not.ok(paused, 'delivered while paused');
      delivered += 1;
      paused = true;
      handle.pause();
      setTimeout(() => {
        paused = false;
        handle.resume();
        assert.ok(!paused, 'delivered from inside resume');
      }, 10);
    },
  });
  assert.is(outcome.code, 'ok');
  assert.ok(delivered > 5);
});

test('a body shorter than announced is a closed connection', async () => {
  for (const text of [`${ok}Content-Length: 10\r\n\r\nshort`, `${ok}Content-Length: 10\r\n`, '']) {
    assert.is((await exchange((socket) => socket.end(text))).code, 'net-closed', text);
  }
});

test('no response cut at any byte is taken for a whole one', async () => {
  const text = `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
  for (let length = 0; length < text.length; length++) {
    const outcome = await exchange((socket) => socket.end(text.slice(0, length)));
    assert.is(outcome.code, 'net-closed', `${length} bytes`);
  }
});

test('a reset connection is a closed one', async () => {
  const outcome = await exchange((socket) => {
    socket.write(`${ok}Content-Length: 10\r\n\r\nabc`, () => socket.resetAndDestroy());
  });
  assert.is(outcome.code, 'net-closed');
});

test('garbage is malformed', async () => {
  const outcome = await exchange((socket) => pour(socket, Buffer.alloc(100, 0xc3)));
  assert.is(outcome.code, 'http-malformed');
});

test('after cancel, no callback comes', async () => {
  const peer = await startPeer((socket) => pour(socket, whole('x'.repeat(1_000))));
  let calls = 0;
  await new Promise<void>((resolve) => {
    const handle = newClient().request({
      host: '127.0.0.1',
      port: peer.port,
      method: 'GET',
      path: '/',
      maxBodyBytes: 1_000,
      onHeaders() {
        calls += 1;
        handle.cancel();
        handle.cancel();
        setTimeout(resolve, 100);
      },
      onBody: () => assert.unreachable(),
      onDone: () => assert.unreachable(),
    });
  });
  await peer.close();
  assert.is(calls, 1);
});

const object = 'abcdefghij';
/** Answers the range asked for, as an honest peer does. */
function honest(socket: Socket, head: string): void {
  const [, from, to] = /Range: bytes=(\d+)-(\d*)/.exec(head)!;
  const last = to === '' ? object.length - 1 : Math.min(Number(to), object.length - 1);
  const part = object.slice(Number(from), last + 1);
  socket.write(`HTTP/1.1 206 x\r\nETag: "1"\r\nContent-Length: ${part.length}\r\n`);
  socket.end(`Content-Range: bytes ${from}-${last}/${object.length}\r\n\r\n${part}`);
}

test('a range comes with its total and entity tag', async () => {
  const outcome = await exchange(honest, { range: { from: 2, to: 4 } });
  assert.is(outcome.body.toString(), 'cde');
  const head = outcome.result as ResponseHead;
  assert.is(head.etag, '"1"');
  assert.is(head.contentRange?.total, 10);
  assert.is((await exchange(honest, { range: { from: 7 } })).body.toString(), 'hij');
  assert.is((await exchange(honest, { range: { from: 7, to: 99 } })).body.toString(), 'hij');
  const same = await exchange(honest, { range: { from: 7, ifRange: '"1"' } });
  assert.is(same.body.toString(), 'hij');
});

test('a peer without ranges may send the whole object where nothing came before', async () => {
  const ignoring = (socket: Socket) => socket.end(whole(object));
  const fromStart = await exchange(ignoring, { range: { from: 0, to: 9 } });
  assert.is(fromStart.body.toString(), object);
  const fromWithin = await exchange(ignoring, { range: { from: 3 } });
  assert.is(fromWithin.code, 'http-status');
  assert.is(fromWithin.body.length, 0);
});

test('a changed object is never appended to an old one', async () => {
  const replaced = await exchange((socket) => socket.end(whole(object)), {
    range: { from: 3, ifRange: '"1"' },
  });
  assert.is(replaced.code, 'http-object-changed');
  const retagged = await exchange(honest, { range: { from: 3, ifRange: '"2"' } });
  assert.is(retagged.code, 'http-object-changed');
  assert.is(retagged.body.length, 0);
});

test('another range than asked for is malformed, a longer one endless', async () => {
  const answers: readonly (readonly [string, string])[] = [
    ['Content-Range: bytes 0-2/10\r\nContent-Length: 3\r\n\r\nabc', 'http-malformed'],
    ['Content-Range: bytes 2-5/10\r\nContent-Length: 4\r\n\r\ncdef', 'http-malformed'],
    ['Content-Range: bytes 2-4/10\r\nContent-Length: 2\r\n\r\ncd', 'http-malformed'],
    [
      'Content-Range: bytes 2-4/10\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ncd\r\n0\r\n\r\n',
      'http-malformed',
    ],
    ['Content-Range: bytes 2-4/10\r\nContent-Length: 4\r\n\r\ncdef', 'net-endless'],
    [
      'Content-Range: bytes 2-4/10\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ncdef\r\n',
      'net-endless',
    ],
  ];
  for (const [text, code] of answers) {
    const outcome = await exchange((socket) => socket.end(`HTTP/1.1 206 x\r\n${text}`), {
      range: { from: 2, to: 4 },
    });
    assert.is(outcome.code, code, text);
  }
  const unasked = await exchange(honest, { range: { from: 20 } });
  assert.is(unasked.code, 'http-malformed');
});

test('a range that nobody asked for is malformed', async () => {
  const outcome = await exchange((socket) => {
    socket.end('HTTP/1.1 206 x\r\nContent-Range: bytes 0-0/1\r\nContent-Length: 1\r\n\r\nx');
  });
  assert.is(outcome.code, 'http-malformed');
});

test.run();
