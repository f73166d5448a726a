/** `ota token`: whether the token with halves of the online keys opens, and has them. */
import { basename, join } from 'node:path';
import { sameBytes } from '../../../agent/codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { enrolmentCaKeyPath, enrolmentCaNumbers } from '../../signer/device-authorities.ts';
import { pointOf, readKeyFilePublicKey, readKeyFileTokenKey } from '../../signer/key-file.ts';
import type { Token } from '../../signer/pkcs11/token.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { table } from '../format.ts';
import { onlineKeyNames, onlineKeyPath } from '../key-folder.ts';
import { keysFolderOf, keysOption, withToken } from '../settings.ts';

export const tokenCommands: readonly Command[] = [
  {
    name: 'token',
    summary: 'Log in at the PKCS#11 token of the online keys and see that it has them',
    positionals: [],
    options: { ...keysOption },
    notes: [
      'The token is that of OTA_PKCS11_MODULE, OTA_PKCS11_TOKEN and OTA_PKCS11_PIN[_FILE].',
      'After a wrong PIN a server logs in no more, so that it cannot lock the token: set the',
      'right one and run this once. It tries the PIN even where that is the last try left.',
    ],
    run,
  },
];

async function run(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const folder = keysFolderOf(given, context);
  if (given.refusal) return given.refusal;
  return await withToken(context, async (token) => {
    const unset = 'no token: set OTA_PKCS11_MODULE, OTA_PKCS11_TOKEN and OTA_PKCS11_PIN';
    return token === undefined ? refuse('argument-invalid', unset) : await look(folder, token);
  });
}

async function look(folder: string, token: Token): Promise<Outcome | Refusal> {
  const paths = [
    ...onlineKeyNames.map((name) => onlineKeyPath(folder, name)),
    ...enrolmentCaNumbers(folder).map((number) => enrolmentCaKeyPath(folder, number)),
  ];
  const keys = [];
  for (const path of paths) {
    const state = await stateOf(path, token);
    if (isRefusal(state)) return state;
    keys.push({ name: basename(path, '.key'), state });
  }
  return {
    lines: [
      `the token opens; keys of ${join(folder, 'online')}:`,
      ...table(keys.map(({ name, state }) => [name, state])),
    ],
    json: { folder, keys },
  };
}

async function stateOf(path: string, token: Token): Promise<string | Refusal> {
  const id = readKeyFileTokenKey(path);
  const key = readKeyFilePublicKey(path);
  if (isRefusal(key)) return key;
  if (id === undefined) return 'wholly in its file';
  const found = await token.key(id);
  if (isRefusal(found)) return found.refused === 'key-file-invalid' ? found.detail : found;
  const point = pointOf(key);
  if (point === undefined || !sameBytes(found.point, point)) return 'the token has another key';
  return found.guarded ? 'half in the token' : 'half in the token, which would give it away';
}
