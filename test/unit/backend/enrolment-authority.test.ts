/** Enrolment CAs: several at once, one that is removed, and the server's own certificates. */
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { run } from '../../../backend/cli/run.ts';
import { DevicePlane } from '../../../backend/http/device-plane.ts';
import { MemorySessions } from '../../../backend/http/session-cache.ts';
import type { Services } from '../../../backend/services.ts';
import { EnrolmentAuthority } from '../../../backend/signer/enrolment-authority.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';

const test = suite('enrolment authority');
const passphrase = 'of the offline keys';
const onlinePassphrase = 'of the server';
const day = 86_400;
let folder: string;

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ota-enrolment-'));
  // A keys folder from before the device plane had TLS.
  for (const name of ['offline', 'online']) mkdirSync(join(folder, name));
  assert.is(await enrolmentCa(), 0);
});
test.after(() => rmSync(folder, { recursive: true }));

/** `ota enrolment-ca`, as it is typed. */
function enrolmentCa(given = passphrase): Promise<number> {
  return run(['enrolment-ca'], {
    environment: {
      OTA_KEYS: folder,
      OTA_PASSPHRASE: given,
      OTA_ONLINE_PASSPHRASE: onlinePassphrase,
    },
    out: () => true,
    error: () => true,
    interactive: false,
  });
}

function must<T>(value: T | Refusal): T {
  if (isRefusal(value)) throw new Error(`${value.refused}: ${value.detail}`);
  return value;
}

const crypto = createNodeCrypto();
const open = (with_ = onlinePassphrase, of = folder) =>
  EnrolmentAuthority.open(crypto, { folder: of, passphrase: with_ }, 90 * day);
const now = () => Math.floor(Date.now() / 1_000);
const codeOf = (value: unknown) => (isRefusal(value) ? value.refused : 'ok');

test('the online passphrase opens the enrolment CA, the offline one the root alone', async () => {
  assert.is(codeOf(await open()), 'ok');
  assert.is(codeOf(await open(passphrase)), 'passphrase-wrong');
  assert.not.equal(await enrolmentCa(onlinePassphrase), 0, 'the root does not open');
  assert.is(codeOf(await open(onlinePassphrase, tmpdir())), 'file-unreadable');
});

test('devices of an earlier enrolment CA come in until its certificate is removed', async () => {
  const root = new X509Certificate(readFileSync(join(folder, 'devices', 'root.der')));
  const key = generateKeyPair('ESP256').key.bytes;
  const first = await must(await open()).issueDevice('vehicle-1', key, now());
  assert.is(await enrolmentCa(), 0);
  const both = must(await open());
  const second = await both.issueDevice('vehicle-2', key, now());
  for (const [{ chain }, vehicleId] of [
    [first, 'vehicle-1'],
    [second, 'vehicle-2'],
  ] as const) {
    const device = must(both.identify(new X509Certificate(chain[0]!)));
    assert.is(device.vehicleId, vehicleId);
    assert.equal(device.publicKey, key);
    assert.ok(new X509Certificate(chain[1]!).verify(root.publicKey));
  }
  unlinkSync(join(folder, 'devices', '1.ca.der'));
  const one = must(await open());
  assert.is(codeOf(one.identify(new X509Certificate(first.chain[0]!))), 'certificate-untrusted');
  assert.is(codeOf(one.identify(new X509Certificate(second.chain[0]!))), 'ok');
});

test('no certificate outlives its issuer, and none of a server is a device', async () => {
  const authority = must(await open());
  const key = generateKeyPair('ESP256').key.bytes;
  const late = await authority.issueDevice('vehicle-1', key, now() + 1_800 * day);
  const issuer = new X509Certificate(late.chain[1]!);
  assert.is(late.notAfter, issuer.validToDate.getTime() / 1_000);
  const server = new X509Certificate((await authority.issueServer('ota.internal', now())).chain);
  assert.is(codeOf(authority.identify(server)), 'certificate-untrusted');
});

test('the server renews its certificate at half its life, and the ticket keys every day', async () => {
  let time = now();
  const services = { now: () => time, database: { shared: false } } as unknown as Services;
  const plane = await DevicePlane.open(services, must(await open()), 'ota.internal');
  const server = createServer(plane.serverOptions, (socket) => socket.end('x'));
  plane.serve(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const visit = (session?: Buffer) =>
    new Promise<{ serial: string; reused: boolean; session: Buffer }>((resolve, reject) => {
      const options = { port, host: '127.0.0.1', servername: 'ota.internal' };
      const own = { rejectUnauthorized: false, ...(session && { session }) };
      const socket = connect({ ...options, ...own });
      let last = Buffer.alloc(0);
      let serial = '';
      socket.on('secureConnect', () => {
        serial = socket.getPeerX509Certificate()?.serialNumber ?? '';
      });
      socket.on('session', (given) => {
        last = given;
      });
      socket.on('data', () => undefined);
      socket.on('end', () => resolve({ serial, reused: socket.isSessionReused(), session: last }));
      socket.on('error', reject);
    });
  try {
    const first = await visit();
    assert.is((await visit(first.session)).reused, true);
    time += day;
    await plane.refresh();
    const next = await visit(first.session);
    assert.is(next.reused, false, 'the ticket keys of yesterday are gone');
    assert.is(next.serial, first.serial);
    time += 7 * day;
    await plane.refresh();
    const renewed = await visit();
    assert.is.not(renewed.serial, first.serial);
    assert.is((await visit(renewed.session)).reused, true);
  } finally {
    plane.close();
    await new Promise((resolve) => server.close(resolve));
  }
});

test('the oldest sessions leave a full cache', async () => {
  const sessions = new MemorySessions(2);
  for (const id of ['a', 'b', 'c']) await sessions.keep(id, Buffer.from(id));
  assert.is(await sessions.find('a'), undefined);
  assert.equal(await sessions.find('b'), Buffer.from('b'));
  assert.equal(await sessions.find('c'), Buffer.from('c'));
});

test.run();
