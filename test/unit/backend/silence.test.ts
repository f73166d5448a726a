/** The look for silent vehicles goes through the fleet in parts, and notes each of them once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { recordSilentVehicles, vehiclesPerLook } from '../../../backend/director/silence.ts';
import type { Services } from '../../../backend/services.ts';
import { insertVehicle } from '../../../backend/store/inventory.ts';
import { logAfter } from '../../../backend/store/log.ts';
import { SqliteDatabase } from '../../../backend/store/sqlite.ts';

const test = suite('silent vehicles');

test('a fleet larger than one look is gone through in several, and from the beginning again (DIR-08)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-silence-'));
  const database = new SqliteDatabase(join(folder, 'x.sqlite'));
  try {
    const fleet = 2 * vehiclesPerLook + 1;
    await database.transaction(async (within) => {
      for (let i = 0; i < fleet; i++) {
        const id = `car-${String(i).padStart(6, '0')}`;
        // Every hundredth, and the last, is silent.
        await within.run(insertVehicle, id, `${id}-primary`, i % 100 === 0 ? 1 : 50, 'fleet');
      }
    });
    const services = {
      ...{ database, now: () => 100, lifetimes: { silence: 60 } },
    } as unknown as Services;
    const noted = async () => (await database.all(logAfter, 0, fleet)).length;
    const counts: number[] = [];
    let after = '';
    for (let look = 0; look < 6; look++) {
      after = await recordSilentVehicles(services, after);
      counts.push(await noted());
    }
    const half = vehiclesPerLook / 100;
    assert.equal(counts, [half, 2 * half, 2 * half + 1, ...Array(3).fill(2 * half + 1)]);
    assert.is(after, '');
  } finally {
    await database.close();
    rmSync(folder, { recursive: true });
  }
});

test.run();
