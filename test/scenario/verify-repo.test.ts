/**
 * `ota verify-repo` over repositories that were composed by hand: for each breakage the documented
 * code and row, and for each correct repository the assigned images.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rowsOf } from '../../agent/code-rows.ts';
import { maxTimestampBytes } from '../../agent/limits.ts';
import {
  assigned,
  compose,
  delegate,
  digestOf,
  folder,
  image,
  type Json,
  later,
  type Model,
  model,
  newKey,
  now,
  ota,
  type RoleName,
  release,
  rootOf,
  settleFirstRoot,
  verifyWords,
} from './hand-made.ts';

const test = suite('ota verify-repo');
const app = image('app-1.bin', 5);

interface Pair {
  readonly director: Model;
  readonly images: Model;
}

const correct = (): Pair => ({
  director: model('director', [assigned(app)]),
  images: model('images', [app]),
});

async function judge(pair: Pair, force: boolean, more: readonly string[] = []): Promise<string> {
  const director = await compose(pair.director, force);
  const images = await compose(pair.images, force);
  return told(await ota([...verifyWords(director, images), ...more]));
}

/** `ok FILENAME…` or `CODE ROW`; the exit status has to agree. */
function told({ status, out, error }: { status: number; out: string; error: string }): string {
  if (out === '') return `${status} ${error}`;
  const { result, code, row, targets } = JSON.parse(out);
  assert.is(status, result === 'ok' ? 0 : 1);
  if (result !== 'ok') assert.ok(rowsOf(code).includes(row), `${code} ${row}`);
  return result === 'ok'
    ? `ok ${targets.map(({ filename }: Json) => filename).join(' ')}`
    : `${code} ${row}`;
}

function replaced(words: readonly string[], option: string, value: string): string[] {
  return words.map((word, i) => (words[i - 1] === option ? value : word));
}

let state = 0;
const newState = (): string => join(folder, `state-${state++}`);

test('a repository signed without --force is verified', async () => {
  assert.is(await judge(correct(), false), 'ok app-1.bin');
});

/** A new Root that lists other keys for a role, signed by old and new Root keys. */
async function rotate(repository: Model, role: RoleName): Promise<void> {
  settleFirstRoot(repository);
  const before = repository.listed.root;
  const fresh = [await newKey()];
  repository.listed[role] = fresh;
  if (role !== 'root') repository.signs[role] = fresh;
  const by = role === 'root' ? [...before, ...fresh] : repository.listed.root;
  repository.roots.push({ payload: rootOf(repository, repository.roots.length + 1), keys: by });
}

type Break = (pair: Pair) => void | Promise<void>;

/** A Root with something wrong in it, signed as it has to be. */
function nextRoot(repository: Model, change: (root: Json) => void): void {
  settleFirstRoot(repository);
  const root = rootOf(repository, repository.roots.length + 1);
  change(root);
  repository.roots.push({ payload: root, keys: repository.listed.root });
}

const breakages: readonly (readonly [string, string, Break])[] = [
  // Root
  [
    'CRT-03 without the old keys',
    'signature-threshold CRT-03',
    async ({ director }) => {
      await rotate(director, 'root');
      director.roots[1]!.keys.shift();
    },
  ],
  [
    'CRT-03 without the new keys',
    'signature-threshold CRT-03',
    async ({ images }) => {
      await rotate(images, 'root');
      images.roots[1]!.keys.pop();
    },
  ],
  [
    'CRT-04 skips a version',
    'root-version CRT-04',
    ({ images }) =>
      nextRoot(images, (root) => {
        root.version = 3;
      }),
  ],
  [
    'CRT-04 keeps its version',
    'root-version CRT-04',
    ({ director }) =>
      nextRoot(director, (root) => {
        root.version = 1;
      }),
  ],
  [
    'CRT-06 final Root expired',
    'metadata-expired CRT-06',
    ({ images }) =>
      nextRoot(images, (root) => {
        root.expires = now;
      }),
  ],
  [
    'HRD-06 threshold 0',
    'root-threshold HRD-06',
    ({ images }) =>
      nextRoot(images, (root) => {
        root.roles[2].threshold = 0;
      }),
  ],
  [
    'HRD-06 threshold above the keys',
    'root-threshold HRD-06',
    ({ images }) =>
      nextRoot(images, (root) => {
        root.roles[3].threshold = 2;
      }),
  ],
  [
    'ROOT-02 one key twice',
    'key-duplicate ROOT-02',
    ({ images }) =>
      nextRoot(images, (root) => {
        root.keys.push(root.keys[0]);
      }),
  ],
  [
    'ROOT-01 no Targets keys',
    'root-threshold ROOT-01',
    ({ images }) =>
      nextRoot(images, (root) => {
        root.roles[1] = { ...root.roles[1], role: 'time' };
      }),
  ],
  [
    'HRD-15 the first Root is broken',
    'metadata-not-stored HRD-15',
    ({ images }) => {
      images.options['1.root.cbor'] = ['--half', 'ecdsa'];
    },
  ],
  // Signatures
  [
    'CTS-02 another key',
    'signature-threshold CTS-02',
    async ({ images }) => {
      images.signs.timestamp = [await newKey()];
    },
  ],
  [
    'CSN-03 another key',
    'signature-threshold CSN-03',
    async ({ director }) => {
      director.signs.snapshot = [await newKey()];
    },
  ],
  [
    'CTG-03 another key',
    'signature-threshold CTG-03',
    async ({ images }) => {
      images.signs.targets = [await newKey()];
    },
  ],
  [
    'CTS-02 unsigned',
    'signature-missing CTS-02',
    ({ images }) => {
      images.signs.timestamp = [];
    },
  ],
  [
    'CTG-03 threshold unmet',
    'signature-threshold CTG-03',
    async ({ images }) => {
      images.listed.targets = [...images.listed.targets, await newKey()];
      images.thresholds.targets = 2;
    },
  ],
  [
    'HRD-07 one key signs twice',
    'signature-threshold CTG-03',
    async ({ images }) => {
      images.signs.targets = [images.signs.targets[0]!, images.signs.targets[0]!];
      images.listed.targets = [...images.listed.targets, await newKey()];
      images.thresholds.targets = 2;
    },
  ],
  [
    'HRD-18 ML-DSA half alone',
    'signature-half HRD-18',
    ({ director }) => {
      director.options['1.targets.cbor'] = ['--half', 'ml-dsa'];
    },
  ],
  [
    'HRD-18 ECDSA half alone',
    'signature-half HRD-18',
    ({ director }) => {
      director.options['timestamp.cbor'] = ['--half', 'ecdsa'];
    },
  ],
  [
    'MET-04 Snapshot in place of Targets',
    'metadata-role-type MET-04',
    ({ images }) => {
      images.listed.targets = images.listed.snapshot;
      images.signs.targets = images.listed.snapshot;
      images.after = (base) =>
        copyFileSync(join(base, '1.snapshot.cbor'), join(base, '1.targets.cbor'));
    },
  ],
  // Timestamp and Snapshot
  [
    'CTS-04 Timestamp expired',
    'metadata-expired CTS-04',
    ({ director }) => {
      director.payloads.timestamp.expires = now;
    },
  ],
  [
    'CTS-01 Timestamp without end',
    'net-endless CTS-01',
    ({ director }) => {
      director.after = (base) => truncateSync(join(base, 'timestamp.cbor'), maxTimestampBytes + 1);
    },
  ],
  [
    'FNM-01 no Timestamp',
    'metadata-absent FNM-01',
    ({ images }) => {
      images.after = (base) => rmSync(join(base, 'timestamp.cbor'));
    },
  ],
  [
    'HRD-12 hash of unknown length',
    'hash-missing HRD-12',
    ({ images }) => {
      images.edit.timestamp = (payload) => {
        payload.snapshot.hashes = { '-44': digestOf('x') };
      };
    },
  ],
  [
    'CSN-02 other hash',
    'snapshot-mismatch CSN-02',
    ({ images }) => {
      images.edit.timestamp = (payload) => {
        payload.snapshot.hashes = { '-16': digestOf('x') };
      };
    },
  ],
  [
    'CSN-02 other version inside',
    'snapshot-mismatch CSN-02',
    ({ director }) => {
      director.edit.snapshot = (payload) => {
        payload.version = 2;
      };
      director.edit.timestamp = (payload) => {
        payload.snapshot.version = 1;
      };
    },
  ],
  [
    'CSN-07 Snapshot expired',
    'metadata-expired CSN-07',
    ({ director }) => {
      director.payloads.snapshot.expires = now;
    },
  ],
  [
    'SNP-01 Targets not listed',
    'snapshot-mismatch SNP-01',
    ({ images }) => {
      images.edit.snapshot = (payload) => {
        payload.versions = { other: 1 };
      };
    },
  ],
  // Targets
  [
    'CTG-02 other version',
    'targets-version-mismatch CTG-02',
    ({ images }) => {
      images.after = (base) =>
        copyFileSync(join(base, '1.targets.cbor'), join(base, '2.targets.cbor'));
      images.edit.snapshot = (payload) => {
        payload.versions.targets = 2;
      };
    },
  ],
  [
    'CTG-05 Targets expired',
    'metadata-expired CTG-05',
    ({ images }) => {
      images.payloads.targets.expires = now;
    },
  ],
  [
    'CTG-06 the Director delegates',
    'targets-delegation CTG-06',
    ({ director }) => delegate(director.payloads.targets, director, ['a'], []),
  ],
  [
    'CTG-07 one ECU twice',
    'targets-ecu-repeated CTG-07',
    ({ director }) => {
      director.payloads.targets.targets.push(assigned(image('app-2.bin', 6)));
    },
  ],
  [
    'CUS-06 no ECU',
    'targets-ecu-unknown CUS-06',
    ({ director }) => {
      director.payloads.targets.targets = [app];
    },
  ],
  [
    'HRD-01 another vehicle',
    'vehicle-mismatch HRD-01',
    ({ director }) => {
      director.payloads.targets.vehicleId = 'vehicle-2';
    },
  ],
  [
    'HRD-01 another vehicle, Timestamp',
    'vehicle-mismatch HRD-01',
    ({ director }) => {
      director.payloads.timestamp.vehicleId = 'vehicle-2';
    },
  ],
  [
    'VIM-02 other hardware',
    'target-hardware VIM-02',
    ({ director }) => {
      const other = { ...app, mustMatch: { ...app.mustMatch, hardwareIds: ['hw-b'] } };
      director.payloads.targets.targets = [assigned(other)];
    },
  ],
  [
    'CUS-05 other encryption',
    'target-format CUS-05',
    ({ director }) => {
      const other = { ...app, mustMatch: { ...app.mustMatch, encryption: 'none' } };
      director.payloads.targets.targets = [assigned(other)];
    },
  ],
  // Agreement
  [
    'RDL-08 not in the Image repository',
    'target-not-found RDL-08',
    ({ images }) => {
      images.payloads.targets.targets = [];
    },
  ],
  [
    'FV-13 other hash',
    'target-mismatch FV-13',
    ({ images }) => {
      images.payloads.targets.targets = [{ ...app, hashes: { '-16': digestOf('x') } }];
    },
  ],
  [
    'FV-13 other length',
    'target-mismatch FV-13',
    ({ images }) => {
      images.payloads.targets.targets = [{ ...app, length: app.length + 1 }];
    },
  ],
  [
    'FV-14 other release counter',
    'target-must-match FV-14',
    ({ images }) => {
      const mustMatch = { ...app.mustMatch, releaseCounter: 6 };
      images.payloads.targets.targets = [{ ...app, mustMatch }];
    },
  ],
  // Delegations
  [
    'RDL-02 delegated file missing',
    'delegation-role RDL-02',
    async ({ images }) => {
      await behind(images, ['a']);
      images.after = (base) => rmSync(join(base, '1.a.cbor'));
    },
  ],
  [
    'HRD-08 delegated file expired',
    'metadata-expired CTG-05',
    async ({ images }) => {
      await behind(images, ['a']);
      images.delegated['a']!.payload.expires = now;
    },
  ],
  [
    'CTG-03 delegated file of another key',
    'signature-threshold CTG-03',
    async ({ images }) => {
      await behind(images, ['a']);
      images.delegated['a']!.keys = [await newKey()];
    },
  ],
  [
    'HRD-09 one role, two delegators',
    'signature-threshold CTG-03',
    async ({ images }) => {
      const { targets } = images.payloads;
      await behind(images, ['a'], []);
      await delegate(targets, images, ['b'], []);
      await delegate(images.delegated['a']!.payload, images, ['shared'], []);
      const { keys } = images.delegated['shared']!;
      images.delegated['shared']!.keys = [await newKey()];
      await delegate(images.delegated['b']!.payload, images, ['shared'], []);
      images.delegated['shared']!.keys = keys; // what `a` says, not what `b` says
    },
  ],
  [
    'RDL-04 terminating, nothing there',
    'target-not-found RDL-08',
    async ({ images }) => {
      await behind(images, ['a'], [], { terminating: true });
      await delegate(images.payloads.targets, images, ['b'], [app]);
    },
  ],
  [
    'RDL-05 pattern does not match',
    'target-not-found RDL-08',
    ({ images }) => behind(images, ['a'], [app], { paths: ['brakes-*'] }),
  ],
  [
    'RDL-05 hardware is not named',
    'target-not-found RDL-08',
    ({ images }) => behind(images, ['a'], [app], { hardwareIds: ['hw-b'] }),
  ],
  [
    'MRD-05 two roles disagree',
    'target-not-found RDL-08',
    async ({ images }) => {
      await behind(images, ['a', 'b']);
      const mustMatch = { ...app.mustMatch, releaseCounter: 6 };
      images.delegated['b']!.payload.targets = [{ ...app, mustMatch }];
    },
  ],
  [
    'HRD-06 delegation threshold 0',
    'root-threshold HRD-06',
    async ({ images }) => {
      await behind(images, ['a']);
      images.payloads.targets.delegations.delegations[0].roles[0].threshold = 0;
    },
  ],
  [
    'DEL-03 delegated key not listed',
    'key-malformed DEL-03',
    async ({ images }) => {
      await behind(images, ['a']);
      images.payloads.targets.delegations.delegations[0].roles[0].keyIds = [digestOf('nobody')];
    },
  ],
  [
    'HRD-13 nine deep',
    'delegation-limit HRD-13',
    async ({ images }) => {
      images.payloads.targets.targets = [];
      let from = images.payloads.targets;
      for (let i = 0; i < 9; i++) {
        await delegate(from, images, [`d${i}`], i === 8 ? [app] : []);
        from = images.delegated[`d${i}`]!.payload;
      }
    },
  ],
];

/** Moves the image from the top level to delegated roles. */
async function behind(images: Model, names: string[], targets = [app], more: Json = {}) {
  images.payloads.targets.targets = [];
  await delegate(images.payloads.targets, images, names, targets, more);
}

for (const [name, expected, act] of breakages) {
  test(`${name}: ${expected}`, async () => {
    const pair = correct();
    await act(pair);
    assert.is(await judge(pair, true), expected);
  });
}

/** After a first call over the correct repository, with its state. */
const successions: readonly (readonly [string, string, Break])[] = [
  ['nothing changed', 'ok app-1.bin', () => undefined],
  [
    'a release',
    'ok app-1.bin',
    ({ director, images }) => {
      release(director);
      release(images);
    },
  ],
  [
    'CRT-05 two new Roots',
    'ok app-1.bin',
    async ({ director }) => {
      await rotate(director, 'root');
      await rotate(director, 'targets');
    },
  ],
  [
    'CRT-07 lower versions under other keys',
    'ok app-1.bin',
    async ({ images }) => {
      await rotate(images, 'timestamp');
      images.payloads.timestamp.version = 1;
      images.payloads.snapshot.version = 1;
    },
  ],
  [
    'CTS-03 older Timestamp',
    'metadata-rollback CTS-03',
    ({ images }) => {
      images.payloads.timestamp.version = 1;
    },
  ],
  [
    'HRD-02 Timestamp changed in place',
    'metadata-changed-in-place HRD-02',
    ({ images }) => {
      images.payloads.timestamp.expires += 1;
    },
  ],
  [
    'CSN-04 older Snapshot',
    'metadata-rollback CSN-04',
    ({ images }) => {
      images.payloads.timestamp.version += 1;
      images.payloads.snapshot.version = 1;
    },
  ],
  [
    'CSN-05 older Targets listed',
    'metadata-rollback CSN-05',
    ({ images }) => {
      release(images);
      images.payloads.targets.version = 1;
    },
  ],
  [
    'CSN-06 a role is gone',
    'snapshot-role-removed CSN-06',
    ({ images }) => {
      release(images);
      delete images.delegated['a'];
      delete images.payloads.targets.delegations;
    },
  ],
  [
    'CTG-04 older Targets, Snapshot keys new',
    'metadata-rollback CTG-04',
    async ({ images }) => {
      await rotate(images, 'snapshot');
      release(images);
      images.payloads.targets.version = 1;
    },
  ],
  [
    'FV-15 release counter goes back',
    'target-rollback FV-15',
    ({ director, images }) => {
      release(director);
      release(images);
      const older = image('app-0.bin', 4);
      director.payloads.targets.targets = [assigned(older)];
      images.payloads.targets.targets = [older];
    },
  ],
  [
    'CRT-03 a stolen folder with Roots of its own',
    'signature-threshold CRT-03',
    async ({ images }) => {
      const thief = [await newKey()];
      settleFirstRoot(images);
      images.listed.root = thief;
      images.roots.push({ payload: rootOf(images, 2), keys: thief });
    },
  ],
];

for (const [name, expected, act] of successions) {
  test(`with --state, ${name}: ${expected}`, async () => {
    const pair = correct();
    for (const repository of [pair.director, pair.images]) release(repository);
    await delegate(pair.images.payloads.targets, pair.images, ['a'], [], { paths: ['brakes-*'] });
    const given = ['--state', newState()];
    assert.is(await judge(pair, false, given), 'ok app-1.bin');
    await act(pair);
    assert.is(await judge(pair, true, given), expected);
  });
}

test('FNM-02, FNM-03, VIM-09, PRI-09, PRI-10: --image looks at the file under each of its digests', async () => {
  const content = Buffer.alloc(56 + 1_000 + 16, 7);
  const digest = (name: string) => createHash(name).update(content).digest();
  const [short, long] = [digest('sha256'), digest('sha512')];
  const hashes = { '-16': short.toString('base64url'), '-44': long.toString('base64url') };
  const entry = { ...app, hashes };
  const director = await compose(model('director', [assigned(entry)]), false);
  const images = await compose(model('images', [entry]), false);
  const words = verifyWords(director, images);
  const judged = async (name: string) => told(await ota([...words, '--image', name]));
  assert.is(await judged('app-2.bin'), 'image-not-listed TGT-01');
  assert.is(await judged('app-1.bin'), 'image-unknown FNM-03');
  writeFileSync(join(images, `${short.toString('hex')}.app-1.bin`), content);
  assert.is(await judged('app-1.bin'), 'image-unknown FNM-03');
  const second = join(images, `${long.toString('hex')}.app-1.bin`);
  writeFileSync(second, content.subarray(1));
  assert.is(await judged('app-1.bin'), 'image-length VIM-09');
  writeFileSync(second, Buffer.alloc(content.length, 8));
  assert.is(await judged('app-1.bin'), 'image-hash PRI-09');
  writeFileSync(second, content);
  assert.is(await judged('app-1.bin'), 'ok app-1.bin');
});

test('CTG-08: --primary knows every ECU of the vehicle, a Secondary only itself', async () => {
  const other = image('app-2.bin', 6);
  const director = model('director', [assigned(app), assigned(other, 'ecu-2')]);
  const folders = [await compose(director, false), await compose(model('images', [app]), false)];
  const words = verifyWords(folders[0]!, folders[1]!);
  assert.is(told(await ota(words)), 'ok app-1.bin');
  assert.is(told(await ota([...words, '--primary'])), 'targets-ecu-unknown CTG-08');
  const both = [...words, '--primary', '--ecu', 'ecu-2', '--hardware', 'hw-a'];
  assert.is(told(await ota(both)), 'target-not-found RDL-08');
});

test('PV-03: --partial judges Director Root and Targets only', async () => {
  const director = await compose(correct().director, false);
  const words = [...verifyWords(director, join(folder, 'nothing')), '--partial'];
  assert.is(told(await ota(words)), 'ok app-1.bin');
  rmSync(join(director, '1.targets.cbor'));
  assert.is(told(await ota(words)), 'metadata-absent FNM-01');
});

test('HRD-03: without time nothing is verified', async () => {
  const words = verifyWords(await compose(correct().director, false), folder);
  const timed = (text: string) => [...replaced(words, '--time', text), '--partial'];
  const noTime = await ota(timed('0'));
  assert.is(told(noTime), 'time-unknown HRD-03');
  const date = await ota(timed('2027-01-15T08:00:00Z'));
  assert.is(told(date), 'ok app-1.bin');
  const late = new Date(later * 1_000).toISOString().replace('.000Z', 'Z');
  assert.is(told(await ota(timed(late))), 'metadata-expired CRT-06');
});

test('KEY-03: wrong arguments and folders end with status 2 and a sentence', async () => {
  const pair = correct();
  const director = await compose(pair.director, false);
  const images = await compose(pair.images, false);
  const words = verifyWords(director, images);
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  const file = join(folder, 'a-file');
  writeFileSync(file, 'x');
  for (const [given, sentence] of [
    [words.slice(0, -2), /--hardware ID is missing/],
    [[...words, '--ecu', 'ecu-2'], /2 --ecu with 1 --hardware/],
    [replaced(words, '--time', 'today'), /--time 'today': expected unix seconds/],
    [replaced(words, '--vehicle', 'a b'), /--vehicle 'a b'/],
    [replaced(words, '--director', join(folder, 'nowhere')), /nowhere: no such file or folder/],
    [replaced(words, '--images', empty), /empty: no N\.root\.cbor/],
    [replaced(words, '--images', file), /a-file: part of the path is not a folder/],
    [[...words, '--state', file], /--state .*a-file: exists already/],
    [[...words, '--profile', 'best'], /--profile 'best': expected one of/],
  ] as const) {
    const { status, out, error } = await ota(given);
    assert.is(status, 2, error);
    assert.is(out, '');
    assert.match(error, sentence);
  }
  rmSync(join(images, 'timestamp.cbor'));
  mkdirSync(join(images, 'timestamp.cbor'));
  const { status, error } = await ota(words);
  assert.is(`${status} ${/timestamp.cbor: not a regular file/.test(error)}`, '2 true');
});

test('HRD-10: state is kept under encoded names, and a damaged state is no crash', async () => {
  const pair = correct();
  await behind(pair.images, ['..a']);
  const given = ['--state', newState()];
  assert.is(await judge(pair, false, given), 'ok app-1.bin');
  const names = readdirSync(given[1]!).sort();
  assert.ok(names.includes('images%2Frole%2F%2E%2Ea'), names.join());
  for (const name of names) writeFileSync(join(given[1]!, name), 'damaged');
  assert.is(await judge(pair, false, given), 'ok app-1.bin');
});

test('as a program: one JSON object on standard output, status 0 and 1', async () => {
  const pair = correct();
  const director = await compose(pair.director, false);
  const images = await compose(pair.images, false);
  const program = ['backend/cli/main.ts', ...verifyWords(director, images)];
  const good = execFileSync(process.execPath, program, { encoding: 'utf8' });
  assert.is(JSON.parse(good).targets[0].filename, 'app-1.bin');
  rmSync(join(images, '1.targets.cbor'));
  const bad = spawnSync(process.execPath, program, { encoding: 'utf8' });
  assert.is(bad.status, 1);
  const { result, code, row, attack, targets } = JSON.parse(bad.stdout);
  assert.equal([result, code, row, attack], ['refused', 'metadata-absent', 'FNM-01', null]);
  assert.equal(targets, []);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
