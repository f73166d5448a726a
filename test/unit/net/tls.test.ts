/** The TLS socket of Node's platform against real servers, good and bad (tls-cases.ts). */
import type { TLSSocket } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNodeNet } from '../../../hal/node/net.ts';
import type { SocketError, TlsOptions, TlsStatus } from '../../../hal/types.ts';
import {
  identity,
  makeHierarchy,
  now,
  serverName,
  serverWith,
  startTlsPeer,
  tlsCases,
  trustAnchors,
} from './tls-cases.ts';

const test = suite('TLS of the Node platform');

interface Outcome {
  /** `connected`, a `TlsRefusal`, or what the network said. */
  readonly code: string;
  readonly text: string;
  readonly status: TlsStatus | undefined;
}

/** Connects and reads to the end. */
function visit(port: number, changes: Partial<TlsOptions> = {}): Promise<Outcome> {
  const time = { seconds: now, attested: true };
  const tls = { serverName, trustAnchors, identity, time, ...changes };
  return new Promise((resolve) => {
    let connected = false;
    let text = '';
    const buffer = new Uint8Array(64);
    const socket = createNodeNet().connect({
      host: '127.0.0.1',
      port,
      tls,
      onConnect: () => {
        connected = true;
      },
      onReadable: () => {
        assert.ok(connected, 'nothing is handed on before the server was judged');
        for (let n = socket.read(buffer); n > 0; n = socket.read(buffer)) {
          text += Buffer.from(buffer.subarray(0, n)).toString('latin1');
        }
      },
      onEnd: () => {
        const { tls: status } = socket;
        socket.close();
        resolve({ code: connected ? 'connected' : 'ended', text, status });
      },
      onError: (error: SocketError) => {
        socket.close();
        resolve({ code: error.refused ?? error.message, text, status: undefined });
      },
    });
  });
}

for (const { name, server, time, expected } of tlsCases) {
  test(`${name}: ${expected}`, async () => {
    const peer = await startTlsPeer(server);
    try {
      const { code, text } = await visit(peer.port, { time });
      assert.is(code, expected);
      assert.is(text, expected === 'connected' ? 'hello' : '');
    } finally {
      await peer.close();
    }
  });
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${version}: a session is resumed, with the bounds that it began with`, async () => {
    const { root, authority, server } = makeHierarchy();
    const shown: boolean[] = [];
    const options = { ...serverWith(server(), authority), sessionIdContext: 'test' };
    const peer = await startTlsPeer(
      { ...options, minVersion: version, maxVersion: version },
      (socket: TLSSocket) => {
        assert.is(socket.getProtocol(), version);
        shown.push(socket.getPeerX509Certificate() !== undefined);
        socket.end('hello');
      },
    );
    try {
      const first = await visit(peer.port, { trustAnchors: [root.der] });
      assert.is(first.code, 'connected');
      const { status } = first;
      assert.is(status!.resumed, false);
      assert.is(status!.notBefore, now - 86_400);
      assert.is(status!.notAfter, now + 86_400);
      assert.ok(status!.session);
      // The anchors would refuse this server, were its chain looked at again.
      const second = await visit(peer.port, { resume: status! });
      assert.is(second.code, 'connected');
      assert.is(second.status!.resumed, true);
      assert.is(second.status!.notAfter, status!.notAfter);
      assert.equal(shown, [true, true], 'the server knows a resumed client too');
    } finally {
      await peer.close();
    }
  });
}

test('without an identity the server sees none: enrolment', async () => {
  const { root, authority, server } = makeHierarchy();
  let shown: boolean | undefined;
  const peer = await startTlsPeer(serverWith(server(), authority), (socket) => {
    shown = socket.getPeerX509Certificate() !== undefined;
    socket.end('hello');
  });
  try {
    const time = { seconds: now, attested: true };
    const tls = { serverName, trustAnchors: [root.der], time };
    const { code } = await visit(peer.port, { ...tls, identity: undefined } as never);
    assert.is(code, 'connected');
    assert.is(shown, false);
  } finally {
    await peer.close();
  }
});

test.run();
