/** INS-13: download and installation are two steps; consent and a window stand between them. */
import '../ecu/agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isInWindow } from '../../../agent/primary/consent.ts';
import type { ConsentQuestion, EcuProgress } from '../../../hal/types.ts';
import { now } from '../../simulator/repository-simulator.ts';
import { type Assignment, BundleRig } from './bundle-rig.ts';

const test = suite('Consent and window');

const updates: readonly Assignment[] = [
  { ecuId: 'pump', release: 2 },
  { ecuId: 'gateway', release: 2 },
];
const updated = '2+1 1+2 1';
const old = '1+1 1+1 1';

function asking(rig: BundleRig, answer: () => 'yes' | 'no' | 'later') {
  const questions: ConsentQuestion[] = [];
  const progress: (readonly EcuProgress[])[] = [];
  rig.primary.vehicle = {
    consent: (question) => {
      questions.push(question);
      return answer();
    },
    progress: (ecus) => void progress.push(ecus),
  };
  rig.restartPrimary();
  return { questions, progress };
}

test('the question names what would be installed; yes installs it', async () => {
  const rig = new BundleRig();
  const { questions } = asking(rig, () => 'yes');
  rig.assign(updates);
  await rig.cycle();
  assert.is(rig.running(), updated);
  assert.equal(questions, [
    {
      images: [
        { ecuId: 'pump', filename: 'pump-2.bin', releaseCounter: 2, length: 24_690 },
        { ecuId: 'gateway', filename: 'gateway-2.bin', releaseCounter: 2, length: 12_345 },
      ],
    },
  ]);
});

test('later: all is downloaded once, nothing is installed, and a restart forgets nothing (HRD-15)', async () => {
  const rig = new BundleRig();
  let answer: 'yes' | 'later' = 'later';
  const { questions } = asking(rig, () => answer);
  rig.assign(updates);
  await rig.cycle();
  const { downloaded } = rig;
  assert.ok(downloaded > 24_690 + 12_345);
  rig.restartPrimary();
  await rig.cycles(2);
  assert.is(rig.running(), old);
  assert.is(rig.downloaded, downloaded, 'and nothing twice');
  assert.is(questions.length, 3);
  assert.not.ok(rig.links.brakes.asked.includes('prepare pump'));
  answer = 'yes';
  await rig.cycle();
  assert.is(rig.running(), updated);
  assert.is(rig.downloaded, downloaded);
});

test('HRD-15: what is staged is not installed once its metadata expired, and is not lost', async () => {
  const rig = new BundleRig();
  let answer: 'yes' | 'later' = 'later';
  asking(rig, () => answer);
  rig.sim.director.expire('timestamp', rig.seconds + 100);
  rig.assign(updates);
  await rig.cycle();
  const { downloaded } = rig;
  assert.ok(downloaded > 0);
  answer = 'yes';
  rig.seconds += 200;
  for (const restart of [false, true]) {
    if (restart) rig.restartPrimary();
    assert.is((await rig.cycle())?.refused, 'metadata-expired');
    assert.is(rig.running(), old);
    assert.not.ok(rig.links.brakes.asked.includes('prepare pump'));
  }
  assert.ok(rig.reported('gateway').includes('metadata-expired'));
  // The Director still wants the same: fresh metadata is enough, no byte of the images is.
  rig.sim.director.expire('timestamp', rig.seconds + 86_400);
  rig.sim.director.release();
  await rig.cycles(2);
  assert.is(rig.running(), updated);
  assert.is(rig.downloaded, downloaded);
});

test('no: this bundle is not asked for again, the report says so; another assignment is', async () => {
  const rig = new BundleRig();
  let answer: 'yes' | 'no' = 'no';
  const { questions } = asking(rig, () => answer);
  rig.assign(updates);
  assert.is((await rig.cycle())?.refused, 'installation-declined');
  assert.ok(rig.reported('gateway').includes('installation-declined'));
  rig.restartPrimary();
  await rig.cycles(2);
  assert.is(questions.length, 1);
  assert.is(rig.running(), old);
  answer = 'yes';
  rig.assign(updates);
  await rig.cycles(2);
  assert.is(rig.running(), updated);
});

test('outside of the window nothing is installed, nor asked', async () => {
  const second = now % 86_400;
  const rig = new BundleRig({ maintenance: [{ from: second + 3_600, to: second + 7_200 }] });
  const { questions } = asking(rig, () => 'yes');
  rig.assign(updates);
  await rig.cycle();
  assert.is(rig.running(), old);
  assert.is(questions.length, 0);
  rig.seconds += 3_600;
  await rig.cycle();
  assert.is(rig.running(), updated);
});

test('windows: bounds, midnight, several, and no time', () => {
  const at = (hour: number) => 1_800_000_000 - (1_800_000_000 % 86_400) + hour * 3_600;
  const night = [{ from: 22 * 3_600, to: 4 * 3_600 }];
  const expected: readonly (readonly [number, boolean])[] = [
    [21, false],
    [22, true],
    [0, true],
    [3, true],
    [4, false],
  ];
  for (const [hour, open] of expected) assert.is(isInWindow(night, at(hour)), open, `${hour}`);
  const noon = [...night, { from: 12 * 3_600, to: 13 * 3_600 }];
  assert.ok(isInWindow(noon, at(12)));
  assert.not.ok(isInWindow(noon, at(13)));
  assert.not.ok(isInWindow(night, 0), 'nobody knows what time it is');
  assert.ok(isInWindow(undefined, 0));
});

test('progress is exact: every byte of every stage, in order, to its end', async () => {
  const rig = new BundleRig();
  const { progress } = asking(rig, () => 'yes');
  rig.assign(updates);
  await rig.cycles(2);
  for (const [ecuId, moving] of [
    ['pump', 'transfer'],
    ['gateway', 'install'],
  ] as const) {
    const seen = progress.map((ecus) => ecus.find((ecu) => ecu.ecuId === ecuId)!).filter(Boolean);
    const stages = seen.map(({ stage }) => stage).filter((stage, i, all) => stage !== all[i - 1]);
    assert.equal(stages, ['download', 'downloaded', moving, 'checked', 'trial', 'confirmed']);
    for (const stage of ['download', moving] as const) {
      const bytes = seen.filter((one) => one.stage === stage);
      const total = bytes[0]!.of;
      assert.is(total, ecuId === 'pump' ? 24_690 + 56 + 32 : 12_345 + 56 + 16);
      assert.ok(
        bytes.every((one, i) => one.of === total && one.bytes >= (bytes[i - 1]?.bytes ?? 0)),
      );
      assert.is(bytes.at(-1)!.bytes, total);
    }
  }
});

test.run();
