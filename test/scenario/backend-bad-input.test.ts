/** Bad input on every route: refused by a code of the catalogue, never a failure, nothing written. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import { isCode } from '../../agent/codes.ts';
import { maxSmallBodyBytes } from '../../agent/limits.ts';
import { serviceDescription, updateQuery } from '../../agent/metadata/device-messages.ts';
import { timeRequest } from '../../agent/metadata/time.ts';
import {
  assignmentRequest,
  contentKeyRequest,
  enrolmentTokenRequest,
} from '../../backend/http/messages.ts';
import {
  type Answer,
  type Call,
  codeOf,
  expectValue,
  makeImage,
  operatorToken,
  refusalOf,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('bad input');
let backend: TestBackend;
let vehicle: TestVehicle;

test.before(async () => {
  backend = await TestBackend.start();
  vehicle = new TestVehicle('vehicle-1');
  await backend.register(vehicle);
  await backend.release(1, [makeImage('brakes-2.bin', new Uint8Array(9), ['hw-brakes'])]);
});
test.after(() => backend.stop());

/** A digest of every table but the Director's log, and of the names of all stored images. */
function stateOf(): string {
  const path = join(backend.folder, 'state', 'director.sqlite');
  const database = new DatabaseSync(path, { readOnly: true });
  const tables = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .all()
    .map((row) => String(row['name']))
    .filter((name) => name !== 'director_log');
  const rows = tables.map((name) => database.prepare(`SELECT * FROM ${name}`).all());
  database.close();
  assert.ok(tables.length >= 12);
  return createHash('sha256')
    .update(JSON.stringify([rows, backend.blobFiles()]))
    .digest('hex');
}

/** A plain linear congruential generator: failures have to be repeatable. */
function randomBytes(count: number, seed: number): Uint8Array {
  let state = seed;
  return new Uint8Array(count).map(() => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(state / 65_536) % 256;
  });
}

/** The smallest array head of a map or array, in a longer form than the shortest. */
function withLongHead(body: Uint8Array): Uint8Array {
  const major = Math.floor(body[0]! / 32) * 32;
  return Uint8Array.from([major + 24, body[0]! % 32, ...body.subarray(1)]);
}

function badBodies(good: Uint8Array): readonly (readonly [string, Uint8Array])[] {
  const cuts = [1, 2, Math.floor(good.length / 2), good.length - 1];
  return [
    ['empty', new Uint8Array(0)],
    ...cuts.map((cut) => [`cut at ${cut}`, good.subarray(0, cut)] as const),
    ['with a byte too many', Uint8Array.from([...good, 0])],
    ['with a head not in its shortest form', withLongHead(good)],
    ['of indefinite length', Uint8Array.from([Math.floor(good[0]! / 32) * 32 + 31, 0xff])],
    ['null', Uint8Array.of(0xf6)],
    ['a float', Uint8Array.of(0xfb, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['a tag', Uint8Array.from([0xd2, ...good])],
    ['text', Uint8Array.of(0x61, 0x61)],
    ['a map with a repeated key', Uint8Array.of(0xa2, 1, 0x61, 0x61, 1, 0x61, 0x61)],
    ['a map with keys out of order', Uint8Array.of(0xa2, 2, 0, 1, 0)],
    ['a map with an unknown key', Uint8Array.of(0xa1, 0x18, 99, 0)],
    ['an array of 2^53 items', Uint8Array.of(0x9b, 0, 0x20, 0, 0, 0, 0, 0, 0)],
    ['a byte string of 4 GiB', Uint8Array.of(0x5b, 0, 0, 0, 1, 0, 0, 0, 0)],
    ['nested deeply', new Uint8Array(200).fill(0x81)],
    ['JSON', new TextEncoder().encode('{"vehicleId":"vehicle-1"}')],
    ...[1, 2, 3, 4, 5].map((seed) => [`random ${seed}`, randomBytes(seed * 37, seed)] as const),
  ];
}

interface BodyRoute {
  readonly plane: 'director' | 'operator';
  readonly method: string;
  readonly path: string;
  /** A body that passes the decoder. */
  readonly good: () => Uint8Array;
  readonly maxBytes: number;
}

const routes: readonly BodyRoute[] = [
  {
    plane: 'director',
    method: 'POST',
    path: '/register',
    good: () => new TestVehicle('vehicle-2').registration('token'),
    maxBytes: 2_097_152,
  },
  {
    plane: 'director',
    method: 'POST',
    path: '/manifest/vehicle-1',
    good: () => vehicle.manifest({}),
    maxBytes: 1_048_576,
  },
  {
    plane: 'director',
    method: 'POST',
    path: '/check_updates',
    good: () => encode(updateQuery, { vehicleId: 'vehicle-1', timestampVersion: 0 }),
    maxBytes: maxSmallBodyBytes,
  },
  {
    plane: 'director',
    method: 'POST',
    path: '/time',
    good: () => encode(timeRequest, [new Uint8Array(16)]),
    maxBytes: 1_024 * 17 + 16,
  },
  {
    plane: 'operator',
    method: 'PUT',
    path: '/images/metadata/2.targets.cbor',
    good: () => backend.signTargets(2, {}),
    maxBytes: 65_536,
  },
  {
    plane: 'operator',
    method: 'PUT',
    path: '/images/metadata/2.root.cbor',
    good: () => backend.signTargets(2, {}),
    maxBytes: 65_536,
  },
  {
    plane: 'operator',
    method: 'PUT',
    path: '/director/metadata/2.root.cbor',
    good: () => backend.signTargets(2, {}),
    maxBytes: 65_536,
  },
  {
    plane: 'operator',
    method: 'POST',
    path: '/content-keys',
    good: () =>
      encode(contentKeyRequest, {
        filename: 'x.bin',
        ciphertextSha256: new Uint8Array(32),
        sealed: new Uint8Array(10),
      }),
    maxBytes: 4_096 + maxSmallBodyBytes,
  },
  {
    plane: 'operator',
    method: 'POST',
    path: '/enrolment-tokens',
    good: () => encode(enrolmentTokenRequest, { vehicleId: 'vehicle-9' }),
    maxBytes: maxSmallBodyBytes,
  },
  {
    plane: 'operator',
    method: 'POST',
    path: '/assignments',
    good: () =>
      encode(assignmentRequest, {
        vehicleId: 'vehicle-1',
        assignments: [{ ecuId: 'vehicle-1-brakes', filename: 'brakes-2.bin' }],
      }),
    maxBytes: 262_144,
  },
];

const send = (route: BodyRoute, options: Call): Promise<Answer> =>
  backend[route.plane](route.path, { method: route.method, ...options });

/** A refusal of the catalogue with a status that blames the sender. */
function expectRefusal(answer: Answer, what: string): string {
  assert.ok(answer.status >= 400 && answer.status < 500, `${what}: status ${answer.status}`);
  assert.is(answer.headers['content-type'], 'application/cbor', what);
  const { code, row } = refusalOf(answer);
  assert.ok(isCode(code), `${what}: ${code}`);
  assert.ok(row.length > 0, what);
  return code;
}

for (const route of routes) {
  const name = `${route.method} ${route.path}`;
  test(`${name} refuses broken bodies (DBP-20)`, async () => {
    const before = stateOf();
    for (const [kind, body] of badBodies(route.good())) {
      const code = expectRefusal(await send(route, { body }), `${name}, ${kind}`);
      if (body.length > 0) assert.ok(code.startsWith('cbor-'), `${name}, ${kind}: ${code}`);
    }
    assert.is(stateOf(), before, 'nothing was written');
  });

  test(`${name} refuses what is too large or of another type (HRD-13)`, async () => {
    const before = stateOf();
    const large = await send(route, { body: new Uint8Array(route.maxBytes + 1) });
    assert.is(codeOf(large), '413 body-too-large');
    // At the limit it is the decoder that refuses.
    const code = expectRefusal(await send(route, { body: new Uint8Array(route.maxBytes) }), name);
    assert.ok(code.startsWith('cbor-'), `${name}: ${code}`);
    const body = route.good();
    for (const type of ['application/json', 'text/plain', 'application/cbor-seq', 'x', '']) {
      const answer = await send(route, { body, type });
      assert.is(codeOf(answer), '415 content-type', `${name}, ${type}`);
    }
    assert.is(stateOf(), before, 'nothing was written');
  });
}

test('a chunked body is bounded too', async () => {
  for (const route of routes.slice(0, 4)) {
    const headers = { 'content-type': 'application/cbor', 'transfer-encoding': 'chunked' };
    const size = route.maxBytes + 1;
    const head = `${route.method} ${route.path} HTTP/1.1\r\nhost: x\r\n`;
    const lines = Object.entries(headers).map(([key, value]) => `${key}: ${value}\r\n`);
    const body = `${size.toString(16)}\r\n${'a'.repeat(size)}\r\n0\r\n\r\n`;
    const answer = await raw(backend.backend.ports.director, `${head}${lines.join('')}\r\n${body}`);
    assert.match(answer, /^HTTP\/1\.1 413 /);
  }
});

const badIdentifiers = [
  '..',
  'a%20b',
  'a%00b',
  'a%2fb',
  '%c3%a9',
  'x'.repeat(65),
  'a%27%20OR%201=1',
  '%zz',
];

test('identifiers in paths are checked before use (HRD-10, HRD-20)', async () => {
  const before = stateOf();
  const manifest = vehicle.manifest({});
  for (const id of badIdentifiers) {
    const answers = [
      await backend.director(`/manifest/${id}`),
      await backend.director(`/manifest/${id}`, { method: 'POST', body: manifest }),
      await backend.director(`/metadata/${id}/timestamp.cbor`),
      await backend.director(`/keys/${id}/${'0'.repeat(64)}`),
      await backend.operator(`/vehicles/${id}`),
      await backend.operator(`/vehicles/${id}/manifests`),
      await backend.operator(`/vehicles/${id}/refresh`, { method: 'POST' }),
    ];
    for (const answer of answers) expectRefusal(answer, id);
  }
  for (const id of ['', ...badIdentifiers.slice(1)]) {
    expectRefusal(await backend.operator(`/vehicles?after=${id === '' ? '%20' : id}`), id);
  }
  expectRefusal(await backend.operator('/vehicles?after=a&after=b'), 'twice');
  assert.is(stateOf(), before);
});

test('names of metadata files are checked before use (HRD-10)', async () => {
  const names = [
    'timestamp',
    '1.timestamp',
    '01.targets.cbor',
    '0.targets.cbor',
    '-1.targets.cbor',
    '1e3.targets.cbor',
    '9999999999999999.targets.cbor',
    '1..cbor',
    '1.a%2fb.cbor',
    '1.a%00.cbor',
    `1.${'r'.repeat(65)}.cbor`,
    '..%2f..%2fkeys%2fonline%2fdirector-time.key',
  ];
  for (const name of names) {
    for (const path of [`/metadata/${name}`, `/metadata/vehicle-1/${name}`]) {
      const plane = path.includes('vehicle-1') ? 'director' : 'images';
      assert.is(codeOf(await backend[plane](path)), '400 request-malformed', path);
    }
    const put = { method: 'PUT', body: Uint8Array.of(0) };
    assert.is(codeOf(await backend.publish(name, Uint8Array.of(0))), '400 request-malformed');
    assert.is(
      codeOf(await backend.operator(`/director/metadata/${name}`, put)),
      '400 request-malformed',
    );
  }
  for (const role of ['__proto__', 'constructor', 'toString', 'nothing']) {
    assert.is(codeOf(await backend.images(`/metadata/1.${role}.cbor`)), '404 metadata-absent');
    const path = `/metadata/vehicle-1/1.${role}.cbor`;
    assert.is(codeOf(await backend.director(path)), '404 metadata-absent');
  }
});

test('digests in paths are checked before use', async () => {
  for (const digest of ['', 'x', '0'.repeat(63), 'A'.repeat(64), '0'.repeat(128)]) {
    expectRefusal(await backend.director(`/keys/vehicle-1/${digest}`), digest);
  }
  const absent = await backend.director(`/keys/vehicle-1/${'0'.repeat(64)}`);
  assert.is(codeOf(absent), '404 not-found');
});

test('unknown paths and methods are refused by the catalogue', async () => {
  for (const plane of ['director', 'images', 'operator'] as const) {
    assert.is(codeOf(await backend[plane]('/nothing')), '404 not-found');
    assert.is(codeOf(await backend[plane]('//')), '404 not-found');
  }
  const wrong: readonly ['director' | 'images' | 'operator', string, string, string][] = [
    ['director', 'DELETE', '/manifest/vehicle-1', 'GET, POST'],
    ['director', 'GET', '/register', 'POST'],
    ['director', 'PUT', '/time', 'POST'],
    ['images', 'POST', '/targets/x', 'GET, HEAD'],
    ['images', 'PATCH', '/metadata/x', 'GET'],
    ['operator', 'DELETE', '/vehicles/vehicle-1', 'GET'],
    ['operator', 'GET', '/upload', 'POST'],
    ['operator', 'POST', '/images/metadata/x', 'GET, PUT'],
  ];
  for (const [plane, method, path, allowed] of wrong) {
    const answer = await backend[plane](path, { method });
    assert.is(codeOf(answer), '405 method-not-allowed', `${method} ${path}`);
    assert.is(answer.headers['allow'], allowed);
  }
});

/** Sends bytes as they are and returns what came back until the server closed the connection. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (piece) => {
      answer += piece;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(bytes, 'latin1');
  });
}

test('what is no HTTP is answered and the connection closed', async () => {
  const requests = [
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET / HTTP/1.1\r\nhost: x\r\nx: \u0000\r\n\r\n',
    'POST /register HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
    'POST /register HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    'POST /register HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
  ];
  for (const plane of ['director', 'images', 'operator'] as const) {
    for (const request of requests) {
      const answer = await raw(backend.backend.ports[plane], request);
      assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*request-malformed/, request);
    }
    const long = `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(9_000)}\r\n\r\n`;
    const answer = await raw(backend.backend.ports[plane], long);
    assert.match(answer, /^HTTP\/1\.1 431 [\s\S]*body-too-large/);
  }
});

test('every answer has a JSON view where that is preferred', async () => {
  const accept = { headers: { accept: 'application/json' } };
  const view = async (plane: 'director' | 'images' | 'operator', path: string) => {
    const answer = await backend[plane](path, accept);
    assert.match(String(answer.headers['content-type']), /^application\/json/, path);
    return JSON.parse(Buffer.from(answer.body).toString('utf8'));
  };
  assert.is((await view('director', '/')).service, 'ota-director');
  assert.is((await view('images', '/')).service, 'ota-images');
  const signed = await view('director', '/metadata/vehicle-1/timestamp.cbor');
  assert.is(signed.payload.type, 'timestamp');
  assert.is(signed.payload.vehicleId, 'vehicle-1');
  assert.is(signed.signatures[0].algorithm, 'MLDSA65-ECDSA-P256-SHA512');
  assert.is((await view('images', '/metadata/1.root.cbor')).payload.type, 'root');
  assert.is(
    (await view('images', '/metadata/1.targets.cbor')).payload.targets[0].filename,
    'brakes-2.bin',
  );
  const shown = await view('operator', '/vehicles/vehicle-1');
  assert.equal(
    shown.ecus.map((ecu: { readonly role: string }) => ecu.role),
    ['primary', 'secondary'],
  );
  assert.is(shown.ecus[0].signingKey.algorithm, 'ESP256');
  assert.equal(await view('director', '/manifest/nobody'), {
    code: 'vehicle-unknown',
    row: 'DIR-05',
    detail: 'no vehicle nobody',
  });
  assert.is((await view('images', '/nothing')).code, 'not-found');
});

test('CBOR is the answer to anything else that allows it; what allows neither is refused', async () => {
  const type = async (accept: string) => {
    const answer = await backend.director('/', { headers: { accept } });
    return `${answer.status} ${answer.headers['content-type']}`;
  };
  for (const accept of ['*/*', 'application/*', 'application/cbor', 'text/html, */*;q=0.1']) {
    assert.is(await type(accept), '200 application/cbor', accept);
  }
  const answer = await backend.director('/', { headers: { accept: 'text/html' } });
  assert.is(codeOf(answer), '406 content-type');
});

test('refusals show neither tokens nor what else was sent as a secret', async () => {
  const guess = 'a-guessed-operator-token';
  const headers = { authorization: `Bearer ${guess}` };
  const answer = await backend.operator('/status', { headers });
  const text = Buffer.from(answer.body).toString('latin1');
  assert.not.ok(text.includes(guess));
  assert.not.ok(text.includes(operatorToken));
  const enrolment = new TestVehicle('vehicle-3').registration('a-guessed-enrolment-token');
  const refused = await backend.director('/register', { method: 'POST', body: enrolment });
  assert.not.ok(Buffer.from(refused.body).toString('latin1').includes('guessed-enrolment'));
});

test('after all this the backend still works', async () => {
  assert.is(expectValue(serviceDescription, await backend.director('/')).service, 'ota-director');
  assert.is(codeOf(await backend.manifest('vehicle-1', vehicle.manifest({ counter: 2 }))), '200');
});

test.run();
