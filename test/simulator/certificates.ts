/**
 * Makes X.509 certificates for tests (RFC 5280), right ones and wrong ones: independent of the
 * issuer that the product has.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface CertificateOptions {
  readonly subject: string;
  /** Unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Signs it; itself when absent. */
  readonly issuer?: Identity;
  /** Basic constraints with CA true. */
  readonly authority?: boolean;
  readonly dnsNames?: readonly string[];
  /** Extended key usages. */
  readonly purposes?: readonly ('server' | 'device')[];
  readonly key?: KeyPair;
  /** Bytes of an unknown extension, to make it long. */
  readonly padding?: number;
}

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** A certificate in DER, with its key. */
export interface Identity extends KeyPair {
  readonly certificate: Uint8Array;
  readonly subject: string;
}

const commonName = '550403';
const ecdsaWithSha256 = '2a8648ce3d040302';
const basicConstraints = '551d13';
const alternativeNames = '551d11';
const extendedKeyUsage = '551d25';
const unknownExtension = '2b060104018f650101';
const purposeNames = { server: '2b06010505070301', device: '2b06010505070302' } as const;

function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), body]);
}

const sequence = (...content: readonly Uint8Array[]) => element(0x30, ...content);
const identifier = (hex: string) => element(0x06, Buffer.from(hex, 'hex'));
const text = (tag: number, value: string) => element(tag, Buffer.from(value, 'latin1'));
const yes = Buffer.from([0x01, 0x01, 0xff]);

function name(subject: string): Buffer {
  return sequence(element(0x31, sequence(identifier(commonName), text(0x0c, subject))));
}

function time(seconds: number): Buffer {
  const digits = new Date(seconds * 1000).toISOString().replace(/\.\d*|[^\d]/g, '');
  const year = Number(digits.slice(0, 4));
  const short = year >= 1950 && year < 2050;
  return text(short ? 0x17 : 0x18, `${short ? digits.slice(2) : digits}Z`);
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(identifier(id), ...(critical ? [yes] : []), element(0x04, value));
}

function extensions(options: CertificateOptions): Buffer[] {
  const { authority, dnsNames, purposes, padding } = options;
  const list: Buffer[] = [];
  if (authority) list.push(extension(basicConstraints, true, sequence(yes)));
  if (dnsNames) {
    const names = dnsNames.map((one) => text(0x82, one));
    list.push(extension(alternativeNames, false, sequence(...names)));
  }
  if (purposes) {
    const ids = purposes.map((one) => identifier(purposeNames[one]));
    list.push(extension(extendedKeyUsage, false, sequence(...ids)));
  }
  if (padding) list.push(extension(unknownExtension, false, element(0x04, Buffer.alloc(padding))));
  return list;
}

export function makeCertificate(options: CertificateOptions): Identity {
  const key = options.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = options.issuer ?? { ...key, subject: options.subject };
  const algorithm = sequence(identifier(ecdsaWithSha256));
  const list = extensions(options);
  const body = sequence(
    element(0xa0, Buffer.from('020102', 'hex')),
    Buffer.from('02020101', 'hex'),
    algorithm,
    name(signer.subject),
    sequence(time(options.notBefore), time(options.notAfter)),
    name(options.subject),
    key.publicKey.export({ type: 'spki', format: 'der' }),
    ...(list.length > 0 ? [element(0xa3, sequence(...list))] : []),
  );
  const signature = sign('sha256', body, signer.privateKey);
  const whole = sequence(body, algorithm, element(0x03, Buffer.from([0]), signature));
  return { ...key, certificate: new Uint8Array(whole), subject: options.subject };
}

export function toPem(certificate: Uint8Array): string {
  const lines = Buffer.from(certificate)
    .toString('base64')
    .match(/.{1,64}/g)!;
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** The 32-byte scalar of a P-256 key. */
export function scalarOf({ privateKey }: KeyPair): Uint8Array {
  return new Uint8Array(Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url'));
}
