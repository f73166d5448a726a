/** The contract of the images' store against a real S3-compatible server, and what that is needed for. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BlobsUnavailable } from '../../backend/store/blobs.ts';
import { S3Blobs } from '../../backend/store/s3-blobs.ts';
import { S3Client, type S3Settings } from '../../backend/store/s3-client.ts';
import { accept, addBlobsContract, piece, stream } from '../unit/backend/blobs-contract.ts';
import { SwiftStore, whySwiftIsMissing } from './swift-store.ts';

const test = suite('blobs in S3');
const missing = whySwiftIsMissing();
const folder = mkdtempSync(join(tmpdir(), 'ota-s3-'));

test.after(() => rmSync(folder, { recursive: true, force: true }));

async function whyNot(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    assert.instance(error, BlobsUnavailable);
    return (error as Error).message;
  }
}

if (missing === undefined) {
  const swift = new SwiftStore();
  let buckets = 0;
  test.before(() => swift.start());
  test.after(() => swift.remove());

  /** Each test has a bucket of its own. */
  const open = async () => {
    buckets += 1;
    const settings = await swift.bucket(`images-${buckets}`);
    const incoming = join(folder, `incoming-${buckets}`);
    const blobs = new S3Blobs(settings, incoming);
    const names = async () => {
      const page = await new S3Client(settings).text({ method: 'GET', key: '' });
      const kept = [...page.matchAll(/<Key>[^<]*\/([^<]*)<\/Key>/g)].map(([, name]) => name!);
      return [...kept, ...readdirSync(incoming)];
    };
    return { blobs, names, settings };
  };

  addBlobsContract(test, open);

  test('a listing of several pages is read to its end', async () => {
    const { blobs, names } = await open();
    for (let i = 0; i < 5; i++) await blobs.receive(stream(piece(1, i)), 1, accept);
    await blobs.removeUnknown(async () => false, 2);
    assert.equal(await names(), []);
  });

  test('what others keep in the bucket stays', async () => {
    const { blobs, settings } = await open();
    const client = new S3Client(settings);
    const key = 'sha256/ab/readme.txt';
    (await client.send({ method: 'PUT', key })).resume();
    await blobs.removeUnknown(async () => false);
    const answer = await client.send({ method: 'HEAD', key });
    answer.resume();
    assert.is(answer.statusCode, 200);
  });

  test('the store takes no other bytes than those whose digest it was told', async () => {
    const { settings } = await open();
    const source = () => Readable.from([Buffer.from(piece(3, 1))]);
    const body = { length: 3, sha256: '0'.repeat(64), open: source };
    const put = new S3Client(settings).send({ method: 'PUT', key: 'x', body });
    assert.match(await whyNot(put), /status 400/);
  });

  test('another secret, and a bucket that is not there, are said', async () => {
    const { settings } = await open();
    const stranger = new S3Blobs({ ...settings, secretAccessKey: 'guessed' }, join(folder, 'a'));
    assert.match(await whyNot(stranger.has(piece(32, 1))), /status 403/);
    const nowhere = new S3Blobs({ ...settings, bucket: 'nowhere' }, join(folder, 'b'));
    assert.match(await whyNot(nowhere.freeBytes()), 'S3_BUCKET');
    const received = nowhere.receive(stream(piece(3, 1)), 3, accept);
    assert.match(await whyNot(received), /status 404/);
    assert.equal(readdirSync(join(folder, 'b')), []);
  });
} else {
  process.stdout.write(`skipped: 11 S3-compatible store: ${missing}\n`);
}

test('a store that is away, or answers nonsense, is unavailable', async () => {
  const settings: S3Settings = {
    ...{ endpoint: 'http://127.0.0.1:1', bucket: 'images', region: 'us-east-1' },
    ...{ accessKeyId: 'a', secretAccessKey: 'b' },
  };
  const away = new S3Blobs(settings, join(folder, 'c'));
  assert.match(await whyNot(away.has(piece(32, 1))), 'ECONNREFUSED');
  const whole = createServer((_request, response) => response.end('everything'));
  await new Promise<void>((resolve) => whole.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(whole.address() as AddressInfo).port}`;
  const careless = new S3Blobs({ ...settings, endpoint }, join(folder, 'd'));
  assert.match(await whyNot(careless.read(piece(32, 1), 2, 4)), /status 200/);
  whole.close();
  whole.closeAllConnections();
});

test('a connection that the store has closed meanwhile is opened again', async () => {
  let connections = 0;
  const server = createServer((_request, response) => response.end());
  // Closes each kept connection as the next request arrives on it.
  server.on('connection', (socket) => {
    connections += 1;
    let requests = 0;
    socket.on('data', () => {
      requests += 1;
      if (requests > 1) socket.resetAndDestroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = { endpoint, bucket: 'images', region: 'us-east-1' };
  const keys = { accessKeyId: 'a', secretAccessKey: 'b' };
  const blobs = new S3Blobs({ ...settings, ...keys }, join(folder, 'e'));
  for (let i = 0; i < 3; i++) assert.ok(await blobs.has(piece(32, i)));
  assert.ok(connections > 1, `${connections} connections`);
  server.close();
  server.closeAllConnections();
});

test.run();
