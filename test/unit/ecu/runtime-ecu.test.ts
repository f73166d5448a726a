/** The ECU of the program itself (kind `runtime`): the platform has chosen its slot, the agent tests it. */
import './agent-release.ts';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { settleTrials } from '../../../agent/ecu/start-up.ts';
import type { BootBlock } from '../../../agent/install/boot-block.ts';
import { type Configuration, storedKeyPair } from '../../../agent/metadata/configuration.ts';
import { imageKinds } from '../../../agent/metadata/targets.ts';
import { MetadataStore } from '../../../agent/verify/metadata-store.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import type { Hal, RuntimeProgram } from '../../../hal/types.ts';
import { createRig, hostedPair, makeImage, manufacture, openBoot } from '../install/rig.ts';
import { EcuRig, ecuId, hardwareId } from './ecu-rig.ts';

const runtimeId = 'ecu-1-runtime';

interface Parts {
  /** What the program says of itself; release 1 when absent. */
  readonly runtime?: Partial<RuntimeProgram> | 'unknown';
  readonly can?: Hal['can'];
  /** What its boot control went through before this start. */
  readonly before?: (boot: BootBlock) => void;
}

let opened = 0;
const workingCan: Hal['can'] = {
  open: () => {
    opened += 1;
    const close = () => {
      opened -= 1;
    };
    return { read: () => undefined, writable: 0, write: () => undefined, close };
  },
};

/** An agent and the program that runs it, whose pair is the second one of the part. */
function withRuntime({ runtime, can = workingCan, before }: Parts = {}) {
  const rig = createRig({ slotBlocks: 16 });
  const agent: Configuration['ecus'][number] = {
    ecuId,
    hardwareId,
    kinds: [imageKinds.opaque],
    filenamePattern: '*',
    slots: ['slot-a', 'slot-b'],
    journal: 'journal',
  };
  const program: Configuration['ecus'][number] = {
    ...agent,
    ecuId: runtimeId,
    kinds: [imageKinds.runtime],
    slots: ['hosted-slot-a', 'hosted-slot-b'],
    journal: 'hosted-journal',
  };
  manufacture(hostedPair(rig), makeImage('runtime-1.bin', 3_000, 1));
  const boot = openBoot(hostedPair(rig));
  before?.(boot);
  const running = { boot, release: 1, replaced: false };
  const ecu = new EcuRig({
    rig,
    configuration: { ecus: [agent, program] },
    hal: { can, ...(runtime !== 'unknown' && { runtime: { ...running, ...runtime } }) },
  });
  for (const [name, algorithm] of [
    ['signing-key', 'ESP256'],
    ['wrapping-key', 'MLKEM768-P256'],
  ] as const) {
    const value = encode(storedKeyPair, generateKeyPair(algorithm));
    ecu.keyValue.write(`${name}/${runtimeId}`, value);
  }
  return { ecu, boot };
}

/** The agent's first start in a program on trial as release 2, which says that it is `release`. */
function onTrial(release: number, parts: Parts = {}) {
  const before = (boot: BootBlock) => {
    boot.activate(1, makeImage('runtime-2.bin', 3_500, 2).image, 1);
    boot.selectSlot();
  };
  return withRuntime({ ...parts, runtime: { release }, before });
}

test('INS-13: the agent confirms a program that is its release, verifies, signs and reaches the bus', () => {
  const { ecu, boot } = onTrial(2);
  const state = ecu.start();
  settleTrials(state);
  assert.is(boot.status().pending, undefined);
  assert.is(boot.status().counter, 2);
  assert.is(ecu.reboots, 0);
  assert.is(opened, 0, 'the port was closed again');
  assert.ok(ecu.lines.includes(`confirmed ecu=${runtimeId} release=2`));
});

test('INS-13: a program of another release, or that cannot verify the Root, is given up', () => {
  const wrong = onTrial(1);
  const damaged = onTrial(2);
  const store = new MetadataStore(damaged.ecu.keyValue);
  const root = new Uint8Array(store.root('director')!);
  root[root.length - 1] = root[root.length - 1]! ^ 1;
  store.writeRoot('director', 1, root);
  for (const { ecu, boot } of [wrong, damaged]) {
    settleTrials(ecu.start());
    assert.is(boot.status().rollbackReason, 'self-test');
    assert.is(ecu.reboots, 1);
  }
});

test('INS-13: a program that cannot open the bus is not confirmed', () => {
  const can = {
    open: () => {
      throw new Error('no such interface');
    },
  };
  const { ecu, boot } = onTrial(2, { can });
  assert.throws(() => settleTrials(ecu.start()), /no such interface/);
  assert.is(boot.status().pending, 1);
  assert.is(boot.status().attemptsRemaining, 0);
});

test('a program that was put on the board by hand is reported, and the agent runs on', () => {
  const { ecu } = withRuntime({ runtime: { release: 3, replaced: true } });
  const state = ecu.start();
  const told = state.detections.of(runtimeId).map(({ code }) => code);
  assert.equal(told, ['slot-corrupt']);
  assert.equal(state.detections.of(ecuId), []);
});

test('VER-02: a platform that knows nothing of its program: the agent runs on and says so', () => {
  const state = withRuntime({ runtime: 'unknown' }).ecu.start();
  assert.equal(
    state.ecus.map((one) => one.ecuId),
    [ecuId],
  );
  const told = state.detections.of(ecuId).map(({ code }) => code);
  assert.equal(told, ['boot-block-corrupt']);
});

test.run();
