/** A hosted ECU that has lost its images or its boot block, and trials that nobody holds. */
import './agent-release.ts';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { settleTrials } from '../../../agent/ecu/start-up.ts';
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

/** Erases a whole partition of the hosted ECU. */
function lose(rig: EcuRig, name: string): void {
  const partition = openPartition(hostedPair(rig.rig), name);
  partition.eraseBlock(0, partition.status().blocks);
  partition.sync();
}

test('VER-02: damage of both slots of a hosted ECU is reported, and its agent runs on', () => {
  const rig = withHosted();
  assert.equal(rig.start().detections.of(hostedId), []);
  for (const name of ['slot-a', 'slot-b']) lose(rig, name);
  const state = rig.start();
  assert.equal(
    state.detections.of(hostedId).map(({ code }) => code),
    ['slot-corrupt'],
  );
  assert.equal(state.detections.of(ecuId), []);
});

test('VER-02: a hosted ECU without boot block and journal is left out, its agent runs on and says so', () => {
  const rig = withHosted();
  rig.start();
  for (const name of ['state', 'journal']) lose(rig, name);
  const state = rig.start();
  assert.equal(
    state.ecus.map((ecu) => ecu.ecuId),
    [ecuId],
  );
  assert.equal(
    state.detections.of(ecuId).map(({ code, row }) => [code, row]),
    [['boot-block-corrupt', 'VER-02']],
  );
  const named = `refused code=boot-block-corrupt detail=${hostedId}: `;
  assert.is(rig.lines.filter((line) => line.startsWith(named)).length, 1);
});

test('VER-02: a boot block that was made again from the journal is reported once', () => {
  const rig = withHosted();
  rig.start();
  lose(rig, 'state');
  for (const round of ['lost', 'recovered']) {
    const state = rig.start();
    settleTrials(state);
    assert.equal(
      state.ecus.map((ecu) => [ecu.ecuId, ecu.running?.filename]),
      [
        [ecuId, 'app-1.bin'],
        [hostedId, 'pump-1.bin'],
      ],
    );
    assert.equal(
      state.detections.of(hostedId).map(({ code, row }) => [code, row]),
      [['boot-block-corrupt', 'VER-02']],
      round,
    );
    assert.equal(state.detections.of(ecuId), []);
  }
  assert.is(rig.lines.filter((line) => line === `boot-block-recovered ecu=${hostedId}`).length, 1);
});

test('DBP-18: only a trial that is held can be committed or withdrawn', () => {
  const [ecu] = new EcuRig().start().ecus;
  for (const outcome of [ecu!.commitTrial(), ecu!.withdrawTrial()]) {
    assert.is(isRefusal(outcome) && outcome.refused, 'install-out-of-order');
  }
});

test.run();
