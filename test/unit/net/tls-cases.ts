/**
 * What a TLS client of this project meets, and what it has to say of it: one table for every
 * platform. The servers are real; each listens on a free port of this machine.
 */
import { randomBytes, X509Certificate } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { type CertificateProfile, issueCertificate } from '../../../backend/signer/certificate.ts';
import { importPrivateKey } from '../../../hal/node/key-format.ts';
import { generateKeyPair, type KeyPair } from '../../../hal/node/signing.ts';
import type { KnownTime, TlsIdentity, TlsRefusal } from '../../../hal/types.ts';

/** The instant around which the table's certificates are valid. */
export const now = 1_790_000_000;
const day = 86_400;
export const serverName = 'ota.internal';

/** A certificate with its key. */
export interface Certified {
  readonly pair: KeyPair;
  readonly der: Uint8Array;
}

const around = { notBefore: now - day, notAfter: now + day };

function certify(
  profile: CertificateProfile,
  subject: string,
  issuer?: Certified,
  validity = around,
): Certified {
  const pair = generateKeyPair('ESP256');
  const signer = issuer ?? { pair, der: undefined };
  const der = issueCertificate(
    { profile, subject, publicKey: pair.key.bytes, ...validity },
    {
      key: importPrivateKey('ESP256', signer.pair.secret),
      ...(signer.der && { certificate: new X509Certificate(signer.der) }),
    },
  );
  return { pair, der };
}

/** A root, its enrolment CA, and what the CA issued. */
export function makeHierarchy(validity = around) {
  const root = certify({ use: 'authority', pathLength: 1 }, 'root', undefined, validity);
  const authority = certify({ use: 'authority', pathLength: 0 }, 'enrolment CA', root, validity);
  return {
    root,
    authority,
    server: (name = serverName, bounds = validity) =>
      certify({ use: 'server', name }, name, authority, bounds),
    device: (vehicleId: string, bounds = validity) =>
      certify({ use: 'device' }, `vehicle:${vehicleId}`, authority, bounds),
  };
}

const trusted = makeHierarchy();
const other = makeHierarchy();
const device = trusted.device('vehicle-1');

/** What the client is provisioned with. */
export const trustAnchors: readonly Uint8Array[] = [trusted.root.der];
export const identity: TlsIdentity = {
  chain: [device.der, trusted.authority.der],
  privateKey: device.pair.secret,
};

export interface TlsCase {
  readonly name: string;
  readonly time: KnownTime;
  /** What the server does with a connection. */
  readonly server: TlsOptions | ((socket: Socket) => void);
  readonly expected: TlsRefusal | 'connected';
}

const attested: KnownTime = { seconds: now, attested: true };
const atLeast = (seconds: number): KnownTime => ({ seconds, attested: false });

/** A server with this chain, its own certificate first. */
export function serverWith(own: Certified, ...issuers: readonly Certified[]): TlsOptions {
  return {
    cert: [own, ...issuers].map(({ der }) => new X509Certificate(der).toString()).join(''),
    key: importPrivateKey('ESP256', own.pair.secret).export({ type: 'pkcs8', format: 'pem' }),
    requestCert: true,
    rejectUnauthorized: false,
  };
}

const good = serverWith(trusted.server(), trusted.authority);
const expired = serverWith(
  trusted.server(serverName, { notBefore: now - 2 * day, notAfter: now - 60 }),
  trusted.authority,
);
const future = serverWith(
  trusted.server(serverName, { notBefore: now + 60, notAfter: now + day }),
  trusted.authority,
);
const leafAsAuthority = trusted.server('ca.internal');
const alert = (description: number) => (socket: Socket) => {
  socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, description])));
};

export const tlsCases: readonly TlsCase[] = [
  { name: 'a good server', time: attested, server: good, expected: 'connected' },
  {
    name: 'TLS 1.2 alone',
    time: attested,
    server: { ...good, maxVersion: 'TLSv1.2' },
    expected: 'connected',
  },
  {
    name: 'a server certificate that expired',
    time: attested,
    server: expired,
    expected: 'tls-certificate-expired',
  },
  {
    name: 'a server certificate that ended before the lower bound',
    time: atLeast(now),
    server: expired,
    expected: 'tls-certificate-expired',
  },
  {
    name: 'a server certificate that may not have ended yet, by the lower bound',
    time: atLeast(now - day),
    server: expired,
    expected: 'connected',
  },
  {
    name: 'a server certificate that is not yet valid',
    time: attested,
    server: future,
    expected: 'tls-not-yet-valid',
  },
  {
    name: 'a clock at 1970: notBefore is ignored',
    time: atLeast(0),
    server: future,
    expected: 'connected',
  },
  {
    name: 'an enrolment CA that expired',
    time: { seconds: now + 2 * day, attested: true },
    server: serverWith(
      trusted.server(serverName, { notBefore: now - day, notAfter: now + 9 * day }),
      trusted.authority,
    ),
    expected: 'tls-certificate-expired',
  },
  {
    name: 'a certificate for another name',
    time: attested,
    server: serverWith(trusted.server('other.internal'), trusted.authority),
    expected: 'tls-name',
  },
  {
    name: 'a certificate of another CA',
    time: attested,
    server: serverWith(other.server(), other.authority),
    expected: 'tls-untrusted',
  },
  {
    name: 'a chain without its enrolment CA',
    time: attested,
    server: serverWith(trusted.server()),
    expected: 'tls-untrusted',
  },
  {
    name: 'a certificate that was signed by one which is no CA',
    time: attested,
    server: serverWith(
      certify({ use: 'server', name: serverName }, serverName, leafAsAuthority),
      leafAsAuthority,
      trusted.authority,
    ),
    expected: 'tls-untrusted',
  },
  {
    name: 'a device that poses as the server',
    time: attested,
    server: serverWith(device, trusted.authority),
    expected: 'tls-untrusted',
  },
  {
    name: 'an alert: certificate revoked',
    time: attested,
    server: alert(44),
    expected: 'tls-refused',
  },
  { name: 'an alert: unknown CA', time: attested, server: alert(48), expected: 'tls-refused' },
  {
    name: 'an alert: no common version',
    time: attested,
    server: alert(70),
    expected: 'tls-malformed',
  },
  {
    name: 'suites without forward secrecy',
    time: attested,
    server: { ...good, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' },
    expected: 'tls-malformed',
  },
  {
    name: 'a handshake that is cut off',
    time: attested,
    server: (socket) => {
      socket.once('data', () => socket.end(Buffer.from([22, 3, 3, 0, 64, 2, 0, 0, 60])));
    },
    expected: 'tls-malformed',
  },
  {
    name: 'plain HTTP in place of TLS',
    time: attested,
    server: (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
    expected: 'tls-malformed',
  },
  {
    name: 'garbage',
    time: attested,
    server: (socket) => socket.end(randomBytes(256).fill(0x80, 0, 1)),
    expected: 'tls-malformed',
  },
];

export interface TlsPeer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Runs a case's server until `close`; over TLS it says `hello` to whoever comes in.
 * @param sessions keeps them by identifier; tickets need none
 */
export async function startTlsPeer(
  behaviour: TlsCase['server'],
  onSecure: (socket: TLSSocket) => void = (socket) => socket.end('hello'),
  sessions?: Map<string, Buffer>,
): Promise<TlsPeer> {
  const sockets: Socket[] = [];
  const server: Server =
    typeof behaviour === 'function'
      ? createServer(behaviour)
      : createTlsServer(behaviour, onSecure);
  server.on('connection', (socket: Socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  server.on('secureConnection', (socket: TLSSocket) => socket.on('error', () => undefined));
  if (sessions !== undefined) {
    server.on('newSession', (id: Buffer, session: Buffer, done: () => void) => {
      sessions.set(id.toString('hex'), session);
      done();
    });
    server.on('resumeSession', (id: Buffer, done: (error: null, found: Buffer | null) => void) =>
      done(null, sessions.get(id.toString('hex')) ?? null),
    );
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
