/** `ota verify-repo --state`: what a second call makes of a changed repository. */
import { rmSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assigned,
  delegate,
  folder,
  image,
  newKey,
  release,
  rootOf,
  settleFirstRoot,
} from './hand-made.ts';
import { type Case, correct, judge, newState, rotate } from './verify-repo-fixture.ts';

const test = suite('ota verify-repo: state');

/** After a first call over the correct repository, with its state. */
const successions: readonly Case[] = [
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

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
