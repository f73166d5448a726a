/**
 * Certification paths (RFC 5280 §6) as the device plane has them: one certificate, at most
 * `maxTlsIntermediates` of its issuers, and a trust anchor. Both ends use this in place of OpenSSL's
 * verdict, which keeps only the last of several mistakes and always judges by the machine's clock.
 * Names and time are the caller's to judge.
 */
import type { X509Certificate } from 'node:crypto';
import { maxTlsIntermediates } from '../../agent/limits.ts';

/** Extended key usages (RFC 5280 §4.2.1.12): a device's certificate never makes a server. */
export const extendedKeyUsages = {
  server: '1.3.6.1.5.5.7.3.1',
  device: '1.3.6.1.5.5.7.3.2',
} as const;

/** Validity common to a chain's certificates, in unix seconds. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Follows the chain to an anchor, which is trusted for its subject and key alone.
 * @param chain the certificate itself first, then its issuers
 * @returns the chain's validity; undefined when it does not lead to an anchor or is of another use
 */
export function followChain(
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  use: keyof typeof extendedKeyUsages,
): Validity | undefined {
  const [own] = chain;
  // In X509Certificate, `keyUsage` is the extended one.
  if (own === undefined || own.ca || !own.keyUsage?.includes(extendedKeyUsages[use])) {
    return undefined;
  }
  const followed: X509Certificate[] = [];
  for (const certificate of chain.slice(0, 1 + maxTlsIntermediates)) {
    const before = followed.at(-1);
    if (before !== undefined && !(certificate.ca && isIssuedBy(before, certificate))) {
      return undefined;
    }
    followed.push(certificate);
    if (anchors.some((anchor) => isIssuedBy(certificate, anchor))) return commonValidity(followed);
  }
  return undefined;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  const { namedCurve } = issuer.publicKey.asymmetricKeyDetails ?? {};
  return (
    namedCurve === 'prime256v1' &&
    certificate.checkIssued(issuer) &&
    certificate.verify(issuer.publicKey)
  );
}

function commonValidity(chain: readonly X509Certificate[]): Validity {
  const seconds = (date: Date) => Math.floor(date.getTime() / 1000);
  return {
    notBefore: Math.max(...chain.map((one) => seconds(one.validFromDate))),
    notAfter: Math.min(...chain.map((one) => seconds(one.validToDate))),
  };
}
