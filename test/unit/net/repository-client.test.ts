/** The two repositories as the Primary reaches them: paths, bounds, resumed downloads. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { maxHttpRangeBytes } from '../../../agent/limits.ts';
import { hashAlgorithms } from '../../../agent/metadata/common.ts';
import {
  manifestAnswer,
  refusalAnswer,
  updateAnswer,
} from '../../../agent/metadata/device-messages.ts';
import type { Target } from '../../../agent/metadata/targets.ts';
import { timeRequest } from '../../../agent/metadata/time.ts';
import type { HttpHandle } from '../../../agent/net/http.ts';
import { RepositoryClient } from '../../../agent/net/repository-client.ts';
import { createNodeClock } from '../../../hal/node/clock.ts';
import { createNodeRandom } from '../../../hal/node/random.ts';
import { type Answer, newClient, startPeer } from './peer.ts';

const test = suite('repository client');

interface Fixture {
  readonly client: RepositoryClient;
  /** Request lines and bodies of both repositories, in order. */
  lines(): string[];
  readonly directorBodies: readonly Buffer[];
}

/** Runs `use` with a client of two repositories that answer so. */
async function withRepositories(
  answers: { director?: Answer; images?: Answer },
  use: (fixture: Fixture) => Promise<void>,
): Promise<void> {
  const absent: Answer = (socket) => socket.end('HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n');
  const director = await startPeer(answers.director ?? absent);
  const images = await startPeer(answers.images ?? absent);
  const firstLine = (head: string) => head.slice(0, head.indexOf(' HTTP/'));
  const client = new RepositoryClient({
    http: newClient(),
    clock: createNodeClock(),
    random: createNodeRandom(),
    vehicleId: 'vehicle:1',
    director: { host: '127.0.0.1', port: director.port },
    images: { host: '127.0.0.1', port: images.port },
  });
  const lines = () => [
    ...director.heads.map((head) => `director ${firstLine(head)}`),
    ...images.heads.map((head) => `images ${firstLine(head)}`),
  ];
  try {
    await use({ client, lines, directorBodies: director.bodies });
  } finally {
    await director.close();
    await images.close();
  }
}

/** The result that one call hands over. */
function result<T>(call: (onDone: (value: T) => void) => HttpHandle): Promise<T> {
  return new Promise((resolve) => call(resolve));
}

function refusalOf(value: unknown): Refusal {
  assert.ok(isRefusal(value), 'expected a refusal');
  return value as Refusal;
}

function answerWith(body: Uint8Array, status = 200): Answer {
  return (socket) => {
    socket.write(`HTTP/1.1 ${status} x\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.end(body);
  };
}

test('FNM-01: metadata is fetched by name from the repository that the request names', async () => {
  const director = answerWith(Buffer.alloc(40_000, 'd'));
  await withRepositories({ director, images: answerWith(Buffer.from('i')) }, async (fixture) => {
    const { client } = fixture;
    const ofDirector = { repository: 'director', name: '2.root.cbor', maxBytes: 40_000 } as const;
    const bytes = await result<unknown>((onDone) => client.fetchMetadata(ofDirector, onDone));
    assert.equal(bytes, new Uint8Array(40_000).fill(100));
    const ofImages = { repository: 'images', name: 'timestamp.cbor', maxBytes: 40_000 } as const;
    await result<unknown>((onDone) => client.fetchMetadata(ofImages, onDone));
    assert.equal(fixture.lines(), [
      'director GET /metadata/vehicle:1/2.root.cbor',
      'images GET /metadata/timestamp.cbor',
    ]);
  });
});

test('metadata that is not there is undefined, another refusal stays one', async () => {
  const file = { repository: 'images', name: '2.root.cbor', maxBytes: 10 } as const;
  await withRepositories({}, async ({ client }) => {
    const absent = await result<unknown>((onDone) => client.fetchMetadata(file, onDone));
    assert.is(absent, undefined);
  });
  const body = encode(refusalAnswer, { code: 'internal-error', row: 'VER-02', detail: 'disk' });
  await withRepositories({ images: answerWith(body, 500) }, async ({ client }) => {
    const refusal = refusalOf(
      await result<unknown>((onDone) => client.fetchMetadata(file, onDone)),
    );
    assert.is(refusal.refused, 'http-status');
    assert.match(refusal.detail, 'internal-error: disk');
  });
});

for (const [name, row] of [
  ['2.root.cbor', 'CRT-02'],
  ['timestamp.cbor', 'CTS-01'],
  ['3.snapshot.cbor', 'CSN-01'],
  ['3.targets.cbor', 'CTG-01'],
  ['1.brakes.cbor', 'CTG-01'],
] as const) {
  test(`${row}: ${name} of more than its bound is refused`, async () => {
    await withRepositories({ images: answerWith(Buffer.alloc(11)) }, async ({ client }) => {
      const file = { repository: 'images', name, maxBytes: 10 } as const;
      const refusal = refusalOf(
        await result<unknown>((onDone) => client.fetchMetadata(file, onDone)),
      );
      assert.is(refusal.refused, 'net-endless');
      assert.is(refusal.row, row);
    });
  });
}

test('PRI-01: manifest, time, updates, registration and key objects go to the Director', async () => {
  const answers: Record<string, Uint8Array> = {
    '/manifest/vehicle:1': encode(manifestAnswer, {
      accepted: true,
      updateAvailable: true,
      timestampVersion: 3,
    }),
    '/check_updates': encode(updateAnswer, { updateAvailable: false, timestampVersion: 4 }),
    '/time': Buffer.from('time'),
    '/register': Uint8Array.of(0xa0),
    [`/keys/vehicle:1/${'0a'.repeat(32)}`]: Buffer.from('key object'),
  };
  const director: Answer = (socket, head) =>
    answerWith(answers[head.split(' ')[1]!]!)(socket, head);
  await withRepositories({ director }, async ({ client, directorBodies, lines }) => {
    const manifest = await result((done) => client.postManifest(Buffer.from('signed'), done));
    assert.equal(manifest, { accepted: true, updateAvailable: true, timestampVersion: 3 });
    assert.is(directorBodies[0]!.toString(), 'signed');
    const updates = await result((done) => client.checkUpdates(4, done));
    assert.equal(updates, { updateAvailable: false, timestampVersion: 4 });
    const nonce = new Uint8Array(16).fill(7);
    const time = await result<unknown>((done) => client.postTime([nonce], done));
    assert.equal(time, Uint8Array.from(Buffer.from('time')));
    assert.equal(decode(timeRequest, Uint8Array.from(directorBodies[2]!), 100), [nonce]);
    const registered = await result<unknown>((done) => client.register(Buffer.from('r'), done));
    assert.equal(registered, {});
    const digest = new Uint8Array(32).fill(10);
    const key = await result<unknown>((done) => client.fetchKeyObject(digest, done));
    assert.is(Buffer.from(key as Uint8Array).toString(), 'key object');
    assert.is(lines().length, 5);
  });
});

test('an answer that is not deterministic CBOR of its schema is refused', async () => {
  for (const body of ['', '{}', '\xa0', '\xbf\xff']) {
    const director = answerWith(Buffer.from(body, 'latin1'));
    await withRepositories({ director }, async ({ client }) => {
      const refusal = refusalOf(await result((done) => client.checkUpdates(0, done)));
      assert.match(refusal.refused, /^cbor-/);
    });
  }
});

const image = Buffer.alloc(2 * maxHttpRangeBytes + 5_000);
for (let i = 0; i < image.length; i++) image[i] = (i * 7 + (i >> 9)) & 0xff;
const digest = createHash('sha256').update(image).digest();
const target: Target = {
  filename: 'brakes-2.bin',
  length: image.length,
  hashes: [{ key: hashAlgorithms['SHA-256'], value: Uint8Array.from(digest) }],
  mustMatch: {
    plaintextLength: 1,
    plaintextSha256: new Uint8Array(32),
    hardwareIds: ['a'],
    releaseCounter: 2,
    kind: 1,
    encryption: 'c2sp-cobblestone-256@v1',
  },
};

/** Serves `bytes` by ranges under an entity tag. */
function serve(bytes: Buffer, etag: string): Answer {
  return (socket: Socket, head: string) => {
    const [, from, to] = /Range: bytes=(\d+)-(\d+)/.exec(head)!;
    const ifRange = /If-Range: (.*)/.exec(head)?.[1]?.trim();
    if (ifRange !== undefined && ifRange !== etag) return answerWith(bytes)(socket, head);
    const part = bytes.subarray(Number(from), Number(to) + 1);
    socket.write(`HTTP/1.1 206 x\r\nETag: ${etag}\r\nContent-Length: ${part.length}\r\n`);
    socket.write(`Content-Range: bytes ${from}-${to}/${bytes.length}\r\n\r\n`);
    return void socket.end(part);
  };
}

interface Download {
  readonly refusal: Refusal | undefined;
  readonly bytes: Buffer;
  readonly etag: string | undefined;
}

/** Downloads from `from`; `pauseAt` pauses once for a moment when that offset is reached. */
function download(
  client: RepositoryClient,
  settings: { from?: number; etag?: string; pauseAt?: number } = {},
): Promise<Download> {
  const bytes = Buffer.alloc(image.length);
  let next = settings.from ?? 0;
  let { pauseAt = Number.POSITIVE_INFINITY } = settings;
  let etag: string | undefined;
  return new Promise((resolve) => {
    const handle = client.downloadImage(
      target,
      next,
      {
        onPiece(piece, offset) {
          assert.is(offset, next, 'pieces follow each other');
          next += piece.length;
          bytes.set(piece, offset);
          if (next >= pauseAt) {
            pauseAt = Number.POSITIVE_INFINITY;
            handle.pause();
            setTimeout(() => handle.resume(), 50);
          }
        },
        onEntityTag(tag) {
          etag = tag;
        },
        onRestart() {
          next = 0;
        },
        onDone: (refusal) => resolve({ refusal, bytes: bytes.subarray(0, next), etag }),
      },
      settings.etag,
    );
  });
}

test('FNM-02: an image comes by ranges under its digest, all of one object', async () => {
  await withRepositories({ images: serve(image, '"1"') }, async ({ client, lines }) => {
    const { refusal, bytes, etag } = await download(client);
    assert.is(refusal, undefined);
    assert.ok(bytes.equals(image));
    assert.is(etag, '"1"');
    const path = `images GET /targets/${digest.toString('hex')}.brakes-2.bin`;
    assert.equal(lines(), [path, path, path]);
  });
});

test('a download goes on where it stopped', async () => {
  await withRepositories({ images: serve(image, '"1"') }, async ({ client }) => {
    const from = image.length - 7_001;
    const { refusal, bytes } = await download(client, { from, etag: '"1"' });
    assert.is(refusal, undefined);
    assert.ok(bytes.subarray(from).equals(image.subarray(from)));
  });
});

test('a download may pause within a range and at the end of one', async () => {
  for (const pauseAt of [100_000, maxHttpRangeBytes]) {
    await withRepositories({ images: serve(image, '"1"') }, async ({ client }) => {
      const { refusal, bytes } = await download(client, { pauseAt });
      assert.is(refusal, undefined);
      assert.ok(bytes.equals(image));
    });
  }
});

test('an object that changes between two ranges begins anew, and is never joined', async () => {
  let requests = 0;
  const second = Buffer.from(image).reverse();
  const images: Answer = (socket, head) => {
    requests += 1;
    serve(requests === 1 ? image : second, requests === 1 ? '"1"' : '"2"')(socket, head);
  };
  await withRepositories({ images }, async ({ client }) => {
    const { refusal, bytes, etag } = await download(client);
    assert.is(refusal, undefined);
    assert.ok(bytes.equals(second), 'whose hash the caller judges');
    assert.is(etag, '"2"');
  });
});

test('a peer that asks to be left alone is not asked (Retry-After), the other one is', async () => {
  const busy: Answer = (socket) =>
    socket.end('HTTP/1.1 503 x\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n');
  await withRepositories({ director: busy, images: serve(image, '"1"') }, async (fixture) => {
    const { client } = fixture;
    const ask = () => result<unknown>((onDone) => client.postTime([new Uint8Array(16)], onDone));
    assert.match(refusalOf(await ask()).detail, 'status 503');
    assert.match(refusalOf(await ask()).detail, 'asked not to be asked for 60 s');
    assert.equal(fixture.lines(), ['director POST /time']);
    assert.is((await download(client)).refusal, undefined);
  });
});

test('INS-09: an object of another length than listed is refused before its bytes', async () => {
  for (const length of [image.length - 1, image.length + 1]) {
    const other = Buffer.alloc(length);
    await withRepositories({ images: serve(other, '"1"') }, async ({ client }) => {
      const { refusal, bytes } = await download(client);
      assert.is(refusal?.refused, 'image-length');
      assert.is(bytes.length, 0);
    });
  }
});

test('INS-09: an endless image is cut', async () => {
  const images: Answer = (socket) => {
    socket.write('HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const more = () => {
      while (!socket.destroyed && socket.write(`4000\r\n${'x'.repeat(16_384)}\r\n`));
    };
    socket.on('drain', more);
    more();
  };
  await withRepositories({ images }, async ({ client }) => {
    const { refusal, bytes } = await download(client);
    assert.ok(refusal?.refused === 'net-endless' || refusal?.refused === 'image-length');
    assert.ok(bytes.length <= maxHttpRangeBytes);
  });
});

test.run();
