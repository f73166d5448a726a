/** `ota verify-repo` where the repositories disagree or a delegation is wrong: the documented code and row. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { delegate, digestOf, folder, newKey, now } from './hand-made.ts';
import { app, behind, type Case, judgeBroken } from './verify-repo-fixture.ts';

const test = suite('ota verify-repo: delegations');

const breakages: readonly Case[] = [
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

for (const [name, expected, act] of breakages) {
  test(`${name}: ${expected}`, async () => {
    assert.is(await judgeBroken(act), expected);
  });
}

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
