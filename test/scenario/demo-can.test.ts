/**
 * The bus of `make demo` as its user sees it: the log holds the whole update, and afterwards
 * `make secondaries` lets a foreign tool talk to what the vehicle has become.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentLayouts } from '../../backend/fleet/vehicle-layout.ts';
import { askUntil, until } from './can-bus.ts';
import { runDemo } from './demo-run.ts';

const test = suite('bus of the demonstration');

test('CAN_LOG holds the update, and make secondaries answers a socketcand tool', async () => {
  const stem = join(mkdtempSync(join(tmpdir(), 'demo-can-')), 'bus');
  const run = await runDemo({ CAN_LOG: stem, CAN_SOCKETCAND: '0' });
  try {
    assert.is(run.status, 0, run.output);
    assert.match(
      run.output,
      /CAN bus: socketcand tcp:127\.0\.0\.1:\d+ \(can0, can0-fd, can0-all\)/,
    );

    const lines = readFileSync(`${stem}.log`, 'utf8').trimEnd().split('\n');
    assert.ok(
      lines.every((line) => /^\(\d{10}\.\d{6}\) can0 [0-9A-F]{3}##1([0-9A-F]{2})+$/.test(line)),
    );
    for (const { address } of [agentLayouts.full, agentLayouts.partial]) {
      for (const id of [address!.requestId, address!.responseId]) {
        assert.ok(lines.some((line) => line.includes(` ${id.toString(16).toUpperCase()}##`)));
      }
    }
    const dataBytes = lines.reduce(
      (sum, line) => sum + (line.length - line.indexOf('##') - 3) / 2,
      0,
    );
    const packetBytes = lines.length * (16 + 8) + dataBytes;
    assert.is(readFileSync(`${stem}.pcap`).length, 24 + packetBytes);
    await askSecondaries(run.folder);
  } finally {
    run.remove();
    rmSync(dirname(stem), { recursive: true });
  }
});

/** Starts the Secondaries that the demonstration left, and reads one's status by socketcand. */
async function askSecondaries(folder: string): Promise<void> {
  const child = spawn(process.execPath, ['backend/fleet/secondaries.ts'], {
    env: { ...process.env, DEMO_FOLDER: folder, CAN_SOCKETCAND: '0', CAN_LOG: '', CAN_FAULTS: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const printed: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => printed.push(line));
  const has = (pattern: RegExp) => printed.some((line) => pattern.test(line));
  await until(() => child.exitCode !== null || (has(/^\[full\] ready/) && has(/^partial: UDS/)));
  assert.ok(has(/^full: UDS requests to 0x6e0, answers from 0x6e8$/), printed.join('\n'));
  assert.ok(has(/^\[full\] boot slot=B image=full-agent-2\.bin$/), printed.join('\n'));
  const port = /socketcand tcp:127\.0\.0\.1:(\d+)/.exec(printed.join('\n'))![1];
  const socket = connect(Number(port), '127.0.0.1');
  let heard = '';
  socket.on('data', (chunk) => {
    heard += chunk;
  });
  socket.write('< open can0 >< rawmode >');
  // A request may be lost, as on every bus: a tester repeats it until it has waited for P2.
  await askUntil(
    () => socket.write('< send 6E0 3 2 3E 0 >'),
    () => heard.includes('< frame 6E8 '),
  );
  assert.match(heard, /< frame 6E8 \d+\.\d{6} 027E00CCCCCCCCCC >/);
  socket.destroy();
  child.kill('SIGINT');
  const [status] = await once(child, 'close');
  assert.is(status, 0);
}

test.run();
