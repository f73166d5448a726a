/**
 * The configuration of mosquitto as the broker outside (docs/operations.md): made here, so that the
 * access rights are those that the tests have tried by what is delivered.
 *
 * Vehicles and backends come to listeners of their own. A vehicle's name is that in its certificate,
 * and its client identifier too: it reads its own topic, publishes nothing, and ends nobody's
 * connection but its own. Only the certificate of a backend publishes.
 */
import { publisherName } from '../signer/enrolment-authority.ts';
import { type BrokerFile, type BrokerTls, maxPacketBytes, tlsFiles } from './broker-file.ts';

export interface MosquittoOptions extends BrokerTls {
  /** Absolute path of the folder, where mosquitto will find it. */
  readonly folder: string;
  /** Address that both listeners take; all addresses when absent. */
  readonly host?: string | undefined;
  /** Ports for vehicles and for backends. */
  readonly port: number;
  readonly publisherPort: number;
}

const maxVehicles = 100_000;
const maxBackends = 64;

/** The files of the folder; `mosquitto.conf` names the others. */
export function mosquittoFiles(options: MosquittoOptions): readonly BrokerFile[] {
  const { folder, host, port, publisherPort } = options;
  const listener = (at: number, acl: string, connections: number, more: readonly string[]) => [
    `listener ${at}${host === undefined ? '' : ` ${host}`}`,
    `cafile ${folder}/ca.pem`,
    `certfile ${folder}/server.pem`,
    `keyfile ${folder}/server.key`,
    'tls_version tlsv1.2',
    'require_certificate true',
    'use_identity_as_username true',
    'allow_anonymous false',
    `acl_file ${folder}/${acl}`,
    `max_connections ${connections}`,
    ...more,
  ];
  const lines = [
    '# Made by `ota broker-files`. Vehicles come to the first listener, backends to the second.',
    'per_listener_settings true',
    `max_packet_size ${maxPacketBytes}`,
    'max_inflight_messages 4',
    'max_queued_messages 4',
    // Backends bring back what was retained; sessions of vehicles that are away are of no use.
    'persistence false',
    'persistent_client_expiration 1d',
    '',
    ...listener(port, 'vehicles.acl', maxVehicles, ['use_username_as_clientid true']),
    '',
    ...listener(publisherPort, 'backends.acl', maxBackends, []),
    '',
  ];
  return [
    { name: 'mosquitto.conf', text: lines.join('\n') },
    // %u: the common name of the certificate, `vehicle:` and the vehicle id
    { name: 'vehicles.acl', text: 'pattern read ota/%u\n' },
    { name: 'backends.acl', text: `user ${publisherName}\ntopic write ota/#\n` },
    ...tlsFiles(options),
  ];
}
