/** Keys are replaced while the backend runs: new Roots, new online keys, nothing lost in between. */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode } from '../../agent/codec/schema.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { maxRootBytes, maxTargetsBytes, maxTimestampBytes } from '../../agent/limits.ts';
import { type RoleName, roles } from '../../agent/metadata/common.ts';
import { type Root, root as rootSchema } from '../../agent/metadata/root.ts';
import { authorityOf } from '../../agent/verify/authority.ts';
import { loadRoot } from '../../backend/cli/trusted-root.ts';
import { call, crypto, opened } from './backend-fixture.ts';
import { CliFixture } from './cli-fixture.ts';

const test = suite('ota: root rotate');
const fixture = new CliFixture();

interface Rotated {
  readonly version: number;
  readonly path: string;
  readonly targetsVersion: number | null;
}

function rotateWords(repository: string, role: string, ...more: readonly string[]) {
  return ['root', 'rotate', '--repository', repository, '--role', role, ...more];
}

function rotate(repository: string, role: string, ...more: readonly string[]): Promise<Rotated> {
  return fixture.done<Rotated>(rotateWords(repository, role, ...more));
}

function offline(name: string): string {
  return join(fixture.keys, 'offline', `${name}.key`);
}

async function served(plane: 'director' | 'images', name: string): Promise<Uint8Array> {
  const path = plane === 'images' ? `/metadata/${name}` : `/director/metadata/${name}`;
  if (plane === 'images') return (await call(fixture.ports.images, path)).body;
  const headers = { authorization: 'Bearer operator-token-of-the-tests' };
  return (await call(fixture.ports.operator, path, { headers })).body;
}

async function newestRoot(repository: 'director' | 'images'): Promise<Root> {
  return opened(await loadRoot(crypto, fixture.keys, repository)).root;
}

/** True when a served image file counts under the newest Root. */
async function counts(name: string, role: RoleName, maxBytes: number): Promise<boolean> {
  const authority = opened(authorityOf(crypto, await newestRoot('images'), role, 'composite')!);
  const envelope = opened(decodeEnvelope(await served('images', name), maxBytes));
  return verifyEnvelope(crypto, envelope, authority, { domain: 'metadata' }) === undefined;
}

/** Names in the folders of keys: no `.next` or `.previous` may stay behind. */
function keyFiles(): readonly string[] {
  return ['offline', 'online'].flatMap((name) => readdirSync(join(fixture.keys, name))).sort();
}

test.before(async () => {
  await fixture.done(['ceremony', '--out', fixture.keys]);
  await fixture.startBackend();
  const path = fixture.path('image.bin');
  writeFileSync(path, 'an image');
  const words = ['--filename', 'image.bin', '--hardware', 'hw', '--release', '1'];
  await fixture.done(['image', 'publish', path, ...words, '--kind', 'opaque']);
});
test.after(() => fixture.stop());

test('CRT-03: a replaced root key gives a Root that old and new thresholds signed', async () => {
  const files = keyFiles();
  const before = await newestRoot('director');
  const { version } = await rotate('director', 'root', '--number', '2');
  assert.is(version, 2);
  const bytes = await served('director', '2.root.cbor');
  const envelope = opened(decodeEnvelope(bytes, maxRootBytes));
  const next = opened(decode(rootSchema, envelope.payload, maxRootBytes));
  for (const judge of [before, next]) {
    const authority = opened(authorityOf(crypto, judge, 'root', 'composite')!);
    assert.is(verifyEnvelope(crypto, envelope, authority, { domain: 'metadata' }), undefined);
    assert.is(authority.threshold, 2);
  }
  const table = (root: Root) =>
    root.roles
      .find(({ role }) => role === roles.root)!
      .keyIds.map((id) => Buffer.from(id).toString('hex'));
  const kept = table(next).filter((id) => table(before).includes(id));
  assert.is(kept.length, 2);
  assert.is(table(next).length, 3);
  assert.equal(keyFiles(), files);
});

test('the server signs with a new online key as soon as its Root is published', async () => {
  const old = readFileSync(join(fixture.keys, 'online', 'images-timestamp.key'));
  const { version } = await rotate('images', 'timestamp');
  assert.is(version, 2);
  assert.not.equal(readFileSync(join(fixture.keys, 'online', 'images-timestamp.key')), old);
  assert.ok(await counts('timestamp.cbor', 'timestamp', maxTimestampBytes));
  for (const role of ['targets', 'snapshot', 'timestamp', 'time']) {
    await rotate('director', role);
  }
  assert.is((await newestRoot('director')).version, 6);
  assert.is(
    (await fixture.done<{ directorRootVersion: number }>(['status'])).directorRootVersion,
    6,
  );
});

test('a new image Targets key signs the listed images again', async () => {
  const { version, targetsVersion } = await rotate('images', 'targets', '--number', '1');
  assert.is(version, 3);
  assert.is(targetsVersion, 3);
  assert.ok(await counts('3.targets.cbor', 'targets', maxTargetsBytes));
  assert.not(await counts('2.targets.cbor', 'targets', maxTargetsBytes));
  const { images } = await fixture.done<{ images: { filename: string }[] }>(['image', 'list']);
  assert.equal(
    images.map(({ filename }) => filename),
    ['image.bin'],
  );
});

test('after a restart the backend has every Root and key', async () => {
  await fixture.stopBackend();
  await fixture.startBackend();
  assert.ok(await counts('timestamp.cbor', 'timestamp', maxTimestampBytes));
  await rotate('images', 'snapshot');
});

test('an operator with older Roots catches up by verifying each', async () => {
  const newest = join(fixture.keys, 'director', '6.root.cbor');
  const good = readFileSync(newest);
  rmSync(newest);
  const { version } = await rotate('director', 'time');
  assert.is(version, 7);
  assert.equal(readFileSync(newest), good);
});

test('a lost root key is replaced by the others, one below the threshold is not', async () => {
  const lost = offline('images-root-1');
  const first = readFileSync(lost);
  // The file still names the public key; its secret cannot be opened any more.
  const damaged = Buffer.from(first);
  damaged[damaged.length - 1]! ^= 1;
  writeFileSync(lost, damaged);
  const { version } = await rotate('images', 'root', '--number', '1');
  assert.is(version, 5);
  for (const name of ['images-root-2', 'images-root-3']) {
    renameSync(offline(name), fixture.path(name));
  }
  const files = keyFiles();
  const words = rotateWords('images', 'root', '--number', '1');
  assert.is(await fixture.refused(words), '1 signature-threshold');
  for (const name of ['images-root-2', 'images-root-3']) {
    renameSync(fixture.path(name), offline(name));
  }
  assert.is(keyFiles().length, files.length + 2);
  assert.is((await newestRoot('images')).version, 5);
});

test('a root key whose file is gone is replaced by the others', async () => {
  rmSync(offline('images-root-3'));
  const files = keyFiles();
  const { version, path } = await rotate('images', 'root', '--number', '3');
  assert.is(version, 6);
  assert.is(path, offline('images-root-3'));
  assert.is(keyFiles().length, files.length + 1);
});

test('what cannot be rotated is refused and changes no file', async () => {
  const files = keyFiles();
  const wrong = { OTA_PASSPHRASE: 'wrong' };
  assert.is(await fixture.refused(rotateWords('images', 'snapshot'), wrong), '1 passphrase-wrong');
  const absent = rotateWords('images', 'root', '--number', '9');
  assert.is(await fixture.refused(absent), '2 argument-invalid');
  const token = { OTA_OPERATOR_TOKEN: 'another-token-of-the-tests' };
  assert.is(await fixture.refused(rotateWords('images', 'snapshot'), token), '1 token-invalid');
  // The server cannot open a key that is sealed under another passphrase: it keeps its Root.
  const sealed = { OTA_ONLINE_PASSPHRASE: 'not the passphrase of the server' };
  const refused = await fixture.refused(rotateWords('images', 'snapshot'), sealed);
  assert.match(refused, /^1 passphrase-wrong|^1 key-file-invalid/);
  assert.equal(keyFiles(), files);
  assert.ok(await counts('timestamp.cbor', 'timestamp', maxTimestampBytes));
  assert.is((await newestRoot('images')).version, 6);
});

/** Passes requests on, but when a Root was sent, drops the server's answer or the request. */
async function lossy(drop: 'request' | 'answer') {
  const { operator } = fixture.ports;
  const proxy = createServer(async (request, response) => {
    const { method = 'GET', url = '/', headers } = request;
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = new Uint8Array(Buffer.concat(pieces));
    const root = method === 'PUT' && url.endsWith('.root.cbor');
    if (root && drop === 'request') {
      response.destroy();
      return;
    }
    const authorization = headers.authorization ?? '';
    const options = { method, headers: { authorization }, ...(body.length > 0 && { body }) };
    const answer = await call(operator, url, options);
    if (root) response.destroy();
    else response.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => proxy.close(resolve)),
  };
}

for (const drop of ['request', 'answer'] as const) {
  test(`when the ${drop} is lost, the next rotation finds the key that counts`, async () => {
    const before = (await newestRoot('images')).version;
    const files = keyFiles();
    const proxy = await lossy(drop);
    const words = rotateWords('images', 'timestamp');
    const refused = fixture.refused(words, { OTA_URL: proxy.url });
    assert.is(await refused.finally(proxy.close), '1 net-unreachable');
    const previous = join(fixture.keys, 'online', 'images-timestamp.key.previous');
    assert.ok(existsSync(previous));
    const { version } = await rotate('images', 'timestamp');
    assert.is(version, before + (drop === 'answer' ? 2 : 1));
    assert.equal(keyFiles(), files);
    assert.ok(await counts('timestamp.cbor', 'timestamp', maxTimestampBytes));
  });
}

test.run();
