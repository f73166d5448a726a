/** A hosted ECU whose slots are both damaged, and trials that nobody holds. */
import './agent-release.ts';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { type Configuration, storedKeyPair } from '../../../agent/metadata/configuration.ts';
import { imageKinds } from '../../../agent/metadata/targets.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import { createRig, hostedPair, makeImage, manufacture, openPartition } from '../install/rig.ts';
import { EcuRig, ecuId, hardwareId } from './ecu-rig.ts';

const hostedId = 'pump';

/** An agent with one hosted ECU on the second slot pair of its part. */
function withHosted(): EcuRig {
  const kinds: Configuration['ecus'][number]['kinds'] = [imageKinds.opaque];
  const common = { hardwareId, kinds, filenamePattern: '*' };
  const pairOf = (name: string) => [`${name}slot-a`, `${name}slot-b`];
  const ecus = [
    { ...common, ecuId, slots: pairOf(''), journal: 'journal' },
    {
      ...common,
      ecuId: hostedId,
      slots: pairOf('hosted-'),
      journal: 'hosted-journal',
      state: 'hosted-state',
    },
  ];
  const rig = new EcuRig({ rig: createRig({ slotBlocks: 16 }), configuration: { ecus } });
  manufacture(hostedPair(rig.rig), makeImage('pump-1.bin', 3_000, 1));
  for (const [name, algorithm] of [
    ['signing-key', 'ESP256'],
    ['wrapping-key', 'MLKEM768-P256'],
  ] as const) {
    const pair = generateKeyPair(algorithm);
    rig.keyValue.write(`${name}/${hostedId}`, encode(storedKeyPair, pair));
  }
  return rig;
}

test('VER-02: damage of both slots of a hosted ECU is reported, and its agent runs on', () => {
  const rig = withHosted();
  assert.equal(rig.start().detections.of(hostedId), []);
  for (const name of ['slot-a', 'slot-b']) {
    const slot = openPartition(hostedPair(rig.rig), name);
    slot.eraseBlock(0, slot.status().blocks);
    slot.sync();
  }
  const state = rig.start();
  assert.equal(
    state.detections.of(hostedId).map(({ code }) => code),
    ['slot-corrupt'],
  );
  assert.equal(state.detections.of(ecuId), []);
});

test('DBP-18: only a trial that is held can be committed or withdrawn', () => {
  const [ecu] = new EcuRig().start().ecus;
  for (const outcome of [ecu!.commitTrial(), ecu!.withdrawTrial()]) {
    assert.is(isRefusal(outcome) && outcome.refused, 'install-out-of-order');
  }
});

test.run();
