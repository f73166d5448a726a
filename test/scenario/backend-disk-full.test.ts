/** A full disk: refused clearly, nothing half written, and all is well again once there is room. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { call, codeOf, makeImage, TestBackend, TestVehicle } from './backend-fixture.ts';

const test = suite('disk full');
const folder = mkdtempSync(join(tmpdir(), 'ota-full-'));

/** A file system of 24 MiB of its own; false where this process may not mount one. */
function mountSmall(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function fill(name: string, keepBytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(join(folder, name), new Uint8Array(Math.max(0, bavail * bsize - keepBytes)));
}

if (mountSmall()) {
  test('uploads and manifests are refused while the disk is full, and taken afterwards', async () => {
    const backend = await TestBackend.start({ stateFolder: join(folder, 'state') });
    try {
      const vehicle = new TestVehicle('v-1');
      await backend.register(vehicle);
      const image = makeImage('big.bin', new Uint8Array(2_000_000), ['hw-brakes']);
      const images = () => execFileSync('find', [join(folder, 'state', 'blobs'), '-type', 'f']);
      fill('filler', 1_000_000);
      const ready = () => call(backend.backend.ports.operator, '/readyz');
      assert.is(codeOf(await ready()), '507 storage-full');
      assert.is(codeOf(await backend.upload('big.bin', image.ciphertext)), '507 storage-full');
      assert.is(images().toString(), '', 'no half image');
      fill('rest', 0);
      let counter = 0;
      const send = async () => {
        counter += 1;
        return codeOf(await backend.manifest('v-1', vehicle.manifest({ counter })));
      };
      // The log of the database has some room of its own before it has to grow.
      let answer = await send();
      for (let i = 0; i < 500 && answer === '200'; i++) answer = await send();
      assert.is(answer, '507 storage-full');
      assert.is(await send(), '507 storage-full', 'the next one too, and no failure');
      assert.is(
        codeOf(await backend.director('/metadata/v-1/timestamp.cbor')),
        '200',
        'reads go on',
      );
      rmSync(join(folder, 'rest'));
      rmSync(join(folder, 'filler'));
      assert.is(await send(), '200');
      assert.is(codeOf(await backend.upload('big.bin', image.ciphertext)), '200');
      assert.is(images().toString().trim().split('\n').length, 1);
      assert.is(codeOf(await ready()), '200');
    } finally {
      await backend.stop();
      execFileSync('umount', [folder]);
      rmSync(folder, { recursive: true, force: true });
    }
  });
} else {
  process.stdout.write('skipped: 1 disk full: this process may not mount a tmpfs\n');
  test('without a small file system there is nothing to fill', () => {
    rmSync(folder, { recursive: true, force: true });
  });
}

test.run();
