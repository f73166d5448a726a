/** Uploading and downloading images over HTTP (Uptane §5.3.1). */
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ciphertextLength } from '../../agent/image/cobblestone.ts';
import { statusAnswer, uploadAnswer } from '../../backend/http/messages.ts';
import {
  call,
  codeOf,
  crypto,
  expectValue,
  makeImage,
  operatorToken,
  TestBackend,
  toHex,
} from './backend-fixture.ts';

const test = suite('images');
const plaintext = new Uint8Array(200_000).map((_, i) => (i * 7) % 253);
const image = makeImage('engine.bin', plaintext, ['hw-engine']);
const { ciphertext } = image;
const sha256 = toHex(crypto.digest('SHA-256', ciphertext));
const sha512 = toHex(crypto.digest('SHA-512', ciphertext));
const octets = 'application/octet-stream';

let backend: TestBackend;

test.before(async () => {
  backend = await TestBackend.start();
  assert.is(codeOf(await backend.upload('engine.bin', ciphertext)), '200');
});
test.after(() => backend.stop());

const get = (path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') =>
  backend.images(path, { headers, method });

async function imagesOnRecord(): Promise<number> {
  return expectValue(statusAnswer, await backend.operator('/status')).images;
}

/** Nothing but the one image of these tests is stored, nor left half. */
async function expectNothingLeft(): Promise<void> {
  assert.equal(backend.blobFiles(), [sha256]);
  assert.is(await imagesOnRecord(), 1);
}

test('an upload is answered with its length and both digests, and can be repeated', async () => {
  const stored = expectValue(uploadAnswer, await backend.upload('engine.bin', ciphertext));
  assert.is(stored.length, ciphertext.length);
  assert.equal(
    stored.hashes.map((hash) => toHex(hash.value)),
    [sha256, sha512],
  );
  await expectNothingLeft();
});

test('every digest of an image is a name of it (FNM-02, FNM-03, IMG-01)', async () => {
  for (const digest of [sha256, sha512]) {
    const answer = await get(`/targets/${digest}.engine.bin`);
    assert.is(answer.status, 200);
    assert.is(answer.headers['content-length'], String(ciphertext.length));
    assert.is(answer.headers['etag'], `"${sha256}"`);
    assert.equal(answer.body, ciphertext);
  }
});

test('other names are no images (FNM-02, FNM-03)', async () => {
  const attempts: readonly [string, string][] = [
    [`${sha256}.other.bin`, '404 image-unknown'],
    [`${sha256.replace(/^./, (c) => (c === '0' ? '1' : '0'))}.engine.bin`, '404 image-unknown'],
    [`${sha256.toUpperCase()}.engine.bin`, '400 request-malformed'],
    [`${sha256.slice(2)}.engine.bin`, '400 request-malformed'],
    [sha256, '400 request-malformed'],
    ['engine.bin', '400 request-malformed'],
    [`${sha256}.`, '400 request-malformed'],
    [`${sha256}.${'x'.repeat(129)}`, '400 request-malformed'],
    [`${sha256}.%2e%2e%2fdirector.sqlite`, '400 request-malformed'],
    [`${sha256}.engine.bin%00`, '400 request-malformed'],
    [`..%2f..%2fdirector.sqlite`, '400 request-malformed'],
    [`../../director.sqlite`, '404 not-found'],
    [`%zz`, '400 request-malformed'],
  ];
  for (const [name, expected] of attempts) {
    assert.is(codeOf(await get(`/targets/${name}`)), expected, name);
  }
});

test('a single range is served (RFC 9110 §14)', async () => {
  const { length } = ciphertext;
  const ranges: readonly [string, number, number][] = [
    ['bytes=0-0', 0, 1],
    ['bytes=56-16455', 56, 16_456],
    ['bytes=65000-140000', 65_000, 140_001],
    [`bytes=${length - 1}-`, length - 1, length],
    [`bytes=100-${length * 2}`, 100, length],
    ['bytes=-7', length - 7, length],
    [`bytes=-${length * 2}`, 0, length],
  ];
  for (const [range, start, end] of ranges) {
    const answer = await get(`/targets/${sha256}.engine.bin`, { range });
    assert.is(answer.status, 206, range);
    assert.is(answer.headers['content-range'], `bytes ${start}-${end - 1}/${length}`);
    assert.equal(answer.body, ciphertext.subarray(start, end));
  }
});

test('a range behind the end is refused with the length', async () => {
  for (const range of [`bytes=${ciphertext.length}-`, 'bytes=-0', 'bytes=999999999-9999999999']) {
    const answer = await get(`/targets/${sha256}.engine.bin`, { range });
    assert.is(codeOf(answer), '416 request-malformed', range);
    assert.is(answer.headers['content-range'], `bytes */${ciphertext.length}`);
  }
});

test('a range that is not understood gets the whole image', async () => {
  for (const range of ['bytes=9-2', 'bytes=0-1,5-6', 'bytes=-', 'bytes=x-', 'octets=0-1']) {
    const answer = await get(`/targets/${sha256}.engine.bin`, { range });
    assert.is(answer.status, 200, range);
    assert.is(answer.body.length, ciphertext.length);
  }
});

test('If-Range with another ETag gets the whole image, not a part of it', async () => {
  const range = 'bytes=10-19';
  const name = `/targets/${sha256}.engine.bin`;
  const same = await get(name, { range, 'if-range': `"${sha256}"` });
  assert.is(same.status, 206);
  const other = await get(name, { range, 'if-range': '"other"' });
  assert.is(other.status, 200);
  assert.is(other.body.length, ciphertext.length);
  const known = await get(name, { 'if-none-match': `"${sha256}"` });
  assert.is(known.status, 304);
});

test('HEAD gives the headers without a body', async () => {
  const answer = await get(`/targets/${sha256}.engine.bin`, {}, 'HEAD');
  assert.is(answer.status, 200);
  assert.is(answer.headers['content-length'], String(ciphertext.length));
  assert.is(answer.body.length, 0);
});

test('downloads that stop in the middle leave no file open', async () => {
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let i = 0; i < 10; i++) {
    await new Promise<void>((resolve) => {
      const path = `/targets/${sha256}.engine.bin`;
      const outgoing = request({ host: '127.0.0.1', port: backend.backend.ports.images, path });
      outgoing.on('response', (response) => response.once('data', () => outgoing.destroy()));
      outgoing.on('error', () => undefined);
      outgoing.on('close', () => resolve());
      outgoing.end();
    });
  }
  assert.is((await get('/')).status, 200, 'the server goes on');
  // The server hears of the last broken connection a moment later.
  for (let i = 0; i < 100 && open() > before; i++) await new Promise((r) => setTimeout(r, 20));
  assert.ok(open() <= before);
});

test('an upload needs the operator token (IMG-03)', async () => {
  const port = backend.backend.ports.operator;
  const attempt = async (headers: Readonly<Record<string, string>>) => {
    const options = { method: 'POST', body: ciphertext.subarray(0, 72), type: octets };
    const named = { 'upload-filename': 'new.bin', ...headers };
    return codeOf(await call(port, '/upload', { ...options, headers: named }));
  };
  assert.is(await attempt({}), '401 token-missing');
  assert.is(await attempt({ authorization: operatorToken }), '401 token-missing');
  assert.is(await attempt({ authorization: 'Bearer ' }), '401 token-missing');
  assert.is(await attempt({ authorization: `Basic ${operatorToken}` }), '401 token-missing');
  assert.is(await attempt({ authorization: `Bearer ${operatorToken}x` }), '403 token-invalid');
  assert.is(await attempt({ authorization: 'Bearer x' }), '403 token-invalid');
  await expectNothingLeft();
});

test('every operator route but the health check needs the token (IMG-03)', async () => {
  const port = backend.backend.ports.operator;
  const routes = [
    'POST /upload',
    'GET /images/metadata/timestamp.cbor',
    'PUT /images/metadata/1.targets.cbor',
    'POST /content-keys',
    'GET /director/metadata/1.root.cbor',
    'PUT /director/metadata/2.root.cbor',
    'GET /director/wrapping-key',
    'POST /enrolment-tokens',
    'POST /assignments',
    'GET /anomalies',
    'GET /vehicles',
    'GET /vehicles/v',
    'GET /vehicles/v/manifests',
    'POST /vehicles/v/refresh',
    'GET /status',
  ];
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ');
    assert.is(codeOf(await call(port, path, { method })), '401 token-missing', route);
  }
  assert.is(codeOf(await call(port, '/healthz')), '200');
});

test('the device plane takes no uploads', async () => {
  const options = { method: 'POST', body: ciphertext, type: octets };
  assert.is(codeOf(await backend.images('/upload', options)), '403 wrong-plane');
});

test('a filename cannot be a path (FNM-04, HRD-10)', async () => {
  const names = ['../x', 'a/b', '/etc/passwd', '..\\x', 'a b', 'x%2fy', '', 'x'.repeat(129), 'é'];
  for (const name of names) {
    const headers = { 'upload-filename': Buffer.from(name, 'utf8').toString('latin1') };
    const options = { method: 'POST', body: ciphertext, type: octets, headers };
    assert.is(codeOf(await backend.operator('/upload', options)), '400 request-malformed', name);
  }
  const nameless = { method: 'POST', body: ciphertext, type: octets };
  assert.is(codeOf(await backend.operator('/upload', nameless)), '400 request-malformed');
  await expectNothingLeft();
  // A name of dots alone is a name like any other: it is never looked up in a folder.
  assert.is(codeOf(await backend.upload('..', ciphertext)), '200');
  assert.equal(backend.blobFiles(), [sha256]);
  assert.equal((await get(`/targets/${sha256}...`)).body, ciphertext);
});

test('what cannot be an encrypted image is not stored (CUS-04)', async () => {
  const count = await imagesOnRecord();
  for (const length of [0, 1, 71, 56 + 16_400, 56 + 16_400 + 15]) {
    const answer = await backend.upload('odd.bin', new Uint8Array(length));
    assert.is(codeOf(answer), '400 image-length', String(length));
  }
  assert.is(ciphertextLength(0), 72, 'and the shortest possible is one byte longer than refused');
  const typed = {
    method: 'POST',
    body: ciphertext.subarray(0, 72),
    headers: { 'upload-filename': 'x.bin' },
  };
  assert.is(codeOf(await backend.operator('/upload', typed)), '415 content-type');
  assert.is(
    codeOf(await backend.operator('/upload', { ...typed, type: 'text/plain' })),
    '415 content-type',
  );
  assert.equal(backend.blobFiles(), [sha256]);
  assert.is(await imagesOnRecord(), count);
});

test('an upload that stops half-way leaves nothing', async () => {
  const count = await imagesOnRecord();
  await new Promise<void>((resolve) => {
    const outgoing = request({
      host: '127.0.0.1',
      port: backend.backend.ports.operator,
      path: '/upload',
      method: 'POST',
      headers: {
        authorization: `Bearer ${operatorToken}`,
        'upload-filename': 'half.bin',
        'content-type': octets,
        'content-length': String(ciphertext.length),
      },
    });
    outgoing.on('error', () => undefined);
    outgoing.on('close', () => resolve());
    outgoing.write(ciphertext.subarray(0, 100_000), () => {
      const incoming = join(backend.folder, 'state', 'blobs', 'incoming');
      const wait = () => {
        // Cut only once the server has begun to write.
        if (readdirSync(incoming).length === 0) setTimeout(wait, 5);
        else outgoing.destroy();
      };
      wait();
    });
  });
  for (let i = 0; i < 200 && backend.blobFiles().length > 1; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(backend.blobFiles(), [sha256]);
  assert.is(await imagesOnRecord(), count);
  assert.is(codeOf(await get(`/targets/${sha256}.half.bin`)), '404 image-unknown');
});

test('the name of a published image keeps its content', async () => {
  const body = backend.signTargets(1, { targets: [image.target] });
  assert.is(codeOf(await backend.publish('1.targets.cbor', body)), '200');
  const other = makeImage('engine.bin', new Uint8Array(5), ['hw-engine'], 3);
  assert.is(codeOf(await backend.upload('engine.bin', other.ciphertext)), '409 image-exists');
  assert.equal(backend.blobFiles(), [sha256]);
  assert.is(codeOf(await backend.upload('engine.bin', ciphertext)), '200');
});

test.run();
