/**
 * TLS of the device plane (docs/POUF.md, TLS): what its listeners have in common, and who is at the
 * other end of a connection. Any client may finish the handshake; what its certificate is worth is
 * judged at each request, by the inventory, so that a refusal has a code and revocation acts at once.
 */
import { hkdfSync } from 'node:crypto';
import type { TLSSocket, TlsOptions, Server as TlsServer } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { admitDevice } from '../director/devices.ts';
import type { Services } from '../services.ts';
import {
  type DeviceIdentity,
  type EnrolmentAuthority,
  type ServerIdentity,
  serverCertificateSeconds,
} from '../signer/enrolment-authority.ts';
import type { Route } from './listener.ts';
import { MemorySessions, type SessionCache } from './session-cache.ts';
import { SharedSessions } from './shared-sessions.ts';

/** TLS 1.2 for BearSSL, which has no 1.3; of its suites those with AES-GCM and forward secrecy. */
const suites = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
];
/** In TLS 1.3 the exchange is hybrid: what is recorded today stays closed to quantum computers. */
const groups = 'X25519MLKEM768:P-256';
/** Sessions of one plane resume on the other, and on any process with the same enrolment CA. */
const sessionContext = 'ota-device-plane';
const handshakeMilliseconds = 5_000;
const lookMilliseconds = 60_000;
const ticketKeyBytes = 48;
/** Whoever steals ticket keys opens the connections that they resumed: they live for a day. */
const ticketKeySeconds = 86_400;

/** How a route takes certificates; `valid` when it does not say. */
export type CertificateUse =
  /** Server TLS alone: enrolment. */
  | 'none'
  /** An expired one will do: renewal. */
  | 'any-age'
  | 'valid';

/** Sessions of this process, or of all that share its database. */
function sessionsOf(services: Services, authority: EnrolmentAuthority): SessionCache {
  const { database, now } = services;
  if (!database.shared) return new MemorySessions();
  return new SharedSessions(database, authority.secret(), now);
}

export class DevicePlane {
  private readonly services: Services;
  private readonly authority: EnrolmentAuthority;
  private readonly serverName: string;
  private readonly sessions: SessionCache;
  private readonly devices = new WeakMap<object, DeviceIdentity | Refusal>();
  private readonly servers: TlsServer[] = [];
  private readonly timer: NodeJS.Timeout;
  private identity: ServerIdentity;
  /** Of this process at a broker, where it is one's publisher. */
  private publisher: ServerIdentity | undefined;
  private ticketEpoch: number;

  private constructor(
    services: Services,
    authority: EnrolmentAuthority,
    serverName: string,
    identity: ServerIdentity,
  ) {
    this.services = services;
    this.authority = authority;
    this.serverName = serverName;
    this.sessions = sessionsOf(services, authority);
    this.identity = identity;
    this.ticketEpoch = this.epoch();
    // What could not be renewed in time is tried again at the next look.
    this.timer = setInterval(() => this.refresh().catch(() => undefined), lookMilliseconds);
    this.timer.unref();
  }

  /** Has the server's certificate issued. Rejects with `SignerUnavailable`. */
  static async open(
    services: Services,
    authority: EnrolmentAuthority,
    serverName: string,
  ): Promise<DevicePlane> {
    const identity = await authority.issueServer(serverName, services.now());
    return new DevicePlane(services, authority, serverName, identity);
  }

  /** For the servers of this plane; `serve` goes with them. */
  get serverOptions(): TlsOptions {
    return {
      ...this.contextOptions(),
      requestCert: true,
      // Judged at the request: see above.
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMilliseconds,
      ticketKeys: this.ticketKeys(),
    };
  }

  /** Takes over the sessions and certificates of a server that was made with `serverOptions`. */
  serve(server: TlsServer): void {
    this.servers.push(server);
    server.on('newSession', (id: Buffer, session: Buffer, done: () => void) => {
      // A session that could not be kept costs a full handshake, nothing else.
      void this.sessions.keep(id.toString('base64'), session).then(done, done);
    });
    server.on(
      'resumeSession',
      (id: Buffer, done: (error: null, session: Buffer | null) => void) => {
        const found = this.sessions.find(id.toString('base64'));
        // A cache that fails costs a full handshake, nothing else.
        found.then((session) => done(null, session ?? null)).catch(() => done(null, null));
      },
    );
  }

  /** Has a certificate issued for `publisherOptions`. Rejects with `SignerUnavailable`. */
  async becomePublisher(): Promise<void> {
    this.publisher = await this.authority.issuePublisher(this.services.now());
  }

  /** For a client of a broker that vehicles reach, too: it publishes in the name of the backend. */
  publisherOptions() {
    if (this.publisher === undefined) throw new Error('becomePublisher comes first');
    const { chain, key } = this.publisher;
    const { anchors } = this.authority;
    return {
      cert: chain,
      key,
      ca: [...anchors],
      // The anchors are the enrolment CAs, whichever root has signed them.
      allowPartialTrustChain: true,
      servername: this.serverName,
      minVersion: 'TLSv1.2',
      ciphers: suites.join(':'),
      ecdhCurve: groups,
    };
  }

  close(): void {
    clearInterval(this.timer);
  }

  /**
   * DIR-05: judges a request before its body is read. Codes `certificate-missing`,
   * `certificate-untrusted`, those of `admitDevice`.
   */
  async admit(
    request: FastifyRequest,
    { certificate = 'valid' }: Route,
  ): Promise<Refusal | undefined> {
    if (certificate === 'none') return undefined;
    const device = this.deviceOf(request);
    if (isRefusal(device)) return device;
    const { vehicleId } = request.params as { readonly vehicleId?: string };
    return admitDevice(this.services, device, { renewing: certificate === 'any-age', vehicleId });
  }

  /** `admit` for a request that names its vehicle in the body. */
  async admitFor(request: FastifyRequest, vehicleId: string): Promise<Refusal | undefined> {
    const device = this.deviceOf(request);
    return isRefusal(device) ? device : admitDevice(this.services, device, { vehicleId });
  }

  /** Whose requests these are, for quotas: what the certificate says, never a path or a body. */
  vehicleOf(request: FastifyRequest): string | undefined {
    const device = this.deviceOf(request);
    return isRefusal(device) ? undefined : device.vehicleId;
  }

  /** Who a connection belongs to, by its certificate alone; `admit` judges. */
  deviceOf(request: FastifyRequest): DeviceIdentity | Refusal {
    return this.deviceAt(request.raw.socket as TLSSocket);
  }

  /** `deviceOf` a connection, whatever is spoken over it. */
  deviceAt(socket: TLSSocket): DeviceIdentity | Refusal {
    let device = this.devices.get(socket);
    if (device === undefined) {
      // Of a resumed session too: the session holds it.
      const certificate = socket.getPeerX509Certificate?.();
      device =
        certificate === undefined
          ? refuse('certificate-missing', 'this plane needs a device certificate')
          : this.authority.identify(certificate);
      this.devices.set(socket, device);
    }
    return device;
  }

  /**
   * Renews the ticket keys, and this process's certificates at half their life; runs by itself.
   * Rejects with `SignerUnavailable`.
   */
  async refresh(): Promise<void> {
    const now = this.services.now();
    const isOld = ({ notAfter }: ServerIdentity) => notAfter - now < serverCertificateSeconds / 2;
    if (this.epoch() !== this.ticketEpoch) this.renewTicketKeys();
    if (isOld(this.identity)) {
      this.identity = await this.authority.issueServer(this.serverName, now);
      for (const server of this.servers) server.setSecureContext(this.contextOptions());
      // A new context begins with ticket keys of its own.
      this.renewTicketKeys();
    }
    if (this.publisher !== undefined && isOld(this.publisher)) await this.becomePublisher();
  }

  private renewTicketKeys(): void {
    this.ticketEpoch = this.epoch();
    for (const server of this.servers) server.setTicketKeys(this.ticketKeys());
  }

  private contextOptions(): TlsOptions {
    return {
      cert: this.identity.chain,
      key: this.identity.key,
      minVersion: 'TLSv1.2',
      ciphers: suites.join(':'),
      honorCipherOrder: true,
      ecdhCurve: groups,
      sessionIdContext: sessionContext,
    };
  }

  private epoch(): number {
    return Math.floor(this.services.now() / ticketKeySeconds);
  }

  private ticketKeys(): Buffer {
    const info = `ota-tls-ticket-v1 ${this.ticketEpoch}`;
    return Buffer.from(hkdfSync('sha256', this.authority.secret(), '', info, ticketKeyBytes));
  }
}
