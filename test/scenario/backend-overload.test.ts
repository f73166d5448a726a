/** More requests than time: who is answered, by what, and that nothing else breaks. */
import { Agent, request } from 'node:http';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, TestBackend, TestVehicle } from './backend-fixture.ts';

const test = suite('overload');

/** Statuses of `count` requests that are all sent at once. */
async function burst(port: number, path: string, count: number): Promise<Map<string, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: count });
  const statuses = new Map<string, number>();
  const count1 = (status: string) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<void>((resolve) => {
          const outgoing = request({ host: '127.0.0.1', port, path, agent }, (response) => {
            const later = response.headers['retry-after'] === undefined ? '' : ' later';
            count1(`${response.statusCode}${later}`);
            response.resume();
            response.on('close', () => resolve());
          });
          outgoing.on('error', () => {
            count1('error');
            resolve();
          });
          outgoing.end();
        }),
    ),
  );
  agent.destroy();
  return statuses;
}

test('metadata that was sent before comes from memory; all else is told to come later', async () => {
  const backend = await TestBackend.start();
  await backend.register(new TestVehicle('v-1'));
  const path = '/metadata/v-1/timestamp.cbor';
  const first = await backend.director(path);
  const { metrics, ports } = backend.backend;
  const shed = () => metrics.valueOf('ota_admission_shed_total');
  for (let round = 0; round < 20 && (await shed()) === 0; round++) {
    const statuses = await burst(ports.director, path, 1_000);
    assert.equal([...statuses.keys()], ['200'], 'from the database or from memory');
  }
  assert.ok((await shed()) > 0, 'more than its lane takes at once');
  assert.ok((await metrics.valueOf('ota_served_from_memory_total')) > 0);
  assert.equal((await backend.director(path)).body, first.body, 'the same bytes');
  // What memory does not have is refused in its turn, with a time to come back.
  const statuses = await burst(ports.director, '/metadata/v-2/timestamp.cbor', 1_000);
  for (const status of statuses.keys()) {
    assert.ok(['404', '503 later'].includes(status), status);
  }
  assert.is(codeOf(await backend.director(path)), '200', 'it goes on');
  await backend.stop();
});

test.run();
