/** `ota image …`: publish, list, remove, renew. */
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { maxHardwareIdsPerTarget, maxReleaseRangesPerImage } from '../../../agent/limits.ts';
import { filename, hashAlgorithms, identifier, roleName } from '../../../agent/metadata/common.ts';
import {
  imageKinds,
  type ReleaseRange,
  type Target,
  type Targets,
} from '../../../agent/metadata/targets.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import type { Json } from '../../http/json-view.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { hex, shortHex, table, time } from '../format.ts';
import {
  type Contents,
  changeLists,
  contentsOf,
  daysFromNow,
  fetchLists,
  type ImageLists,
  type ImageRepository,
  type RoleFile,
  targetsSigners,
} from '../image-targets.ts';
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
      'bytecode-version': {
        value: 'N',
        help: 'kind agent: bytecode that it holds; runtime: that it runs',
      },
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
      role: { value: 'ROLE', help: 'delegated role that lists it (default: by its hardware)' },
      'allow-older': { help: 'list it even if a newer release is listed' },
      ...signingOptions,
    },
    notes: [
      'What an image requires and conflicts with is signed with it: neither the Director nor a',
      'Primary takes a bundle that breaks it. --requires brakes-hw@2- asks for release 2 or newer.',
      'A filename names one image for ever. The same file with the same properties is not published',
      'twice. A release counter below that of a listed image of the same kind and hardware is refused.',
      'A list that outgrows what a Secondary takes is split by hardware into delegated roles hardware-N.',
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
    if (kind === 'opaque') given.refuse(`--${option}: only for --kind agent and runtime`);
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
  const role = given.optional('role') === undefined ? undefined : given.text('role', roleName);
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
    role,
    onProgress: (bytes, total) => {
      const percent = Math.floor((bytes / total) * 100);
      if (percent < shown + 10) return;
      shown = percent - (percent % 10);
      context.progress(`uploading ${name}: ${shown} %`);
    },
  });
  if (isRefusal(published)) return published;
  const { target, role: by, split, targetsVersion } = published;
  const { plaintextLength, plaintextSha256 } = target.mustMatch;
  const where = by === 'targets' ? 'image Targets' : by;
  const listed =
    targetsVersion === undefined
      ? `${name} is listed already; nothing was changed`
      : `${name} is listed in ${where} ${targetsVersion}`;
  return {
    lines: [
      ...(split.length > 0 ? [`the list was too large and is split: ${split.join(', ')}`] : []),
      listed,
      `plaintext ${plaintextLength} bytes, SHA-256 ${hex(plaintextSha256)}`,
    ],
    json: { ...imageJson(target), role: by, split, targetsVersion: targetsVersion ?? null },
  };
}

async function list(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const repository = repositoryOf(given, context);
  if (isRefusal(repository)) return repository;
  const lists = await fetchLists(repository);
  if (isRefusal(lists)) return lists;
  const { version, expires } = lists.files[0]!.targets;
  const listed = lists.files.flatMap(({ role, targets }) =>
    targets.targets.map((one) => ({ role, ...one })),
  );
  const rows = listed.map(({ role, filename: name, mustMatch }) => [
    name,
    String(mustMatch.releaseCounter),
    kindOf(mustMatch.kind),
    mustMatch.hardwareIds.join(','),
    String(mustMatch.plaintextLength),
    role,
    shortHex(mustMatch.plaintextSha256),
  ]);
  const heading = ['filename', 'release', 'kind', 'hardware', 'bytes', 'listed by', 'SHA-256'];
  return {
    lines: [
      `image Targets ${version}, valid until ${time(expires)}, ${listed.length} images`,
      ...(rows.length > 0 ? table([heading, ...rows]) : []),
    ],
    json: {
      version,
      expires,
      images: listed.map((one) => ({ role: one.role, ...imageJson(one) })),
    },
  };
}

async function remove(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const name = given.checked('NAME', given.positionals[0]!, filename);
  const lists = await editing(given, context);
  if (isRefusal(lists)) return lists;
  const listing = lists.files.filter((file) => listsImage(file, name));
  if (listing.length === 0) {
    return refuse('image-unknown', `${name} is not listed; 'ota image list' shows what is`);
  }
  return edit(lists, listing, `${name} is no longer listed`, (current) => ({
    ...contentsOf(current),
    targets: current.targets.filter((target) => target.filename !== name),
  }));
}

function listsImage({ targets }: RoleFile, name: string): boolean {
  return targets.targets.some((target) => target.filename === name);
}

async function renew(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const lists = await editing(given, context);
  if (isRefusal(lists)) return lists;
  const own = lists.files.filter(
    (file) => !isRefusal(targetsSigners(lists.repository, file, lists.passphrase)),
  );
  // The top level says what is wrong when none of the keys open.
  const files = own.length > 0 ? own : lists.files.slice(0, 1);
  return edit(lists, files, 'the list of images is renewed', contentsOf);
}

interface Editing extends ImageLists {
  readonly repository: ImageRepository;
  readonly passphrase: string;
  readonly expires: number;
}

async function editing(given: Arguments, context: Context): Promise<Editing | Refusal> {
  const expires = expiresOf(given);
  if (given.refusal) return given.refusal;
  const repository = repositoryOf(given, context);
  if (isRefusal(repository)) return repository;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  const lists = await fetchLists(repository);
  return isRefusal(lists) ? lists : { ...lists, repository, passphrase, expires };
}

/** Changes files and publishes them together. */
async function edit(
  { repository, passphrase, expires }: Editing,
  files: readonly RoleFile[],
  done: string,
  change: (current: Targets) => Contents,
): Promise<Outcome | Refusal> {
  const versions = await changeLists(repository, passphrase, expires, (lists) =>
    lists.files
      .filter(({ role }) => files.some((file) => file.role === role))
      .map(({ role, targets }) => ({ role, contents: change(targets) })),
  );
  if (isRefusal(versions)) return versions;
  const lines = Object.entries(versions).map(([role, version]) => {
    const which = role === 'targets' ? 'image Targets' : `${role},`;
    return `${done}: ${which} ${version}, valid until ${time(expires)}`;
  });
  return { lines, json: { targetsVersion: versions['targets'] ?? null, versions, expires } };
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
