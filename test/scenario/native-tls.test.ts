/**
 * TLS of the QuickJS host (BearSSL, with sanitizers): the servers of every platform's table, and what
 * is its own, as sessions by their identifier and records of bounded length.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Attempt, Outcome } from '../simulator/tls-attempt.ts';
import {
  identity,
  makeHierarchy,
  now,
  serverName,
  serverWith,
  startTlsPeer,
  tlsCases,
  trustAnchors,
} from '../unit/net/tls-cases.ts';

const test = suite('TLS of the QuickJS host');

/** Where `make provider-hosts` puts it. */
const program = 'out/native/script-host-tls-client';
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const echo = (socket: TLSSocket) => void socket.pipe(socket);
const tls12 = { maxVersion: 'TLSv1.2' } as const;

function attemptAt(port: number, changes: Partial<Attempt> = {}): Attempt {
  return {
    port,
    serverName,
    trustAnchors: trustAnchors.map(hex),
    chain: identity.chain.map(hex),
    privateKey: hex(identity.privateKey),
    seconds: now,
    attested: true,
    bytes: 0,
    ...changes,
  };
}

/** Makes the attempts one after the other in one process of the host. */
async function outcomesOf(attempts: readonly Attempt[]): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-native-tls-'));
  const description = join(folder, 'attempts.json');
  writeFileSync(description, JSON.stringify(attempts));
  const child = spawn(program, ['--heap', '2000000', description], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  rmSync(folder, { recursive: true });
  assert.is(status, 0, output);
  const lines = output.split('\n').filter((line) => line.startsWith('outcome '));
  return lines.map((line) => JSON.parse(line.slice('outcome '.length)) as Outcome);
}

if (!existsSync(program)) {
  console.log('skipped: 1 make provider-hosts was not run: it needs packages');
} else {
  test('every server of the table is taken or refused as by the other platforms', async () => {
    const peers = await Promise.all(tlsCases.map(({ server }) => startTlsPeer(server)));
    try {
      const outcomes = await outcomesOf(
        peers.map(({ port }, i) => attemptAt(port, tlsCases[i]!.time)),
      );
      const found = outcomes.map(({ connected, refused, text, detail }, i) => ({
        name: tlsCases[i]!.name,
        code: refused ?? (connected ? 'connected' : 'ended'),
        text,
        detail: refused === tlsCases[i]!.expected ? undefined : detail,
      }));
      assert.equal(
        found,
        tlsCases.map(({ name, expected }) => ({
          name,
          code: expected,
          text: expected === 'connected' ? 'hello' : '',
          detail: undefined,
        })),
      );
    } finally {
      for (const peer of peers) await peer.close();
    }
  });

  test('a session is resumed by its identifier with the dates that it began with', async () => {
    const { root, authority, server } = makeHierarchy();
    const shown: (string | undefined)[] = [];
    const options = { ...serverWith(server(), authority), ...tls12, sessionIdContext: 'test' };
    const serve = (socket: TLSSocket) => {
      shown.push(socket.getPeerX509Certificate()?.subject);
      echo(socket);
    };
    const peer = await startTlsPeer(options, serve, new Map());
    // Has never seen the session, so a whole handshake follows.
    const stranger = await startTlsPeer(options, serve, new Map());
    try {
      const first = attemptAt(peer.port, { trustAnchors: [hex(root.der)], bytes: 10 });
      const [full, short, anew] = await outcomesOf([
        first,
        // The anchors would refuse this server, were its chain looked at again.
        { ...first, trustAnchors: trustAnchors.map(hex), resume: 0 },
        { ...first, port: stranger.port, resume: 1 },
      ]);
      assert.equal(
        [full, short, anew].map((one) => [one!.echoed, one!.resumed]),
        [
          [10, false],
          [10, true],
          [10, false],
        ],
      );
      assert.is(full!.notAfter, now + 86_400);
      assert.is(short!.notAfter, full!.notAfter);
      assert.equal(shown, Array(3).fill('CN=vehicle:vehicle-1'), 'also of a resumed session');
    } finally {
      await peer.close();
      await stranger.close();
    }
  });

  test('records of bounded length carry long messages both ways, by either suite', async () => {
    const { root, authority, server } = makeHierarchy();
    const own = serverWith(server(), authority);
    const suites = ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384'];
    const peers = await Promise.all(
      suites.map((ciphers) => startTlsPeer({ ...own, ...tls12, ciphers }, echo)),
    );
    try {
      const changes = { trustAnchors: [hex(root.der)], bytes: 100_000 };
      const outcomes = await outcomesOf(peers.map(({ port }) => attemptAt(port, changes)));
      assert.equal(
        outcomes.map(({ echoed, text }) => [echoed, text]),
        suites.map(() => [100_000, '']),
      );
    } finally {
      for (const peer of peers) await peer.close();
    }
  });

  test('without an identity the server sees none: enrolment', async () => {
    const { root, authority, server } = makeHierarchy();
    let shown: boolean | undefined;
    const peer = await startTlsPeer({ ...serverWith(server(), authority), ...tls12 }, (socket) => {
      shown = socket.getPeerX509Certificate() !== undefined;
      socket.end('hello');
    });
    try {
      const { chain: _chain, privateKey: _key, ...anonymous } = attemptAt(peer.port);
      const [outcome] = await outcomesOf([{ ...anonymous, trustAnchors: [hex(root.der)] }]);
      assert.is(outcome!.text, 'hello');
      assert.is(shown, false);
    } finally {
      await peer.close();
    }
  });

  test('two trust anchors may bear one name: either is tried', async () => {
    const [one, other] = [makeHierarchy(), makeHierarchy()];
    const peer = await startTlsPeer({ ...serverWith(one.server(), one.authority), ...tls12 });
    try {
      const anchors = [hex(other.root.der), hex(one.root.der)];
      const [outcome] = await outcomesOf([attemptAt(peer.port, { trustAnchors: anchors })]);
      assert.is(outcome!.text, 'hello', outcome!.detail);
    } finally {
      await peer.close();
    }
  });
}

test.run();
