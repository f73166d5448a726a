/**
 * hal.net over TLS: the client of the QuickJS host (BearSSL, with sanitizers) against servers of
 * which each is right, or wrong by one thing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TlsOptions as ServerOptions } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CertificateOptions,
  type Identity,
  makeCertificate,
  scalarOf,
  toPem,
} from '../simulator/certificates.ts';
import type { Attempt, Outcome } from '../simulator/tls-attempt.ts';

const test = suite('TLS clients');

const name = 'director.example';
const day = 86_400;
const now = 1_800_000_000;
const valid = { notBefore: now - day, notAfter: now + day };
/** Node's server judges devices by the machine's clock. */
const always = { notBefore: 0, notAfter: 2_500_000_000 };
const root = makeCertificate({ subject: 'root', authority: true, ...always });
const otherRoot = makeCertificate({ subject: 'root', authority: true, ...valid });
/** An anchor is trusted for its key: that its own time is over changes nothing. */
const oldRoot = makeCertificate({
  subject: 'root',
  authority: true,
  notBefore: 1_000,
  notAfter: 2_000,
  key: root,
});
const middle = makeCertificate({ subject: 'middle', authority: true, issuer: root, ...valid });
const device = makeCertificate({
  subject: 'device',
  issuer: root,
  purposes: ['device'],
  ...always,
});

const right: CertificateOptions = {
  subject: 'server',
  issuer: root,
  dnsNames: ['other.example', name],
  purposes: ['server'],
  ...valid,
};

interface Case {
  readonly given: string;
  /** How the server differs from the right one. */
  readonly certificate?: Partial<CertificateOptions>;
  readonly above?: readonly Identity[];
  readonly server?: ServerOptions;
  /** Says this instead of speaking TLS; hexadecimal. */
  readonly says?: string;
  readonly attempt?: Partial<Attempt>;
  readonly refused?: string;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const identity = { chain: [hex(device.certificate)], privateKey: hex(scalarOf(device)) };

/** A record with a fatal alert (RFC 5246 §7.2). */
const alert = (number: number) => `15030300020${2}${number.toString(16)}`;

const cases: readonly Case[] = [
  { given: 'the right server' },
  { given: 'a message of many records', attempt: { bytes: 100_000 } },
  { given: 'suites of 256 bits only', server: { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' } },
  { given: 'suites of 128 bits only', server: { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } },
  { given: 'an authority between', certificate: { issuer: middle }, above: [middle] },
  { given: 'the root shown, too', above: [root] },
  { given: 'a root out of date', attempt: { trustAnchors: [hex(oldRoot.certificate)] } },
  {
    given: 'two trust anchors of one name',
    attempt: { trustAnchors: [hex(otherRoot.certificate), hex(root.certificate)] },
  },
  { given: 'a certificate asked for', server: { requestCert: true }, attempt: identity },
  {
    given: 'a device without a certificate',
    server: { requestCert: true, rejectUnauthorized: false },
  },
  {
    given: 'an authority nobody knows',
    certificate: { issuer: otherRoot },
    refused: 'tls-untrusted',
  },
  {
    given: 'an authority between that is not shown',
    certificate: { issuer: middle },
    refused: 'tls-untrusted',
  },
  {
    given: 'a device that signs for a server',
    certificate: { issuer: device },
    above: [device],
    refused: 'tls-untrusted',
  },
  {
    given: 'a certificate signed by its own key',
    certificate: { issuer: makeCertificate({ ...right, subject: 'root' }) },
    refused: 'tls-untrusted',
  },
  {
    given: "a device's certificate",
    certificate: { purposes: ['device'] },
    refused: 'tls-untrusted',
  },
  {
    given: "an authority's certificate",
    certificate: { authority: true },
    refused: 'tls-untrusted',
  },
  {
    given: 'another name',
    certificate: { dnsNames: ['images.example'] },
    refused: 'tls-name',
  },
  { given: 'a wildcard', certificate: { dnsNames: ['*.example'] }, refused: 'tls-name' },
  {
    given: 'the name as common name only',
    certificate: { subject: name, dnsNames: ['other.example'] },
    refused: 'tls-name',
  },
  {
    given: 'an expired certificate',
    certificate: { notAfter: now - 1 },
    refused: 'tls-certificate-expired',
  },
  { given: 'a certificate in its last second', certificate: { notAfter: now } },
  {
    given: 'a certificate that begins tomorrow',
    certificate: { notBefore: now + 1 },
    refused: 'tls-not-yet-valid',
  },
  {
    given: 'a certificate that begins tomorrow and an ECU without a clock',
    certificate: { notBefore: now + 1 },
    attempt: { attested: false },
  },
  {
    given: 'an expired certificate and an ECU without a clock',
    certificate: { notAfter: now - 1 },
    attempt: { attested: false },
    refused: 'tls-certificate-expired',
  },
  { given: 'an ECU that knows no time at all', attempt: { attested: false, seconds: 0 } },
  {
    given: 'a certificate that nobody vouches for, expired and of another name',
    certificate: { issuer: otherRoot, notAfter: now - 1, dnsNames: ['images.example'] },
    refused: 'tls-untrusted',
  },
  {
    given: 'an expired certificate of another name',
    certificate: { notAfter: now - 1, dnsNames: ['images.example'] },
    refused: 'tls-name',
  },
  {
    given: 'a device that the server does not take',
    says: alert(42),
    refused: 'tls-refused',
  },
  {
    given: 'a device whose authority the server does not know',
    says: alert(48),
    refused: 'tls-refused',
  },
  { given: 'an alert about something else', says: alert(80), refused: 'tls-malformed' },
  {
    given: 'a server without TLS',
    says: hex(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
    refused: 'tls-malformed',
  },
  { given: 'a record longer than any may be', says: '160303ffff', refused: 'tls-malformed' },
  { given: 'a server that ends at once', says: '', refused: 'tls-malformed' },
  {
    given: 'no suite in common',
    server: { ciphers: 'ECDHE-ECDSA-AES128-SHA256' },
    refused: 'tls-malformed',
  },
];

/** TLS 1.2, as BearSSL has it, so that both clients see the same; sessions are kept by id. */
async function startServer(one: Case): Promise<Server> {
  const { says } = one;
  if (says !== undefined) {
    return listen(
      createTcpServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => socket.end(Buffer.from(says, 'hex')));
      }),
    );
  }
  const own = makeCertificate({ ...right, ...one.certificate });
  const sessions = new Map<string, Buffer>();
  const server = createServer(
    {
      cert: [own, ...(one.above ?? [])].map(({ certificate }) => toPem(certificate)).join(''),
      key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      ca: toPem(root.certificate),
      maxVersion: 'TLSv1.2',
      ...one.server,
    },
    (socket) => void socket.on('error', () => undefined).pipe(socket),
  );
  server.on('newSession', (id: Buffer, data: Buffer, done: () => void) => {
    sessions.set(id.toString('hex'), data);
    done();
  });
  server.on('resumeSession', (id: Buffer, done: (error: null, data: Buffer | null) => void) => {
    done(null, sessions.get(id.toString('hex')) ?? null);
  });
  return listen(server);
}

async function listen(server: Server): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function attemptAt(server: Server, one: Case): Attempt {
  return {
    port: (server.address() as AddressInfo).port,
    serverName: name,
    trustAnchors: [hex(root.certificate)],
    seconds: now,
    attested: true,
    bytes: 10,
    ...one.attempt,
  };
}

type Client = (attempts: readonly Attempt[]) => Promise<Outcome[]>;

const program = 'out/native/script-host-tls-client';

async function nativeClient(attempts: readonly Attempt[]): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-tls-'));
  const description = join(folder, 'attempts.json');
  writeFileSync(description, JSON.stringify(attempts));
  const child: ChildProcess = spawn(program, ['--heap', '2000000', description], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  rmSync(folder, { recursive: true });
  assert.is(status, 0, output);
  const lines = output.split('\n').filter((line) => line.startsWith('outcome '));
  return lines.map((line) => JSON.parse(line.slice('outcome '.length)) as Outcome);
}

const clients: [string, Client][] = [];
if (existsSync(program)) clients.push(['the QuickJS host', nativeClient]);
else console.log('skipped: 1 make provider-hosts was not run: it needs packages');

for (const [who, client] of clients) {
  test(`${who}: what is taken and what is refused, by its code`, async () => {
    const servers: Server[] = [];
    try {
      for (const one of cases) servers.push(await startServer(one));
      const outcomes = await client(servers.map((server, i) => attemptAt(server, cases[i]!)));
      const wrong = outcomes.flatMap(({ echoed, refused, detail }, i) => {
        const right = cases[i]!.refused === refused && echoed === (refused === undefined);
        return right ? [] : [{ given: cases[i]!.given, echoed, refused, detail }];
      });
      assert.is(outcomes.length, cases.length);
      assert.equal(wrong, []);
      assert.is(outcomes[0]!.notBefore, valid.notBefore);
      assert.is(outcomes[0]!.notAfter, valid.notAfter);
    } finally {
      for (const server of servers) server.close();
    }
  });

  test(`${who}: a session is resumed with the dates of its first handshake`, async () => {
    const one: Case = { given: '', server: { requestCert: true, rejectUnauthorized: true } };
    const server = await startServer(one);
    const again = await startServer(one);
    try {
      const first = { ...attemptAt(server, one), ...identity };
      const elsewhere = { ...attemptAt(again, one), ...identity };
      const [full, short, renewed] = await client([
        first,
        { ...first, resume: 0 },
        { ...elsewhere, resume: 1 },
      ]);
      assert.is(full!.echoed && short!.echoed && renewed!.echoed, true);
      assert.equal([full!.resumed, short!.resumed, renewed!.resumed], [false, true, false]);
      assert.is(short!.notAfter, valid.notAfter);
      assert.ok(full!.session !== undefined && short!.session !== undefined);
    } finally {
      server.close();
      again.close();
    }
  });
}

test.run();
