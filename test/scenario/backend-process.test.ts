/** The backend as a process: start, restart, kill, and everything that keeps it from starting. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../agent/codes.ts';
import { uploadAnswer, vehicleView } from '../../backend/http/messages.ts';
import { startBackend } from '../../backend/server.ts';
import type { OnlineKeyName } from '../../backend/signer/online-keys.ts';
import { generateKeyPair } from '../../hal/node/signing.ts';
import {
  call,
  codeOf,
  directorTable,
  expectValue,
  makeImage,
  operatorToken,
  signRoot,
  startSeconds,
  TestBackend,
  TestVehicle,
  toHex,
} from './backend-fixture.ts';
import { writeKeysFolder } from './keys-folder.ts';

const test = suite('process');
const passphrase = 'a passphrase of the tests';
const octets = 'application/octet-stream';
const main = join(process.cwd(), 'backend', 'main.ts');
/** For `make mutants`. */
const { REMOVED_CHECK, REACHED_CHECKS } = process.env;
const children = new Set<ChildProcess>();
const folders: string[] = [];

test.after(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function ceremonyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ota-process-'));
  folders.push(folder);
  writeKeysFolder(join(folder, 'keys'), passphrase);
  return folder;
}

interface Started {
  readonly child: ChildProcess;
  readonly ports: { readonly director: number; readonly images: number; readonly operator: number };
}

interface Ended {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

type Environment = Readonly<Record<string, string>>;

function spawnBackend(folder: string, changes: Environment, flags: readonly string[] = []) {
  const child = spawn(process.execPath, [main, ...flags], {
    env: {
      REMOVED_CHECK,
      REACHED_CHECKS,
      OTA_STATE: join(folder, 'state'),
      OTA_KEYS: join(folder, 'keys'),
      OTA_PASSPHRASE: passphrase,
      OTA_OPERATOR_TOKEN: operatorToken,
      OTA_LOG_LEVEL: 'silent',
      OTA_DEVICE_TLS: 'off',
      DIRECTOR_PORT: '0',
      IMAGES_PORT: '0',
      OPERATOR_PORT: '0',
      DOORBELL_PORT: '0',
      ...changes,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  return child;
}

/** Runs the backend until it ends by itself. */
function runToEnd(
  folder: string,
  changes: Environment = {},
  flags: readonly string[] = [],
): Promise<Ended> {
  const child = spawnBackend(folder, changes, flags);
  let output = '';
  let errors = '';
  child.stdout.on('data', (piece) => {
    output += piece;
  });
  child.stderr.on('data', (piece) => {
    errors += piece;
  });
  return new Promise((resolve) => {
    child.on('close', (status) => {
      children.delete(child);
      resolve({ status, output, errors });
    });
  });
}

function start(folder: string, changes: Environment = {}): Promise<Started> {
  const child = spawnBackend(folder, changes);
  let output = '';
  let errors = '';
  child.stderr.on('data', (piece) => {
    errors += piece;
  });
  return new Promise((resolve, reject) => {
    child.on('close', () => reject(new Error(`ended early: ${errors}`)));
    child.stdout.on('data', (piece) => {
      output += piece;
      const line = /^listening director=(\d+) images=(\d+) operator=(\d+) doorbell=\d+\n/.exec(
        output,
      );
      if (line === null) return;
      const [director = 0, images = 0, operator = 0] = line.slice(1).map(Number);
      resolve({ child, ports: { director, images, operator } });
    });
  });
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  return new Promise((resolve) => {
    child.on('close', (status) => {
      children.delete(child);
      resolve(status);
    });
    child.kill(signal);
  });
}

const authorization = `Bearer ${operatorToken}`;

test('it starts from key files, says where it listens, and ends on SIGTERM (SRV-01)', async () => {
  const { child, ports } = await start(ceremonyFolder());
  assert.is(codeOf(await call(ports.director, '/')), '200');
  assert.is(codeOf(await call(ports.images, '/metadata/1.root.cbor')), '200');
  const headers = { authorization };
  assert.is(codeOf(await call(ports.operator, '/status', { headers })), '200');
  assert.is(await end(child, 'SIGTERM'), 0);
});

test('on SIGTERM what has begun ends well, and nothing new begins', async () => {
  const { child, ports } = await start(ceremonyFolder());
  const image = makeImage('late.bin', new Uint8Array(100_000), ['hw']);
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (status) => {
      children.delete(child);
      resolve(status);
    });
  });
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const length = String(image.ciphertext.length);
    const outgoing = request(
      {
        ...{ host: '127.0.0.1', port: ports.operator, path: '/upload', method: 'POST' },
        headers: {
          authorization,
          'upload-filename': 'late.bin',
          'content-type': octets,
          'content-length': length,
          expect: '100-continue',
        },
      },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    outgoing.on('error', reject);
    // The server is at work on it now.
    outgoing.on('continue', async () => {
      outgoing.write(image.ciphertext.subarray(0, 50_000));
      child.kill('SIGTERM');
      while (await call(ports.director, '/').catch(() => undefined));
      outgoing.end(image.ciphertext.subarray(50_000));
    });
    outgoing.flushHeaders();
  });
  assert.is(status, 200, 'the upload that had begun');
  assert.is(await ended, 0);
});

test('kill -9 in the middle of an upload leaves nothing after the next start', async () => {
  const folder = ceremonyFolder();
  const first = await start(folder);
  const image = makeImage('big.bin', new Uint8Array(300_000), ['hw']);
  const kept = makeImage('kept.bin', new Uint8Array(10), ['hw']);
  const body = kept.ciphertext;
  const headers = { authorization, 'upload-filename': 'kept.bin' };
  const options = { method: 'POST', type: octets, headers, body };
  expectValue(uploadAnswer, await call(first.ports.operator, '/upload', options));
  const incoming = join(folder, 'state', 'blobs', 'incoming');
  await new Promise<void>((resolve) => {
    const outgoing = request({
      host: '127.0.0.1',
      port: first.ports.operator,
      path: '/upload',
      method: 'POST',
      headers: {
        authorization,
        'upload-filename': 'big.bin',
        'content-type': octets,
        'content-length': String(image.ciphertext.length),
      },
    });
    outgoing.on('error', () => resolve());
    outgoing.on('close', () => resolve());
    outgoing.write(image.ciphertext.subarray(0, 200_000));
    const wait = () => {
      if (readdirSync(incoming).length === 0) setTimeout(wait, 5);
      else void end(first.child, 'SIGKILL');
    };
    wait();
  });
  assert.is(readdirSync(incoming).length, 1, 'the kill came in the middle');
  const second = await start(folder);
  assert.equal(readdirSync(incoming), []);
  const stored = readdirSync(join(folder, 'state', 'blobs', 'sha256'), { recursive: true });
  const digest = toHex(kept.target.hashes[0]!.value);
  assert.equal(stored.map(String).sort(), [digest.slice(0, 2), join(digest.slice(0, 2), digest)]);
  const served = await call(second.ports.images, `/targets/${digest}.kept.bin`);
  assert.equal(served.body, kept.ciphertext, 'what was answered before the kill is still there');
  await end(second.child, 'SIGTERM');
});

test('a blob whose upload was never recorded is removed at the next start', async () => {
  const backend = await TestBackend.start();
  await backend.backend.close();
  const group = join(backend.folder, 'state', 'blobs', 'sha256', 'ab');
  mkdirSync(group);
  writeFileSync(join(group, `ab${'0'.repeat(62)}`), 'orphan');
  await backend.open();
  assert.equal(backend.blobFiles(), []);
  await backend.stop();
});

test('a restart keeps everything', async () => {
  const backend = await TestBackend.start();
  const vehicle = new TestVehicle('vehicle-1');
  await backend.register(vehicle);
  const image = makeImage('brakes-2.bin', new Uint8Array(9), ['hw-brakes']);
  await backend.release(1, [image]);
  await backend.assigned('vehicle-1', vehicle.secondary.description.ecuId, 'brakes-2.bin');
  const manifest = vehicle.manifest({ counter: 5 });
  assert.is(codeOf(await backend.manifest('vehicle-1', manifest)), '200');
  const token = await backend.token();
  const paths = [
    '/vehicles',
    '/vehicles/vehicle-1',
    '/vehicles/vehicle-1/manifests',
    '/status',
    '/images/metadata/timestamp.cbor',
    '/images/metadata/1.targets.cbor',
    '/director/wrapping-key',
  ];
  const look = async () => {
    const answers = [await backend.director('/metadata/vehicle-1/timestamp.cbor')];
    for (const path of paths) answers.push(await backend.operator(path));
    return answers.map((answer) => toHex(answer.body));
  };
  const before = await look();
  await backend.backend.close();
  await backend.open();
  assert.equal(await look(), before);
  assert.is(codeOf(await backend.manifest('vehicle-1', manifest)), '409 report-replayed');
  const second = new TestVehicle('vehicle-2');
  const body = second.registration(token);
  assert.is(codeOf(await backend.director('/register', { method: 'POST', body })), '201');
  await backend.stop();
});

test('rotated online keys are read again when a new Root names them', async () => {
  const backend = await TestBackend.start();
  const { keys } = backend;
  await backend.register(new TestVehicle('vehicle-1'));
  const fresh = generateKeyPair('MLDSA65-ECDSA-P256-SHA512');
  await backend.backend.close();
  let online: Readonly<Record<OnlineKeyName, typeof fresh>> = keys.online;
  await backend.open((name) => online[name]);
  online = { ...keys.online, 'director-timestamp': fresh };
  const table = { ...directorTable(keys), timestamp: [fresh] };
  const body = signRoot(2, table, keys.directorRoot);
  const put = await backend.operator('/director/metadata/2.root.cbor', { method: 'PUT', body });
  assert.is(codeOf(put), '200');
  const view = async () =>
    expectValue(vehicleView, await backend.operator('/vehicles/vehicle-1')).timestampVersion;
  assert.is(codeOf(await backend.director('/metadata/vehicle-1/timestamp.cbor')), '200');
  assert.is(await view(), 2, 'signed anew by the new key');
  // With the old keys it no longer starts: nothing it signs would be accepted.
  await backend.backend.close();
  const options = { keys: (name: OnlineKeyName) => keys.online[name], now: () => startSeconds };
  const refused = await startBackend(backend.configuration, options);
  assert.ok(isRefusal(refused));
  assert.is(refused.refused, 'key-file-invalid');
  assert.match(refused.detail, 'director-timestamp');
  await backend.open((name) => online[name]);
  await backend.stop();
});

test('Roots that follow in the keys folder are imported at start', async () => {
  const backend = await TestBackend.start();
  await backend.backend.close();
  const { keys } = backend;
  const file = join(backend.folder, 'keys', 'director', '2.root.cbor');
  writeFileSync(file, signRoot(2, directorTable(keys), keys.directorRoot));
  await backend.open();
  assert.is(codeOf(await backend.operator('/director/metadata/2.root.cbor')), '200');
  await backend.backend.close();
  writeFileSync(
    join(backend.folder, 'keys', 'director', '3.root.cbor'),
    signRoot(3, directorTable(keys), [keys.directorRoot[0]!]),
  );
  const options = { keys: (name: OnlineKeyName) => keys.online[name], now: () => startSeconds };
  const refused = await startBackend(backend.configuration, options);
  assert.ok(isRefusal(refused));
  assert.is(refused.refused, 'signature-threshold');
  rmSync(backend.folder, { recursive: true, force: true });
});

test('what keeps it from starting is said in one line with its code', async () => {
  const folder = ceremonyFolder();
  const occupant = createServer().listen(0, '127.0.0.1').unref();
  await new Promise((resolve) => occupant.once('listening', resolve));
  const address = occupant.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const secretFile = join(folder, 'empty');
  writeFileSync(secretFile, '');
  const noDatabase = join(folder, 'no-database');
  mkdirSync(noDatabase);
  writeFileSync(join(noDatabase, 'director.sqlite'), 'x'.repeat(5_000));
  const newerDatabase = join(folder, 'newer-database');
  mkdirSync(newerDatabase);
  const newer = new DatabaseSync(join(newerDatabase, 'director.sqlite'));
  newer.exec('CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied INTEGER NOT NULL)');
  newer.exec('INSERT INTO migrations VALUES (99, 0)');
  newer.close();
  const attempts: readonly [Environment, readonly string[], string, string][] = [
    [{ IMAGES_PORT: String(port) }, [], 'port-taken', 'IMAGES_PORT'],
    [{ OTA_PASSPHRASE: 'wrong' }, [], 'passphrase-wrong', '.key'],
    [{ OTA_PASSPHRASE: '' }, [], 'configuration-invalid', 'OTA_PASSPHRASE'],
    [{ OTA_PASSPHRASE: '', OTA_PASSPHRASE_FILE: secretFile }, [], 'configuration-invalid', 'empty'],
    [{ OTA_OPERATOR_TOKEN: 'short' }, [], 'configuration-invalid', 'OTA_OPERATOR_TOKEN'],
    [{ DIRECTOR_PORT: '65536' }, [], 'configuration-invalid', 'DIRECTOR_PORT'],
    [{ DIRECTOR_PORT: 'x' }, [], 'configuration-invalid', 'DIRECTOR_PORT'],
    [{ TIMESTAMP_SECONDS: '0' }, [], 'configuration-invalid', 'TIMESTAMP_SECONDS'],
    [{ OTA_LOG_LEVEL: 'loud' }, [], 'configuration-invalid', 'OTA_LOG_LEVEL'],
    [{}, ['--colour'], 'argument-invalid', 'colour'],
    [{}, ['--director-port', '-1'], 'argument-invalid', 'director-port'],
    [{ OTA_HOST: '192.0.2.1', OTA_DEVICE_TLS: 'on' }, [], 'configuration-invalid', 'OTA_HOST'],
    [{ OTA_HOST: '0.0.0.0' }, [], 'configuration-invalid', 'OTA_DEVICE_TLS'],
    [{ OTA_STATE: secretFile }, [], 'file-unreadable', 'empty'],
    [{ OTA_STATE: noDatabase }, [], 'file-unreadable', 'director.sqlite'],
    [{ OTA_STATE: newerDatabase }, [], 'database-newer', 'form 99'],
    [
      { OTA_KEYS: join(folder, 'nowhere'), OTA_STATE: join(folder, 'fresh') },
      [],
      'metadata-not-stored',
      'director',
    ],
  ];
  for (const [changes, flags, code, word] of attempts) {
    const { status, output, errors } = await runToEnd(folder, changes, flags);
    assert.is(status, 1, code);
    assert.is(output, '', code);
    assert.ok(errors.startsWith(`${code}: `) && errors.includes(word), `${code}: ${errors}`);
    assert.not.ok(errors.includes('    at '), 'no stack trace');
    assert.not.ok(errors.includes(passphrase) || errors.includes(operatorToken));
  }
  occupant.close();
});

test.run();
