/** `ota ceremony`: makes the keys and the first metadata of a deployment. */
import { isRefusal } from '../../../agent/codes.ts';
import type { Arguments } from '../arguments.ts';
import { ceremonyDefaults, holdCeremony, type RoleSize } from '../ceremony.ts';
import type { Command, Context, Options } from '../command.ts';
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

const maxKeys = 8;
const maxDays = 3_650;

function sizeOptions(name: string, { keys, threshold }: RoleSize): Options {
  return {
    [`${name}-keys`]: { value: 'N', help: `1 to ${maxKeys} keys (default ${keys})` },
    [`${name}-threshold`]: { value: 'N', help: `how many must sign (default ${threshold})` },
  };
}

function sizeOf(given: Arguments, name: string, { keys, threshold }: RoleSize): RoleSize {
  const count = given.integer(`${name}-keys`, 1, maxKeys, keys);
  const least = Math.min(threshold, count);
  return { keys: count, threshold: given.integer(`${name}-threshold`, 1, maxKeys, least) };
}

export const ceremonyCommands: readonly Command[] = [
  {
    name: 'ceremony',
    summary: 'Make every key of a deployment and sign the first Roots',
    positionals: [],
    options: {
      out: { value: 'DIR', help: 'the keys folder to make (default: --keys)' },
      ...keysOption,
      ...passphraseOption,
      ...onlinePassphraseOption,
      ...sizeOptions('director-root', ceremonyDefaults.directorRoot),
      ...sizeOptions('images-root', ceremonyDefaults.imagesRoot),
      ...sizeOptions('images-targets', ceremonyDefaults.imagesTargets),
      'root-days': {
        value: 'N',
        help: `validity of both Roots (default ${ceremonyDefaults.rootDays})`,
      },
      'targets-days': {
        value: 'N',
        help: `validity of the first, empty image Targets (default ${ceremonyDefaults.targetsDays})`,
      },
    },
    notes: [
      'The folder must not exist yet, or be empty: keys are never overwritten.',
      'Give the server a copy without offline/; keep offline/ on media that is not connected.',
      tokenNote,
    ],
    run,
  },
];

async function run(given: Arguments, context: Context) {
  const folder = given.optional('out') ?? keysFolderOf(given, context);
  const directorRoot = sizeOf(given, 'director-root', ceremonyDefaults.directorRoot);
  const imagesRoot = sizeOf(given, 'images-root', ceremonyDefaults.imagesRoot);
  const imagesTargets = sizeOf(given, 'images-targets', ceremonyDefaults.imagesTargets);
  const rootDays = given.integer('root-days', 1, maxDays, ceremonyDefaults.rootDays);
  const targetsDays = given.integer('targets-days', 1, maxDays, ceremonyDefaults.targetsDays);
  if (given.refusal) return given.refusal;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  const onlinePassphrase = onlinePassphraseOf(given, context);
  if (isRefusal(onlinePassphrase)) return onlinePassphrase;
  const made = await withToken(context, (token) =>
    holdCeremony({
      folder,
      token,
      passphrase,
      ...(onlinePassphrase !== undefined && { onlinePassphrase }),
      directorRoot,
      imagesRoot,
      imagesTargets,
      rootDays,
      targetsDays,
      now: Math.floor(Date.now() / 1_000),
      progress: context.progress,
    }),
  );
  if (isRefusal(made)) return made;
  const lines = made.keys.map(
    ({ name, offline, inToken, keyId }) =>
      `${offline ? 'offline' : 'online '}  ${name}  ${hex(keyId)}${inToken ? '  in the token' : ''}`,
  );
  return {
    lines: [...lines, `${made.keys.length} keys and both Roots are in ${made.folder}`],
    json: {
      folder: made.folder,
      keys: made.keys.map((key) => ({ ...key, keyId: hex(key.keyId) })),
    },
  };
}
