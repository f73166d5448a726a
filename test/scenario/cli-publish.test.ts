/** An operator's day: ceremony, backend, publishing, assigning; and what has to be refused. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { unwrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { CobblestoneDecryptor } from '../../agent/image/cobblestone.ts';
import { imageContext } from '../../agent/image/image-context.ts';
import { maxTargetsBytes } from '../../agent/limits.ts';
import { hashAlgorithms } from '../../agent/metadata/common.ts';
import { emptyAnswer } from '../../agent/metadata/device-messages.ts';
import { type Targets, targets as targetsSchema } from '../../agent/metadata/targets.ts';
import { authorityOf } from '../../agent/verify/authority.ts';
import { loadRoot } from '../../backend/cli/trusted-root.ts';
import {
  type Answer,
  call,
  crypto,
  expectValue,
  opened,
  payloadOf,
  TestVehicle,
} from './backend-fixture.ts';
import { CliFixture } from './cli-fixture.ts';

const test = suite('ota: publish and assign');
const fixture = new CliFixture();
const vehicle = new TestVehicle('vehicle-1');
const primaryId = vehicle.primary.description.ecuId;
const brakesId = vehicle.secondary.description.ecuId;

interface Published {
  readonly targetsVersion: number | null;
  readonly ciphertextLength: number;
  readonly ciphertextSha256: string;
  readonly plaintextSha256: string;
}

function contentOf(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + Math.floor(i / 509)) % 253));
}

function write(name: string, content: Uint8Array): string {
  writeFileSync(fixture.path(name), content);
  return fixture.path(name);
}

function publishWords(path: string, name: string, release = 2, hardware = 'hw-gateway') {
  const numbers = ['--release', String(release), '--kind', 'opaque'];
  return ['image', 'publish', path, '--filename', name, '--hardware', hardware, ...numbers];
}

function images(path: string): Promise<Answer> {
  return call(fixture.ports.images, path);
}

/** The Image repository's Targets as a vehicle gets them, verified under the ceremony's Root. */
async function verifiedTargets(version: number): Promise<Targets> {
  const answer = await images(`/metadata/${version}.targets.cbor`);
  assert.is(answer.status, 200);
  const { root } = opened(await loadRoot(crypto, fixture.keys, 'images'));
  const authority = opened(authorityOf(crypto, root, 'targets', 'composite')!);
  const envelope = opened(decodeEnvelope(answer.body, maxTargetsBytes));
  assert.is(verifyEnvelope(crypto, envelope, authority, { domain: 'metadata' }), undefined);
  return payloadOf(targetsSchema, answer.body);
}

async function listedVersion(): Promise<number> {
  return (await fixture.done<{ version: number }>(['image', 'list'])).version;
}

/** Every file of the state folder. */
function stored(): readonly string[] {
  return readdirSync(fixture.state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function blobs(): readonly string[] {
  return stored().filter((name) => name.includes('/blobs/'));
}

const small = contentOf(1);
const large = contentOf(1_048_577);

test.before(async () => {
  await fixture.done(['ceremony', '--out', fixture.keys]);
  await fixture.startBackend();
});
test.after(() => fixture.stop());

test('the ceremony’s empty Targets are served from the first start', async () => {
  assert.equal((await verifiedTargets(1)).targets, []);
  assert.is((await images('/metadata/timestamp.cbor')).status, 200);
  const listed = await fixture.done<{ version: number; images: unknown[] }>(['image', 'list']);
  assert.is(listed.version, 1);
  assert.equal(listed.images, []);
});

for (const [name, content, version] of [
  ['one-byte.bin', small, 2],
  ['one-mebibyte.bin', large, 3],
] as const) {
  test(`CUS-04, IMG-06: ${content.length} bytes are published encrypted and listed`, async () => {
    const path = write(name, content);
    const published = await fixture.done<Published>(publishWords(path, name));
    assert.is(published.targetsVersion, version);
    const targets = await verifiedTargets(version);
    const target = targets.targets.find(({ filename }) => filename === name)!;
    assert.is(target.length, published.ciphertextLength);
    assert.is(target.mustMatch.plaintextLength, content.length);
    const digest = createHash('sha256').update(content).digest();
    assert.equal(Buffer.from(target.mustMatch.plaintextSha256), digest);
    const answer = await images(`/targets/${published.ciphertextSha256}.${name}`);
    assert.is(answer.status, 200);
    assert.is(answer.body.length, target.length);
    const sha256 = target.hashes.find(({ key }) => key === hashAlgorithms['SHA-256'])!.value;
    assert.equal(crypto.digest('SHA-256', answer.body), sha256);
  });
}

test('CUS-04: no part of the plaintext is in anything that the server stores', () => {
  const part = large.subarray(500_000, 500_064);
  for (const name of stored()) assert.is(readFileSync(name).indexOf(part), -1, name);
});

test('an image published twice is listed once', async () => {
  const before = blobs();
  const path = fixture.path('one-byte.bin');
  const again = await fixture.done<Published>(publishWords(path, 'one-byte.bin'));
  assert.is(again.targetsVersion, null);
  assert.is(await listedVersion(), 3);
  assert.equal(blobs(), before);
});

test('IMG-04: what must not be published is refused before anything is uploaded', async () => {
  const before = blobs();
  const empty = write('empty.bin', new Uint8Array(0));
  const other = write('other.bin', contentOf(77));
  const older = publishWords(other, 'older.bin', 1);
  const cases: readonly (readonly [readonly string[], string])[] = [
    [publishWords(empty, 'empty.bin'), '1 file-unreadable'],
    [publishWords(fixture.folder, 'folder.bin'), '1 file-unreadable'],
    [publishWords(fixture.path('absent'), 'absent.bin'), '1 file-unreadable'],
    [publishWords(other, 'one-byte.bin'), '1 image-exists'],
    [publishWords(fixture.path('one-byte.bin'), 'one-byte.bin', 3), '1 image-exists'],
    [older, '1 target-rollback'],
    [publishWords(other, '../other.bin'), '2 argument-invalid'],
    [[...publishWords(other, 'other.bin'), '--kind', 'agent'], '2 argument-invalid'],
  ];
  for (const [words, expected] of cases) {
    assert.is(await fixture.refused(words), expected, words.join(' '));
  }
  assert.equal(blobs(), before);
  assert.is(await listedVersion(), 3);
});

test('wrong secrets are refused and change nothing', async () => {
  const before = blobs();
  const words = publishWords(fixture.path('other.bin'), 'other.bin');
  assert.is(await fixture.refused(words, { OTA_PASSPHRASE: 'wrong' }), '1 passphrase-wrong');
  const wrong = { OTA_OPERATOR_TOKEN: 'another-token-of-the-tests' };
  assert.is(await fixture.refused(words, wrong), '1 token-invalid');
  assert.equal(blobs(), before);
});

test("content keys go to the ceremony's wrapping key alone", async () => {
  const path = join(fixture.keys, 'director', 'wrapping-key.cbor');
  const good = readFileSync(path);
  const other = Buffer.from(good);
  other[200]! ^= 1;
  writeFileSync(path, other);
  const before = blobs();
  const words = publishWords(fixture.path('other.bin'), 'other.bin');
  assert.is(await fixture.refused(words), '1 key-file-invalid');
  writeFileSync(path, good);
  assert.equal(blobs(), before);
});

/** Passes everything on to the backend, but lets only the first bytes of an upload through. */
async function slowUploads(onUpload: () => void) {
  const { operator } = fixture.ports;
  const proxy = createServer((request, response) => {
    const { method, url, headers } = request;
    const onward = httpRequest({ host: '127.0.0.1', port: operator, path: url, method, headers });
    onward.on('error', () => response.destroy());
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.on('error', () => onward.destroy());
    request.on('close', () => {
      if (!request.complete) onward.destroy();
    });
    if (url !== '/upload') {
      request.pipe(onward);
      return;
    }
    request.once('data', (piece: Buffer) => {
      onward.write(piece);
      request.pause();
      onUpload();
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    close: () => {
      proxy.closeAllConnections();
      return new Promise((resolve) => proxy.close(resolve));
    },
  };
}

/** Waits, 20 seconds at most, for what the server does on its own time. */
async function eventually(isSo: () => boolean): Promise<boolean> {
  for (let round = 0; round < 800 && !isSo(); round++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return isSo();
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
  test(`IMG-06: ${signal} in mid-upload leaves the repository as it was`, async () => {
    const before = blobs();
    const path = write('interrupted.bin', contentOf(8_000_000));
    let arrived = (): void => undefined;
    const uploading = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const proxy = await slowUploads(arrived);
    const running = fixture.start(publishWords(path, 'interrupted.bin'), { OTA_URL: proxy.url });
    await Promise.race([uploading, running.ended]);
    const begun = await eventually(() => blobs().length > before.length);
    running.child.kill(signal);
    const { status, error } = await running.ended.finally(proxy.close);
    assert.ok(begun, `the server holds a part of the upload; ${error}`);
    assert.not.equal(status, 0);
    assert.ok(await eventually(() => blobs().length === before.length), 'the part is removed');
    assert.equal(blobs(), before);
    assert.is(await listedVersion(), 3);
    rmSync(path);
  });
}

test('after an interruption the same image is published as if nothing had been', async () => {
  const path = write('interrupted.bin', contentOf(100_000));
  const published = await fixture.done<Published>(
    publishWords(path, 'interrupted.bin', 1, 'hw-brakes'),
  );
  assert.is(published.targetsVersion, 4);
});

test('two operators at once are both listed', async () => {
  const path = write('parallel.bin', contentOf(40_000));
  await Promise.all(
    ['a.bin', 'b.bin'].map((name) => fixture.done(publishWords(path, name, 2, 'hw-parallel'))),
  );
  const names = (await verifiedTargets(6)).targets.map(({ filename }) => filename);
  assert.ok(names.includes('a.bin') && names.includes('b.bin'));
});

test('an older release is listed when asked for, and images are taken off the list', async () => {
  const path = fixture.path('other.bin');
  await fixture.done([...publishWords(path, 'older.bin', 1), '--allow-older']);
  await fixture.done(['image', 'remove', 'older.bin']);
  assert.is(await fixture.refused(['image', 'remove', 'older.bin']), '1 image-unknown');
  const targets = await verifiedTargets(await listedVersion());
  assert.not(targets.targets.some(({ filename }) => filename === 'older.bin'));
});

test('renewing keeps the list and moves its expiry', async () => {
  const before = await verifiedTargets(await listedVersion());
  await fixture.done(['image', 'renew', '--expires-days', '90']);
  const after = await verifiedTargets(await listedVersion());
  assert.is(after.version, before.version + 1);
  assert.ok(after.expires > before.expires);
  assert.equal(
    after.targets.map(({ filename }) => filename),
    before.targets.map(({ filename }) => filename),
  );
});

test('a vehicle is enrolled by a token of the command line', async () => {
  const words = ['vehicle', 'token', '--vehicle', 'vehicle-1'];
  const { token } = await fixture.done<{ token: string }>(words);
  const body = vehicle.registration(token);
  const registered = await call(fixture.ports.director, '/register', { method: 'POST', body });
  expectValue(emptyAnswer, registered);
  const vehicles = await fixture.done<{ vehicleId: string }[]>(['vehicle', 'list']);
  assert.equal(
    vehicles.map(({ vehicleId }) => vehicleId),
    ['vehicle-1'],
  );
});

test('assignments are made in pairs, and the ECU can open the image', async () => {
  const pairs = ['--ecu', primaryId, '--image', 'one-mebibyte.bin'];
  const more = ['--ecu', brakesId, '--image', 'interrupted.bin'];
  await fixture.done(['assign', '--vehicle', 'vehicle-1', ...pairs, ...more]);
  const current = await call(fixture.ports.director, '/manifest/vehicle-1');
  const assigned = payloadOf(targetsSchema, current.body);
  assert.is(assigned.targets.length, 2);
  const target = assigned.targets.find(({ assignment }) => assignment?.ecuId === primaryId)!;
  const keyPath = Buffer.from(target.assignment!.keyObjectSha256).toString('hex');
  const keyObject = await call(fixture.ports.director, `/keys/vehicle-1/${keyPath}`);
  assert.is(keyObject.status, 200);
  const sha256 = target.hashes.find(({ key }) => key === hashAlgorithms['SHA-256'])!.value;
  const bound = ['vehicle-1', primaryId, target.filename, sha256] as const;
  const { secret } = vehicle.primary.wrapping;
  const contentKey = opened(unwrapContentKey(crypto, secret, keyObject.body, bound));
  const file = `${Buffer.from(sha256).toString('hex')}.${target.filename}`;
  const ciphertext = (await images(`/targets/${file}`)).body;
  const pieces: Buffer[] = [];
  const { releaseCounter, plaintextSha256 } = target.mustMatch;
  const decryptor = new CobblestoneDecryptor({
    crypto,
    contentKey,
    context: imageContext(target.filename, releaseCounter, plaintextSha256),
    ciphertextLength: target.length,
    onPlaintext: (bytes) => pieces.push(Buffer.from(bytes)),
  });
  assert.is(decryptor.write(ciphertext), undefined);
  assert.is(decryptor.finish(), undefined);
  assert.ok(Buffer.concat(pieces).equals(large));
});

test('assignments that cannot be are refused with the server’s own code', async () => {
  const assign = (ecu: string, image: string, id = 'vehicle-1') =>
    fixture.refused(['assign', '--vehicle', id, '--ecu', ecu, '--image', image]);
  assert.is(await assign(primaryId, 'one-byte.bin', 'vehicle-9'), '1 vehicle-unknown');
  assert.is(await assign('nobody', 'one-byte.bin'), '1 ecu-unknown');
  assert.is(await assign(primaryId, 'absent.bin'), '1 image-not-listed');
  assert.is(await assign(brakesId, 'one-byte.bin'), '1 target-hardware');
});

test('show, refresh, status and anomalies tell a person what is so', async () => {
  const show = await fixture.run(['vehicle', 'show', 'vehicle-1']);
  assert.is(show.status, 0);
  assert.match(show.out, new RegExp(`${primaryId} +primary, full .*one-mebibyte.bin`));
  const refresh = ['metadata', 'refresh', '--vehicle', 'vehicle-1'];
  const first = await fixture.done<{ timestampVersion: number }>(refresh);
  const second = await fixture.done<{ timestampVersion: number }>(refresh);
  assert.is(second.timestampVersion, first.timestampVersion + 1);
  const status = await fixture.done<{ vehicles: number; ecus: number }>(['status']);
  assert.is(status.vehicles, 1);
  assert.is(status.ecus, 2);
  assert.equal(await fixture.done(['anomalies']), []);
  const log = await fixture.done<{ code: string }[]>(['log', '--vehicle', 'vehicle-1']);
  assert.ok(log.some(({ code }) => code === 'image-assigned'));
  const decisions = await fixture.run(['log', '--kind', 'decision']);
  assert.match(decisions.out, /vehicle-registered \(INV-02\) +2 ECUs/);
  assert.is(await fixture.refused(['vehicle', 'show', 'vehicle-9']), '1 vehicle-unknown');
});

test('CTG-04: a server that went back is refused, and nothing is signed for it', async () => {
  const before = readdirSync(join(fixture.keys, 'images'));
  await fixture.stopBackend();
  await fixture.startBackend(fixture.path('other-state'));
  const words = publishWords(fixture.path('other.bin'), 'other.bin');
  assert.is(await fixture.refused(words), '1 metadata-rollback');
  assert.is(await fixture.refused(['image', 'list']), '1 metadata-rollback');
  assert.equal(readdirSync(join(fixture.keys, 'images')), before);
  await fixture.stopBackend();
  await fixture.startBackend();
  assert.is(await fixture.refused(['image', 'remove', 'absent.bin']), '1 image-unknown');
});

test('HRD-13: a list that vehicles would refuse is not published', async () => {
  const path = fixture.path('other.bin');
  // Long names and identifiers: about 2.4 KB an image.
  const hardware = Array.from({ length: 32 }, (_, i) => `${i}`.padStart(64, 'h')).join(',');
  let refused = '';
  for (let count = 0; refused === '' && count < 20; count++) {
    const name = `${count}`.padStart(128, 'n');
    const { status, out } = await fixture.run([...publishWords(path, name, 9, hardware), '--json']);
    if (status !== 0) refused = `${status} ${(JSON.parse(out) as { code: string }).code}`;
  }
  assert.is(refused, '1 body-too-large');
  const answer = await images(`/metadata/${await listedVersion()}.targets.cbor`);
  assert.ok(answer.body.length <= maxTargetsBytes);
  assert.ok(answer.body.length > maxTargetsBytes - 3_000);
});

test.run();
