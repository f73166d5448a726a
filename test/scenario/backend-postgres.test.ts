/**
 * Two backend processes over one PostgreSQL and mutual TLS: what one has taken counts at the other, at
 * the same instant too; and the database may go away under load and come back.
 */
import { connect } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refreshAnswer } from '../../backend/http/messages.ts';
import { generateKeyPair } from '../../hal/node/signing.ts';
import { PostgresServer, postgresPrograms } from '../contract/postgres-server.ts';
import { EnrolledVehicle } from '../kill/enrolled-vehicle.ts';
import { ProcessBackend } from '../kill/process-backend.ts';
import {
  type Answer,
  call,
  codeOf,
  expectValue,
  makeImage,
  operatorToken,
  refusalOf,
  TestVehicle,
} from './backend-fixture.ts';
import { callByTls, clientOptions, type Device, registrationBody } from './tls-device.ts';

const test = suite('two processes over PostgreSQL');
let server: PostgresServer;
let backend: ProcessBackend;
let url: string;

const sorted = (answers: readonly Answer[]) => answers.map(codeOf).sort();
/** The same request to both processes at once. */
const toBoth = (send: (ports: ProcessBackend['ports']) => Promise<Answer>) =>
  Promise.all(backend.portsOfAll.map(send));

async function enrolled(vehicleId: string): Promise<EnrolledVehicle> {
  const vehicle = new EnrolledVehicle(backend, vehicleId);
  await vehicle.enrol();
  return vehicle;
}

test('a manifest that one process has taken is a replay at the other (HRD-17)', async () => {
  const vehicle = await enrolled('replay');
  for (let counter = 1; counter <= 4; counter++) {
    const body = vehicle.vehicle.manifest({ counter, time: backend.now });
    const codes: string[] = [];
    for (let i = 0; i < 3; i++) codes.push(codeOf(await vehicle.sendTo(i + counter, body)));
    assert.equal(codes, ['200', '409 report-replayed', '409 report-replayed'], `${counter}`);
  }
});

test('a manifest that both get at the same instant is taken once (HRD-17)', async () => {
  const vehicle = await enrolled('at-once');
  for (let counter = 1; counter <= 10; counter++) {
    const body = vehicle.vehicle.manifest({ counter, time: backend.now });
    const answers = await Promise.all([0, 1].map((i) => vehicle.sendTo(i, body)));
    assert.equal(sorted(answers), ['200', '409 report-replayed'], `${counter}`);
  }
});

test('one token enrols one vehicle, asked at both at once (INV-01)', async () => {
  const token = await backend.token();
  const bodies = ['first', 'second'].map((vehicleId) =>
    registrationBody(new TestVehicle(vehicleId), token, generateKeyPair('ESP256')),
  );
  const answers = await Promise.all(
    backend.portsOfAll.map(({ director }, i) =>
      callByTls(backend.root, director, '/register', { method: 'POST', body: bodies[i]! }),
    ),
  );
  assert.equal(sorted(answers), ['201', '403 enrolment-token-invalid']);
});

test('no version of a Timestamp is issued twice (DIR-15)', async () => {
  await enrolled('versions');
  const path = '/vehicles/versions/refresh';
  const versions: number[] = [];
  for (let i = 0; i < 5; i++) {
    const answers = await toBoth(({ operator }) => asOperator(operator, path));
    for (const answer of answers) {
      versions.push(expectValue(refreshAnswer, answer).timestampVersion);
    }
  }
  assert.is(new Set(versions).size, 10, versions.join(', '));
});

test('of two publications of one version at once, one is taken (MET-07)', async () => {
  for (const version of [1, 2, 3]) {
    const images = ['a', 'b'].map((name) =>
      makeImage(`${name}-${version}.bin`, new Uint8Array([version]), ['hw-brakes']),
    );
    for (const { target, ciphertext } of images) {
      assert.is(codeOf(await backend.upload(target.filename, ciphertext)), '200');
    }
    const files = images.map(({ target }) => backend.signTargets(version, { targets: [target] }));
    const answers = await Promise.all(
      backend.portsOfAll.map(({ operator }, i) =>
        asOperator(operator, `/images/metadata/${version}.targets.cbor`, 'PUT', files[i]!),
      ),
    );
    assert.equal(sorted(answers), ['200', '409 metadata-not-next'], `${version}`);
  }
});

test('a TLS session that one process began is resumed by the other, by its id', async () => {
  const vehicle = await enrolled('session');
  const begun = await visit(backend.portsOfAll[0]!.director, vehicle.identity);
  assert.is(begun.reused, false);
  const resumed = await visit(backend.portsOfAll[1]!.director, vehicle.identity, begun.session);
  assert.is(resumed.reused, true);
  const rows = await server.query(url, 'SELECT sealed FROM tls_sessions');
  assert.ok(rows.length > 0);
  const certificate = Buffer.from(vehicle.identity.chain[0]!);
  for (const { sealed } of rows) {
    assert.is((sealed as Buffer).includes(certificate), false, 'it is sealed');
  }
});

test('a database that is stopped and started under load costs answers 503 and nothing else', async () => {
  const vehicles = await Promise.all([1, 2, 3, 4].map((i) => enrolled(`load-${i}`)));
  const statuses: Record<string, number> = {};
  let acknowledged = 0;
  let wanted = 0;
  let enough: () => void = () => undefined;
  let running = true;
  const acknowledgements = (count: number) =>
    new Promise<void>((resolve) => {
      wanted = acknowledged + count;
      enough = resolve;
    });
  const refused = () => statuses['503 database-unavailable'] ?? 0;
  const work = async (vehicle: EnrolledVehicle) => {
    for (let counter = 1; running; counter++) {
      const body = vehicle.vehicle.manifest({ counter, time: backend.now });
      const answer = await vehicle.sendTo(counter, body);
      const code = codeOf(answer);
      statuses[code] = (statuses[code] ?? 0) + 1;
      if (code === '200') {
        vehicle.acknowledged = body;
        acknowledged += 1;
        if (acknowledged >= wanted) enough();
      } else {
        assert.is(answer.status, 503, JSON.stringify(refusalOf(answer)));
        assert.ok(Number(answer.headers['retry-after']) >= 1);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  const working = Promise.all(vehicles.map(work));
  await acknowledgements(20);
  for (const signal of ['SIGINT', 'SIGKILL', 'SIGINT'] as const) {
    const before = refused();
    await server.end(signal);
    while (refused() < before + 8) await new Promise((resolve) => setTimeout(resolve, 20));
    const ready = await call(backend.portsOfAll[0]!.operator, '/readyz');
    assert.is(codeOf(ready), '503 database-unavailable');
    await server.begin();
    await acknowledgements(20);
  }
  running = false;
  await working;
  for (const vehicle of vehicles) {
    for (const i of [0, 1]) {
      const code = codeOf(await vehicle.sendTo(i, vehicle.acknowledged!));
      assert.is(code, '409 report-replayed', 'what was acknowledged is there');
    }
    vehicle.leave();
  }
  assert.equal(Object.keys(statuses).sort(), ['200', '503 database-unavailable']);
});

function asOperator(port: number, path: string, method = 'POST', body?: Uint8Array) {
  const headers = { authorization: `Bearer ${operatorToken}` };
  return call(port, path, { method, headers, body: body ?? new Uint8Array([0xa0]) });
}

/** One connection by TLS 1.2 without tickets, and its session. */
function visit(port: number, device: Device, session?: Buffer) {
  return new Promise<{ readonly session: Buffer; readonly reused: boolean }>((resolve, reject) => {
    const socket = connect({
      ...clientOptions(backend.root, device),
      ...{ host: '127.0.0.1', port, maxVersion: 'TLSv1.2' },
      secureOptions: 0x4000, // SSL_OP_NO_TICKET
      ...(session && { session }),
    });
    let seen: { readonly session: Buffer; readonly reused: boolean };
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      seen = { session: socket.getSession()!, reused: socket.isSessionReused() };
      socket.end('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    });
    socket.on('data', () => undefined);
    socket.on('close', () => resolve(seen));
  });
}

const programs = postgresPrograms();
if ('missing' in programs) console.log(`skipped: 7 ${programs.missing}`);
else {
  test.before(async () => {
    server = await PostgresServer.start(programs.folder);
    url = await server.newDatabase();
    backend = ProcessBackend.create({ DATABASE_URL: url });
    // At once, as a supervisor would: one of them brings the database to its form.
    await Promise.all([backend.start(), backend.startBeside()]);
  });
  test.after(async () => {
    await backend.remove();
    await server.close();
  });
  test.run();
}
