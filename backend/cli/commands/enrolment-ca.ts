/** `ota enrolment-ca`: the offline root of the device plane signs a new enrolment CA. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import {
  type AuthorityOptions,
  deviceRootPath,
  enrolmentCaDays,
  enrolmentCaNumbers,
  makeDeviceRoot,
  openDeviceRoot,
  signEnrolmentCa,
} from '../../signer/device-authorities.ts';
import type { Token } from '../../signer/pkcs11/token.ts';
import { makeOnlineKey } from '../../signer/pkcs11/token-keys.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { hex } from '../format.ts';
import {
  keysFolderOf,
  keysOption,
  onlinePassphraseOf,
  onlinePassphraseOption,
  passphraseOf,
  passphraseOption,
  tokenNote,
  withToken,
} from '../settings.ts';

const maxDays = 3_650;

export const enrolmentCaCommands: readonly Command[] = [
  {
    name: 'enrolment-ca',
    summary: 'Sign a new enrolment CA, which issues the certificates of devices and servers',
    positionals: [],
    options: {
      days: { value: 'N', help: `how long it is valid (default ${enrolmentCaDays})` },
      ...keysOption,
      ...passphraseOption,
      ...onlinePassphraseOption,
    },
    notes: [
      'Give the server devices/ and the new online/enrolment-ca-N.key, and start it anew.',
      'Earlier enrolment CAs stay accepted until their devices/N.ca.der is removed on the server.',
      'Makes the device root too, in a keys folder that has none yet.',
      tokenNote,
    ],
    run,
  },
];

async function run(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const folder = keysFolderOf(given, context);
  const days = given.integer('days', 1, maxDays, enrolmentCaDays);
  if (given.refusal) return given.refusal;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  const online = onlinePassphraseOf(given, context);
  if (isRefusal(online)) return online;
  return await withToken(context, (token) => {
    return signNext({ folder, passphrase, onlinePassphrase: online ?? passphrase }, days, token);
  });
}

async function signNext(
  given: Pick<AuthorityOptions, 'folder' | 'passphrase' | 'onlinePassphrase'>,
  days: number,
  token: Token | undefined,
): Promise<Outcome | Refusal> {
  const { folder, passphrase } = given;
  const now = Math.floor(Date.now() / 1_000);
  const place = { ...given, now };
  const first = !existsSync(deviceRootPath(folder));
  if (first) mkdirSync(join(folder, 'devices'), { recursive: true });
  const root = first ? makeDeviceRoot(place) : openDeviceRoot(folder, passphrase);
  if (isRefusal(root)) return root;
  const number = (enrolmentCaNumbers(folder).at(-1) ?? 0) + 1;
  const key = await makeOnlineKey(token, 'ESP256', `enrolment-ca-${number}`);
  if (isRefusal(key)) return key;
  signEnrolmentCa(place, root, number, days, key);
  const id = hex(keyId(createNodeCrypto(), key.key));
  const made = `enrolment CA ${number} is in ${folder}/devices, valid ${days} days`;
  return {
    lines: [...(first ? ['made device-root'] : []), `online   enrolment-ca-${number}  ${id}`, made],
    json: { folder, number, keyId: id, days },
  };
}
