/** A download ends when its receiver takes less than the least rate. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { planDownload, sendDownload } from '../../../backend/images/serve.ts';
import { Metrics } from '../../../backend/metrics.ts';
import type { Services } from '../../../backend/services.ts';
import { FileBlobs } from '../../../backend/store/file-blobs.ts';

const test = suite('serving images');

test('a receiver that stops reading loses the connection, and the file is closed (ECU-03)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-serve-'));
  const blobs = FileBlobs.open(folder);
  const metrics = new Metrics();
  const length = 64 * 1_048_576;
  const pieces = (async function* () {
    for (let i = 0; i < 64; i++) yield new Uint8Array(1_048_576);
  })();
  const received = await blobs.receive(pieces, length, async () => undefined);
  assert.ok(!isRefusal(received));
  const { sha256, sha512 } = received;
  const image = { filename: 'x.bin', sha256, sha512, length };
  const services = { blobs, metrics } as unknown as Services;
  let ended: Promise<void> | undefined;
  const server = createServer(async (request, response) => {
    const plan = planDownload(image as never, request.headers);
    assert.ok(plan !== 'unsatisfiable');
    const bytes = await blobs.read(sha256, 0, length);
    ended = sendDownload(services, plan, bytes, response, 100);
    server.emit('sending');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(server, 'sending');
  await ended;
  assert.is(await metrics.valueOf('ota_downloads_too_slow_total'), 1);
  assert.ok(socket.bytesRead < length);
  socket.destroy();
  server.close();
  metrics.close();
  rmSync(folder, { recursive: true });
});

test.run();
