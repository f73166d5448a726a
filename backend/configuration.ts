/** The backend's configuration, from environment variables and flags; flags win. */
import { parseArgs } from 'node:util';
import { isRefusal, type Refusal, refuse } from '../agent/codes.ts';
import type { QuotaLimits } from './admission/quotas.ts';
import { fewestConnections, type Stores, storesOf, tokenOf } from './engine-settings.ts';
import { day, type Environment, invalid, type Setting, secretOf, settings } from './settings.ts';
import type { TokenSettings } from './signer/pkcs11/token.ts';

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

export interface Configuration extends Stores {
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

export const defaultLifetimes: Lifetimes = {
  timestamp: day,
  snapshot: day,
  targets: day,
  imagesTimestamp: day,
  imagesSnapshot: 7 * day,
  silence: 2 * day,
};

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
const minLifetimeSeconds = 10;
const maxLifetimeSeconds = 10 * 365 * day;
const maxQuota = 1_000_000_000;
/** Shorter tokens can be guessed. */
const minTokenCharacters = 16;

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
