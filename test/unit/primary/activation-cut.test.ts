/** A Primary that loses power between noting a bundle's members and activating its own image. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FaultyFlash } from '../../../hal/emulated/faulty-flash.ts';
import { EcuUnderTest } from '../../powercut/ecu.ts';
import { parts } from '../../powercut/geometries.ts';
import { createScenario } from '../../powercut/scenario.ts';
import { trace } from '../../powercut/trace.ts';

const test = suite('Power cuts during activation');

test('VER-01: an activation that was never recorded is no failed trial, and the update goes on', async () => {
  const scenario = await createScenario('primary', parts[0]!, 'update');
  const traced = await trace(scenario);
  // The first record of the boot block in this life is the activation.
  const operation = traced.findIndex(({ partition }) => partition === 'state');
  assert.ok(operation > 0);
  const { setup, bytes, stage } = scenario;
  const director = scenario.director.copy();
  const part = new FaultyFlash(bytes, setup.part);
  part.powerOn([{ kind: 'cut', operation, cut: { stage: 'inside', done: 3 } }]);
  try {
    await new EcuUnderTest(setup, part, director).liveUntilDone(stage);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, 'power cut');
  }
  assert.is(part.fired, 1);
  part.powerOn();
  await new EcuUnderTest(setup, part, director).liveUntilDone(stage);
  assert.equal(director.told['ecu-1']?.failures, []);
  assert.is(director.told['ecu-1']?.release, 2);
});

test.run();
