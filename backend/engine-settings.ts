/** What of the configuration names engines beside the process: database, images' store, token. */
import { isAbsolute } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../agent/codes.ts';
import { type Environment, invalid, type Setting, secretOf, settings } from './settings.ts';
import type { TokenSettings } from './signer/pkcs11/token.ts';
import type { S3Settings } from './store/s3-client.ts';

/** One would wait for itself when a request needs two. */
export const fewestConnections = 2;
/** As long as PKCS#11 has them. */
const maxTokenLabelBytes = 32;
const maxPinBytes = 255;

/** Where the state lies. */
export interface Stores {
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
}

/** What the state lies in, for tools beside the server. Code `configuration-invalid`. */
export function readStores(environment: Environment): Stores | Refusal {
  const settingOf = (name: Setting): string =>
    environment[settings[name].variable] || settings[name].fallback;
  return storesOf(settingOf, environment, fewestConnections);
}

/**
 * The same by flags, too. Code `configuration-invalid`.
 * @param settingOf flag, variable or default of a setting
 */
export function storesOf(
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

/** The same by flags, too. Code `configuration-invalid`. */
export function tokenOf(
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
