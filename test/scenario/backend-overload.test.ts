/** More requests than a lane takes: who is answered, by what, and that the other lanes go on. */
import { Agent, request } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { laneLimits } from '../../backend/admission/priorities.ts';
import { codeOf, TestBackend, TestVehicle } from './backend-fixture.ts';

const test = suite('overload');
const path = '/metadata/v-1/timestamp.cbor';
let backend: TestBackend;
const vehicle = new TestVehicle('v-1');

test.before(async () => {
  backend = await TestBackend.start();
  await backend.register(vehicle);
});
test.after(() => backend.stop());

/** Takes every place of the metadata lane, and waits until one more has waited for too long. */
async function overload(): Promise<() => void> {
  const { admission } = backend.backend;
  const releases: (() => void)[] = [];
  const work = () =>
    new Promise<void>((resolve) => {
      releases.push(resolve);
    });
  for (let i = 0; i <= laneLimits.metadata.active; i++) {
    void admission.run('metadata', 'metadata', () => false, work);
    // A turn each: the queue itself must not overflow.
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (admission.lanes.judge('metadata', 'metadata') === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return () => {
    const ended = releases.splice(0);
    for (const release of ended) release();
  };
}

test('metadata that was sent before comes from memory; all else is told when to come back', async () => {
  const { metrics } = backend.backend;
  const first = await backend.director(path);
  const release = await overload();
  const again = await backend.director(path);
  assert.is(codeOf(again), '200');
  assert.equal(again.body, first.body, 'the same bytes');
  assert.is(await metrics.valueOf('ota_served_from_memory_total'), 1);
  const unknown = await backend.director('/metadata/v-2/timestamp.cbor');
  assert.is(codeOf(unknown), '503 overloaded');
  const seconds = Number(unknown.headers['retry-after']);
  assert.ok(seconds >= 1 && seconds <= 30, String(seconds));
  const json = await backend.director(path, { headers: { accept: 'application/json' } });
  assert.is(json.status, 503, 'memory holds the signed bytes only');
  assert.ok((await metrics.valueOf('ota_admission_shed_total', { lane: 'metadata' })) >= 3);
  assert.is(codeOf(await backend.manifest('v-1', vehicle.manifest({ counter: 1 }))), '200');
  assert.is(codeOf(await backend.operator('/status')), '200', 'operators have a lane of their own');
  release();
  await new Promise((resolve) => setImmediate(resolve));
  release();
  const after = await backend.director('/metadata/v-2/timestamp.cbor');
  assert.is(codeOf(after), '404 vehicle-unknown');
});

test('a connection whose short request is shed stays open; one with a long body to come is closed', async () => {
  const release = await overload();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  /** One POST over the one connection: its status, and whether that was used before. */
  const post = (bytes: number) =>
    new Promise<string>((resolve, reject) => {
      const headers = { 'content-type': 'application/cbor', 'content-length': String(bytes) };
      const to = { host: '127.0.0.1', port: backend.ports.director, path: '/time' };
      const outgoing = request({ ...to, method: 'POST', agent, headers }, (response) => {
        response.resume();
        const { connection = 'kept' } = response.headers;
        const answer = `${response.statusCode} ${connection} ${outgoing.reusedSocket}`;
        response.on('end', () => setImmediate(resolve, answer));
      });
      outgoing.on('error', reject);
      outgoing.end(new Uint8Array(bytes));
    });
  try {
    assert.is(await post(18), '503 keep-alive false');
    assert.is(await post(18), '503 keep-alive true');
    assert.match(await post(4_097), /^503 close/);
    assert.is(await post(18), '503 keep-alive false');
  } finally {
    agent.destroy();
    release();
    await new Promise((resolve) => setImmediate(resolve));
    release();
  }
});

test('a newer Timestamp is never followed by an older one from memory', async () => {
  assert.is(codeOf(await backend.director(path)), '200');
  const refreshed = await backend.operator('/vehicles/v-1/refresh', { method: 'POST' });
  assert.is(codeOf(refreshed), '200');
  const release = await overload();
  assert.is(
    codeOf(await backend.director(path)),
    '503 overloaded',
    'memory has forgotten the old one',
  );
  release();
  await new Promise((resolve) => setImmediate(resolve));
  release();
});

test.run();
