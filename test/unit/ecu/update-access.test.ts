/** Who may do what with a Secondary: sessions, proofs of the Primary's key, delays (0x10, 0x29). */
import './agent-release.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeChallengeRequest } from '../../../agent/can/uds-authentication.ts';
import { UdsServer } from '../../../agent/can/uds-server.ts';
import { UpdateServer } from '../../../agent/ecu/update-server.ts';
import {
  authenticationDelayMilliseconds,
  maxAuthenticationAttempts,
  udsSessionTimeoutMilliseconds,
} from '../../../agent/limits.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import { hex } from '../can/virtual-wire.ts';
import { EcuRig, ecuId } from './ecu-rig.ts';
import { ask, authenticate, prove, serverOf } from './uds-tester.ts';

const test = suite('Update access');
const challenge = hex(encodeChallengeRequest());
const nonce = '22fd01';
const startVerification = '3101fd11';

/** Everything that only the Primary may do. */
const guarded: readonly (readonly [string, string])[] = [
  ['restart the ECU', '1101'],
  ['check a time', '3101fd1000'],
  ['start a verification', startVerification],
  ['supply a file', '3101fd12a0'],
  ['prepare an installation', '3101fd13a0'],
  ['activate an image', '3101fd14a0'],
  ['acknowledge reports', '3101fd15a0'],
  ['request a download', '34011100100001'],
  ['transfer data', '3601aa'],
  ['end a transfer', '37'],
];

for (const [what, request] of guarded) {
  test(`in the default session nobody may ${what}: 0x7f`, () => {
    assert.is(ask(serverOf(new EcuRig()), request), `7f${request.slice(0, 2)}7f`);
  });
  test(`in the programming session nobody may ${what} without a proof: 0x34`, () => {
    const server = serverOf(new EcuRig());
    ask(server, '1002');
    assert.is(ask(server, request), `7f${request.slice(0, 2)}34`);
  });
  test(`with the Primary's proof it may ${what}`, () => {
    const rig = new EcuRig();
    const server = serverOf(rig);
    authenticate(rig, server);
    const refused = [`7f${request.slice(0, 2)}34`, `7f${request.slice(0, 2)}7f`];
    assert.not.ok(refused.includes(ask(server, request)));
  });
}

test('the status is for everybody, nonces and reports are not', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  assert.ok(ask(server, '22fd03').startsWith('62fd03'));
  assert.is(ask(server, nonce), '7f2234');
  assert.is(ask(server, '22fd02'), '7f2234');
  authenticate(rig, server);
  assert.ok(ask(server, nonce).startsWith('62fd01'));
  assert.ok(ask(server, '22fd02').startsWith('62fd02'));
});

test('there are a default and a programming session; the answer says P2 and P2*', () => {
  const server = serverOf(new EcuRig());
  assert.is(ask(server, '1002'), '500203e80bb8');
  assert.is(ask(server, '1001'), '500103e80bb8');
  assert.is(ask(server, '1003'), '7f1012');
});

test('service 0x29 needs the programming session', () => {
  assert.is(ask(serverOf(new EcuRig()), challenge), '7f297f');
});

test('0x29 08 says that challenges are answered by asymmetric cryptography', () => {
  const server = serverOf(new EcuRig());
  ask(server, '1002');
  assert.is(ask(server, '2908'), '690803');
});

test('certificates and the symmetric way are no sub-functions here: 0x12', () => {
  const server = serverOf(new EcuRig());
  ask(server, '1002');
  for (const subFunction of ['01', '02', '03', '04', '07']) {
    assert.is(ask(server, `29${subFunction}00`), '7f2912');
  }
});

test('malformed requests of 0x29 are refused and count as no attempt', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  ask(server, '1002');
  assert.is(ask(server, challenge.slice(0, -2)), '7f2913');
  assert.is(ask(server, `${challenge}00`), '7f2913');
  assert.is(ask(server, challenge.replace('06082a', '06082b')), '7f2931');
  assert.is(ask(server, `290501${challenge.slice(6)}`), '7f2931');
  for (let i = 0; i < maxAuthenticationAttempts; i++) assert.is(ask(server, '2906'), '7f2913');
  assert.ok(prove(server, { pair: rig.primaryKey }).startsWith('690612'));
});

test('a proof without a challenge before it is out of sequence: 0x24', () => {
  const server = serverOf(new EcuRig());
  ask(server, '1002');
  const algorithm = challenge.slice(6);
  const proof = `2906${algorithm}0040${'11'.repeat(64)}0020${'22'.repeat(32)}0000`;
  assert.is(ask(server, proof), '7f2924');
});

test('who passes for the Primary is told of in the next report (EVR-04)', () => {
  const rig = new EcuRig();
  const state = rig.start();
  const server = new UdsServer(new UpdateServer(state, rig.primaryKey.key));
  ask(server, '1002');
  prove(server, { pair: rig.primaryKey });
  assert.equal(state.detections.of(ecuId), []);
  prove(server, { pair: elsewhere });
  const [found] = state.detections.of(ecuId);
  assert.equal(found, { code: 'access-denied', row: 'EVR-04', attack: 'arbitrary-software' });
});

const elsewhere = generateKeyPair('ESP256');
const wrong: readonly (readonly [string, (rig: EcuRig) => Parameters<typeof prove>[1]])[] = [
  ['another key', () => ({ pair: elsewhere })],
  ["the Secondary's own key", (rig) => ({ pair: rig.signingKey })],
  ['another vehicle', (rig) => ({ pair: rig.primaryKey, claim: { vehicleId: 'vehicle-2' } })],
  ['another ECU', (rig) => ({ pair: rig.primaryKey, claim: { ecuId: 'ecu-2' } })],
  ['another session', (rig) => ({ pair: rig.primaryKey, claim: { session: 3 } })],
  [
    'an old challenge',
    (rig) => ({ pair: rig.primaryKey, claim: { serverChallenge: new Uint8Array(32) } }),
  ],
  [
    'another challenge of the client',
    (rig) => ({ pair: rig.primaryKey, claim: { clientChallenge: new Uint8Array(32) } }),
  ],
];
for (const [what, options] of wrong) {
  test(`a proof with ${what} is refused: 0x58`, () => {
    const rig = new EcuRig();
    const server = serverOf(rig);
    ask(server, '1002');
    assert.is(prove(server, options(rig)), '7f2958');
    assert.is(ask(server, nonce), '7f2234');
  });
}

test('a challenge answers one proof: the same bytes again are out of sequence', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  ask(server, '1002');
  let recorded = '';
  const listening = Object.assign(Object.create(server) as typeof server, {
    handle: (request: Uint8Array, from: Parameters<typeof server.handle>[1]) => {
      recorded = hex(request);
      return server.handle(request, from);
    },
  });
  assert.ok(prove(listening, { pair: rig.primaryKey }).startsWith('690612'));
  assert.is(ask(server, recorded), '7f2924');
  ask(server, '1002');
  ask(server, challenge);
  assert.is(ask(server, recorded), '7f2958');
});

test('after three wrong proofs a tester waits; the delay is the same after each further one', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  ask(server, '1002');
  for (let i = 1; i < maxAuthenticationAttempts; i++) {
    assert.is(prove(server, { pair: elsewhere }), '7f2958');
  }
  let now = 1_000;
  const present = () => ask(server, '3e00', now);
  for (let round = 0; round < 2; round++) {
    assert.is(prove(server, { pair: elsewhere, nowMs: now }), '7f2936');
    const end = now + authenticationDelayMilliseconds;
    for (; now < end - 2_000; now += 2_000) present();
    assert.is(prove(server, { pair: rig.primaryKey, nowMs: end - 1 }), '7f2937');
    now = end;
    present();
  }
  assert.ok(prove(server, { pair: rig.primaryKey, nowMs: now }).startsWith('690612'));
});

test('a change of session does not shorten the delay', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  ask(server, '1002');
  for (let i = 0; i < maxAuthenticationAttempts; i++) prove(server, { pair: elsewhere });
  ask(server, '1001');
  ask(server, '1002');
  assert.is(prove(server, { pair: rig.primaryKey }), '7f2937');
});

test('wrong proofs of one tester do not delay another', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  ask(server, '1002', 0, 1);
  for (let i = 0; i < maxAuthenticationAttempts; i++) {
    prove(server, { pair: elsewhere, tester: 1 });
  }
  authenticate(rig, server);
});

const endings: readonly (readonly [string, string])[] = [
  ['deAuthenticate', '2900'],
  ['the default session', '1001'],
  ['the programming session anew', '1002'],
  ['a new challenge', challenge],
];
for (const [what, request] of endings) {
  test(`${what} ends the authentication`, () => {
    const rig = new EcuRig();
    const server = serverOf(rig);
    authenticate(rig, server);
    assert.not.ok(ask(server, request).startsWith('7f'));
    ask(server, '1002');
    assert.is(ask(server, nonce), '7f2234');
  });
}

test('deAuthenticate leaves the session as it is, without rights', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  authenticate(rig, server);
  assert.is(ask(server, '2900'), '690010');
  assert.is(ask(server, startVerification), '7f3134');
});

test('S3: a session without requests ends after 5 s, not before, and with it the authentication', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  authenticate(rig, server);
  const end = udsSessionTimeoutMilliseconds;
  server.expire(end - 1);
  assert.ok(ask(server, nonce, end - 1).startsWith('62fd01'));
  server.expire(2 * end - 2);
  assert.is(server.nextDeadline(), 2 * end - 1);
  server.expire(2 * end - 1);
  assert.is(server.nextDeadline(), undefined);
  assert.is(ask(server, startVerification, 2 * end), '7f317f');
});

test('tester-present keeps a session, with and without an answer', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  authenticate(rig, server);
  assert.is(ask(server, '3e80', 4_000), 'silent');
  assert.is(ask(server, '3e00', 8_000), '7e00');
  assert.ok(ask(server, nonce, 12_000).startsWith('62fd01'));
});

test('a restart forgets session and authentication', () => {
  const rig = new EcuRig();
  authenticate(rig, serverOf(rig));
  assert.is(ask(serverOf(rig), startVerification), '7f317f');
});

test('two testers: the second is told to repeat (0x21), the first goes on', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  authenticate(rig, server);
  for (const request of ['1001', '1002', '1101', '3601aa', challenge, startVerification, nonce]) {
    assert.is(ask(server, request, 1_000, 1), `7f${request.slice(0, 2)}21`);
  }
  assert.is(ask(server, '3e00', 1_000, 1), '7e00');
  assert.ok(ask(server, '22fd03', 1_000, 1).startsWith('62fd03'), 'the status is for everybody');
  assert.is(ask(server, '22fd03fd01', 1_000, 1), '7f2221');
  assert.ok(ask(server, nonce, 4_000).startsWith('62fd01'));
});

test('two testers: the second does not keep the session of the first alive', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  authenticate(rig, server);
  ask(server, '3e00', 4_000, 1);
  assert.is(ask(server, startVerification, 5_000), '7f317f');
});

test('two testers: who has proven nothing gives way to the Primary, never the other way round', () => {
  const rig = new EcuRig();
  const server = serverOf(rig);
  ask(server, '1002', 0, 1);
  assert.ok(ask(server, '22fd03').startsWith('62fd03'));
  assert.is(ask(server, nonce), '7f2234');
  assert.is(ask(server, challenge, 0, 1), '7f297f');
  ask(server, '1002');
  assert.is(ask(server, '1002', 0, 1), '7f1021');
  assert.ok(prove(server, { pair: rig.primaryKey }).startsWith('690612'));
});

test.run();
