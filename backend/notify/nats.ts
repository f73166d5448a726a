/**
 * The configuration of a NATS server (2.9 or newer) as the broker outside (docs/operations.md): made
 * here, so that the access rights are those that the tests have tried by what is delivered.
 *
 * Its MQTT stands on its own protocol: a topic `ota/vehicle:car-1` is the subject `ota.vehicle:car-1`.
 * It knows no pattern with the name of a certificate, so that every vehicle is a user of its own here,
 * and who is not listed does not come in.
 */
import { doorbellClient, doorbellTopic } from '../../agent/metadata/doorbell.ts';
import { publisherName } from '../signer/enrolment-authority.ts';
import { type BrokerFile, type BrokerTls, maxPacketBytes, tlsFiles } from './broker-file.ts';

export interface NatsOptions extends BrokerTls {
  /** Absolute path of the folder, where the server will find it. */
  readonly folder: string;
  /** Address for vehicles and backends; all addresses when absent. */
  readonly host?: string | undefined;
  readonly port: number;
  /** Who may listen. */
  readonly vehicleIds: readonly string[];
}

/** What is retained is on disk: some hundred bytes for each vehicle. */
const maxStoreBytes = 1_073_741_824;

/** The subject of a topic. */
function subjectOf(topic: string): string {
  return topic.replaceAll('/', '.');
}

/** Whether the server can carry a vehicle's topic: a dot would be a level of the subject. */
export function fitsNats(vehicleId: string): boolean {
  return !vehicleId.includes('.');
}

/** The files of the folder; `nats.conf` names the others. */
export function natsFiles(options: NatsOptions): readonly BrokerFile[] {
  const { folder, host = '0.0.0.0', port, vehicleIds } = options;
  const text = (value: string) => JSON.stringify(value);
  const tls = [
    'tls {',
    `  cert_file: ${text(`${folder}/server.pem`)}`,
    `  key_file: ${text(`${folder}/server.key`)}`,
    `  ca_file: ${text(`${folder}/ca.pem`)}`,
    // The user is who the certificate says.
    '  verify_and_map: true',
    '}',
  ];
  const user = (name: string, publish: readonly string[], subscribe: readonly string[]) => {
    const list = (subjects: readonly string[]) =>
      subjects.length === 0 ? '{deny: ">"}' : `{allow: ${JSON.stringify(subjects)}}`;
    const permissions = `{publish: ${list(publish)}, subscribe: ${list(subscribe)}}`;
    return `    {user: ${text(`CN=${name}`)}, allowed_connection_types: ["MQTT"], permissions: ${permissions}}`;
  };
  const lines = [
    '# Made by `ota broker-files`.',
    'server_name: ota-doorbell',
    // The server's own protocol cannot be turned off: on this machine only, and no user may use it.
    'listen: "127.0.0.1:-1"',
    ...tls,
    `max_payload: ${maxPacketBytes}`,
    'jetstream {',
    `  store_dir: ${text(`${folder}/jetstream`)}`,
    `  max_file_store: ${maxStoreBytes}`,
    '}',
    'mqtt {',
    `  listen: ${text(`${host}:${port}`)}`,
    ...tls.map((line) => `  ${line}`),
    '}',
    'authorization {',
    '  users: [',
    user(publisherName, ['ota.*'], []),
    ...vehicleIds.map((vehicleId) =>
      // The second is where the server puts what this client has to acknowledge.
      user(doorbellClient(vehicleId), [], [subjectOf(doorbellTopic(vehicleId)), '$MQTT.sub.>']),
    ),
    '  ]',
    '}',
    '',
  ];
  return [{ name: 'nats.conf', text: lines.join('\n') }, ...tlsFiles(options)];
}
