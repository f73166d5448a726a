/** The vehicle of the demonstration with the programs of `make runtime` as its ECUs. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ConsentQuestion } from '../../hal/types.ts';
import { gateOf, readBaseline } from '../size/figures.ts';
import { memoryFigures } from '../size/vehicle-memory.ts';
import { runDemo } from './demo-run.ts';

const test = suite('vehicle on QuickJS-ng');

const baseline = readBaseline('working-copy');

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
      }
      // The board's limits of the heap held meanwhile, too.
      for (const { name, value } of memoryFigures(report, architecture)) {
        assert.ok(value <= gateOf(name, baseline), `${name}: ${value} bytes`);
      }
    } finally {
      run.remove();
    }
  });
}

if (!existsSync('out/bin/x86_64-openssl/ecu-primary')) {
  console.log('skipped: 1 make provider-hosts was not run for x86_64: it needs packages');
} else {
  test('every ECU boots release 2 with OpenSSL in the place of BearSSL', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ota-openssl-'));
    const board = JSON.parse(readFileSync('boards/quickjs/board.json', 'utf8'));
    board.engine = { ...board.engine, crypto: 'openssl', architectures: ['x86_64'] };
    writeFileSync(join(folder, 'board.json'), JSON.stringify(board));
    const run = await runDemo({ BOARD: folder, ARCH: 'x86_64' });
    try {
      assert.is(run.status, 0, run.output);
      const told = run.report!.ecus.map(
        ({ ecuId, version, slot }) => `${ecuId} ${version} ${slot}`,
      );
      assert.equal(told.sort(), ['full 2 B', 'partial 2 B', 'primary 2 B']);
      assert.equal(run.report!.attacksReported, []);
    } finally {
      run.remove();
      rmSync(folder, { recursive: true });
    }
  });
}

if (existsSync('out/bin/x86_64/ecu-primary')) {
  test('OFF-04, INS-13: asked for consent and watched, it takes release 2 from a medium', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ota-consent-'));
    const consent = join(folder, 'consent');
    writeFileSync(consent, `#!/bin/sh\ncat > ${folder}/asked\n`, { mode: 0o755 });
    const run = await runDemo({ BOARD: 'quickjs', ARCH: 'x86_64', OFFLINE: '1', CONSENT: consent });
    try {
      assert.is(run.status, 0, run.output);
      assert.equal(
        run.report!.ecus.map(({ version, slot }) => [version, slot]),
        [
          [2, 'B'],
          [2, 'B'],
          [2, 'B'],
        ],
      );
      const { images } = JSON.parse(readFileSync(join(folder, 'asked'), 'utf8')) as ConsentQuestion;
      assert.equal(images.map(({ ecuId }) => ecuId).sort(), ['full', 'partial', 'primary']);
      assert.is([...run.output.matchAll(/100% {2}confirmed/g)].length, 3, run.output);
    } finally {
      run.remove();
      rmSync(folder, { recursive: true });
    }
  });
}

test.run();
