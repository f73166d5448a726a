/**
 * Where the server and the keys are, and the secrets that open them: from options first, then from
 * the environment. Secrets come from files or the environment, so that no process list shows them.
 */
import { resolve } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { readToken } from '../engine-settings.ts';
import { readSmallFile } from '../signer/durable-file.ts';
import { Token } from '../signer/pkcs11/token.ts';
import type { Arguments } from './arguments.ts';
import type { Context, Options } from './command.ts';
import { OperatorClient } from './operator-client.ts';

const maxSecretBytes = 4_096;
export const defaultUrl = 'http://127.0.0.1:8002';
export const defaultKeysFolder = 'out/keys';

export const serverOptions: Options = {
  url: { value: 'URL', help: `operator plane (OTA_URL; default ${defaultUrl})` },
  token: { value: 'TOKEN', help: 'operator token; process lists show it, so prefer the file' },
  'token-file': {
    value: 'FILE',
    help: 'file with the operator token (OTA_OPERATOR_TOKEN[_FILE])',
  },
};

export const keysOption: Options = {
  keys: { value: 'DIR', help: `keys folder (OTA_KEYS; default ${defaultKeysFolder})` },
};

export const passphraseOption: Options = {
  'passphrase-file': {
    value: 'FILE',
    help: 'file with the passphrase of the keys (OTA_PASSPHRASE[_FILE])',
  },
};

export const onlinePassphraseOption: Options = {
  'online-passphrase-file': {
    value: 'FILE',
    help: "passphrase of the server's keys (OTA_ONLINE_PASSPHRASE[_FILE])",
  },
};

/** The keys folder as an absolute path. */
export function keysFolderOf(given: Arguments, context: Context): string {
  return resolve(given.optional('keys') ?? (context.environment['OTA_KEYS'] || defaultKeysFolder));
}

/** The passphrase; code `argument-invalid` when there is none, `file-unreadable`. */
export function passphraseOf(given: Arguments, context: Context): string | Refusal {
  const sources = { file: given.optional('passphrase-file'), variable: 'OTA_PASSPHRASE' };
  return secretOf(
    'passphrase',
    sources,
    context,
    'give --passphrase-file FILE or set OTA_PASSPHRASE',
  );
}

/** The passphrase of the server's keys where it is another one; undefined when none is set. */
export function onlinePassphraseOf(
  given: Arguments,
  context: Context,
): string | undefined | Refusal {
  const file = given.optional('online-passphrase-file');
  const variable = 'OTA_ONLINE_PASSPHRASE';
  const { environment } = context;
  if (!file && !environment[variable] && !environment[`${variable}_FILE`]) return undefined;
  return secretOf('online passphrase', { file, variable }, context, 'set OTA_ONLINE_PASSPHRASE');
}

/** A client of the operator plane; codes `argument-invalid`, `file-unreadable`. */
export function clientOf(given: Arguments, context: Context): OperatorClient | Refusal {
  const address = given.optional('url') ?? (context.environment['OTA_URL'] || defaultUrl);
  const url = URL.parse(address);
  const plain = url?.pathname === '/' && url.search === '' && url.username === '';
  if (url === null || !plain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return refuse('argument-invalid', `--url '${address}': expected http://HOST:PORT`);
  }
  const text = given.optional('token');
  const file = given.optional('token-file');
  if (text !== undefined && file !== undefined) {
    return refuse('argument-invalid', '--token and --token-file exclude each other');
  }
  const sources = { text, file, variable: 'OTA_OPERATOR_TOKEN' };
  const advice = 'give --token-file FILE or set OTA_OPERATOR_TOKEN';
  const token = secretOf('operator token', sources, context, advice);
  if (isRefusal(token)) return token;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    return refuse('argument-invalid', 'the operator token has characters outside printable ASCII');
  }
  return new OperatorClient(url, token);
}

/** For the notes of commands that make online keys. */
export const tokenNote =
  'With OTA_PKCS11_MODULE set, the P-256 half of a new online key is made in that token.';

/**
 * Runs a command with the token of online keys (`OTA_PKCS11_MODULE`), logged in; undefined where
 * none is set. Codes `configuration-invalid`, those of `Token.open` and of the command.
 */
export async function withToken<T>(
  context: Context,
  act: (token: Token | undefined) => Promise<T | Refusal>,
): Promise<T | Refusal> {
  const settings = readToken(context.environment);
  if (isRefusal(settings)) return settings;
  if (settings === undefined) return await act(undefined);
  const token = new Token(settings, { byPerson: true, writable: true });
  try {
    return (await token.open()) ?? (await act(token));
  } finally {
    token.close();
  }
}

interface SecretSources {
  readonly text?: string | undefined;
  readonly file: string | undefined;
  readonly variable: string;
}

function secretOf(
  what: string,
  sources: SecretSources,
  context: Context,
  advice: string,
): string | Refusal {
  if (sources.text !== undefined) return sources.text;
  const { environment } = context;
  if (sources.file === undefined) {
    const value = environment[sources.variable];
    if (value) return value;
  }
  const path = sources.file ?? environment[`${sources.variable}_FILE`];
  if (!path) return refuse('argument-invalid', `no ${what}: ${advice}`);
  const bytes = readSmallFile(path, maxSecretBytes);
  if (isRefusal(bytes)) return bytes;
  // An editor's line end is no part of the secret.
  const secret = new TextDecoder().decode(bytes).replace(/\r?\n$/, '');
  return secret === '' ? refuse('argument-invalid', `no ${what}: ${path} is empty`) : secret;
}
