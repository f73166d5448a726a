/**
 * What the server does with its enrolment CA: issues the certificates of devices and its own, and
 * says which vehicle a device's certificate is for.
 */
import { X509Certificate } from 'node:crypto';
import { basename } from 'node:path';
import { sameBytes } from '../../agent/codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { ecdsaToDer } from '../../agent/crypto/ecdsa-der.ts';
import type { DeviceCertificate } from '../../agent/metadata/device-messages.ts';
import { followChain } from '../../hal/node/certificate-chain.ts';
import { exportPublicKey, importPrivateKey } from '../../hal/node/key-format.ts';
import { generateKeyPair } from '../../hal/node/signing.ts';
import type { Crypto } from '../../hal/types.ts';
import {
  type CertificateProfile,
  type CertificateRequest,
  prepareCertificate,
} from './certificate.ts';
import {
  backdatedSeconds,
  enrolmentCaKeyPath,
  enrolmentCaNumbers,
  readEnrolmentCa,
} from './device-authorities.ts';
import { readOnlineKeyFile } from './key-file.ts';
import { type KeyFiles, signerOfFile } from './key-files.ts';
import type { OnlineSigner } from './online-keys.ts';

/** In front of the vehicle's id in the common name: with a colon, it can be no server's name. */
const vehiclePrefix = 'vehicle:';
/** Common name of a backend as a client of a broker. No vehicle's: it has no colon. */
export const publisherName = 'ota-backend';
/** The server makes a new one by itself long before. */
export const serverCertificateSeconds = 14 * 86_400;

/** A server's certificate with its key, as PEM for node:tls. */
export interface ServerIdentity {
  readonly chain: string;
  readonly key: string;
  readonly notAfter: number;
}

/** A device as its certificate shows it; whether it may come in is for the inventory to say. */
export interface DeviceIdentity {
  readonly vehicleId: string;
  /** P-256 point, 65 bytes. */
  readonly publicKey: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** The CA that issues: its certificate, its key, and a secret that goes with the key. */
interface OnlineIssuer {
  readonly certificate: X509Certificate;
  readonly signer: OnlineSigner;
  readonly secret: Uint8Array;
}

export class EnrolmentAuthority {
  private readonly issuer: OnlineIssuer;
  private readonly accepted: readonly X509Certificate[];
  private readonly deviceSeconds: number;

  private constructor(
    issuer: OnlineIssuer,
    accepted: readonly X509Certificate[],
    deviceSeconds: number,
  ) {
    this.issuer = issuer;
    this.accepted = accepted;
    this.deviceSeconds = deviceSeconds;
  }

  /**
   * Opens the newest enrolment CA, and the certificates of the earlier ones.
   * @param deviceSeconds how long a device's certificate is valid
   * @returns codes `file-unreadable`, `key-file-invalid`, `passphrase-wrong`, those of `signerOfFile`
   */
  static async open(
    crypto: Crypto,
    files: KeyFiles,
    deviceSeconds: number,
  ): Promise<EnrolmentAuthority | Refusal> {
    const { folder: keysFolder, passphrase } = files;
    const numbers = enrolmentCaNumbers(keysFolder);
    const accepted: X509Certificate[] = [];
    for (const number of numbers) {
      const certificate = readEnrolmentCa(keysFolder, number);
      if (isRefusal(certificate)) return certificate;
      accepted.push(certificate);
    }
    const [newest, certificate] = [numbers.at(-1), accepted.at(-1)];
    if (newest === undefined || certificate === undefined) {
      const advice = 'make one with ota enrolment-ca, or switch TLS off (OTA_DEVICE_TLS=off)';
      return refuse('file-unreadable', `${keysFolder}/devices: no enrolment CA; ${advice}`);
    }
    const path = enrolmentCaKeyPath(keysFolder, newest);
    const key = readOnlineKeyFile(path, passphrase);
    if (isRefusal(key)) return key;
    const named = exportPublicKey('ESP256', certificate.publicKey);
    if (key.key.algorithm !== 'ESP256' || !sameBytes(key.key.bytes, named)) {
      return refuse('key-file-invalid', `${path}: not the key of enrolment CA ${newest}`);
    }
    const signer = await signerOfFile(crypto, files, basename(path, '.key'), key);
    if (isRefusal(signer)) return signer;
    const issuer = { certificate, signer, secret: key.secret };
    return new EnrolmentAuthority(issuer, accepted, deviceSeconds);
  }

  /**
   * The certificate of a vehicle's device key.
   * @param publicKey P-256 point whose possession was proven
   * @param now unix seconds
   * @returns rejects with `SignerUnavailable`, as all that is issued here
   */
  issueDevice(vehicleId: string, publicKey: Uint8Array, now: number): Promise<DeviceCertificate> {
    const subject = `${vehiclePrefix}${vehicleId}`;
    const request = { profile: { use: 'device' }, subject, publicKey } as const;
    return this.issue(request, now, this.deviceSeconds);
  }

  /** A fresh key for a server of this name; this process keeps it to itself. */
  issueServer(
    name: string,
    now: number,
    seconds = serverCertificateSeconds,
  ): Promise<ServerIdentity> {
    return this.issueFresh({ use: 'server', name }, name, now, seconds);
  }

  /** A fresh key for this process as a publisher at a broker. */
  issuePublisher(now: number): Promise<ServerIdentity> {
    return this.issueFresh({ use: 'device' }, publisherName, now, serverCertificateSeconds);
  }

  /** PEM of the CAs that issue, newest last: what a publisher trusts, and a broker, too. */
  get anchors(): readonly string[] {
    return this.accepted.map((certificate) => certificate.toString());
  }

  private async issueFresh(
    profile: CertificateProfile,
    subject: string,
    now: number,
    seconds: number,
  ): Promise<ServerIdentity> {
    const pair = generateKeyPair('ESP256');
    const request = { profile, subject, publicKey: pair.key.bytes };
    const { chain, notAfter } = await this.issue(request, now, seconds);
    const key = importPrivateKey('ESP256', pair.secret).export({ type: 'pkcs8', format: 'pem' });
    const pem = chain.map((der) => new X509Certificate(der).toString()).join('');
    return { chain: pem, key: key.toString(), notAfter };
  }

  /** Who a certificate is for; code `certificate-untrusted`: none that these CAs gave a device. */
  identify(certificate: X509Certificate): DeviceIdentity | Refusal {
    const validity = followChain([certificate], this.accepted, 'device');
    const prefix = `CN=${vehiclePrefix}`;
    const { subject } = certificate;
    if (validity === undefined || !subject.startsWith(prefix)) {
      return refuse('certificate-untrusted', 'not issued to a device by this enrolment CA');
    }
    const publicKey = exportPublicKey('ESP256', certificate.publicKey);
    return { vehicleId: subject.slice(prefix.length), publicKey, ...validity };
  }

  /** What only holders of the enrolment CA's key file have, for keys that its processes share. */
  secret(): Uint8Array {
    return this.issuer.secret;
  }

  private async issue(
    request: Omit<CertificateRequest, 'notBefore' | 'notAfter'>,
    now: number,
    seconds: number,
  ): Promise<DeviceCertificate> {
    const notBefore = now - backdatedSeconds;
    // Never longer than its issuer: a chain is as valid as its shortest part.
    const end = Math.floor(this.issuer.certificate.validToDate.getTime() / 1_000);
    const notAfter = Math.min(now + seconds, end);
    const { certificate, signer } = this.issuer;
    const { message, finish } = prepareCertificate(
      { ...request, notBefore, notAfter },
      certificate,
    );
    const own = finish(ecdsaToDer(await signer.sign(message)));
    return { chain: [own, new Uint8Array(certificate.raw)], notBefore, notAfter };
  }
}
