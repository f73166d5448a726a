/** The emulated Primary's interface to its vehicle: a file that is always whole, and a program. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createVehicleInterface } from '../../../hal/emulated/vehicle-interface.ts';
import type { EcuProgress, UpdateStage } from '../../../hal/types.ts';

const test = suite('Vehicle interface');
let folder: string;
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'ota-vehicle-interface-'));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

const state = (stage: UpdateStage, bytes: number): readonly EcuProgress[] => [
  { ecuId: 'brakes', stage, bytes, of: 100 },
];

test('a new stage and the last byte are written at once, bytes between them a moment later', async () => {
  const progressFile = join(folder, 'progress.json');
  const vehicle = createVehicleInterface({ progressFile, consent: undefined });
  const written = (): unknown => JSON.parse(readFileSync(progressFile, 'utf8'));
  vehicle.progress(state('download', 1));
  assert.equal(written(), state('download', 1));
  vehicle.progress(state('download', 2));
  vehicle.progress(state('download', 3));
  assert.equal(written(), state('download', 1));
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(written(), state('download', 3));
  vehicle.progress(state('download', 100));
  assert.equal(written(), state('download', 100));
  vehicle.progress(state('checked', 100));
  assert.equal(written(), state('checked', 100));
  assert.equal(readdirSync(folder), ['progress.json'], 'nothing is left beside it');
});

test('a program decides: 0 is yes, 1 is no, anything else is later; it is told what for', () => {
  const consent = join(folder, 'consent');
  const question = {
    images: [{ ecuId: 'brakes', filename: 'b-2.bin', releaseCounter: 2, length: 9 }],
  };
  for (const [status, answer] of [
    [0, 'yes'],
    [1, 'no'],
    [7, 'later'],
  ] as const) {
    writeFileSync(consent, `#!/bin/sh\ncat > ${folder}/asked\nexit ${status}\n`);
    chmodSync(consent, 0o755);
    const vehicle = createVehicleInterface({ progressFile: undefined, consent });
    assert.is(vehicle.consent(question), answer);
    assert.equal(JSON.parse(readFileSync(join(folder, 'asked'), 'utf8')), question);
  }
  const broken = createVehicleInterface({ progressFile: undefined, consent: '/nonexistent' });
  assert.is(broken.consent(question), 'later');
  const without = createVehicleInterface({ progressFile: undefined, consent: undefined });
  assert.is(without.consent(question), 'yes');
});

test.run();
