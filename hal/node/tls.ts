/**
 * TLS of a socket over node:tls (RFC 5246, RFC 8446). OpenSSL does the handshake; whether the
 * server's chain is to be believed is judged here, by the time that the caller knows: an emulated
 * ECU has no clock but what was attested to it.
 */
import { X509Certificate } from 'node:crypto';
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { maxTlsIntermediates, maxTlsSessionBytes } from '../../agent/limits.ts';
import type { SocketError, SocketOptions, TlsOptions, TlsRefusal, TlsStatus } from '../types.ts';
import { followChain } from './certificate-chain.ts';
import { importPrivateKey } from './key-format.ts';

/** One line for a person, and the code beside it. */
class TlsError extends Error implements SocketError {
  readonly refused: TlsRefusal;

  constructor(refused: TlsRefusal, message: string) {
    super(message);
    this.refused = refused;
  }
}

/** `onread` as node:net has it; node:tls takes it too, its types do not say so. */
export interface ReadInto {
  readonly buffer: Uint8Array;
  readonly callback: (count: number) => boolean;
}

/** The TLS half of one connection. */
export class TlsConnection {
  readonly socket: TLSSocket;
  private readonly options: TlsOptions;
  private session: Uint8Array | undefined;
  private established: Pick<TlsStatus, 'resumed' | 'notBefore' | 'notAfter'> | undefined;

  /** Begins to connect; `secureConnect` of `socket` is the time for `judge`. */
  constructor(
    { host, port }: Pick<SocketOptions, 'host' | 'port'>,
    options: TlsOptions,
    onread: ReadInto,
  ) {
    this.options = options;
    this.session = options.resume?.session;
    const connection: ConnectionOptions & { readonly onread: ReadInto } = {
      host,
      port,
      onread,
      servername: options.serverName,
      secureContext: contextOf(options),
      // Node's own verdict is by the machine's clock; `judge` is in its place.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(this.session && { session: Buffer.from(this.session) }),
    };
    this.socket = connect(connection);
    this.socket.setNoDelay(true);
    this.socket.on('session', (session) => {
      this.session = session.length <= maxTlsSessionBytes ? new Uint8Array(session) : undefined;
    });
  }

  /** Judges the server after the handshake; undefined when it is to be believed. */
  judge(): SocketError | undefined {
    const { resume, serverName, time } = this.options;
    if (this.socket.isSessionReused() && resume !== undefined) {
      const { notBefore, notAfter } = resume;
      this.established = { resumed: true, notBefore, notAfter };
      return undefined;
    }
    const chain = chainOf(this.socket);
    const anchors = this.options.trustAnchors.map((der) => new X509Certificate(der));
    const validity = followChain(chain, anchors, 'server');
    if (validity === undefined) {
      return new TlsError('tls-untrusted', 'the chain of the server ends at no trust anchor');
    }
    if (chain[0]!.checkHost(serverName, { subject: 'never', wildcards: false }) === undefined) {
      return new TlsError('tls-name', `the certificate of the server is not for ${serverName}`);
    }
    const { notBefore, notAfter } = validity;
    if (notAfter < time.seconds) {
      return new TlsError('tls-certificate-expired', `${notAfter} is before ${time.seconds}`);
    }
    // An unattested time is a lower bound: what begins later may have begun.
    if (time.attested && notBefore > time.seconds) {
      return new TlsError('tls-not-yet-valid', `${notBefore} is after ${time.seconds}`);
    }
    this.established = { resumed: false, notBefore, notAfter };
    return undefined;
  }

  get status(): TlsStatus | undefined {
    return this.established && { ...this.established, session: this.session };
  }

  /** The peer's end, when it comes within the handshake. */
  get cutOff(): SocketError | undefined {
    if (this.established !== undefined) return undefined;
    return new TlsError('tls-malformed', 'the peer ended within the handshake');
  }

  /** Names what OpenSSL says; failures of the network stay what they are. */
  explain(error: NodeJS.ErrnoException): SocketError {
    const { code = '' } = error;
    // OpenSSL's names, some with a slash in them: ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED
    if (/^ERR_SSL_.*_ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/.test(code)) {
      return new TlsError('tls-refused', error.message);
    }
    // Node has a message but no system call for a peer that ends within the handshake.
    const cutOff = code === 'ECONNRESET' && error.syscall === undefined;
    const broken = code.startsWith('ERR_SSL_') || code === 'EPROTO' || cutOff;
    return broken ? new TlsError('tls-malformed', error.message) : error;
  }
}

/** What the server sent, its own certificate first; not more than a chain may have. */
function chainOf(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length <= maxTlsIntermediates) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

const suites = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
];

/** Making a context costs more than resuming a session: the last identity's is kept. */
let kept:
  | { readonly identity: TlsOptions['identity']; readonly context: SecureContext }
  | undefined;

function contextOf({ identity }: TlsOptions): SecureContext {
  if (kept !== undefined && kept.identity === identity) return kept.context;
  const context = createSecureContext({
    minVersion: 'TLSv1.2',
    ciphers: suites.join(':'),
    // No anchors of the machine: `judge` has the device's own.
    ca: [],
    ...(identity && {
      cert: identity.chain.map((der) => new X509Certificate(der).toString()).join(''),
      key: importPrivateKey('ESP256', identity.privateKey).export({ type: 'sec1', format: 'pem' }),
    }),
  });
  kept = { identity, context };
  return context;
}
