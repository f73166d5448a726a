/** Node's net, clock and random, as hal/types.ts promises them. */
import { type AddressInfo, createServer, type Socket as NodeSocket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeClock } from '../../../hal/node/clock.ts';
import { createNodeNet } from '../../../hal/node/net.ts';
import { createNodeRandom } from '../../../hal/node/random.ts';
import type { Socket, SocketOptions } from '../../../hal/types.ts';

const test = suite('Node platform');

/** Connects to a server that does `serve`; everything ends when `use` has. */
async function connected(
  serve: (socket: NodeSocket) => void,
  use: (connect: (callbacks: Partial<SocketOptions>) => Socket) => Promise<void>,
): Promise<void> {
  const sockets: NodeSocket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const unexpected = (error: Error) => assert.unreachable(error.message);
  const ignore = () => undefined;
  const none = { onConnect: ignore, onReadable: ignore, onEnd: ignore, onError: unexpected };
  try {
    await use((callbacks) =>
      createNodeNet().connect({ host: '127.0.0.1', port, ...none, ...callbacks }),
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('a reader that waits holds the peer back, and loses nothing', async () => {
  const total = 40_000_000;
  let sent = 0;
  const piece = Buffer.alloc(65_536, 'x');
  const serve = (socket: NodeSocket) => {
    const more = () => {
      while (sent < total) {
        sent += piece.length;
        if (!socket.write(piece)) return;
      }
      socket.end();
    };
    socket.on('drain', more);
    more();
  };
  await connected(serve, async (connect) => {
    let ended = false;
    const socket = connect({
      onEnd() {
        ended = true;
      },
    });
    await pause(300);
    assert.ok(sent < total, 'the peer was not held back');
    const buffer = new Uint8Array(5_000);
    let received = 0;
    while (!ended) {
      const count = socket.read(buffer);
      received += count;
      if (count === 0) await pause(0);
    }
    assert.is(received, sent);
    socket.close();
  });
});

test('what was sent before the end may be read after it', async () => {
  await connected(
    (socket) => socket.end('last words'),
    async (connect) => {
      await new Promise<void>((resolve) => {
        const socket = connect({
          onReadable: () => undefined,
          onEnd: () => assert.unreachable('the end came before what was sent'),
        });
        setTimeout(() => {
          const buffer = new Uint8Array(100);
          assert.is(Buffer.from(buffer.subarray(0, socket.read(buffer))).toString(), 'last words');
          socket.close();
          resolve();
        }, 100);
      });
    },
  );
});

test('a writer is told when to wait and when to go on, and may reuse its buffer', async () => {
  const total = 20_000_000;
  let received = 0;
  let wrong = 0;
  const serve = (socket: NodeSocket) => {
    socket.pause();
    setTimeout(() => socket.resume(), 100);
    socket.on('data', (data) => {
      for (const byte of data) if (byte !== ((received++ / 1_000) | 0) % 251) wrong += 1;
      if (received === total) socket.end();
    });
  };
  await connected(serve, async (connect) => {
    let sent = 0;
    let waits = 0;
    const buffer = new Uint8Array(1_000);
    await new Promise<void>((resolve) => {
      const send = () => {
        while (sent < total) {
          buffer.fill((sent / 1_000) % 251);
          const count = socket.write(buffer);
          if (count === 0) {
            waits += 1;
            return;
          }
          assert.is(count, buffer.length);
          sent += count;
        }
      };
      const socket: Socket = connect({ onConnect: send, onWritable: send, onEnd: resolve });
      assert.is(socket.write(buffer), 0, 'nothing can be written before the connection');
    });
    assert.is(received, total);
    assert.is(wrong, 0);
    assert.ok(waits > 0);
  });
});

test('after close no callback comes, and calls do nothing', async () => {
  await connected(
    (socket) => socket.end('x'),
    async (connect) => {
      const socket = connect({
        onConnect: () => assert.unreachable(),
        onReadable: () => assert.unreachable(),
        onEnd: () => assert.unreachable(),
      });
      socket.close();
      socket.close();
      await pause(100);
      assert.is(socket.read(new Uint8Array(1)), 0);
      assert.is(socket.write(new Uint8Array(1)), 0);
    },
  );
});

test('a connection to nobody is an error, told by callback', async () => {
  let told = false;
  await new Promise<void>((resolve) => {
    const onError = () => {
      told = true;
      resolve();
    };
    const ignore = () => undefined;
    const callbacks = { onConnect: ignore, onReadable: ignore, onEnd: ignore, onError };
    createNodeNet().connect({ host: '127.0.0.1', port: 1, ...callbacks });
    assert.not.ok(told, 'called from inside connect');
  });
});

test('the clock never goes back, and a cancelled timer is silent', async () => {
  const clock = createNodeClock();
  const before = clock.monotonic();
  clock.after(1, () => assert.unreachable()).cancel();
  clock.after(3_000_000_000, () => assert.unreachable('a long wait ended at once')).cancel();
  const long = clock.after(3_000_000_000, () => assert.unreachable('a long wait ended at once'));
  await new Promise<void>((resolve) => clock.after(20, resolve));
  long.cancel();
  assert.ok(clock.monotonic() >= before);
});

test('random bytes come in the number asked for, fresh each time', () => {
  const random = createNodeRandom();
  assert.is(random.bytes(0).length, 0);
  assert.is(random.bytes(100_000).length, 100_000);
  assert.not.equal(random.bytes(32), random.bytes(32));
});

test.run();
