/**
 * The device plane over mutual TLS: who comes in, who does not, and by which code. Real backend, real
 * certificates; devices speak by Node's TLS alone, so that nothing of the agent's hides what is sent.
 */
import { constants, X509Certificate } from 'node:crypto';
import { Agent } from 'node:https';
import { connect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import {
  type DeviceCertificate,
  deviceCertificate,
  emptyAnswer,
  enrolmentProof,
  manifestAnswer,
  registrationAnswer,
  updateQuery,
} from '../../agent/metadata/device-messages.ts';
import { timeRequest } from '../../agent/metadata/time.ts';
import { defaultServerName } from '../../backend/settings.ts';
import { EnrolmentAuthority } from '../../backend/signer/enrolment-authority.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../hal/node/signing.ts';
import { makeHierarchy } from '../unit/net/tls-cases.ts';
import {
  type Answer,
  certificateSeconds,
  codeOf,
  crypto,
  expectValue,
  opened,
  startSeconds,
  TestBackend,
  TestVehicle,
  toHex,
} from './backend-fixture.ts';
import {
  callByTls,
  clientOptions,
  type Device,
  enrolDevice,
  registrationBody,
  type TlsCall,
} from './tls-device.ts';

const test = suite('device plane');
let backend: TestBackend;
let root: X509Certificate;

test.before(async () => {
  ({ backend, root } = await TestBackend.startWithTls());
});
test.after(() => backend.stop());

const ask = (path: string, options: TlsCall = {}, port = backend.backend.ports.director) =>
  callByTls(root, port, path, options);

const register = (body: Uint8Array) => ask('/register', { method: 'POST', body });

const enrolled = (vehicle: TestVehicle) => enrolDevice(backend, root, vehicle);

const time = (device: Device | undefined) =>
  ask('/time', {
    method: 'POST',
    body: encode(timeRequest, [new Uint8Array(16)]),
    device: device!,
  });

const renew = async (device: Device): Promise<Answer> =>
  ask('/renew', { method: 'POST', body: encode(emptyAnswer, {}), device });

const setRevoked = (vehicleId: string, revoked: boolean) => backend.setRevoked(vehicleId, revoked);

test('a token and the proof of a key give a certificate, which lets the vehicle report', async () => {
  const vehicle = new TestVehicle('vehicle-1');
  const device = await enrolled(vehicle);
  const own = new X509Certificate(device.chain[0]!);
  assert.is(own.subject, 'CN=vehicle:vehicle-1');
  assert.is(own.validToDate.getTime() / 1_000, startSeconds + certificateSeconds);
  const body = vehicle.manifest({});
  const answer = await ask('/manifest/vehicle-1', { method: 'POST', body, device });
  assert.is(expectValue(manifestAnswer, answer).accepted, true);
  assert.is(codeOf(await ask('/metadata/vehicle-1/timestamp.cbor', { device })), '200');
  const { images } = backend.backend.ports;
  assert.is(codeOf(await ask('/metadata/1.root.cbor', { device }, images)), '200');
});

test('a token serves once; the same request again gets its certificate again', async () => {
  const vehicle = new TestVehicle('vehicle-2');
  const token = await backend.token();
  const pair = generateKeyPair('ESP256');
  const body = registrationBody(vehicle, token, pair);
  const first = expectValue(registrationAnswer, await register(body));
  // The answer was lost: nothing but a certificate for the same key can come of it.
  const again = expectValue(registrationAnswer, await register(body));
  const point = Buffer.from(pair.key.bytes);
  for (const { certificate } of [first, again]) {
    assert.ok(Buffer.from(certificate!.chain[0]!).includes(point));
  }
  const thief = registrationBody(vehicle, token, generateKeyPair('ESP256'));
  assert.is(codeOf(await register(thief)), '403 enrolment-token-invalid');
  const elsewhere = registrationBody(
    new TestVehicle('vehicle-3'),
    token,
    generateKeyPair('ESP256'),
  );
  assert.is(codeOf(await register(elsewhere)), '403 enrolment-token-invalid');
  const another = registrationBody(vehicle, await backend.token(), generateKeyPair('ESP256'));
  assert.is(codeOf(await register(another)), '409 vehicle-registered');
});

test('INV-05, KEY-05: a key whose possession is not proven, or that is in use, gets nothing', async () => {
  const vehicle = new TestVehicle('vehicle-4');
  const token = await backend.token();
  const pair = generateKeyPair('ESP256');
  const other = generateKeyPair('ESP256');
  const content = encode(enrolmentProof, { token, vehicleId: 'vehicle-4' });
  const foreign = signEnvelope(crypto, [signerOf(other)], 'enrolment', content);
  const manifest = signEnvelope(crypto, [signerOf(pair)], 'manifest', content);
  const proofOf = (proof: Uint8Array) =>
    vehicle.registration(token, { deviceKey: pair.key, proof });
  for (const [name, body] of [
    ['no key', vehicle.registration(token)],
    ['no proof', vehicle.registration(token, { deviceKey: pair.key })],
    ['a proof by another key', proofOf(foreign)],
    ['a proof of another domain', proofOf(manifest)],
    ['a proof for another token', registrationBody(vehicle, token, pair, { token: 'other' })],
    ['a proof for another vehicle', registrationBody(vehicle, token, pair, { vehicleId: 'v' })],
  ] as const) {
    assert.is(codeOf(await register(body)), '400 key-unproven', name);
  }
  const signing = registrationBody(vehicle, token, vehicle.primary.signing);
  assert.is(codeOf(await register(signing)), '400 key-duplicate', 'KEY-05: not the signing key');
  const { key: deviceKey } = generateKeyPair('MLDSA65-ECDSA-P256-SHA512');
  const unusable = vehicle.registration(token, { deviceKey, proof: foreign });
  assert.is(codeOf(await register(unusable)), '400 key-malformed', 'INV-05: TLS takes P-256 only');
  assert.is(codeOf(await register(registrationBody(vehicle, token, pair))), '201');
});

test('DIR-05: without a certificate nothing but enrolment is answered', async () => {
  const { images } = backend.backend.ports;
  for (const path of ['/', '/metadata/vehicle-1/timestamp.cbor', '/manifest/vehicle-1']) {
    assert.is(codeOf(await ask(path)), '403 certificate-missing', path);
  }
  assert.is(codeOf(await time(undefined)), '403 certificate-missing');
  assert.is(codeOf(await ask('/metadata/1.root.cbor', {}, images)), '403 certificate-missing');
});

test('DIR-05: a certificate of another CA, of its own making or of a server is untrusted', async () => {
  const other = makeHierarchy();
  const foreign = other.device('vehicle-1');
  const server = other.server();
  for (const [name, { pair, der }, issuer] of [
    ['another CA', foreign, other.authority],
    ['a server', server, other.authority],
    ['a CA', other.root, other.root],
  ] as const) {
    const device = { pair, chain: [der, issuer.der] };
    assert.is(codeOf(await time(device)), '403 certificate-untrusted', name);
    assert.is(codeOf(await renew(device)), '403 certificate-untrusted', name);
  }
});

test('DIR-05: a certificate of a vehicle, or a key, that the inventory has not is unknown', async () => {
  const vehicle = new TestVehicle('vehicle-5');
  const { keysFolder, passphrase } = backend.configuration;
  const files = { folder: keysFolder, passphrase };
  const enrolment = opened(
    await EnrolmentAuthority.open(createNodeCrypto(), files, certificateSeconds),
  );
  const pair = generateKeyPair('ESP256');
  const issue = async (vehicleId: string) => ({
    pair,
    chain: (await enrolment.issueDevice(vehicleId, pair.key.bytes, backend.now)).chain,
  });
  assert.is(codeOf(await time(await issue('vehicle-5'))), '403 certificate-unknown');
  await enrolled(vehicle);
  assert.is(codeOf(await time(await issue('vehicle-5'))), '403 certificate-unknown', 'another key');
});

test('DIR-05: a request for another vehicle is refused, and logged', async () => {
  const device = await enrolled(new TestVehicle('vehicle-6'));
  const victim = new TestVehicle('vehicle-7');
  await enrolled(victim);
  const refused = '403 certificate-vehicle';
  for (const path of [
    '/metadata/vehicle-7/timestamp.cbor',
    '/manifest/vehicle-7',
    `/keys/vehicle-7/${toHex(new Uint8Array(32))}`,
  ]) {
    assert.is(codeOf(await ask(path, { device })), refused, path);
  }
  const body = victim.manifest({});
  assert.is(codeOf(await ask('/manifest/vehicle-7', { method: 'POST', body, device })), refused);
  const query = encode(updateQuery, { vehicleId: 'vehicle-7', timestampVersion: 0 });
  const asked = await ask('/check_updates', { method: 'POST', body: query, device });
  assert.is(codeOf(asked), refused);
  const log = await backend.operator('/log?vehicle=vehicle-6', {
    headers: { accept: 'application/json' },
  });
  assert.match(Buffer.from(log.body).toString(), 'certificate-vehicle');
});

test('DIR-05: a revoked vehicle is refused at once, also on its open connection', async () => {
  const device = await enrolled(new TestVehicle('vehicle-8'));
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...clientOptions(root, device) });
  const path = '/metadata/vehicle-8/timestamp.cbor';
  const onOneConnection = () => ask(path, { tls: { agent } });
  try {
    assert.is(codeOf(await onOneConnection()), '200');
    assert.is(codeOf(await setRevoked('vehicle-8', true)), '200');
    assert.is(codeOf(await onOneConnection()), '403 certificate-revoked');
    assert.is(Object.values(agent.freeSockets).flat().length, 1);
  } finally {
    agent.destroy();
  }
  assert.is(codeOf(await time(device)), '403 certificate-revoked');
  assert.is(codeOf(await renew(device)), '403 certificate-revoked');
  assert.is(codeOf(await setRevoked('vehicle-8', false)), '200');
  assert.is(codeOf(await time(device)), '200');
  assert.is(codeOf(await setRevoked('vehicle-99', true)), '404 vehicle-unknown');
});

test('a vehicle whose key was stolen is revoked, and enrols by another key and a fresh token', async () => {
  const vehicle = new TestVehicle('vehicle-12');
  const stolen = await enrolled(vehicle);
  await setRevoked('vehicle-12', true);
  const device = await enrolled(vehicle);
  assert.is(codeOf(await time(device)), '200');
  assert.is(codeOf(await time(stolen)), '403 certificate-unknown');
  assert.is(codeOf(await renew(stolen)), '403 certificate-unknown');
  await setRevoked('vehicle-12', true);
  const body = registrationBody(vehicle, await backend.token(), stolen.pair);
  assert.is(codeOf(await register(body)), '400 key-duplicate', 'an old key never comes back');
});

test('DIR-05: an expired certificate may renew, and nothing else, while its vehicle is not revoked', async () => {
  const device = await enrolled(new TestVehicle('vehicle-9'));
  const before = backend.now;
  backend.now += certificateSeconds + 1;
  try {
    assert.is(codeOf(await time(device)), '403 certificate-expired');
    await setRevoked('vehicle-9', true);
    assert.is(codeOf(await renew(device)), '403 certificate-revoked');
    await setRevoked('vehicle-9', false);
    const answer = await renew(device);
    const renewed: DeviceCertificate = expectValue(deviceCertificate, answer);
    assert.is(renewed.notAfter, backend.now + certificateSeconds);
    assert.is(codeOf(await time({ ...device, chain: renewed.chain })), '200');
  } finally {
    backend.now = before;
  }
});

test('sessions are resumed by id and by ticket, on either listener and after a restart', async () => {
  const device = await enrolled(new TestVehicle('vehicle-10'));
  const visit = (port: number, version: string, tickets: boolean, session?: Buffer) =>
    new Promise<{ session: Buffer; reused: boolean; text: string }>((resolve, reject) => {
      const socket = tlsConnect({
        host: '127.0.0.1',
        port,
        ...clientOptions(root, device),
        ...{ minVersion: version as 'TLSv1.2', maxVersion: version as 'TLSv1.2' },
        ...(tickets ? {} : { secureOptions: constants.SSL_OP_NO_TICKET }),
        ...(session && { session }),
      });
      let last = session ?? Buffer.alloc(0);
      let text = '';
      socket.on('session', (given) => {
        last = given;
      });
      socket.on('secureConnect', () => {
        socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      });
      socket.on('data', (piece) => {
        text += piece.toString('latin1');
      });
      socket.on('end', () => resolve({ session: last, reused: socket.isSessionReused(), text }));
      socket.on('error', reject);
    });
  const { director, images } = backend.backend.ports;
  for (const [version, tickets] of [
    ['TLSv1.2', false],
    ['TLSv1.2', true],
    ['TLSv1.3', true],
  ] as const) {
    const name = `${version} ${tickets ? 'ticket' : 'id'}`;
    const first = await visit(director, version, tickets);
    assert.is(first.reused, false, name);
    for (const port of [director, images]) {
      const again = await visit(port, version, tickets, first.session);
      assert.is(again.reused, true, name);
      // Who it is was not forgotten.
      assert.match(again.text, /^HTTP\/1.1 200 /, name);
    }
  }
  const held = await visit(director, 'TLSv1.3', true);
  await backend.restart();
  const after = await visit(backend.backend.ports.director, 'TLSv1.3', true, held.session);
  assert.is(after.reused, true, 'tickets are of the enrolment CA, not of one process');
});

test('garbage, plain HTTP and half a handshake end their own connection only', async () => {
  const { director } = backend.backend.ports;
  const send = (bytes: Uint8Array | string) =>
    new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(director, '127.0.0.1', () => socket.end(bytes));
      socket.on('data', (piece) => {
        text += piece.toString('latin1');
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(text));
    });
  const hello = Uint8Array.of(22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 1, 2, 3);
  for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', new Uint8Array(512).fill(7), hello]) {
    assert.not.match(await send(bytes), 'HTTP/1.1');
  }
  const device = await enrolled(new TestVehicle('vehicle-11'));
  assert.is(codeOf(await time(device)), '200');
});

test('the chain of the server leads to the offline root, for its name', async () => {
  const socket = tlsConnect({
    host: '127.0.0.1',
    port: backend.backend.ports.director,
    ...clientOptions(root, undefined),
  });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const own = socket.getPeerX509Certificate()!;
  assert.is(own.subjectAltName, `DNS:${defaultServerName}`);
  const authority = own.issuerCertificate!;
  assert.ok(own.verify(authority.publicKey) && authority.verify(root.publicKey));
  socket.destroy();
});

test.run();
