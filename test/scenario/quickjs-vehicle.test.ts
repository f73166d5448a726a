/** The vehicle of the demonstration with the programs of `make runtime` as its ECUs. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runDemo } from './demo-run.ts';

const test = suite('vehicle on QuickJS-ng');

/** Resident memory of a program whose heap is bounded; under QEMU it would be QEMU's. */
const maxPeakRssBytes = 4_000_000;

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

for (const { architecture, emulator } of [
  { architecture: 'x86_64', emulator: undefined },
  { architecture: 'aarch64', emulator: 'qemu-aarch64-static' },
  { architecture: 'armhf', emulator: 'qemu-arm-static' },
]) {
  if (!existsSync(`out/bin/${architecture}/ecu-primary`)) {
    console.log(`skipped: 1 make runtime was not run for ${architecture}: it needs packages`);
    continue;
  }
  if (emulator !== undefined && !isInstalled(emulator)) {
    console.log('skipped: 1 package qemu-user-static is not installed');
    continue;
  }
  test(`every ECU boots release 2 as bytecode from its flash on ${architecture}`, async () => {
    const run = await runDemo({ BOARD: 'quickjs', ARCH: architecture });
    try {
      assert.is(run.status, 0, run.output);
      const report = run.report!;
      assert.is(report.result, 'installed');
      assert.is(report.manifestAccepted, true);
      assert.equal(report.attacksReported, []);
      for (const ecu of report.ecus) {
        assert.is(ecu.version, 2);
        assert.is(ecu.slot, 'B');
        if (emulator === undefined) assert.ok(ecu.peakRssBytes <= maxPeakRssBytes, ecu.ecuId);
      }
    } finally {
      run.remove();
    }
  });
}

test.run();
