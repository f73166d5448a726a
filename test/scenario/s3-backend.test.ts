/** The backend with its images in an S3-compatible store, which is killed and started again under load. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../agent/codes.ts';
import { S3Blobs } from '../../backend/store/s3-blobs.ts';
import { seededRandom } from '../../hal/emulated/faulty-flash.ts';
import { checkAll } from '../kill/checks.ts';
import { Load } from '../kill/load.ts';
import { ProcessBackend } from '../kill/process-backend.ts';
import { accept } from '../unit/backend/blobs-contract.ts';
import { codeOf, makeImage, TestBackend, toHex } from './backend-fixture.ts';
import { environmentOf, SwiftStore, whySwiftIsMissing } from './swift-store.ts';

const test = suite('backend on S3');
const missing = whySwiftIsMissing();

if (missing === undefined) {
  const swift = new SwiftStore();
  test.before(() => swift.start());
  test.after(() => swift.remove());

  test('images are uploaded, published and served in ranges as from files', async () => {
    const backend = await TestBackend.start({ s3: await swift.bucket('served') });
    try {
      const image = makeImage('brakes.bin', new Uint8Array(200_000).fill(5), ['hw-brakes']);
      await backend.release(1, [image]);
      assert.equal(backend.blobFiles(), [], 'nothing stays on this machine');
      const path = `/targets/${toHex(image.target.hashes[0]!.value)}.brakes.bin`;
      const get = (headers: Readonly<Record<string, string>>) => backend.images(path, { headers });
      const whole = await get({});
      assert.is(whole.status, 200);
      assert.is(Buffer.compare(whole.body, image.ciphertext), 0);
      const etag = String(whole.headers['etag']);
      const part = await get({ range: 'bytes=65530-65545', 'if-range': etag });
      assert.is(part.status, 206);
      assert.is(part.headers['content-range'], `bytes 65530-65545/${image.ciphertext.length}`);
      assert.equal(part.body, image.ciphertext.subarray(65_530, 65_546));
      const last = await get({ range: 'bytes=-3' });
      assert.equal(last.body, image.ciphertext.subarray(-3));
      const other = await get({ range: 'bytes=1-2', 'if-range': '"other"' });
      assert.is(`${other.status} ${other.body.length}`, `200 ${image.ciphertext.length}`);
      assert.is((await get({ range: 'bytes=999999-' })).status, 416);
      assert.is((await get({ 'if-none-match': etag })).status, 304);
      assert.is((await backend.images(path, { method: 'HEAD' })).status, 200);
      // What no upload has recorded goes at the next start, what one has stays.
      await backend.restart();
      assert.is((await get({})).status, 200);
    } finally {
      await backend.stop();
    }
  });

  test('an upload passes in constant memory', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ota-s3-'));
    const piece = new Uint8Array(1_048_576);
    const count = 32;
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    /** What is held, not what waits for the collector. */
    const inUse = () => {
      collect();
      return process.memoryUsage().arrayBuffers;
    };
    const before = inUse();
    let most = 0;
    const look = () => {
      most = Math.max(most, inUse() - before);
    };
    const looks = setInterval(look, 200);
    const pieces = (async function* () {
      for (let i = 0; i < count; i++) {
        if (i % 8 === 0) look();
        yield piece;
      }
    })();
    const blobs = new S3Blobs(await swift.bucket('large'), folder);
    const length = count * piece.length;
    const received = await blobs.receive(pieces, length, accept);
    clearInterval(looks);
    rmSync(folder, { recursive: true });
    assert.ok(!isRefusal(received));
    assert.ok(most < length / 4, `${most} bytes of ${length}`);
    assert.ok(await blobs.has(received.sha256));
  });

  test('while the store is away uploads and downloads are 503, the rest goes on, nothing is lost', async () => {
    const backend = ProcessBackend.create(environmentOf(await swift.bucket('under-load')));
    const load = new Load(backend, seededRandom(9));
    const operator = (path: string) => backend.operator(path).then(codeOf);
    try {
      await backend.start();
      await load.prepare();
      const working = load.run();
      while (load.acknowledged.uploads < 3) await load.more(5);
      await swift.kill();
      const image = makeImage('away.bin', new Uint8Array(100), ['hw-brakes']);
      const upload = await backend.upload('away.bin', image.ciphertext);
      assert.is(codeOf(upload), '503 images-unavailable');
      assert.ok(Number(upload.headers['retry-after']) > 0);
      const [first] = load.images;
      const asked = await load.vehicles[0]!.ask(
        `/targets/${first!.sha256}.${first!.filename}`,
        {},
        'images',
      );
      assert.is(codeOf(asked), '503 images-unavailable');
      assert.is(await operator('/readyz'), '503 images-unavailable');
      assert.is(await operator('/healthz'), '200');
      const { manifests, uploads } = load.acknowledged;
      while (load.acknowledged.manifests < manifests + 10) await load.more(5);
      // One may have been acknowledged just before.
      assert.ok(load.acknowledged.uploads <= uploads + 2);
      await swift.start();
      while (load.acknowledged.uploads < uploads + 5) await load.more(5);
      load.stop();
      await working;
      assert.equal(load.problems, []);
      assert.equal((await checkAll(load, load.images)).problems, []);
      assert.is(await operator('/readyz'), '200');
      // A start without the store comes up, and works once that is there again.
      await backend.terminate();
      await swift.kill();
      await backend.start();
      assert.is(await operator('/readyz'), '503 images-unavailable');
      await swift.start();
      assert.is(await operator('/readyz'), '200');
      assert.equal((await checkAll(load, load.images)).problems, []);
    } finally {
      load.leave();
      await backend.remove();
    }
  });

  test('a store that dies in the middle of a download ends it short of its length', async () => {
    const backend = await TestBackend.start({ s3: await swift.bucket('cut') });
    try {
      const image = makeImage('long.bin', new Uint8Array(30_000_000), ['hw-brakes']);
      assert.is((await backend.upload('long.bin', image.ciphertext)).status, 200);
      const path = `/targets/${toHex(image.target.hashes[0]!.value)}.long.bin`;
      const answer = await fetch(`http://127.0.0.1:${backend.ports.images}${path}`);
      const reader = answer.body!.getReader();
      let got = (await reader.read()).value!.length;
      await swift.kill();
      const failure = await (async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return undefined;
          got += value.length;
        }
      })().catch((error: Error) => error);
      assert.ok(failure instanceof Error, 'the receiver sees that it is not whole');
      assert.ok(got < image.ciphertext.length);
      await swift.start();
      assert.is((await backend.images(path)).body.length, image.ciphertext.length);
    } finally {
      await backend.stop();
    }
  });
} else {
  process.stdout.write(`skipped: 4 backend on S3: ${missing}\n`);
  test('without a store there is nothing to show', () => undefined);
}

test.run();
