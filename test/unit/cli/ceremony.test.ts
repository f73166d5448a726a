import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { verifyEnvelope } from '../../../agent/crypto/verify-envelope.ts';
import { maxRootBytes, maxTargetsBytes } from '../../../agent/limits.ts';
import type { RepositoryName } from '../../../agent/metadata/common.ts';
import { root as rootSchema } from '../../../agent/metadata/root.ts';
import { targets as targetsSchema } from '../../../agent/metadata/targets.ts';
import { authorityOf, checkKeyTable } from '../../../agent/verify/authority.ts';
import {
  type CeremonyOptions,
  ceremonyDefaults,
  holdCeremony,
} from '../../../backend/cli/ceremony.ts';
import { offlineKeys, openSigners, readWrappingKey } from '../../../backend/cli/key-folder.ts';
import { rolesOf } from '../../../backend/cli/rotate-key.ts';
import { loadRoot } from '../../../backend/cli/trusted-root.ts';
import { readKeyFile } from '../../../backend/signer/key-file.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';

const test = suite('ota ceremony');
const parent = mkdtempSync(join(tmpdir(), 'ota-ceremony-'));
const crypto = createNodeCrypto();
const now = 1_800_000_000;
const base: CeremonyOptions = {
  ...ceremonyDefaults,
  folder: join(parent, 'keys'),
  passphrase: 'offline passphrase',
  onlinePassphrase: 'online passphrase',
  now,
  keyFile: { cost: 16 }, // keys of no worth
};

function must<T>(value: T | Refusal): T {
  if (isRefusal(value)) throw new Error(`${value.refused}: ${value.detail}`);
  return value;
}

function bytesOf(folder: string, ...names: string[]): Uint8Array {
  return new Uint8Array(readFileSync(join(folder, ...names)));
}

function rootOf(folder: string, repository: RepositoryName) {
  const envelope = must(decodeEnvelope(bytesOf(folder, repository, '1.root.cbor'), maxRootBytes));
  return { envelope, root: must(decode(rootSchema, envelope.payload, maxRootBytes)) };
}

const result = must(await holdCeremony(base));

test('the folder has every file of the layout and no other', () => {
  const found = (readdirSync(base.folder, { recursive: true }) as string[])
    .filter((name) => statSync(join(base.folder, name)).isFile())
    .sort();
  assert.equal(found, [
    'devices/1.ca.der',
    'devices/root.der',
    'director/1.root.cbor',
    'director/wrapping-key.cbor',
    'images/1.root.cbor',
    'images/1.targets.cbor',
    'offline/device-root.key',
    'offline/director-offline-snapshot-1.key',
    'offline/director-offline-targets-1.key',
    'offline/director-root-1.key',
    'offline/director-root-2.key',
    'offline/director-root-3.key',
    'offline/images-root-1.key',
    'offline/images-root-2.key',
    'offline/images-root-3.key',
    'offline/images-targets-1.key',
    'offline/images-targets-2.key',
    'online/director-snapshot.key',
    'online/director-targets.key',
    'online/director-time.key',
    'online/director-timestamp.key',
    'online/director-wrapping.key',
    'online/enrolment-ca-1.key',
    'online/images-snapshot.key',
    'online/images-timestamp.key',
  ]);
  assert.equal(readdirSync(parent), ['keys'], 'nothing is left beside it');
  for (const name of found.filter((one) => one.endsWith('.key'))) {
    assert.is(statSync(join(base.folder, name)).mode & 0o777, 0o600, name);
  }
});

for (const repository of ['director', 'images'] as const) {
  test(`ROOT-01, ROOT-03: the ${repository} Root names every role and verifies`, () => {
    const { envelope, root } = rootOf(base.folder, repository);
    assert.is(checkKeyTable(crypto, root, 'composite', rolesOf[repository]), undefined);
    assert.is(root.roles.length, rolesOf[repository].length);
    const authority = must(authorityOf(crypto, root, 'root', 'composite'))!;
    assert.is(authority.threshold, 2);
    assert.is(authority.keys.length, 3);
    assert.is(verifyEnvelope(crypto, envelope, authority, { domain: 'metadata' }), undefined);
    assert.is(root.version, 1);
    assert.is(root.expires, now + 365 * 86_400);
    for (const key of root.keys) assert.is(key.algorithm, 'MLDSA65-ECDSA-P256-SHA512');
  });

  test(`CRT-03: the ${repository} Root misses its threshold with one signature`, () => {
    const { envelope, root } = rootOf(base.folder, repository);
    const authority = must(authorityOf(crypto, root, 'root', 'composite'))!;
    const one = { ...envelope, signatures: envelope.signatures.slice(0, 1) };
    const refusal = verifyEnvelope(crypto, one, authority, { domain: 'metadata' });
    assert.is(refusal?.refused, 'signature-threshold');
  });
}

test('no key serves two roles', () => {
  const all = (['director', 'images'] as const).flatMap(
    (name) => rootOf(base.folder, name).root.keys,
  );
  const ids = new Set(all.map((key) => Buffer.from(keyId(crypto, key)).toString('hex')));
  assert.is(ids.size, all.length);
});

test('the image Targets are empty, valid for 30 days and signed by the offline key', () => {
  const { root } = rootOf(base.folder, 'images');
  const bytes = bytesOf(base.folder, 'images', '1.targets.cbor');
  const envelope = must(decodeEnvelope(bytes, maxTargetsBytes));
  const authority = must(authorityOf(crypto, root, 'targets', 'composite'))!;
  assert.is(verifyEnvelope(crypto, envelope, authority, { domain: 'metadata' }), undefined);
  const targets = must(decode(targetsSchema, envelope.payload, maxTargetsBytes));
  assert.equal(targets.targets, []);
  assert.is(targets.expires, now + 30 * 86_400);
  assert.is(targets.version, 1);
});

test('offline and online keys have passphrases of their own', () => {
  const offline = join(base.folder, 'offline', 'images-targets-1.key');
  const online = join(base.folder, 'online', 'director-time.key');
  assert.not(isRefusal(readKeyFile(offline, 'offline passphrase')));
  assert.ok(isRefusal(readKeyFile(offline, 'online passphrase')));
  assert.not(isRefusal(readKeyFile(online, 'online passphrase')));
  assert.ok(isRefusal(readKeyFile(online, 'offline passphrase')));
});

test('the public wrapping key is that of the online key', () => {
  const pair = must(
    readKeyFile(join(base.folder, 'online', 'director-wrapping.key'), 'online passphrase'),
  );
  assert.equal(must(readWrappingKey(base.folder)), pair.key);
});

test('the printed key ids are those of the files', () => {
  assert.is(result.keys.length, 19);
  for (const { name, offline, keyId: printed } of result.keys) {
    const place = offline ? 'offline' : 'online';
    const path = join(base.folder, place, `${name}.key`);
    const pair = must(readKeyFile(path, `${place} passphrase`));
    assert.equal(keyId(crypto, pair.key), printed, name);
  }
});

test('keys are never overwritten', async () => {
  const before = bytesOf(base.folder, 'offline', 'director-root-1.key');
  const again = await holdCeremony(base);
  assert.ok(isRefusal(again));
  assert.is(again.refused, 'argument-invalid');
  assert.equal(bytesOf(base.folder, 'offline', 'director-root-1.key'), before);
  assert.equal(readdirSync(parent), ['keys']);
});

test('an empty folder is filled', async () => {
  const folder = join(parent, 'empty');
  mkdirSync(folder);
  must(await holdCeremony({ ...base, folder }));
  assert.ok(existsSync(join(folder, 'images', '1.root.cbor')));
  rmSync(folder, { recursive: true });
});

test('a folder that gets content meanwhile keeps it, and no key is left behind', async () => {
  const folder = join(parent, 'raced');
  let made = 0;
  const raced = holdCeremony({
    ...base,
    folder,
    progress: () => {
      made += 1;
      if (made === 3) mkdirSync(join(folder, 'something'), { recursive: true });
    },
  });
  let thrown: unknown;
  await raced.catch((error: unknown) => {
    thrown = error;
  });
  assert.ok(thrown instanceof Error);
  assert.equal(readdirSync(folder), ['something']);
  assert.equal(readdirSync(parent).sort(), ['keys', 'raced']);
  rmSync(folder, { recursive: true });
});

test('other numbers of keys and thresholds are made as asked', async () => {
  const folder = join(parent, 'sizes');
  must(
    await holdCeremony({
      ...base,
      folder,
      directorRoot: { keys: 1, threshold: 1 },
      imagesRoot: { keys: 8, threshold: 5 },
      imagesTargets: { keys: 4, threshold: 3 },
    }),
  );
  const trusted = must(await loadRoot(crypto, folder, 'images'));
  const authority = must(authorityOf(crypto, trusted.root, 'root', 'composite'))!;
  assert.is(authority.threshold, 5);
  const targets = must(authorityOf(crypto, trusted.root, 'targets', 'composite'))!;
  const signers = must(openSigners(folder, 'images', 'targets', targets, base.passphrase));
  assert.is(signers.length, 3);
  rmSync(join(folder, 'offline', 'images-targets-1.key'));
  rmSync(join(folder, 'offline', 'images-targets-4.key'));
  const tooFew = openSigners(folder, 'images', 'targets', targets, base.passphrase);
  assert.ok(isRefusal(tooFew));
  assert.is(tooFew.refused, 'signature-threshold');
  rmSync(folder, { recursive: true });
});

test('a Root that was altered on disk is not trusted', async () => {
  const path = join(base.folder, 'images', '1.root.cbor');
  const good = readFileSync(path);
  const bad = Buffer.from(good);
  bad[40]! ^= 1;
  writeFileSync(path, bad);
  assert.ok(isRefusal(await loadRoot(crypto, base.folder, 'images')));
  writeFileSync(path, good);
  assert.not(isRefusal(await loadRoot(crypto, base.folder, 'images')));
});

test("a key of another role is not used, whatever its file's name", () => {
  const authority = must(
    authorityOf(crypto, rootOf(base.folder, 'director').root, 'root', 'composite'),
  )!;
  const stranger = join(base.folder, 'offline', 'director-root-9.key');
  writeFileSync(stranger, bytesOf(base.folder, 'offline', 'images-root-1.key'));
  rmSync(join(base.folder, 'offline', 'director-root-1.key'));
  rmSync(join(base.folder, 'offline', 'director-root-2.key'));
  assert.is(must(offlineKeys(base.folder, 'director', 'root')).length, 2);
  const signers = openSigners(base.folder, 'director', 'root', authority, base.passphrase);
  assert.ok(isRefusal(signers));
  assert.is(signers.refused, 'signature-threshold');
});

test.after(() => rmSync(parent, { recursive: true, force: true }));
test.run();
