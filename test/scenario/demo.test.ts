/** `make demo` as a person runs it: the report says what the flash really holds. */
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ReportedEcu } from '../../backend/fleet/demo-report.ts';
import { runDemo } from './demo-run.ts';

const test = suite('demo');

/** The plaintext at the place that the report names. */
function inFlash(ecu: ReportedEcu): Buffer {
  const flash = readFileSync(resolve(ecu.flashFile));
  return flash.subarray(ecu.slotOffset, ecu.slotOffset + ecu.length);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

test('every ECU boots release 2 from slot B, and the Director accepts the manifest that says so', async () => {
  const run = await runDemo({});
  try {
    assert.is(run.status, 0, run.output);
    const report = run.report!;
    assert.is(report.result, 'installed');
    assert.is(report.manifestAccepted, true);
    assert.equal(report.refusals, []);
    assert.equal(report.attacksReported, []);
    assert.equal(
      report.ecus.map(({ ecuId, role, verification }) => [ecuId, role, verification]),
      [
        ['primary', 'primary', 'full'],
        ['full', 'secondary', 'full'],
        ['partial', 'secondary', 'partial'],
      ],
    );
    for (const ecu of report.ecus) {
      assert.is(ecu.version, 2);
      assert.is(ecu.slot, 'B');
      assert.is(sha256(inFlash(ecu)), ecu.sha256);
      assert.ok(ecu.peakRssBytes > 0);
      assert.ok(statSync(ecu.executable).isFile());
    }
    const lines = run.output.split('\n').filter((line) => line.includes('confirmed'));
    assert.is(lines.length, 3, 'plain lines without a terminal');
    assert.match(run.output, /^Doorbell: there is Timestamp \d+$/m);
    assert.not.match(run.output, '\u001b');
  } finally {
    run.remove();
  }
});

for (const { bytes, on } of [
  { bytes: 1, on: '' },
  { bytes: 300_000, on: 'full' },
]) {
  test(`firmware of ${bytes} bytes lies in the slot of a hosted ECU and nowhere else`, async () => {
    const firmware = randomBytes(bytes);
    const path = join(tmpdir(), `ota-firmware-${process.pid}-${bytes}`);
    writeFileSync(path, firmware);
    const run = await runDemo({ FIRMWARE: path, ECU: on });
    try {
      assert.is(run.status, 0, run.output);
      const host = on || 'partial';
      const hosted = run.report!.ecus.find((ecu) => ecu.hostedBy === host)!;
      assert.is(run.report!.ecus.length, 4);
      assert.is(hosted.length, bytes);
      assert.is(hosted.sha256, sha256(firmware));
      assert.equal(inFlash(hosted), firmware);
      if (bytes < 64) return;
      const window = firmware.subarray(bytes / 2, bytes / 2 + 64);
      const holders = filesBelow(run.folder).filter((file) => readFileSync(file).includes(window));
      assert.equal(holders, [resolve(hosted.flashFile)]);
    } finally {
      run.remove();
    }
  });
}

test('a taken port is named, with the variable that changes it', async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  const run = await runDemo({ DIRECTOR_PORT: String(port) });
  server.close();
  run.remove();
  assert.is(run.status, 1);
  assert.match(run.output, 'port-taken');
  assert.match(run.output, `127.0.0.1:${port} is taken; set DIRECTOR_PORT`);
  assert.is(run.report, undefined);
});

test('every mistake in the variables is named at once, and nothing is written', async () => {
  const run = await runDemo({ FIRMWARE: '/nowhere', ECU: 'wheel', ATTACK: 'shout' });
  run.remove();
  assert.is(run.status, 2);
  for (const word of ['ECU=wheel', 'FIRMWARE=/nowhere', 'ATTACK=shout']) {
    assert.match(run.output, word);
  }
  assert.is(run.report, undefined);
});

test.run();
