/** Where images are listed, and how lists that outgrow a Secondary are split by hardware. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { maxTargetsBytes } from '../../../agent/limits.ts';
import type { Target } from '../../../agent/metadata/targets.ts';
import { encodedBytes } from '../../../backend/cli/hardware-groups.ts';
import { type Change, type ImageLists, noTargets } from '../../../backend/cli/image-targets.ts';
import type { NamedKeys } from '../../../backend/cli/key-folder.ts';
import { listByHardware } from '../../../backend/cli/split-targets.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';

const test = suite('ota: split Targets');
const crypto = createNodeCrypto();
const newKeys = (): NamedKeys => ({
  keys: [generateKeyPair('MLDSA65-ECDSA-P256-SHA512').key],
  threshold: 1,
});
const [topKeys, splitKeys] = [newKeys(), newKeys()];

/** Identifiers of 64 characters make entries of 2 KB: a few fill a file. */
function idsOf(name: string, count = 30): string[] {
  return Array.from({ length: count }, (_, i) => `${name}-${i}`.padEnd(64, '.'));
}

function image(filename: string, hardwareIds: readonly string[]): Target {
  return {
    filename,
    length: 1_072,
    hashes: [{ key: -16, value: new Uint8Array(32) }],
    mustMatch: {
      plaintextLength: 1_000,
      plaintextSha256: new Uint8Array(32),
      hardwareIds,
      releaseCounter: 1,
      kind: 2,
      encryption: 'c2sp-cobblestone-256@v1',
    },
  };
}

/** The lists of one repository, changed as the server would. */
class Lists implements ImageLists {
  readonly trusted = undefined as never;
  files: ImageLists['files'] = [{ role: 'targets', targets: noTargets, authority: topKeys }];
  known: string[] = ['targets'];

  add(target: Target): readonly Change[] | Refusal {
    const changes = listByHardware(crypto, this, target, () => splitKeys);
    if (isRefusal(changes)) return changes;
    for (const { role, contents, authority } of changes) {
      const before = this.files.find((file) => file.role === role);
      const version = (before?.targets.version ?? 0) + 1;
      const targets = { ...noTargets, ...contents, version };
      const changed = { role, targets, authority: before?.authority ?? authority! };
      this.files = before
        ? this.files.map((file) => (file === before ? changed : file))
        : [...this.files, changed];
      if (!this.known.includes(role)) this.known.push(role);
    }
    return changes;
  }

  /** The files that list an image as vehicles with this hardware search: the first that has it. */
  find(filename: string, hardwareId: string): string | undefined {
    const top = this.files[0]!.targets;
    const roles = (top.delegations?.delegations ?? []).filter(({ hardwareIds }) =>
      hardwareIds!.includes(hardwareId),
    );
    return ['targets', ...roles.map((one) => one.roles[0]!.name)].find((role) =>
      this.files.some(
        (file) =>
          file.role === role && file.targets.targets.some((one) => one.filename === filename),
      ),
    );
  }
}

const rolesOf = (changes: readonly Change[] | Refusal) =>
  isRefusal(changes) ? changes.refused : changes.map(({ role }) => role).join();

test('a small list stays at the top level', () => {
  const lists = new Lists();
  assert.is(rolesOf(lists.add(image('a', ['x']))), 'targets');
  assert.is(lists.find('a', 'x'), 'targets');
});

/** Two kinds of hardware, until the top level was split. */
function splitLists(): Lists {
  const lists = new Lists();
  for (let i = 0; lists.files.length === 1; i++) {
    lists.add(image(`x-${i}`, idsOf('x')));
    lists.add(image(`y-${i}`, idsOf('y')));
  }
  return lists;
}

test('a list that becomes too large is split, all files at once, the top level first', () => {
  const lists = new Lists();
  let changes: readonly Change[] | Refusal = [];
  for (let i = 0; lists.files.length === 1; i++)
    changes = lists.add(image(`${i}`, idsOf(`${i % 2}`)));
  assert.is(rolesOf(changes), 'targets,hardware-1,hardware-2');
  assert.equal(lists.files[0]!.targets.targets, []);
  assert.is(lists.files[0]!.targets.delegations!.keys.length, 1);
});

test('further images go to the role of their hardware, and bring hardware with them', () => {
  const lists = splitLists();
  const place = lists.find('x-0', idsOf('x')[0]!)!;
  assert.is(rolesOf(lists.add(image('x-more', [idsOf('x')[3]!]))), place);
  assert.is(rolesOf(lists.add(image('x-wide', [idsOf('x')[3]!, 'new']))), `targets,${place}`);
  assert.is(lists.find('x-wide', 'new'), place);
  assert.is(rolesOf(lists.add(image('other', ['other']))), 'targets');
});

test('an image for hardware of two roles is refused', () => {
  const lists = splitLists();
  assert.is(
    rolesOf(lists.add(image('both', [idsOf('x')[0]!, idsOf('y')[0]!]))),
    'delegation-limit',
  );
});

test('a role that is full is split again, or refused where its images share their hardware', () => {
  const lists = splitLists();
  let changes: readonly Change[] | Refusal = [];
  for (let i = 0; !isRefusal(changes) && i < 40; i++)
    changes = lists.add(image(`z-${i}`, idsOf('x')));
  assert.is(rolesOf(changes), 'body-too-large');
  const mixed = new Lists();
  for (let i = 0; mixed.files.length < 5 && i < 200; i++)
    mixed.add(image(`m-${i}`, idsOf(`${i % 8}`, 8)));
  assert.ok(mixed.files.length >= 5, 'a role was split');
  for (let i = 0; i < 20; i++) assert.ok(mixed.find(`m-${i}`, idsOf(`${i % 8}`, 8)[0]!), `m-${i}`);
});

test('whatever is published, every file fits a Secondary and every image is found', () => {
  const hardware = fc.integer({ min: 0, max: 5 });
  const publication = fc.record({ group: hardware, size: fc.integer({ min: 1, max: 25 }) });
  fc.assert(
    fc.property(fc.array(publication, { maxLength: 40 }), (publications) => {
      const lists = new Lists();
      const taken: Target[] = [];
      publications.forEach(({ group, size }, i) => {
        const one = image(`image-${i}`, idsOf(`${group}`, size));
        if (!isRefusal(lists.add(one))) taken.push(one);
      });
      for (const { targets } of lists.files) {
        assert.ok(encodedBytes(targets.targets) < maxTargetsBytes);
      }
      for (const { filename, mustMatch } of taken) {
        for (const id of mustMatch.hardwareIds) assert.ok(lists.find(filename, id), filename);
      }
    }),
    { numRuns: 40 },
  );
});

test.run();
