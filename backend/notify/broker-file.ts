/** The files of a broker outside that are the same for every kind of broker. */
import type { ServerIdentity } from '../signer/enrolment-authority.ts';

export interface BrokerFile {
  readonly name: string;
  readonly text: string;
  readonly secret?: boolean;
}

/** What a broker shows of itself, and whom it believes. */
export interface BrokerTls {
  readonly server: ServerIdentity;
  /** PEM of the device root and its enrolment CAs. */
  readonly anchors: readonly string[];
}

/** A message of the doorbell is some dozens of bytes. */
export const maxPacketBytes = 1_024;

/** `ca.pem`, `server.pem`, `server.key`. */
export function tlsFiles({ server, anchors }: BrokerTls): readonly BrokerFile[] {
  return [
    { name: 'ca.pem', text: anchors.join('') },
    { name: 'server.pem', text: server.chain },
    { name: 'server.key', text: server.key, secret: true },
  ];
}
