/** `ota verify-repo` over broken Root, Timestamp, Snapshot and Targets: the documented code and row. */
import { copyFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxTimestampBytes } from '../../agent/limits.ts';
import { assigned, delegate, digestOf, folder, image, newKey, now } from './hand-made.ts';
import { app, type Case, judgeBroken, nextRoot, rotate } from './verify-repo-fixture.ts';

const test = suite('ota verify-repo: top-level roles');

const breakages: readonly Case[] = [
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
];

for (const [name, expected, act] of breakages) {
  test(`${name}: ${expected}`, async () => {
    assert.is(await judgeBroken(act), expected);
  });
}

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
