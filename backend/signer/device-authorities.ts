/**
 * The certification authorities of the device plane in the keys folder (docs/POUF.md, TLS):
 *
 * offline/device-root.key      key of the root that devices trust; never on the server
 * devices/root.der             its certificate
 * devices/N.ca.der             enrolment CAs that it signed, 1 first; the newest issues. Removing
 *                              one ends the trust in the devices and servers that it signed
 * online/enrolment-ca-N.key    their keys
 */
import { X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxCertificateBytes } from '../../agent/limits.ts';
import { importPrivateKey } from '../../hal/node/key-format.ts';
import { generateKeyPair, type KeyPair } from '../../hal/node/signing.ts';
import { issueCertificate, parseCertificate } from './certificate.ts';
import { readSmallFile, writeDurableFile } from './durable-file.ts';
import { type KeyFileOptions, readKeyFile, type TokenKey, writeKeyFile } from './key-file.ts';

const secondsPerDay = 86_400;
/** Devices do not judge their anchor's validity; other software might. */
const rootDays = 7_300;
export const enrolmentCaDays = 1_825;
/** Before now, for clocks that are a little behind. */
export const backdatedSeconds = 300;

export function deviceRootKeyPath(folder: string): string {
  return join(folder, 'offline', 'device-root.key');
}

export function deviceRootPath(folder: string): string {
  return join(folder, 'devices', 'root.der');
}

export function enrolmentCaKeyPath(folder: string, number: number): string {
  return join(folder, 'online', `enrolment-ca-${number}.key`);
}

function enrolmentCaPath(folder: string, number: number): string {
  return join(folder, 'devices', `${number}.ca.der`);
}

/** Numbers of the enrolment CAs that are in the folder, in order. */
export function enrolmentCaNumbers(folder: string): readonly number[] {
  let names: string[];
  try {
    names = readdirSync(join(folder, 'devices'));
  } catch {
    return []; // reading a certificate says what is wrong
  }
  return names
    .flatMap((name) => {
      const match = /^([1-9][0-9]{0,3})\.ca\.der$/.exec(name);
      return match ? [Number(match[1])] : [];
    })
    .sort((a, b) => a - b);
}

export interface AuthorityOptions {
  readonly folder: string;
  readonly passphrase: string;
  /** Seals the enrolment CA's key. */
  readonly onlinePassphrase: string;
  /** Unix seconds. */
  readonly now: number;
  readonly keyFile?: KeyFileOptions;
}

/** The offline root with its key. */
export interface DeviceRoot {
  readonly certificate: X509Certificate;
  readonly pair: KeyPair;
}

/** Makes the offline root; `devices/` must exist. */
export function makeDeviceRoot(options: AuthorityOptions): DeviceRoot {
  const { folder, passphrase, now, keyFile } = options;
  const pair = generateKeyPair('ESP256');
  const certificate = issueCertificate(
    {
      profile: { use: 'authority', pathLength: 1 },
      subject: 'OTA device root',
      publicKey: pair.key.bytes,
      notBefore: now - backdatedSeconds,
      notAfter: now + rootDays * secondsPerDay,
    },
    { key: importPrivateKey('ESP256', pair.secret) },
  );
  writeKeyFile(deviceRootKeyPath(folder), pair, passphrase, keyFile);
  writeDurableFile(deviceRootPath(folder), certificate);
  return { certificate: new X509Certificate(certificate), pair };
}

/**
 * Has the root sign the certificate of enrolment CA `number`, which is written after its key file: a
 * CA is there with its key or not at all.
 * @param pair its key, ESP256
 */
export function signEnrolmentCa(
  options: AuthorityOptions,
  root: DeviceRoot,
  number: number,
  days: number,
  pair: KeyPair | TokenKey,
): void {
  const { folder, onlinePassphrase, now, keyFile } = options;
  const certificate = issueCertificate(
    {
      profile: { use: 'authority', pathLength: 0 },
      subject: `OTA enrolment CA ${number}`,
      publicKey: pair.key.bytes,
      notBefore: now - backdatedSeconds,
      notAfter: now + days * secondsPerDay,
    },
    { certificate: root.certificate, key: importPrivateKey('ESP256', root.pair.secret) },
  );
  writeKeyFile(enrolmentCaKeyPath(folder, number), pair, onlinePassphrase, keyFile);
  writeDurableFile(enrolmentCaPath(folder, number), certificate);
}

/** The offline root with its key. Codes of `readKeyFile`, `file-unreadable`, `key-file-invalid`. */
export function openDeviceRoot(folder: string, passphrase: string): DeviceRoot | Refusal {
  const certificate = readDeviceRootCertificate(folder);
  if (isRefusal(certificate)) return certificate;
  const pair = readKeyFile(deviceRootKeyPath(folder), passphrase);
  return isRefusal(pair) ? pair : { certificate, pair };
}

/** Certificate of the device root. Codes `file-unreadable`, `key-file-invalid`. */
export function readDeviceRootCertificate(folder: string): X509Certificate | Refusal {
  return readCertificate(deviceRootPath(folder));
}

/** Certificate of an enrolment CA. Codes `file-unreadable`, `key-file-invalid`. */
export function readEnrolmentCa(folder: string, number: number): X509Certificate | Refusal {
  return readCertificate(enrolmentCaPath(folder, number));
}

function readCertificate(path: string): X509Certificate | Refusal {
  const bytes = readSmallFile(path, maxCertificateBytes);
  if (isRefusal(bytes)) return bytes;
  return parseCertificate(bytes) ?? refuse('key-file-invalid', `${path}: no certificate`);
}
