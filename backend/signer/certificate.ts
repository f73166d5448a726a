/**
 * Issues X.509 certificates (RFC 5280) with P-256 keys for the device plane: its offline root, the
 * online enrolment CA, and what that CA signs for servers and devices. The encoding is the
 * library's; which fields there are is decided here.
 */
import { createHash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { extendedKeyUsages } from '../../hal/node/certificate-chain.ts';
import { exportPublicKey, importPublicKey } from '../../hal/node/key-format.ts';

const commonName = '2.5.4.3';
const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
/** 127 random bits, so that a serial number is positive and cannot be guessed. */
const serialBytes = 16;

/** What a certificate is for. */
export type CertificateProfile =
  /** May issue CA certificates below it, so many deep. */
  | { readonly use: 'authority'; readonly pathLength: number }
  | { readonly use: 'server'; readonly name: string }
  | { readonly use: 'device' };

export interface CertificateRequest {
  readonly profile: CertificateProfile;
  /** Common name of the subject. */
  readonly subject: string;
  /** P-256 point, 65 bytes; a malformed one throws. */
  readonly publicKey: Uint8Array;
  /** Unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Who signs; without a certificate it is the subject itself. */
export interface Issuer {
  readonly certificate?: X509Certificate;
  readonly key: KeyObject;
}

/** Makes a certificate; returns its DER. */
export function issueCertificate(request: CertificateRequest, issuer: Issuer): Uint8Array {
  const { message, finish } = prepareCertificate(request, issuer.certificate);
  return finish(sign('sha256', message, { key: issuer.key, dsaEncoding: 'der' }));
}

/** A certificate that its issuer has yet to sign. */
export interface UnsignedCertificate {
  /** DER of the TBSCertificate. */
  readonly message: Uint8Array;
  /**
   * @param signature ECDSA with SHA-256 by the issuer's key, DER
   * @returns the certificate's DER
   */
  finish(signature: Uint8Array): Uint8Array;
}

/**
 * Prepares a certificate for its issuer's signature.
 * @param issuer its certificate; the subject itself when absent
 */
export function prepareCertificate(
  request: CertificateRequest,
  issuer?: X509Certificate,
): UnsignedCertificate {
  const { profile, subject, publicKey, notBefore, notAfter } = request;
  const spki = importPublicKey('ESP256', publicKey).export({ format: 'der', type: 'spki' });
  const parent = issuer && AsnConvert.parse(issuer.raw, Certificate);
  const ownKeyId = keyIdentifier(publicKey);
  const parentKeyId = issuer
    ? keyIdentifier(exportPublicKey('ESP256', issuer.publicKey))
    : ownKeyId;
  const signatureAlgorithm = new AlgorithmIdentifier({ algorithm: ecdsaWithSha256 });
  const subjectName = nameOf(subject);
  const content = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: signatureAlgorithm,
    issuer: parent?.tbsCertificate.subject ?? subjectName,
    validity: new Validity({
      notBefore: new Date(notBefore * 1_000),
      notAfter: new Date(notAfter * 1_000),
    }),
    subject: subjectName,
    subjectPublicKeyInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
    extensions: new Extensions([
      ...extensionsOf(profile),
      extension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(ownKeyId)),
      extension(
        id_ce_authorityKeyIdentifier,
        false,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(parentKeyId) }),
      ),
    ]),
  });
  return {
    message: new Uint8Array(AsnConvert.serialize(content)),
    finish(signature) {
      const certificate = new Certificate({
        tbsCertificate: content,
        signatureAlgorithm,
        signatureValue: new Uint8Array(signature).buffer,
      });
      return new Uint8Array(AsnConvert.serialize(certificate));
    },
  };
}

function extensionsOf(profile: CertificateProfile): readonly Extension[] {
  if (profile.use === 'authority') {
    const { pathLength } = profile;
    const constraints = new BasicConstraints({ cA: true, pathLenConstraint: pathLength });
    return [extension(id_ce_basicConstraints, true, constraints), usage(KeyUsageFlags.keyCertSign)];
  }
  const common = [
    extension(id_ce_basicConstraints, true, new BasicConstraints()),
    usage(KeyUsageFlags.digitalSignature),
    extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage([extendedKeyUsages[profile.use]])),
  ];
  if (profile.use === 'device') return common;
  const names = new SubjectAlternativeName([new GeneralName({ dNSName: profile.name })]);
  return [...common, extension(id_ce_subjectAltName, false, names)];
}

function usage(flags: number): Extension {
  return extension(id_ce_keyUsage, true, new KeyUsage(flags));
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  const extnValue = new OctetString(AsnConvert.serialize(value));
  return new Extension({ extnID, critical, extnValue });
}

function nameOf(text: string): Name {
  const value = new AttributeValue({ utf8String: text });
  const attribute = new AttributeTypeAndValue({ type: commonName, value });
  return new Name([new RelativeDistinguishedName([attribute])]);
}

/** RFC 7093 §2 (1): the leftmost 160 bits of the SHA-256 of the key. */
function keyIdentifier(point: Uint8Array): ArrayBuffer {
  return new Uint8Array(createHash('sha256').update(point).digest().subarray(0, 20)).buffer;
}

function serialNumber(): ArrayBuffer {
  const bytes = new Uint8Array(randomBytes(serialBytes));
  // Positive, and as short as DER wants it: the first byte is 0x40 … 0x7f.
  bytes[0] = 0x40 + (bytes[0]! % 0x40);
  return bytes.buffer;
}

/** Parses a certificate; undefined when it is none. */
export function parseCertificate(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}
