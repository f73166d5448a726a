/**
 * How a Primary speaks TLS with the device plane (docs/POUF.md, TLS): its certificate and key, the
 * sessions that it resumes, and the time by which servers are judged.
 *
 * Without a clock the stored time is a lower bound: until time is attested anew, a server is refused
 * only when its certificate ended before it. Over such a connection the time is fetched first; then
 * `judge` looks at the server again, by both bounds, and forgets its session when it does not pass.
 */
import type { KeyValue, KnownTime, TlsIdentity, TlsOptions, TlsStatus } from '../../hal/types.ts';
import { decode, encode } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxCertificateAnswerBytes } from '../limits.ts';
import { type Configuration, storedKeyPair } from '../metadata/configuration.ts';
import { type DeviceCertificate, deviceCertificate } from '../metadata/device-messages.ts';
import type { Endpoint } from '../metadata/repository-map.ts';
import type { TimeKeeper } from '../verify/time.ts';

const keyName = 'device-key';
const certificateName = 'device-certificate';
const maxStoredKeyBytes = 256;
/** A certificate is renewed once so much of its life is over: the rest is for a failing network. */
const renewalShare = 2 / 3;

export type Peer = 'director' | 'images';
type AnyPeer = Peer | 'doorbell';

export class DeviceTls {
  private readonly keyValue: KeyValue;
  private readonly trustAnchors: readonly Uint8Array[];
  private readonly time: Pick<TimeKeeper, 'now' | 'lowerBound'>;
  private readonly publicKey: Uint8Array;
  private readonly privateKey: Uint8Array;
  private certificate: DeviceCertificate | undefined;
  /** One object as long as the certificate is the same, so that platforms can keep what they made. */
  private identity: TlsIdentity | undefined;
  /** What the last connection to each came to. */
  private last: Partial<Record<AnyPeer, TlsStatus>> = {};

  private constructor(
    keyValue: KeyValue,
    time: Pick<TimeKeeper, 'now' | 'lowerBound'>,
    trustAnchors: readonly Uint8Array[],
    pair: ReturnType<typeof storedKeyPair.read>,
  ) {
    this.keyValue = keyValue;
    this.time = time;
    this.trustAnchors = trustAnchors;
    this.publicKey = pair.key.bytes;
    this.privateKey = pair.secret;
    const value = keyValue.read(certificateName);
    const held = value && decode(deviceCertificate, value, maxCertificateAnswerBytes);
    if (held !== undefined && !isRefusal(held)) this.hold(held);
  }

  /**
   * Opens what the vehicle was provisioned with; undefined where that is plain HTTP.
   * Code `configuration-invalid`.
   */
  static open(
    keyValue: KeyValue,
    time: Pick<TimeKeeper, 'now' | 'lowerBound'>,
    { tls }: Pick<Configuration, 'tls'>,
  ): DeviceTls | undefined | Refusal {
    if (tls === undefined) return undefined;
    const value = keyValue.read(keyName);
    const pair = value && decode(storedKeyPair, value, maxStoredKeyBytes);
    if (pair === undefined || isRefusal(pair) || pair.key.algorithm !== 'ESP256') {
      return refuse('configuration-invalid', 'TLS needs a device key');
    }
    return new DeviceTls(keyValue, time, tls.trustAnchors, pair);
  }

  /** True once the vehicle has a certificate: it is enrolled. */
  get enrolled(): boolean {
    return this.certificate !== undefined;
  }

  /** True when the certificate is to be renewed, as far as the time is known. */
  get renewalDue(): boolean {
    if (this.certificate === undefined) return false;
    const { notBefore, notAfter } = this.certificate;
    return this.knownTime().seconds >= notBefore + (notAfter - notBefore) * renewalShare;
  }

  /** For a connection to `peer`. */
  connect(peer: AnyPeer, { host, serverName = host }: Endpoint): TlsOptions {
    const time = this.knownTime();
    const last = this.last[peer];
    const resumable = last?.session !== undefined && judgeBounds(last, time) === undefined;
    return {
      serverName,
      trustAnchors: this.trustAnchors,
      time,
      ...(this.identity && { identity: this.identity }),
      ...(resumable && { resume: last }),
    };
  }

  /** Keeps what a connection came to: the next one resumes it. */
  connected(peer: AnyPeer, status: TlsStatus): void {
    this.last[peer] = status;
  }

  /**
   * Takes a certificate that the Director issued, and keeps it durably.
   * Code `key-malformed`: it is for another key than this device's.
   */
  accept(certificate: DeviceCertificate): Refusal | undefined {
    // No X.509 is parsed here, but another device's certificate must not replace one that works.
    if (!holds(certificate.chain[0]!, this.publicKey)) {
      return refuse('key-malformed', 'a certificate for another key than this device has');
    }
    this.keyValue.write(certificateName, encode(deviceCertificate, certificate));
    this.hold(certificate);
    return undefined;
  }

  /**
   * Judges the servers of this start again, once the time is attested: whoever was let in by the
   * lower bound alone. Codes `tls-certificate-expired`, `tls-not-yet-valid`.
   */
  judge(): Refusal | undefined {
    let refusal: Refusal | undefined;
    for (const peer of ['director', 'images'] as const) {
      const status = this.last[peer];
      const refused = status && judgeBounds(status, this.knownTime());
      if (refused === undefined) continue;
      delete this.last[peer];
      refusal ??= refused;
    }
    return refusal;
  }

  private hold(certificate: DeviceCertificate): void {
    this.certificate = certificate;
    this.identity = { chain: certificate.chain, privateKey: this.privateKey };
    // What was agreed under another certificate, or none, is not for this one.
    this.last = {};
  }

  private knownTime(): KnownTime {
    const seconds = this.time.now();
    return seconds > 0
      ? { seconds, attested: true }
      : { seconds: this.time.lowerBound(), attested: false };
  }
}

function judgeBounds(
  { notBefore, notAfter }: TlsStatus,
  { seconds, attested }: KnownTime,
): Refusal | undefined {
  if (notAfter < seconds) {
    return refuse('tls-certificate-expired', `the server's ended ${notAfter}, it is ${seconds}`);
  }
  return attested && notBefore > seconds
    ? refuse('tls-not-yet-valid', `the server's begins ${notBefore}, it is ${seconds}`)
    : undefined;
}

/** True when `part` lies anywhere in `bytes`. */
function holds(bytes: Uint8Array, part: Uint8Array): boolean {
  for (let at = 0; at + part.length <= bytes.length; at++) {
    let same = 0;
    while (same < part.length && bytes[at + same] === part[same]) same += 1;
    if (same === part.length) return true;
  }
  return false;
}
