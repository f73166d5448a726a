/** `ota delegation …`: who else may list images, and which. */
import type { PublicKey } from '../../../agent/codec/cose-key.ts';
import { text } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import {
  maxFilenameCharacters,
  maxKeysPerRole,
  maxPathsPerDelegation,
  maxRolesPerDelegation,
} from '../../../agent/limits.ts';
import { identifier, roleName } from '../../../agent/metadata/common.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import type { Json } from '../../http/json-view.ts';
import { readKeyFilePublicKey } from '../../signer/key-file.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Options, Outcome } from '../command.ts';
import { addDelegation, type DelegationOptions, removeDelegation } from '../delegations.ts';
import { hex, shortHex, time } from '../format.ts';
import { daysFromNow, fetchLists, type ImageRepository, type RoleFile } from '../image-targets.ts';
import {
  clientOf,
  keysFolderOf,
  keysOption,
  passphraseOf,
  passphraseOption,
  serverOptions,
} from '../settings.ts';

const maxDays = 3_650;
const defaultDays = 30;
const defaultKeys = 2;
const pattern = text(maxFilenameCharacters);

const editOptions: Options = {
  from: { value: 'ROLE', help: 'the delegated role that delegates (default: the top level)' },
  'expires-days': { value: 'N', help: `validity of what is signed (default ${defaultDays})` },
  ...keysOption,
  ...passphraseOption,
  ...serverOptions,
};

export const delegationCommands: readonly Command[] = [
  {
    name: 'delegation add',
    summary: 'Let a role list images, within filename patterns and hardware',
    positionals: ['ROLE[,ROLE]'],
    options: {
      path: { value: 'PATTERN', help: "filenames, '*' any run (default '*')", multiple: true },
      hardware: { value: 'ID[,ID]', help: 'for this hardware only', multiple: true },
      terminating: { help: 'what is not found there is found nowhere else' },
      minimum: { value: 'N', help: 'how many of several roles have to agree (default all)' },
      threshold: { value: 'N', help: 'how many of its keys sign for a role (default 1)' },
      'new-keys': { value: 'N', help: `keys to make for each new role (default ${defaultKeys})` },
      key: { value: 'FILE', help: "somebody else's key file in place of new ones", multiple: true },
      before: { value: 'ROLE', help: 'searched before the delegation to ROLE (default: last)' },
      ...editOptions,
    },
    notes: [
      'New keys are kept as offline/images-delegated-ROLE-N.key, and the first, empty file of each role',
      'is published with them. With --key, its owner publishes it. Several roles make a multi-role',
      "delegation: an image counts when enough of them list the same. 'ota image publish --role ROLE'",
      'lists images there. Until a role with a foreign --key has its first file, vehicles refuse what is',
      'sought behind it.',
    ],
    run: add,
  },
  {
    name: 'delegation list',
    summary: 'List the delegations in the order in which vehicles search them',
    positionals: [],
    options: { ...keysOption, ...serverOptions },
    run: list,
  },
  {
    name: 'delegation remove',
    summary: 'Take a delegation back, so that vehicles no longer accept its images',
    positionals: ['ROLE'],
    options: editOptions,
    run: remove,
  },
];

function repositoryOf(given: Arguments, context: Context): ImageRepository | Refusal {
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  return { crypto: createNodeCrypto(), client, keysFolder: keysFolderOf(given, context) };
}

function editOf(given: Arguments, context: Context): DelegationOptions | Refusal {
  const from = given.optional('from') === undefined ? 'targets' : given.text('from', roleName);
  const expires = daysFromNow(given.integer('expires-days', 1, maxDays, defaultDays));
  if (given.refusal) return given.refusal;
  const repository = repositoryOf(given, context);
  if (isRefusal(repository)) return repository;
  const passphrase = passphraseOf(given, context);
  return isRefusal(passphrase) ? passphrase : { ...repository, passphrase, expires, from };
}

async function add(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const roles = given.positionals[0]!.split(',').map((one) => given.checked('ROLE', one, roleName));
  const paths = given.texts('path', pattern);
  const hardwareIds = given.texts('hardware', identifier);
  const publicKeys: PublicKey[] = [];
  for (const path of given.list('key')) {
    const key = given.accept<PublicKey | undefined>(readKeyFilePublicKey(path), undefined);
    if (key) publicKeys.push(key);
  }
  const keys = given.integer('new-keys', 1, maxKeysPerRole, defaultKeys);
  const threshold = given.integer('threshold', 1, maxKeysPerRole, 1);
  const minimumRoles = given.integer('minimum', 1, maxRolesPerDelegation, roles.length);
  const before =
    given.optional('before') === undefined ? undefined : given.text('before', roleName);
  if (roles.length > maxRolesPerDelegation) given.refuse(`ROLE: at most ${maxRolesPerDelegation}`);
  if (new Set(roles).size < roles.length) given.refuse('ROLE: one role is given twice');
  if (minimumRoles > roles.length)
    given.refuse(`--minimum ${minimumRoles}: of ${roles.length} roles`);
  if (paths.length > maxPathsPerDelegation)
    given.refuse(`--path: at most ${maxPathsPerDelegation}`);
  const options = editOf(given, context);
  if (isRefusal(options)) return options;
  const added = await addDelegation(options, {
    roles,
    minimumRoles,
    paths: paths.length > 0 ? paths : ['*'],
    hardwareIds: hardwareIds.length > 0 ? hardwareIds : undefined,
    terminating: given.flag('terminating'),
    keys,
    threshold,
    publicKeys,
    before,
  });
  if (isRefusal(added)) return added;
  const named = roles.map((role, i) => ({ role, keyIds: added.keyIds[i]!.map(hex) }));
  return {
    lines: [
      `${options.from} ${added.version} delegates to ${roles.join(' and ')}`,
      ...named.flatMap(({ role, keyIds }) => keyIds.map((id) => `  key of ${role}: ${id}`)),
    ],
    json: { from: options.from, version: added.version, roles: named, published: added.published },
  };
}

async function remove(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const role = given.checked('ROLE', given.positionals[0]!, roleName);
  const options = editOf(given, context);
  if (isRefusal(options)) return options;
  const answer = await removeDelegation(options, role);
  if (isRefusal(answer)) return answer;
  const version = answer;
  return {
    lines: [`${options.from} ${version} no longer delegates to ${role}`],
    json: { from: options.from, version, role },
  };
}

async function list(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const repository = repositoryOf(given, context);
  if (isRefusal(repository)) return repository;
  const lists = await fetchLists(repository);
  if (isRefusal(lists)) return lists;
  const lines: string[] = [];
  const json: Json[] = [];
  for (const { role: from, targets } of lists.files) {
    for (const delegation of targets.delegations?.delegations ?? []) {
      const { roles, paths, hardwareIds, terminating, minimumRoles } = delegation;
      const few = roles.length > 1 ? `, ${minimumRoles} of ${roles.length} have to agree` : '';
      const end = terminating ? ', terminating' : '';
      const hardware = hardwareIds ? `hardware ${hardwareIds.join(',')}` : 'any hardware';
      lines.push(
        `${from} → ${roles.map(({ name }) => name).join(' + ')}${few}${end}: ${paths.join(' ')}, ${hardware}`,
        ...roles.map(({ name, keyIds, threshold }) => {
          const ids = keyIds.map(shortHex).join(' ');
          return `  ${name}: ${standing(lists.files, name)}, ${threshold} of ${keyIds.length} keys ${ids}`;
        }),
      );
      json.push({
        from,
        paths,
        hardwareIds: hardwareIds ?? null,
        terminating,
        minimumRoles,
        roles: roles.map(({ name, keyIds, threshold }) => {
          const file = lists.files.find(({ role }) => role === name);
          const version = file?.targets.version ?? 0;
          return { role: name, threshold, keyIds: keyIds.map(hex), version };
        }),
      });
    }
  }
  return { lines: lines.length > 0 ? lines : ['nothing is delegated'], json };
}

function standing(files: readonly RoleFile[], name: string): string {
  const targets = files.find(({ role }) => role === name)?.targets;
  return targets === undefined || targets.version === 0
    ? 'nothing published yet'
    : `version ${targets.version}, ${targets.targets.length} images, valid until ${time(targets.expires)}`;
}
