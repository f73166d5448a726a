import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Target } from '../../../agent/metadata/targets.ts';
import { encodedBytes, groupByHardware, packGroups } from '../../../backend/cli/hardware-groups.ts';

const test = suite('hardware groups');

const image = (filename: string, hardwareIds: readonly string[]): Target => ({
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
});

const names = (targets: readonly Target[]) => targets.map(({ filename }) => filename).join();

test('images that share hardware, directly or by way of another, stay together', () => {
  const groups = groupByHardware([
    image('a', ['x']),
    image('b', ['y']),
    image('c', ['z']),
    image('d', ['y', 'x']),
  ]);
  assert.equal(
    groups.map(({ targets }) => names(targets)),
    ['c', 'a,b,d'],
  );
  assert.equal(groups[1]!.hardwareIds, ['x', 'y']);
});

test('groups are packed up to the size, larger ones alone, with at most 32 hardware ids', () => {
  const one = encodedBytes([image('a', ['x'])]);
  const groups = groupByHardware(Array.from({ length: 5 }, (_, i) => image(`${i}`, [`h${i}`])));
  const bins = packGroups(groups, 2 * one + 2);
  assert.equal(
    bins.map(({ targets }) => targets.length),
    [2, 2, 1],
  );
  assert.is(packGroups(groups, 1).length, 5);
  const many = groupByHardware(Array.from({ length: 33 }, (_, i) => image(`${i}`, [`h${i}`])));
  assert.equal(
    packGroups(many, 1_000_000).map(({ targets }) => targets.length),
    [32, 1],
  );
});

test('every image is in one group that covers its hardware, and no two groups share hardware', () => {
  const hardware = fc.uniqueArray(fc.constantFrom(...'abcdefghijkl'), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(
      fc.array(hardware, { maxLength: 20 }),
      fc.integer({ min: 1, max: 2_000 }),
      (lists, size) => {
        const targets = lists.map((ids, i) => image(`image-${i}`, ids));
        const bins = packGroups(groupByHardware(targets), size);
        const placed = bins.flatMap((bin) => bin.targets.map((one) => one.filename));
        assert.equal(placed.sort(), targets.map(({ filename }) => filename).sort());
        for (const { hardwareIds, targets: inside } of bins) {
          for (const { mustMatch } of inside) {
            assert.ok(mustMatch.hardwareIds.every((id) => hardwareIds.includes(id)));
          }
        }
        const all = bins.flatMap(({ hardwareIds }) => hardwareIds);
        assert.is(new Set(all).size, all.length);
      },
    ),
  );
});

test.run();
