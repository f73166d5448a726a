import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { type Code, isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { emptyAnswer, refusalAnswer } from '../../../agent/metadata/device-messages.ts';
import { OperatorClient } from '../../../backend/cli/operator-client.ts';

const test = suite('operator client');

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Runs `use` against a server of one behaviour on a free loopback port. */
async function against<T>(handler: Handler, use: (client: OperatorClient) => Promise<T>) {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await use(new OperatorClient(new URL(`http://127.0.0.1:${port}`), 'the-token'));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function answering(status: number, body: Uint8Array): Handler {
  return (request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/cbor' }).end(body);
  };
}

const get = (client: OperatorClient) => client.get('/status', emptyAnswer);

async function expectCode(handler: Handler, code: Code, use = get): Promise<Refusal> {
  const result: unknown = await against(handler, use);
  if (!isRefusal(result)) throw new Error('was accepted');
  assert.is(result.refused, code);
  return result;
}

test('the token and the media type are sent, the answer is decoded', async () => {
  let seen: IncomingMessage['headers'] = {};
  const answer = await against((request, response) => {
    seen = request.headers;
    response.end(Uint8Array.of(0xa0));
  }, get);
  assert.equal(answer, {});
  assert.is(seen.authorization, 'Bearer the-token');
  assert.is(seen.accept, 'application/cbor');
});

test("the server's own refusal comes back with its code, row and detail", async () => {
  const record = { code: 'image-unknown', row: 'X-1', detail: 'no such image' };
  const refusal = await expectCode(answering(404, encode(refusalAnswer, record)), 'image-unknown');
  assert.is(refusal.row, 'X-1');
  assert.is(refusal.detail, 'no such image');
});

test('an error without a known code is a plain status', async () => {
  const unknown = encode(refusalAnswer, { code: 'toString', row: 'X-1' });
  for (const body of [new Uint8Array(0), new TextEncoder().encode('<html>'), unknown]) {
    const refusal = await expectCode(answering(502, body), 'http-status');
    assert.match(refusal.detail, /502/);
  }
});

test('answers that are truncated, of another type, trailing or empty are refused', async () => {
  await expectCode(answering(200, new Uint8Array(0)), 'cbor-truncated');
  await expectCode(answering(200, Uint8Array.of(0xa1)), 'cbor-truncated');
  await expectCode(answering(200, Uint8Array.of(0x80)), 'cbor-wrong-type');
  await expectCode(answering(200, Uint8Array.of(0xa0, 0)), 'cbor-trailing-bytes');
});

test('HRD-13: an endless answer is cut off', async () => {
  const use = async (client: OperatorClient) => {
    const bytes = await client.getFile('/images/metadata/1.targets.cbor', 1_000);
    return isRefusal(bytes) ? bytes : {};
  };
  await expectCode(answering(200, new Uint8Array(1_001)), 'net-endless', use);
  assert.equal(await against(answering(200, new Uint8Array(1_000)), use), {});
  const endless: Handler = (_request, response) => {
    const timer = setInterval(() => response.write(new Uint8Array(65_536)), 1);
    response.on('close', () => clearInterval(timer));
  };
  await expectCode(endless, 'net-endless', use);
});

test('a connection that ends early is refused', async () => {
  await expectCode((request) => request.socket.destroy(), 'net-unreachable');
  const half: Handler = (_request, response) => {
    response.writeHead(200, { 'content-length': '10' });
    response.write(Uint8Array.of(0xa0));
    setTimeout(() => response.socket?.destroy(), 10);
  };
  await expectCode(half, 'net-closed');
});

async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield new Uint8Array(16_400).fill(i);
}

test('a streamed body arrives whole', async () => {
  let received = 0;
  const count = 500;
  const answer = await against(
    (request, response) => {
      request.on('data', (piece: Uint8Array) => {
        received += piece.length;
      });
      request.on('end', () => response.end(Uint8Array.of(0xa0)));
    },
    (client) =>
      client.upload('/upload', {}, { length: count * 16_400, pieces: pieces(count) }, emptyAnswer),
  );
  assert.equal(answer, {});
  assert.is(received, count * 16_400);
});

test('a server that refuses in mid-upload is heard, and the rest is not made', async () => {
  let made = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces(100_000)) {
      made += 1;
      yield piece;
    }
  }
  const refusal = encode(refusalAnswer, { code: 'token-invalid', row: 'IMG-03' });
  await expectCode(
    (_request, response) => {
      response.writeHead(403, { connection: 'close' }).end(refusal);
    },
    'token-invalid',
    (client) =>
      client.upload('/upload', {}, { length: 100_000 * 16_400, pieces: counted() }, emptyAnswer),
  );
  assert.ok(made < 100_000);
});

test('a refusal inside the stream aborts the request', async () => {
  let arrived = (): void => undefined;
  const begun = new Promise<void>((go) => {
    arrived = go;
  });
  async function* failing(): AsyncGenerator<Uint8Array | Refusal> {
    yield new Uint8Array(16_400);
    await begun;
    yield refuse('file-unreadable', 'changed');
  }
  let complete: boolean | undefined;
  const closed: Promise<void>[] = [];
  const handler: Handler = (request) => {
    request.once('data', arrived);
    request.on('error', () => undefined);
    closed.push(
      new Promise((go) => {
        request.on('close', () => {
          complete = request.complete;
          go();
        });
      }),
    );
  };
  await expectCode(handler, 'file-unreadable', (client) =>
    client.upload('/upload', {}, { length: 32_800, pieces: failing() }, emptyAnswer),
  );
  await Promise.all(closed);
  assert.is(complete, false, 'the server never sees a complete body');
});

test.run();
