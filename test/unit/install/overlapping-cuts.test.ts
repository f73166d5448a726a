/**
 * The power fails while a busy part is erasing ahead, programming a queued chunk or writing the
 * journal: nothing may have been recorded that is not in the part, and the installation goes on.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { SlotInstaller } from '../../../agent/install/slot-installer.ts';
import { seededRandom } from '../../../hal/emulated/faulty-flash.ts';
import { nor4KiB, nor64KiB, type PartTimes, TimedFlash } from '../../simulator/timed-flash.ts';
import { VirtualClock } from '../../simulator/virtual-clock.ts';
import { createRig, crypto, makeImage, manufacture, openBoot, type Rig, slotBytes } from './rig.ts';

const test = suite('Power cuts of a busy part');
const factory = makeImage('app-1.bin', 5_000, 1);
const update = makeImage('app-2.bin', 40 * 16_384 + 777, 2);
const { ciphertext } = update;

interface Run {
  /** Where the installation went on; 0 also when the power failed before it could. */
  readonly resumedAt: number;
  /** The image is in the slot and checked; otherwise the power failed before. */
  readonly finished: boolean;
  /** What the part was at when the power failed: nothing, or busy. */
  readonly cutWhileBusy: boolean;
  readonly milliseconds: number;
}

/** One power cycle of an ECU that gets a block every `pace` ms at most, cut at `cutAt` ms. */
function run(rig: Rig, times: PartTimes, pace: number, cutAt: number): Run {
  const clock = new VirtualClock();
  const flash = new TimedFlash(rig.flash, times, clock);
  const installer = new SlotInstaller({
    slots: [flash.open({ path: 'slot-a' }), flash.open({ path: 'slot-b' })],
    boot: openBoot(rig),
    journal: flash.open({ path: 'journal' }),
    crypto,
  });
  let cutWhileBusy = false;
  let cut = false;
  clock.after(cutAt, () => {
    cut = true;
    cutWhileBusy = flash.busy;
    flash.cutPower();
  });
  let resumedAt = 0;
  const progress = (finished: boolean) => ({
    resumedAt,
    finished,
    cutWhileBusy,
    milliseconds: clock.now,
  });
  try {
    const begun = installer.begin(update.request);
    if (isRefusal(begun)) throw new Error(`${begun.refused}: ${begun.detail}`);
    resumedAt = begun.resumeOffset;
    for (let offset = resumedAt; offset < ciphertext.length; ) {
      clock.advanceTo(clock.now + pace);
      if (cut) return progress(false);
      if (!installer.hasRoom) continue;
      const end = Math.min(offset === 0 ? 56 : offset + 16_400, ciphertext.length);
      assert.is(installer.write(ciphertext.subarray(offset, end)), undefined);
      offset = end;
    }
    const image = installer.finish();
    assert.not.ok(isRefusal(image), JSON.stringify(image));
    return progress(true);
  } catch (error) {
    if (!cut) throw error;
    return progress(false);
  }
}

for (const [name, times, blockLength] of [
  ['4 KiB blocks', nor4KiB, 4_096],
  ['64 KiB blocks', nor64KiB, 65_536],
] as const) {
  for (const pace of [10, 90]) {
    test(`${name}, a block every ${pace} ms: cut at any time, twice, it goes on and finishes`, () => {
      const random = seededRandom(blockLength + pace);
      const slotBlocks = Math.ceil(update.plaintext.length / blockLength);
      const whole = () => {
        const rig = createRig({ slotBlocks, geometry: { blockLength } });
        manufacture(rig, factory);
        return rig;
      };
      const { milliseconds } = run(whole(), times, pace, Number.MAX_SAFE_INTEGER);
      let busy = 0;
      let resumed = 0;
      for (let i = 0; i < 40; i++) {
        const rig = whole();
        const first = run(rig, times, pace, random(Math.floor(milliseconds)));
        const second = run(rig, times, pace, random(Math.floor(milliseconds)));
        const last = run(rig, times, pace, Number.MAX_SAFE_INTEGER);
        if (first.cutWhileBusy) busy++;
        if (last.resumedAt > 0) resumed++;
        assert.ok(last.resumedAt >= Math.max(first.resumedAt, second.resumedAt));
        assert.ok(last.finished);
        const slot = slotBytes(rig, 1).subarray(0, update.plaintext.length);
        assert.is(Buffer.compare(slot, update.plaintext), 0);
      }
      assert.ok(busy > 20, `${busy} cuts met a busy part`);
      assert.ok(resumed > 10, `${resumed} went on in the middle`);
    });
  }
}

test.run();
