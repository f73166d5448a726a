/** The Primary's side of mutual TLS: enrolment, renewal, resumption, and a start without a clock. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal, refuse } from '../../../agent/codes.ts';
import { storedKeyPair } from '../../../agent/metadata/configuration.ts';
import type { DeviceCertificate } from '../../../agent/metadata/device-messages.ts';
import { DeviceTls } from '../../../agent/net/device-tls.ts';
import type { HttpRefusal } from '../../../agent/net/http.ts';
import { Attendance } from '../../../agent/primary/attendance.ts';
import { enrol, renewWhenDue } from '../../../agent/primary/enrolment.ts';
import type { PrimaryContext } from '../../../agent/primary/primary-context.ts';
import type { Repositories } from '../../../agent/primary/repositories.ts';
import { loadTime } from '../../../agent/primary/time-round.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import type { TlsStatus } from '../../../hal/types.ts';
import { MemoryKeyValue, now, PowerCut } from '../../simulator/repository-simulator.ts';
import { VehicleRig } from './vehicle-rig.ts';

const test = suite('TLS of the Primary');
const day = 86_400;
const anchor = Uint8Array.of(1);
const endpoint = { host: '192.0.2.1', port: 1, serverName: 'ota.internal' };
const pair = generateKeyPair('ESP256');

/** What stands for X.509 here: nothing on the device parses it. */
function certificateOf(
  key: Uint8Array = pair.key.bytes,
  bounds = { notBefore: now - day, notAfter: now + 89 * day },
): DeviceCertificate {
  return { chain: [Uint8Array.from([0x30, ...key, 7]), anchor], ...bounds };
}

function provisioned(): MemoryKeyValue {
  const keyValue = new MemoryKeyValue();
  keyValue.write('device-key', encode(storedKeyPair, pair));
  return keyValue;
}

/** Opens the store at a time; 0: nothing is attested, `least` is known. */
function openTls(keyValue: MemoryKeyValue, attested = now, least = attested): DeviceTls {
  const time = { now: () => attested, lowerBound: () => least };
  const tls = DeviceTls.open(keyValue, time, { tls: { trustAnchors: [anchor] } });
  assert.ok(tls !== undefined && !isRefusal(tls));
  return tls;
}

function statusOf(bounds: Partial<TlsStatus> = {}): TlsStatus {
  const session = Uint8Array.of(9);
  return { resumed: false, notBefore: now - day, notAfter: now + day, session, ...bounds };
}

test('a vehicle without TLS in its configuration speaks plain HTTP; one with it needs its key', () => {
  const time = { now: () => 0, lowerBound: () => 0 };
  assert.is(DeviceTls.open(new MemoryKeyValue(), time, {}), undefined);
  const refused = DeviceTls.open(new MemoryKeyValue(), time, { tls: { trustAnchors: [anchor] } });
  assert.ok(isRefusal(refused));
  assert.is(refused.refused, 'configuration-invalid');
});

test('an enrolled device shows its certificate, also after a restart', () => {
  const keyValue = provisioned();
  const tls = openTls(keyValue);
  assert.is(tls.enrolled, false);
  assert.is(tls.connect('director', endpoint).identity, undefined);
  assert.is(tls.accept(certificateOf()), undefined);
  for (const one of [tls, openTls(keyValue)]) {
    const options = one.connect('director', endpoint);
    assert.is(options.serverName, 'ota.internal');
    assert.equal(options.trustAnchors, [anchor]);
    assert.equal(options.identity, { chain: certificateOf().chain, privateKey: pair.secret });
    assert.is(options.identity, one.connect('images', endpoint).identity, 'one object');
  }
});

test('without a server name the host is what the certificate has to bear', () => {
  const tls = openTls(provisioned());
  assert.is(
    tls.connect('images', { host: 'images.example', port: 1 }).serverName,
    'images.example',
  );
});

test("another key's certificate is not taken, and the one at hand stays", () => {
  const keyValue = provisioned();
  const tls = openTls(keyValue);
  tls.accept(certificateOf());
  const before = keyValue.read('device-certificate');
  const refused = tls.accept(certificateOf(generateKeyPair('ESP256').key.bytes));
  assert.is(refused?.refused, 'key-malformed');
  assert.equal(keyValue.read('device-certificate'), before);
});

test('a damaged certificate in the store is none: the vehicle is not enrolled', () => {
  const keyValue = provisioned();
  keyValue.write('device-certificate', Uint8Array.of(0xa1, 1));
  assert.is(openTls(keyValue).enrolled, false);
});

test('the certificate is renewed after two thirds of its life, as far as the time is known', () => {
  const life = 90 * day;
  const due = now - day + (life * 2) / 3;
  for (const [attested, least, expected] of [
    [due - 1, due - 1, false],
    [due, due, true],
    [0, due, true],
    [0, 0, false],
  ] as const) {
    const tls = openTls(provisioned(), attested, least);
    assert.is(tls.renewalDue, false, 'without a certificate');
    tls.accept(certificateOf());
    assert.is(tls.renewalDue, expected, `${attested} ${least}`);
  }
});

test('a session is resumed at its own server, until the bounds of the server say no', () => {
  for (const [seconds, notAfter, expected] of [
    [now, now, true],
    [now + 1, now, false],
  ] as const) {
    const tls = openTls(provisioned(), seconds);
    assert.is(tls.connect('director', endpoint).resume, undefined);
    const status = statusOf({ notAfter });
    tls.connected('director', status);
    assert.is(tls.connect('director', endpoint).resume, expected ? status : undefined);
    assert.is(tls.connect('images', endpoint).resume, undefined);
  }
  const tls = openTls(provisioned());
  tls.connected('director', statusOf({ session: undefined }));
  assert.is(tls.connect('director', endpoint).resume, undefined);
  tls.connected('director', statusOf());
  tls.accept(certificateOf());
  assert.is(tls.connect('director', endpoint).resume, undefined, 'a new certificate is shown');
});

test('HRD-03: a clock at 1970 judges by the lower bound, and says that it is one', () => {
  const tls = openTls(provisioned(), 0, 0);
  assert.equal(tls.connect('director', endpoint).time, { seconds: 0, attested: false });
  const later = openTls(provisioned(), 0, now);
  assert.equal(later.connect('director', endpoint).time, { seconds: now, attested: false });
  const attested = openTls(provisioned(), now, now);
  assert.equal(attested.connect('director', endpoint).time, { seconds: now, attested: true });
});

/** A vehicle of which only the Primary's time matters, with TLS beside. */
function clockless(repositories: Partial<Pick<Repositories, keyof Repositories>> = {}) {
  const rig = new VehicleRig();
  const context = rig.context();
  const { hal, time } = context.state;
  hal.keyValue.write('device-key', encode(storedKeyPair, pair));
  const tls = DeviceTls.open(hal.keyValue, time, { tls: { trustAnchors: [anchor] } });
  assert.ok(tls !== undefined && !isRefusal(tls));
  const primary: PrimaryContext = {
    ...context,
    tls,
    secondaries: [],
    repositories: Object.assign(context.repositories, repositories),
  };
  return { rig, primary, tls, attendance: new Attendance([], () => undefined) };
}

for (const [name, bounds, code] of [
  ['expired', { notAfter: now - 1 }, 'tls-certificate-expired'],
  ['is not yet valid', { notBefore: now + 1 }, 'tls-not-yet-valid'],
  ['is of this time', {}, undefined],
] as const) {
  test(`HRD-03: the server that told the time ${name}: judged again, ${code ?? 'kept'}`, async () => {
    const { primary, tls, attendance } = clockless();
    assert.is(primary.state.time.now(), 0);
    tls.connected('director', statusOf(bounds));
    const result = await loadTime(primary, attendance);
    assert.is(isRefusal(result) ? result.refused : undefined, code);
    // The attestation has a signature of its own; the connection is what is bad.
    assert.is(primary.state.time.now(), now);
    const { resume } = tls.connect('director', endpoint);
    assert.is(resume === undefined, code !== undefined);
  });
}

test('a device that cannot know that its certificate expired renews it when it is told', async () => {
  const asked: string[] = [];
  const { primary, tls, attendance } = clockless();
  tls.accept(certificateOf(pair.key.bytes, { notBefore: 1, notAfter: 2 * now }));
  const postTime = primary.repositories.postTime.bind(primary.repositories);
  Object.assign(primary.repositories, {
    postTime: async (nonces: readonly Uint8Array[]) => {
      asked.push('time');
      const expired: HttpRefusal = {
        ...refuse('http-status'),
        status: 403,
        answeredCode: 'certificate-expired',
      };
      return asked.length === 1 ? expired : postTime(nonces);
    },
    renew: async () => {
      asked.push('renew');
      return certificateOf();
    },
  });
  assert.not(isRefusal(await loadTime(primary, attendance)));
  assert.equal(asked, ['time', 'renew', 'time']);
  asked.length = 0;
  Object.assign(primary.repositories, {
    renew: async () => {
      asked.push('renew');
      return { ...refuse('http-status'), answeredCode: 'certificate-revoked' };
    },
  });
  const refused = await loadTime(primary, attendance);
  assert.ok(isRefusal(refused));
  assert.equal(asked, ['time', 'renew'], 'once, and no more');
});

test('a renewal that fails leaves the certificate; one whose time has not come is not asked for', async () => {
  let asked = 0;
  const { primary, tls, attendance } = clockless({
    renew: async () => {
      asked += 1;
      return refuse('net-unreachable');
    },
  });
  await renewWhenDue(primary);
  assert.is(asked, 0);
  tls.accept(certificateOf(pair.key.bytes, { notBefore: 0, notAfter: now + 1 }));
  await renewWhenDue(primary);
  assert.is(asked, 0, 'nothing is known of the time');
  await loadTime(primary, attendance);
  await renewWhenDue(primary);
  assert.is(asked, 1);
  assert.is(tls.enrolled, true);
});

/** The store of a vehicle that has its request, and a Director that counts. */
function enrolling(answer: Awaited<ReturnType<Repositories['register']>>) {
  const keyValue = provisioned();
  keyValue.write('registration', Uint8Array.of(5));
  const lines: string[] = [];
  let asked = 0;
  const run = (tls: DeviceTls | undefined) =>
    enrol({
      tls,
      repositories: {
        register: async () => {
          asked += 1;
          return answer;
        },
      },
      state: { hal: { keyValue, board: { log: (line) => lines.push(line) } } },
    });
  return { keyValue, lines, run, asked: () => asked };
}

test('enrolment keeps the certificate, and then forgets the token', async () => {
  const vehicle = enrolling({ certificate: certificateOf() });
  const tls = openTls(vehicle.keyValue);
  assert.is(await vehicle.run(tls), undefined);
  assert.is(tls.enrolled, true);
  assert.is(vehicle.keyValue.read('registration'), undefined);
  assert.is(await vehicle.run(tls), undefined);
  assert.is(vehicle.asked(), 1);
});

test('enrolment that is cut off at any change of the store ends in the same state', async () => {
  let cuts = 0;
  for (let after = 0; ; after++) {
    const vehicle = enrolling({ certificate: certificateOf() });
    vehicle.keyValue.failAfter = vehicle.keyValue.changes + after;
    try {
      await vehicle.run(openTls(vehicle.keyValue));
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      cuts += 1;
    }
    vehicle.keyValue.failAfter = Number.POSITIVE_INFINITY;
    const tls = openTls(vehicle.keyValue);
    assert.is(await vehicle.run(tls), undefined);
    assert.is(tls.enrolled, true);
    assert.is(vehicle.keyValue.read('registration'), undefined);
    if (after === cuts) break;
  }
  assert.is(cuts, 2);
});

test('a refused enrolment keeps its request, and says why', async () => {
  for (const [answer, code] of [
    [refuse('http-status', 'status 403 enrolment-token-invalid'), 'http-status'],
    [{ certificate: certificateOf(generateKeyPair('ESP256').key.bytes) }, 'key-malformed'],
  ] as const) {
    const vehicle = enrolling(answer);
    const refused = await vehicle.run(openTls(vehicle.keyValue));
    assert.is(refused?.refused, code);
    assert.ok(vehicle.keyValue.read('registration'));
    assert.match(vehicle.lines[0]!, `not-registered code=${code}`);
  }
});

test.run();
