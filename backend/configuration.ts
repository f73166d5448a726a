/** The backend's configuration, from environment variables and flags; flags win. */
import { isAbsolute } from 'node:path';
import { parseArgs } from 'node:util';
import { isRefusal, type Refusal, refuse } from '../agent/codes.ts';
import type { QuotaLimits } from './admission/quotas.ts';
import { readSmallFile } from './signer/durable-file.ts';
import type { TokenSettings } from './signer/pkcs11/token.ts';
import type { S3Settings } from './store/s3-client.ts';

/** How long each kind of online metadata is valid, in seconds (DBP-03). */
export interface Lifetimes {
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
  readonly imagesTimestamp: number;
  readonly imagesSnapshot: number;
  /** How long a vehicle may send no manifest before that is an anomaly. */
  readonly silence: number;
}

export interface Ports {
  readonly director: number;
  readonly images: number;
  readonly operator: number;
}

/** A broker within this process, or one outside that several processes share. */
export type DoorbellSetting = { readonly port: number } | { readonly url: URL };

export interface Configuration {
  /** Database and images. */
  readonly stateFolder: string;
  /** A PostgreSQL that several processes share; SQLite in the state folder when absent. */
  readonly database?: {
    readonly url: string;
    /** Connections that this process opens to it, at most. */
    readonly connections: number;
  };
  /** An S3-compatible store for images; files in the state folder when absent. */
  readonly s3?: S3Settings;
  /** `online/*.key`, `director/1.root.cbor`, `images/1.root.cbor` as the ceremony left them. */
  readonly keysFolder: string;
  /** Opens the online key files. */
  readonly passphrase: string;
  /** Where halves of the online keys are, when they are not all in files. */
  readonly token?: TokenSettings;
  /** Bearer token of the operator plane. */
  readonly operatorToken: string;
  /** 0 takes any free port. */
  readonly ports: Ports;
  readonly host: string;
  /** Mutual TLS of the device plane; plain HTTP when absent, on loopback only. */
  readonly deviceTls?: {
    /** The DNS name in the server's certificate, as the vehicles were provisioned with it. */
    readonly serverName: string;
    /** How long a device's certificate is valid. */
    readonly certificateSeconds: number;
  };
  readonly lifetimes: Lifetimes;
  readonly quotas: QuotaLimits;
  /** Where vehicles hear that there is something new; without it they poll. */
  readonly doorbell?: DoorbellSetting;
  /** pino level of the log on standard error; `silent` for none. */
  readonly logLevel: string;
}

const day = 86_400;

export const defaultLifetimes: Lifetimes = {
  timestamp: day,
  snapshot: day,
  targets: day,
  imagesTimestamp: day,
  imagesSnapshot: 7 * day,
  silence: 2 * day,
};

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
const settings = {
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

type Setting = keyof typeof settings;
type Environment = Readonly<Record<string, string | undefined>>;

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
const maxSecretFileBytes = 4_096;
/** As long as PKCS#11 has them. */
const maxTokenLabelBytes = 32;
const maxPinBytes = 255;
const minLifetimeSeconds = 10;
const maxLifetimeSeconds = 10 * 365 * day;
/** One would wait for itself when a request needs two. */
const fewestConnections = 2;
const maxQuota = 1_000_000_000;
/** Shorter tokens can be guessed. */
const minTokenCharacters = 16;

/** The environment variable that sets a plane's port, for messages to a person. */
export const portVariables = {
  director: settings['director-port'].variable,
  images: settings['images-port'].variable,
  operator: settings['operator-port'].variable,
} as const;

export const doorbellPortVariable = settings['doorbell-port'].variable;

/**
 * Reads the configuration. Secrets come from `OTA_PASSPHRASE`, `OTA_OPERATOR_TOKEN` or from files,
 * never from flags, which every user of the machine could read.
 * @returns code `configuration-invalid` or `argument-invalid`, naming the setting
 */
export function readConfiguration(
  argumentsGiven: readonly string[],
  environment: Environment,
): Configuration | Refusal {
  const flags = readFlags(argumentsGiven);
  if (isRefusal(flags)) return flags;
  const settingOf = (name: Setting): string =>
    flags[name] ?? environment[settings[name].variable] ?? settings[name].fallback;
  let refused: Refusal | undefined;
  const number = (name: Setting, min: number, max: number): number => {
    const text = settingOf(name);
    const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
    if (value < min || value > max) {
      refused ??= invalid(name, `expected a number from ${min} to ${max}, got '${text}'`);
    }
    return value;
  };
  const seconds = (name: Setting) => number(name, minLifetimeSeconds, maxLifetimeSeconds);
  const ports = {
    director: number('director-port', 0, 65_535),
    images: number('images-port', 0, 65_535),
    operator: number('operator-port', 0, 65_535),
  };
  const doorbell = readDoorbell(settingOf('mqtt-url'), number('doorbell-port', 0, 65_535));
  const lifetimes = {
    timestamp: seconds('timestamp-seconds'),
    snapshot: seconds('snapshot-seconds'),
    targets: seconds('targets-seconds'),
    imagesTimestamp: seconds('images-timestamp-seconds'),
    imagesSnapshot: seconds('images-snapshot-seconds'),
    silence: seconds('silence-seconds'),
  };
  const quota = (name: Setting) => number(name, 1, maxQuota);
  const quotas = {
    vehicle: quota('vehicle-quota'),
    fleet: quota('fleet-quota'),
    address: quota('address-quota'),
    anonymous: quota('anonymous-quota'),
    global: quota('global-quota'),
    connections: quota('address-connections'),
  };
  if (!logLevels.includes(settingOf('log-level'))) {
    refused ??= invalid('log-level', `expected one of ${logLevels.join(', ')}`);
  }
  const connections = number('database-connections', fewestConnections, 1_000);
  const certificateSeconds = seconds('device-certificate-seconds');
  const tls = settingOf('device-tls');
  const host = settingOf('host');
  if (tls !== 'on' && tls !== 'off') {
    refused ??= invalid('device-tls', `expected on or off, got '${tls}'`);
  } else if (tls === 'off' && !loopback.includes(host)) {
    // Without it, everybody in the network could read and speak for vehicles.
    refused ??= invalid('device-tls', `off is for ${loopback.join(', ')} only, not ${host}`);
  }
  const serverName = settingOf('device-tls-name');
  if (!isDnsName(serverName)) {
    refused ??= invalid('device-tls-name', `expected a DNS name, got '${serverName}'`);
  }
  if (refused !== undefined) return refused;
  if (isRefusal(doorbell)) return doorbell;
  const passphrase = secretOf('OTA_PASSPHRASE', settingOf('passphrase-file'), environment);
  if (isRefusal(passphrase)) return passphrase;
  const operatorToken = secretOf(
    'OTA_OPERATOR_TOKEN',
    settingOf('operator-token-file'),
    environment,
  );
  if (isRefusal(operatorToken)) return operatorToken;
  if (!/^[\x21-\x7e]+$/.test(operatorToken) || operatorToken.length < minTokenCharacters) {
    const wanted = `at least ${minTokenCharacters} printable characters without spaces`;
    return refuse('configuration-invalid', `OTA_OPERATOR_TOKEN: expected ${wanted}`);
  }
  const stores = storesOf(settingOf, environment, connections);
  if (isRefusal(stores)) return stores;
  const token = tokenOf(settingOf, environment);
  if (isRefusal(token)) return token;
  return {
    ...stores,
    keysFolder: settingOf('keys'),
    passphrase,
    ...(token && { token }),
    operatorToken,
    ports,
    host,
    ...(tls === 'on' && { deviceTls: { serverName, certificateSeconds } }),
    lifetimes,
    quotas,
    doorbell,
    logLevel: settingOf('log-level'),
  };
}

type Stores = Pick<Configuration, 'stateFolder' | 'database' | 's3'>;

/** What the state lies in, for tools beside the server. Code `configuration-invalid`. */
export function readStores(environment: Environment): Stores | Refusal {
  const settingOf = (name: Setting): string =>
    environment[settings[name].variable] || settings[name].fallback;
  return storesOf(settingOf, environment, fewestConnections);
}

function storesOf(
  settingOf: (name: Setting) => string,
  environment: Environment,
  connections: number,
): Stores | Refusal {
  const url = databaseUrlOf(settingOf('database-url-file'), environment);
  if (isRefusal(url)) return url;
  const s3 = s3Of(settingOf, environment);
  if (isRefusal(s3)) return s3;
  return {
    stateFolder: settingOf('state'),
    ...(url !== undefined && { database: { url, connections } }),
    ...(s3 && { s3 }),
  };
}

/** A broker outside: its address may hold a name and a password, which no message repeats. */
function readDoorbell(url: string, port: number): DoorbellSetting | Refusal {
  if (url === '') return { port };
  const parsed = URL.parse(url);
  if (parsed === null || !['mqtt:', 'mqtts:'].includes(parsed.protocol) || parsed.hostname === '') {
    return invalid('mqtt-url', 'expected mqtts://HOST:PORT, or mqtt:// on this machine');
  }
  // Whoever reads along would learn which vehicles get something.
  if (
    parsed.protocol === 'mqtt:' &&
    !loopback.includes(parsed.hostname.replace(/^\[(.*)\]$/, '$1'))
  ) {
    return invalid('mqtt-url', `mqtt is for ${loopback.join(', ')} only: use mqtts`);
  }
  return { url: parsed };
}

const loopback = ['127.0.0.1', '::1', 'localhost'];

function isDnsName(text: string): boolean {
  const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
  const numeric = /^[0-9.]+$/.test(text);
  return text.length <= 128 && !numeric && new RegExp(`^${label}(\\.${label})*$`).test(text);
}

function invalid(name: Setting, problem: string): Refusal {
  return refuse('configuration-invalid', `${settings[name].variable} (--${name}): ${problem}`);
}

function readFlags(argumentsGiven: readonly string[]): Partial<Record<Setting, string>> | Refusal {
  const options = Object.fromEntries(
    Object.keys(settings).map((name) => [name, { type: 'string' as const }]),
  );
  try {
    return parseArgs({ args: [...argumentsGiven], options, strict: true }).values as Partial<
      Record<Setting, string>
    >;
  } catch (error) {
    // parseArgs throws TypeErrors for what a person typed.
    return refuse('argument-invalid', error instanceof Error ? error.message : String(error));
  }
}

/**
 * The images' store, where `S3_ENDPOINT` names one. Code `configuration-invalid`.
 * @param settingOf flag, variable or default of a setting
 */
function s3Of(
  settingOf: (name: Setting) => string,
  environment: Environment,
): S3Settings | undefined | Refusal {
  const endpoint = settingOf('s3-endpoint');
  if (endpoint === '') return undefined;
  const url = URL.parse(endpoint);
  const plain = url?.pathname === '/' && url.search === '' && url.username === '';
  if (url === null || !plain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return invalid('s3-endpoint', `expected http://HOST:PORT or https://…, got '${endpoint}'`);
  }
  const bucket = settingOf('s3-bucket');
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    return invalid('s3-bucket', `expected 3 to 63 of a-z, 0-9, . and -, got '${bucket}'`);
  }
  const region = settingOf('s3-region');
  if (!/^[a-z0-9-]{1,64}$/.test(region)) {
    return invalid('s3-region', `expected a region as us-east-1, got '${region}'`);
  }
  const accessKeyId = settingOf('s3-access-key-id');
  if (!/^[\x21-\x7e]{1,128}$/.test(accessKeyId)) {
    return invalid('s3-access-key-id', 'expected the name of the key');
  }
  const file = settingOf('s3-secret-access-key-file');
  const secretAccessKey = secretOf('S3_SECRET_ACCESS_KEY', file, environment);
  if (isRefusal(secretAccessKey)) return secretAccessKey;
  return { endpoint: url.origin, bucket, region, accessKeyId, secretAccessKey };
}

/**
 * The token of the online keys, for tools beside the server; undefined where `OTA_PKCS11_MODULE` is
 * not set. Code `configuration-invalid`.
 */
export function readToken(environment: Environment): TokenSettings | undefined | Refusal {
  return tokenOf((name) => environment[settings[name].variable] ?? '', environment);
}

function tokenOf(
  settingOf: (name: Setting) => string,
  environment: Environment,
): TokenSettings | undefined | Refusal {
  const module = settingOf('pkcs11-module');
  if (module === '') return undefined;
  if (!isAbsolute(module)) {
    return invalid('pkcs11-module', `expected the path of a library from /, got '${module}'`);
  }
  const label = settingOf('pkcs11-token');
  if (label === '' || Buffer.byteLength(label) > maxTokenLabelBytes) {
    return invalid(
      'pkcs11-token',
      `expected a token's label of at most ${maxTokenLabelBytes} bytes`,
    );
  }
  const pin = secretOf('OTA_PKCS11_PIN', settingOf('pkcs11-pin-file'), environment);
  if (isRefusal(pin)) return pin;
  if (Buffer.byteLength(pin) > maxPinBytes) {
    return refuse('configuration-invalid', `OTA_PKCS11_PIN: more than ${maxPinBytes} bytes`);
  }
  return { module, label, pin };
}

/** It may hold a password: from the environment or a file, as secrets are. */
function databaseUrlOf(file: string, environment: Environment): string | undefined | Refusal {
  if (!environment['DATABASE_URL'] && file === '') return undefined;
  const url = secretOf('DATABASE_URL', file, environment);
  if (isRefusal(url) || /^postgres(ql)?:\/\//.test(url)) return url;
  return refuse('configuration-invalid', 'DATABASE_URL: expected postgresql://…');
}

function secretOf(variable: string, file: string, environment: Environment): string | Refusal {
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
