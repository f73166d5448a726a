/** The backend's settings: names, variables, what holds where nothing is set, and secrets. */
import { isRefusal, type Refusal, refuse } from '../agent/codes.ts';
import type { QuotaLimits } from './admission/quotas.ts';
import { readSmallFile } from './signer/durable-file.ts';

export const day = 86_400;
const maxSecretFileBytes = 4_096;

/**
 * Requests in 10 seconds. A vehicle of 1,000 ECUs fetches as many key objects at once; one address
 * may be that of a whole mobile network.
 */
export const defaultQuotas: QuotaLimits = {
  vehicle: 2_000,
  fleet: 50_000,
  address: 20_000,
  anonymous: 50_000,
  global: 100_000,
  // Many vehicles may share an address; none of them may take all connections of a plane.
  connections: 1_024,
};

/** In the server's certificate, whatever address the backend is reached at. */
export const defaultServerName = 'ota.internal';

export const defaultPorts = { director: '8000', images: '8001', operator: '8002' } as const;

/** Every setting: its flag, its environment variable and what it is when neither says. */
export const settings = {
  state: { variable: 'OTA_STATE', fallback: 'out/backend' },
  keys: { variable: 'OTA_KEYS', fallback: 'out/keys' },
  host: { variable: 'OTA_HOST', fallback: '127.0.0.1' },
  'device-tls': { variable: 'OTA_DEVICE_TLS', fallback: 'on' },
  'device-tls-name': { variable: 'OTA_DEVICE_TLS_NAME', fallback: defaultServerName },
  'device-certificate-seconds': {
    variable: 'DEVICE_CERTIFICATE_SECONDS',
    fallback: String(90 * day),
  },
  'passphrase-file': { variable: 'OTA_PASSPHRASE_FILE', fallback: '' },
  'pkcs11-module': { variable: 'OTA_PKCS11_MODULE', fallback: '' },
  'pkcs11-token': { variable: 'OTA_PKCS11_TOKEN', fallback: '' },
  'pkcs11-pin-file': { variable: 'OTA_PKCS11_PIN_FILE', fallback: '' },
  'database-url-file': { variable: 'DATABASE_URL_FILE', fallback: '' },
  'database-connections': { variable: 'DATABASE_CONNECTIONS', fallback: '10' },
  's3-endpoint': { variable: 'S3_ENDPOINT', fallback: '' },
  's3-bucket': { variable: 'S3_BUCKET', fallback: 'ota-images' },
  's3-region': { variable: 'S3_REGION', fallback: 'us-east-1' },
  's3-access-key-id': { variable: 'S3_ACCESS_KEY_ID', fallback: '' },
  's3-secret-access-key-file': { variable: 'S3_SECRET_ACCESS_KEY_FILE', fallback: '' },
  'operator-token-file': { variable: 'OTA_OPERATOR_TOKEN_FILE', fallback: '' },
  'director-port': { variable: 'DIRECTOR_PORT', fallback: defaultPorts.director },
  'images-port': { variable: 'IMAGES_PORT', fallback: defaultPorts.images },
  'operator-port': { variable: 'OPERATOR_PORT', fallback: defaultPorts.operator },
  'doorbell-port': { variable: 'DOORBELL_PORT', fallback: '8883' },
  'mqtt-url': { variable: 'MQTT_URL', fallback: '' },
  'timestamp-seconds': { variable: 'TIMESTAMP_SECONDS', fallback: String(day) },
  'snapshot-seconds': { variable: 'SNAPSHOT_SECONDS', fallback: String(day) },
  'targets-seconds': { variable: 'TARGETS_SECONDS', fallback: String(day) },
  'images-timestamp-seconds': { variable: 'IMAGES_TIMESTAMP_SECONDS', fallback: String(day) },
  'images-snapshot-seconds': { variable: 'IMAGES_SNAPSHOT_SECONDS', fallback: String(7 * day) },
  'silence-seconds': { variable: 'SILENCE_SECONDS', fallback: String(2 * day) },
  'vehicle-quota': { variable: 'VEHICLE_QUOTA', fallback: String(defaultQuotas.vehicle) },
  'fleet-quota': { variable: 'FLEET_QUOTA', fallback: String(defaultQuotas.fleet) },
  'address-quota': { variable: 'ADDRESS_QUOTA', fallback: String(defaultQuotas.address) },
  'anonymous-quota': { variable: 'ANONYMOUS_QUOTA', fallback: String(defaultQuotas.anonymous) },
  'global-quota': { variable: 'GLOBAL_QUOTA', fallback: String(defaultQuotas.global) },
  'address-connections': {
    variable: 'ADDRESS_CONNECTIONS',
    fallback: String(defaultQuotas.connections),
  },
  'log-level': { variable: 'OTA_LOG_LEVEL', fallback: 'info' },
} as const;

export type Setting = keyof typeof settings;
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment variable that sets a plane's port, for messages to a person. */
export const portVariables = {
  director: settings['director-port'].variable,
  images: settings['images-port'].variable,
  operator: settings['operator-port'].variable,
} as const;

export const doorbellPortVariable = settings['doorbell-port'].variable;

/** Code `configuration-invalid`, naming the setting. */
export function invalid(name: Setting, problem: string): Refusal {
  return refuse('configuration-invalid', `${settings[name].variable} (--${name}): ${problem}`);
}

/**
 * A secret from its variable, or from the file that the setting beside it names.
 * @param file empty for none
 * @returns code `configuration-invalid`
 */
export function secretOf(
  variable: string,
  file: string,
  environment: Environment,
): string | Refusal {
  const given = environment[variable];
  if (given !== undefined && given !== '') return given;
  if (file === '') {
    return refuse('configuration-invalid', `${variable} or ${variable}_FILE: one has to be set`);
  }
  const bytes = readSmallFile(file, maxSecretFileBytes);
  if (isRefusal(bytes)) return refuse('configuration-invalid', `${variable}_FILE: ${bytes.detail}`);
  const secret = Buffer.from(bytes)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  return secret === '' ? refuse('configuration-invalid', `${file}: is empty`) : secret;
}
