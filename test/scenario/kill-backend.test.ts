/** A short form of `make kill-backend`, and what it would say had anything been lost. */
import { copyFileSync, cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { seededRandom } from '../../hal/emulated/faulty-flash.ts';
import { checkAll } from '../kill/checks.ts';
import { killBackend } from '../kill/kills.ts';
import { Load } from '../kill/load.ts';
import { ProcessBackend } from '../kill/process-backend.ts';

const test = suite('backend killed');

test('kill -9 under load loses nothing that was acknowledged, and no counter is used twice (HRD-17)', async () => {
  const result = await killBackend({ kills: 3, seed: 7 });
  assert.equal(result.problems, []);
  const { manifests, polls, uploads, assignments, enrolments } = result.acknowledged;
  for (const [name, count] of Object.entries({
    manifests,
    polls,
    uploads,
    assignments,
    enrolments,
  })) {
    assert.ok(count > 0, `${name} were at work`);
  }
  assert.ok(result.unanswered > 0, 'the kills came in the middle of work');
});

test('a backend that did lose something is found out', async () => {
  const backend = ProcessBackend.create();
  try {
    await backend.start();
    const load = new Load(backend, seededRandom(3));
    await load.prepare();
    await backend.terminate();
    const { stateFolder } = backend;
    cpSync(stateFolder, `${stateFolder}.old`, { recursive: true });
    await backend.start();
    const working = load.run();
    while (Object.values(load.acknowledged).some((count) => count < 1)) await load.more(5);
    load.stop();
    await working;
    assert.equal((await checkAll(load, load.images)).problems, []);
    await backend.terminate();
    for (const name of readdirSync(stateFolder)) {
      if (name.startsWith('director.sqlite')) rmSync(join(stateFolder, name));
    }
    copyFileSync(
      join(`${stateFolder}.old`, 'director.sqlite'),
      join(stateFolder, 'director.sqlite'),
    );
    await backend.start();
    const { problems } = await checkAll(load, load.images);
    load.leave();
    for (const sign of [
      'an acknowledged manifest is lost',
      'replay answered by 200',
      'assignment lost',
      'image-unknown',
      'certificate-unknown',
    ]) {
      assert.ok(
        problems.some((line) => line.includes(sign)),
        `${sign}: ${problems.join('; ')}`,
      );
    }
  } finally {
    await backend.remove();
  }
});

test.run();
