/** `ota image …`: publish, list, remove, renew. */
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { maxHardwareIdsPerTarget, maxReleaseRangesPerImage } from '../../../agent/limits.ts';
import { filename, hashAlgorithms, identifier } from '../../../agent/metadata/common.ts';
import { imageKinds, type ReleaseRange, type Target } from '../../../agent/metadata/targets.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import type { Json } from '../../http/json-view.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { hex, shortHex, table, time } from '../format.ts';
import { daysFromNow, editTargets, fetchTargets, type ImageRepository } from '../image-targets.ts';
import { publishImage } from '../publish-image.ts';
import { parseReleaseRange } from '../release-range.ts';
import {
  clientOf,
  keysFolderOf,
  keysOption,
  passphraseOf,
  passphraseOption,
  serverOptions,
} from '../settings.ts';

type KindName = 'agent' | 'opaque' | 'runtime';
const kindNames: readonly KindName[] = ['agent', 'opaque', 'runtime'];
const maxDays = 3_650;
const defaultDays = 30;

const expiryOption = {
  'expires-days': {
    value: 'N',
    help: `validity of the new Targets (default ${defaultDays})`,
  },
};
const signingOptions = { ...expiryOption, ...keysOption, ...passphraseOption, ...serverOptions };

export const imageCommands: readonly Command[] = [
  {
    name: 'image publish',
    summary: 'Encrypt an image, upload it and list it in the Image repository',
    positionals: ['FILE'],
    options: {
      filename: { value: 'NAME', help: 'name for ever: letters, digits, - . _', required: true },
      hardware: {
        value: 'ID[,ID]',
        help: 'hardware that the image is for',
        required: true,
        multiple: true,
      },
      release: { value: 'N', help: 'release counter', required: true },
      kind: { value: 'agent|opaque|runtime', help: 'what the image is', required: true },
      'bytecode-version': { value: 'N', help: 'kind agent: bytecode that the image holds' },
      'hal-version': { value: 'N', help: 'kind agent: HAL interface that it needs' },
      requires: {
        value: 'HW@N[-[M]]',
        help: 'the vehicle has this hardware, with release N, N or newer, N to M',
        multiple: true,
      },
      conflicts: {
        value: 'HW@N[-[M]]',
        help: 'no ECU of this hardware has release N, N or newer, N to M',
        multiple: true,
      },
      'allow-older': { help: 'list it even if a newer release is listed' },
      ...signingOptions,
    },
    notes: [
      'What an image requires and conflicts with is signed with it: neither the Director nor a',
      'Primary takes a bundle that breaks it. --requires brakes-hw@2- asks for release 2 or newer.',
      'A filename names one image for ever. The same file with the same properties is not published',
      'twice. A release counter below that of a listed image of the same kind and hardware is refused.',
    ],
    run: publish,
  },
  {
    name: 'image list',
    summary: 'List the published images, after verifying the signatures',
    positionals: [],
    options: { ...keysOption, ...serverOptions },
    run: list,
  },
  {
    name: 'image remove',
    summary: 'Take an image off the list, so that vehicles no longer accept it',
    positionals: ['NAME'],
    options: signingOptions,
    run: remove,
  },
  {
    name: 'image renew',
    summary: 'Sign the list of images again with a later expiry',
    positionals: [],
    options: signingOptions,
    run: renew,
  },
];

function repositoryOf(given: Arguments, context: Context): ImageRepository | Refusal {
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  return { crypto: createNodeCrypto(), client, keysFolder: keysFolderOf(given, context) };
}

function expiresOf(given: Arguments): number {
  return daysFromNow(given.integer('expires-days', 1, maxDays, defaultDays));
}

async function publish(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const name = given.text('filename', filename);
  const hardwareIds = [...new Set(given.texts('hardware', identifier))];
  const releaseCounter = given.integer('release', 0, Number.MAX_SAFE_INTEGER);
  const kind = given.choice('kind', kindNames);
  const versions: Record<string, number | undefined> = {};
  for (const option of ['bytecode-version', 'hal-version']) {
    if (given.optional(option) === undefined) continue;
    versions[option] = given.integer(option, 0, Number.MAX_SAFE_INTEGER);
    if (kind !== 'agent') given.refuse(`--${option}: only for --kind agent`);
  }
  const ranges = (option: string): readonly ReleaseRange[] => {
    const texts = given.list(option);
    if (texts.length > maxReleaseRangesPerImage) {
      given.refuse(`--${option}: at most ${maxReleaseRangesPerImage}`);
    }
    return texts.map((text) => given.accept(parseReleaseRange(text), { hardwareId: '', min: 0 }));
  };
  const requires = ranges('requires');
  const conflicts = ranges('conflicts');
  const expires = expiresOf(given);
  if (hardwareIds.length > maxHardwareIdsPerTarget) {
    given.refuse(`--hardware: at most ${maxHardwareIdsPerTarget} identifiers`);
  }
  if (given.refusal) return given.refusal;
  const repository = repositoryOf(given, context);
  if (isRefusal(repository)) return repository;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  let shown = 0;
  const published = await publishImage({
    ...repository,
    passphrase,
    path: given.positionals[0]!,
    filename: name,
    hardwareIds,
    releaseCounter,
    kind,
    bytecodeVersion: versions['bytecode-version'],
    halVersion: versions['hal-version'],
    requires,
    conflicts,
    expires,
    allowOlder: given.flag('allow-older'),
    onProgress: (bytes, total) => {
      const percent = Math.floor((bytes / total) * 100);
      if (percent < shown + 10) return;
      shown = percent - (percent % 10);
      context.progress(`uploading ${name}: ${shown} %`);
    },
  });
  if (isRefusal(published)) return published;
  const { target, targetsVersion } = published;
  const { plaintextLength, plaintextSha256 } = target.mustMatch;
  const listed =
    targetsVersion === undefined
      ? `${name} is listed already; nothing was changed`
      : `${name} is listed in image Targets ${targetsVersion}`;
  return {
    lines: [listed, `plaintext ${plaintextLength} bytes, SHA-256 ${hex(plaintextSha256)}`],
    json: { ...imageJson(target), targetsVersion: targetsVersion ?? null },
  };
}

async function list(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const repository = repositoryOf(given, context);
  if (isRefusal(repository)) return repository;
  const current = await fetchTargets(repository);
  if (isRefusal(current)) return current;
  const { version, expires, targets } = current.targets;
  const rows = targets.map(({ filename: name, mustMatch }) => [
    name,
    String(mustMatch.releaseCounter),
    kindOf(mustMatch.kind),
    mustMatch.hardwareIds.join(','),
    String(mustMatch.plaintextLength),
    shortHex(mustMatch.plaintextSha256),
  ]);
  const heading = ['filename', 'release', 'kind', 'hardware', 'bytes', 'SHA-256'];
  return {
    lines: [
      `image Targets ${version}, valid until ${time(expires)}, ${targets.length} images`,
      ...(rows.length > 0 ? table([heading, ...rows]) : []),
    ],
    json: { version, expires, images: targets.map(imageJson) },
  };
}

async function remove(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const name = given.checked('NAME', given.positionals[0]!, filename);
  return edit(given, context, `${name} is no longer listed`, (targets) =>
    targets.some((target) => target.filename === name)
      ? targets.filter((target) => target.filename !== name)
      : refuse('image-unknown', `${name} is not listed; 'ota image list' shows what is`),
  );
}

async function renew(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  return edit(given, context, 'the list of images is renewed', (targets) => targets);
}

async function edit(
  given: Arguments,
  context: Context,
  done: string,
  change: (targets: readonly Target[]) => readonly Target[] | Refusal,
): Promise<Outcome | Refusal> {
  const expires = expiresOf(given);
  if (given.refusal) return given.refusal;
  const repository = repositoryOf(given, context);
  if (isRefusal(repository)) return repository;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  const answer = await editTargets(repository, passphrase, expires, ({ targets }) =>
    change(targets),
  );
  if (isRefusal(answer)) return answer;
  const { version } = answer;
  return {
    lines: [`${done}: image Targets ${version}, valid until ${time(expires)}`],
    json: { targetsVersion: version, expires },
  };
}

function kindOf(number: number): string {
  return kindNames.find((name) => imageKinds[name] === number) ?? String(number);
}

function imageJson({ filename: name, length, hashes, mustMatch }: Target): Record<string, Json> {
  const sha256 = hashes.find(({ key }) => key === hashAlgorithms['SHA-256'])?.value;
  return {
    filename: name,
    releaseCounter: mustMatch.releaseCounter,
    kind: kindOf(mustMatch.kind),
    hardwareIds: mustMatch.hardwareIds,
    plaintextLength: mustMatch.plaintextLength,
    plaintextSha256: hex(mustMatch.plaintextSha256),
    ciphertextLength: length,
    ciphertextSha256: sha256 === undefined ? null : hex(sha256),
  };
}
