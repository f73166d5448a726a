/** `ota root …`: what the Roots say, and the replacement of keys. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { maxKeysPerRole } from '../../../agent/limits.ts';
import type { RepositoryName, RoleName } from '../../../agent/metadata/common.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { roleAuthority } from '../../signer/root-trust.ts';
import type { Arguments } from '../arguments.ts';
import { ceremonyDefaults } from '../ceremony.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { hex, table, time } from '../format.ts';
import { contentsOf, daysFromNow, editTargets } from '../image-targets.ts';
import { isOffline, rolesIn, rotateKey } from '../rotate-key.ts';
import {
  clientOf,
  keysFolderOf,
  keysOption,
  onlinePassphraseOf,
  onlinePassphraseOption,
  passphraseOf,
  passphraseOption,
  serverOptions,
  tokenNote,
  withToken,
} from '../settings.ts';
import { loadRoot } from '../trusted-root.ts';

const repositoryNames = ['director', 'images'] as const;
const roleNames = [
  'root',
  'targets',
  'snapshot',
  'timestamp',
  'time',
  'offline-snapshot',
  'offline-targets',
] as const;
const maxDays = 3_650;

const repositoryOption = {
  repository: { value: 'director|images', help: 'whose Root', required: true },
};

export const rootCommands: readonly Command[] = [
  {
    name: 'root show',
    summary: 'Show the newest Root in the keys folder, after verifying its whole chain',
    positionals: [],
    options: { ...repositoryOption, ...keysOption },
    run: show,
  },
  {
    name: 'root rotate',
    summary: 'Replace one key of a role and publish the next Root',
    positionals: [],
    options: {
      ...repositoryOption,
      role: { value: 'ROLE', help: "whose key; 'ota root show' lists the roles", required: true },
      number: { value: 'N', help: 'which key of an offline role: NAME-N.key (default 1)' },
      'root-days': { value: 'N', help: 'validity of the new Root (default 365)' },
      'expires-days': {
        value: 'N',
        help: 'validity of image Targets that are signed again (default 30)',
      },
      ...keysOption,
      ...passphraseOption,
      ...onlinePassphraseOption,
      ...serverOptions,
    },
    notes: [
      'The server reads a new online key from its own keys folder when the Root arrives: where that',
      'is another folder than --keys, rotate on the server itself.',
      tokenNote,
    ],
    run: rotate,
  },
];

async function show(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const repository: RepositoryName = given.choice('repository', repositoryNames);
  if (given.refusal) return given.refusal;
  const crypto = createNodeCrypto();
  const trusted = await loadRoot(crypto, keysFolderOf(given, context), repository);
  if (isRefusal(trusted)) return trusted;
  const { version, expires } = trusted.root;
  const rows = [['role', 'threshold', 'key id']];
  const json = [];
  for (const role of rolesIn(trusted.root, repository)) {
    const authority = roleAuthority(crypto, trusted.root, role);
    if (isRefusal(authority)) return authority;
    const { threshold } = authority;
    const keyIds = authority.keys.map((key) => hex(keyId(crypto, key)));
    for (const id of keyIds) rows.push([role, `${threshold} of ${keyIds.length}`, id]);
    json.push({ role, threshold, keyIds });
  }
  return {
    lines: [`${repository} Root ${version}, valid until ${time(expires)}`, ...table(rows)],
    json: { repository, version, expires, roles: json },
  };
}

async function rotate(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const repository: RepositoryName = given.choice('repository', repositoryNames);
  const role: RoleName = given.choice('role', roleNames);
  const number = given.integer('number', 1, maxKeysPerRole);
  const rootDays = given.integer('root-days', 1, maxDays, ceremonyDefaults.rootDays);
  const targetsDays = given.integer('expires-days', 1, maxDays, ceremonyDefaults.targetsDays);
  if (given.optional('number') !== undefined && !isOffline(repository, role)) {
    given.refuse(`--number: the ${repository} ${role} key is an online one, of which there is one`);
  }
  if (given.refusal) return given.refusal;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  const onlinePassphrase = onlinePassphraseOf(given, context);
  if (isRefusal(onlinePassphrase)) return onlinePassphrase;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const images = { crypto: createNodeCrypto(), client, keysFolder: keysFolderOf(given, context) };
  const rotated = await withToken(context, (token) =>
    rotateKey({
      ...images,
      token,
      passphrase,
      ...(onlinePassphrase !== undefined && { onlinePassphrase }),
      repository,
      role,
      number,
      expires: daysFromNow(rootDays),
      now: daysFromNow(0),
    }),
  );
  if (isRefusal(rotated)) return rotated;
  const { version, path, oldKeyId, newKeyId } = rotated;
  const lines = [
    `${repository} Root ${version} is published`,
    `${role} key ${hex(oldKeyId)} is replaced by ${hex(newKeyId)} in ${path}`,
  ];
  let targetsVersion: number | null = null;
  if (repository === 'images' && role === 'targets') {
    // The old key no longer counts: without this, vehicles would refuse the listed images.
    const expires = daysFromNow(targetsDays);
    const signed = await editTargets(images, passphrase, expires, 'targets', contentsOf);
    if (isRefusal(signed)) return signed;
    targetsVersion = signed;
    lines.push(`image Targets ${targetsVersion} are signed with the new key`);
  }
  const json = { repository, role, version, path, targetsVersion };
  return { lines, json: { ...json, oldKeyId: hex(oldKeyId), newKeyId: hex(newKeyId) } };
}
