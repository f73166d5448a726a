/**
 * An update over a bus that loses, duplicates, reorders, delays and corrupts frames, with the
 * Secondary's shipped program at the other end: it finishes, or fails cleanly within bounded time.
 * Virtual time and seeds: a run is the same every time.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { cobblestoneChunkBytes } from '../../../agent/limits.ts';
import { BusVehicle } from '../../simulator/bus-vehicle.ts';
import type { BusFaults } from '../../simulator/virtual-bus.ts';
import { slotBytes } from '../install/rig.ts';

const test = suite('Lossy bus');
const imageBytes = 200_000;
const minute = 60_000;
/** What one try may take at most: every block in the smallest size, every one repeated twice. */
const longestTry = 30 * minute;

function vehicleOn(flexibleData: boolean, seed: number, bytes = imageBytes): BusVehicle {
  const rates = { nominal: 500_000, data: flexibleData ? 2_000_000 : 500_000 };
  return new BusVehicle({ rates, flexibleData, imageBytes: bytes, seed });
}

/** One try of the Primary: prepare, then transfer; true when the image is in the slot, checked. */
async function tryOnce(vehicle: BusVehicle): Promise<boolean> {
  const offset = await vehicle.run(vehicle.prepare());
  if (isRefusal(offset)) return false;
  if (offset === vehicle.ecu.update.ciphertext.length) return true;
  return (await vehicle.run(vehicle.download(offset))) === undefined;
}

function holdsUpdate(vehicle: BusVehicle): boolean {
  const { plaintext } = vehicle.ecu.update;
  const slot = slotBytes(vehicle.ecu.rig, 1).subarray(0, plaintext.length);
  return Buffer.compare(slot, plaintext) === 0;
}

const faults: readonly (keyof BusFaults)[] = [
  'lost',
  'duplicated',
  'reordered',
  'delayed',
  'corrupted',
];
const rates = [0.001, 0.005, 0.01, 0.05];

for (const flexibleData of [true, false]) {
  for (const fault of faults) {
    for (const rate of rates) {
      const bus = flexibleData ? 'FD' : 'classic';
      test(`${bus}, ${fault} ${rate * 100} %: finishes or fails cleanly, then finishes`, async () => {
        const vehicle = vehicleOn(flexibleData, Math.round(rate * 1_000) + fault.length);
        const { bus, clock, ecu } = vehicle;
        assert.is(await vehicle.run(vehicle.verify()), undefined);
        bus.faults = { [fault]: rate };
        let finished = false;
        for (let attempt = 0; attempt < 2 && !finished; attempt++) {
          const start = clock.now;
          finished = await tryOnce(vehicle);
          assert.ok(clock.now - start < longestTry, `${clock.now - start} ms`);
        }
        assert.ok(bus.struck[fault] > 0, 'no fault fired');
        // Whatever happened, the old image is whole and nothing is set to be tried.
        assert.is(ecu.hal().boot.status().pending, undefined);
        if (!finished) {
          bus.faults = {};
          // A tester that is silent loses its session, and with it whatever was half done.
          clock.advanceTo(clock.now + 10_000);
          finished = await tryOnce(vehicle);
        }
        assert.ok(finished, 'the bus is well again');
        assert.ok(holdsUpdate(vehicle));
      });
    }
  }
}

for (const rate of [0.001, 0.002]) {
  test(`${rate * 100} % of frames lost: the first try finishes, in smaller blocks where need be`, async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const vehicle = vehicleOn(true, seed, 400_000);
      assert.is(await vehicle.run(vehicle.verify()), undefined);
      vehicle.bus.faults = { lost: rate };
      assert.ok(await tryOnce(vehicle), `seed ${seed}`);
      assert.ok(vehicle.bus.struck.lost > 0);
      assert.ok(holdsUpdate(vehicle));
    }
  });
}

test('no byte is written twice, however often its block or its answer is lost', async () => {
  const vehicle = vehicleOn(true, 5);
  assert.is(await vehicle.run(vehicle.verify()), undefined);
  // The emulated part refuses to program what is not erased: a second write would throw.
  vehicle.bus.faults = { lost: 0.005, duplicated: 0.01 };
  assert.ok((await tryOnce(vehicle)) || (await tryOnce(vehicle)));
  assert.ok(vehicle.bus.struck.lost > 0 && vehicle.bus.struck.duplicated > 0);
});

test('PRI-15: a Secondary that restarts in mid-transfer resumes at the last durable chunk', async () => {
  const chunks = 40;
  const vehicle = vehicleOn(true, 1, chunks * cobblestoneChunkBytes + 100);
  assert.is(await vehicle.run(vehicle.verify()), undefined);
  assert.is(await vehicle.run(vehicle.prepare()), 0);
  const cutAt = 56 + 35 * 16_400;
  vehicle.onProgress = (sent) => {
    if (sent >= cutAt && vehicle.restarts === 1) vehicle.powerOn();
  };
  const refusal = await vehicle.run(vehicle.download(0));
  assert.is(isRefusal(refusal) && refusal.refused, 'install-out-of-order');
  assert.is(vehicle.restarts, 2);
  assert.is(await vehicle.run(vehicle.verify()), undefined);
  const offset = await vehicle.run(vehicle.prepare());
  assert.is(offset, cutAt);
  let first: number | undefined;
  vehicle.onProgress = (sent) => {
    first ??= sent;
  };
  assert.is(await vehicle.run(vehicle.download(offset as number)), undefined);
  assert.is(first, offset, 'ResumeFile grants the position');
  assert.ok(holdsUpdate(vehicle));
});

test('a Secondary with a small buffer is sent blocks of that size, also when it resumes', async () => {
  const maxBlockBytes = 1_026;
  const rates = { nominal: 500_000, data: 2_000_000 };
  const flexibleData = true;
  const vehicle = new BusVehicle({ rates, flexibleData, imageBytes, maxBlockBytes });
  assert.is(await vehicle.run(vehicle.verify()), undefined);
  assert.is(await vehicle.run(vehicle.prepare()), 0);
  const sizes = new Set<number>();
  let last = 0;
  vehicle.onProgress = (sent) => {
    sizes.add(sent - last);
    last = sent;
    if (sent > 100_000 && vehicle.restarts === 1) vehicle.powerOn();
  };
  assert.ok(isRefusal(await vehicle.run(vehicle.download(0))));
  assert.is(await vehicle.run(vehicle.verify()), undefined);
  const offset = await vehicle.run(vehicle.prepare());
  assert.is(vehicle.restarts, 2);
  last = offset as number;
  assert.is(await vehicle.run(vehicle.download(offset as number)), undefined);
  assert.ok(holdsUpdate(vehicle));
  assert.is(Math.max(...sizes), maxBlockBytes - 2);
});

test('a Secondary that is gone ends the transfer in bounded time', async () => {
  const vehicle = vehicleOn(true, 1);
  assert.is(await vehicle.run(vehicle.verify()), undefined);
  assert.is(await vehicle.run(vehicle.prepare()), 0);
  vehicle.onProgress = (sent) => {
    if (sent > 50_000) vehicle.powerOff();
  };
  const start = vehicle.clock.now;
  const refusal = await vehicle.run(vehicle.download(0));
  assert.ok(isRefusal(refusal));
  assert.ok(vehicle.clock.now - start < minute, `${vehicle.clock.now - start} ms`);
});

test.run();
