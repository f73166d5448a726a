/**
 * Two backends over one PostgreSQL behind the proxy of the compose file: haproxy passes TCP through, so
 * mutual TLS ends in the backend; a backend that dies costs its connections and nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Ports } from '../../backend/configuration.ts';
import { PostgresServer, postgresPrograms } from '../contract/postgres-server.ts';
import { EnrolledVehicle } from '../kill/enrolled-vehicle.ts';
import { ProcessBackend } from '../kill/process-backend.ts';
import { call, codeOf, makeImage, operatorToken } from './backend-fixture.ts';
import { callByTls } from './tls-device.ts';

const haproxy = '/usr/sbin/haproxy';
const configuration = 'backend/container/haproxy.cfg';
const test = suite('two backends behind a proxy');
let server: PostgresServer;
let backend: ProcessBackend;
let proxy: ChildProcess;

async function freePort(): Promise<number> {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  taken.close();
  await once(taken, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function startProxy([one, two]: readonly Ports[]): Promise<Ports> {
  const front = {
    director: await freePort(),
    images: await freePort(),
    operator: await freePort(),
  };
  const at = (port: number) => `127.0.0.1:${port}`;
  const addresses = (name: string, { director, images, operator }: Ports) => ({
    [`${name}_DIRECTOR`]: at(director),
    [`${name}_IMAGES`]: at(images),
    [`${name}_OPERATOR`]: at(operator),
    [`${name}_OPERATOR_PORT`]: String(operator),
  });
  const environment = {
    ...addresses('BIND', front),
    ...addresses('ONE', one!),
    ...addresses('TWO', two!),
  };
  // In the foreground, and gone with this process.
  const options = ['--pdeathsig', 'TERM', haproxy, '-db', '-q', '-f', configuration];
  proxy = spawn('setpriv', options, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (;;) {
    if (proxy.exitCode !== null) throw new Error(`haproxy ended with ${proxy.exitCode}`);
    const ready = await call(front.operator, '/healthz').then(
      ({ status }) => status === 200,
      () => false,
    );
    if (ready) return front;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Requests of the Director's plane that a process has answered. */
async function requestsOf({ operator }: Ports): Promise<number> {
  const headers = { authorization: `Bearer ${operatorToken}` };
  const { body } = await call(operator, '/metrics', { headers });
  const pattern = /^ota_http_request_duration_seconds_count\{.*plane="director".*\} (\d+)$/gm;
  const counts = [...Buffer.from(body).toString('utf8').matchAll(pattern)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

test('vehicles come through to both, and are known by their own certificates', async () => {
  const vehicles = [1, 2, 3, 4].map((i) => new EnrolledVehicle(backend, `vehicle-${i}`));
  for (const vehicle of vehicles) await vehicle.enrol();
  for (let i = 0; i < 3; i++) {
    for (const vehicle of vehicles) assert.ok(await vehicle.report());
  }
  for (const ports of backend.portsOfAll) assert.ok((await requestsOf(ports)) > 0);
  const [first, second] = vehicles;
  // DIR-05: the certificate is judged by the backend, not by the proxy
  const foreign = await first!.ask(`/manifest/${second!.vehicleId}`);
  assert.is(codeOf(foreign), '403 certificate-vehicle');
  const nobody = await callByTls(backend.root, backend.ports.director, '/manifest/vehicle-1');
  assert.is(codeOf(nobody), '403 certificate-missing');
  // HRD-17: whichever process it reaches
  for (let i = 0; i < 4; i++) {
    const again = await callByTls(
      backend.root,
      backend.ports.director,
      `/manifest/${first!.vehicleId}`,
      { method: 'POST', body: first!.acknowledged!, device: first!.identity },
    );
    assert.is(codeOf(again), '409 report-replayed');
  }
  for (const vehicle of vehicles) vehicle.leave();
});

test('an image that one backend took is sent by the other', async () => {
  const image = makeImage('shared.bin', new Uint8Array(100_000), ['hw-brakes']);
  await backend.release(1, [image]);
  const vehicle = new EnrolledVehicle(backend, 'downloader');
  await vehicle.enrol();
  const sha256 = Buffer.from(image.target.hashes[0]!.value).toString('hex');
  for (const { images } of backend.portsOfAll) {
    const path = `/targets/${sha256}.shared.bin`;
    const answer = await callByTls(backend.root, images, path, { device: vehicle.identity });
    assert.is(answer.status, 200);
    assert.equal(answer.body, image.ciphertext);
  }
  vehicle.leave();
});

test('a backend that is killed costs its connections; the other takes all that comes', async () => {
  const vehicle = new EnrolledVehicle(backend, 'survivor');
  await vehicle.enrol();
  assert.ok(await vehicle.report());
  const acknowledged = vehicle.acknowledged!;
  vehicle.leave();
  await backend.kill();
  const send = (body: Uint8Array) =>
    callByTls(backend.root, backend.ports.director, `/manifest/${vehicle.vehicleId}`, {
      ...{ method: 'POST', body, device: vehicle.identity },
    }).then(codeOf, () => 'broken');
  // A connection may still go to the dead one; that of the next attempt does not.
  const until = async (body: Uint8Array) => {
    for (;;) {
      const code = await send(body);
      if (code !== 'broken') return code;
    }
  };
  const next = vehicle.vehicle.manifest({ counter: 50, time: backend.now });
  assert.is(await until(next), '200');
  assert.is(await until(next), '409 report-replayed');
  assert.is(await until(acknowledged), '409 report-replayed');
});

const programs = postgresPrograms();
if ('missing' in programs) console.log(`skipped: 3 ${programs.missing}`);
else if (!existsSync(haproxy)) console.log('skipped: 3 package haproxy is not installed');
else {
  test.before(async () => {
    server = await PostgresServer.start(programs.folder);
    backend = ProcessBackend.create({ DATABASE_URL: await server.newDatabase() });
    await Promise.all([backend.start(), backend.startBeside()]);
    backend.front = await startProxy(backend.portsOfAll);
  });
  test.after(async () => {
    if (proxy.exitCode === null) {
      const ended = once(proxy, 'exit');
      proxy.kill('SIGTERM');
      await ended;
    }
    await backend.remove();
    await server.close();
  });
  test.run();
}
