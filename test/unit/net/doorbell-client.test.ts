/** The client of the broker: what it says, what it bears, and how it comes back. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  connectTimeoutMilliseconds,
  maxDoorbellRetryMilliseconds,
  maxMqttPacketsPerKeepAlive,
  mqttKeepAliveSeconds,
} from '../../../agent/limits.ts';
import { Rig, topic } from './broker-on-paper.ts';

const test = suite('doorbell client');
const keepAlive = mqttKeepAliveSeconds * 1_000;

test('it connects, subscribes, hears what is rung and acknowledges it', () => {
  const rig = new Rig();
  rig.last.accept();
  rig.last.ring(7);
  assert.equal(rig.changes, ['on']);
  assert.equal(rig.rung, [7]);
  assert.equal(rig.last.sent, ['connect', 'subscribe 1', 'pingreq', 'puback 77']);
});

test('bytes in any pieces are the same packets, also through a socket that takes one byte', () => {
  const rig = new Rig();
  const { last } = rig;
  last.room = 1;
  last.options.onConnect();
  for (const bytes of ['20', '0200', '0090', '0300', '01', '01']) {
    last.bytes(Buffer.from(bytes, 'hex'));
  }
  last.ring(300);
  assert.equal(rig.rung, [300]);
  assert.equal(last.sent, ['connect', 'subscribe 1', 'pingreq', 'puback 77']);
});

test('what the socket does not take waits until it does', () => {
  const rig = new Rig();
  const { last } = rig;
  last.room = 0;
  last.options.onConnect();
  assert.equal(last.sent, []);
  last.room = 5;
  last.options.onWritable?.();
  assert.equal(last.sent, ['connect']);
});

test('a message before the answer to its subscription counts (§3.8.4)', () => {
  const rig = new Rig();
  rig.last.options.onConnect();
  rig.last.packet({ cmd: 'connack', returnCode: 0, sessionPresent: false });
  rig.last.ring(3);
  assert.equal(rig.rung, [3]);
});

test('a payload that is no doorbell rings nothing and costs nothing', () => {
  const rig = new Rig();
  rig.last.accept();
  for (const payload of ['', 'a10100ff', 'a1', 'ff', `a1${'00'.repeat(70)}`]) {
    const message = { cmd: 'publish', topic, dup: false, retain: false, qos: 0 } as const;
    rig.last.packet({ ...message, payload: Buffer.from(payload, 'hex') });
  }
  assert.equal(rig.rung, []);
  assert.equal(rig.changes, ['on']);
});

test('a foreign topic, a packet out of place or a broken one ends the connection', () => {
  const cases: readonly (readonly [code: string, (rig: Rig) => void])[] = [
    ['mqtt-malformed', ({ last }) => last.ring(1, 'ota/vehicle:car-2')],
    ['mqtt-malformed', ({ last }) => last.bytes(Buffer.from('ff00', 'hex'))],
    [
      'mqtt-malformed',
      ({ last }) => last.packet({ cmd: 'connack', returnCode: 0, sessionPresent: false }),
    ],
    ['mqtt-malformed', ({ last }) => last.packet({ cmd: 'suback', messageId: 1, granted: [0] })],
    ['net-endless', ({ last }) => last.bytes(Buffer.from('30ff7f', 'hex'))],
  ];
  for (const [code, act] of cases) {
    const rig = new Rig();
    rig.last.accept();
    act(rig);
    assert.equal(rig.changes, ['on', code]);
    assert.ok(rig.last.closed);
    assert.equal(rig.rung, []);
  }
});

test('a broker that says no is left alone for a while', () => {
  for (const answers of [[5], [0, 128]] as const) {
    const rig = new Rig();
    const [returnCode, granted] = answers;
    rig.last.options.onConnect();
    rig.last.packet({ cmd: 'connack', returnCode, sessionPresent: false });
    if (granted !== undefined) rig.last.packet({ cmd: 'suback', messageId: 1, granted: [granted] });
    assert.equal(rig.changes, ['mqtt-refused']);
    assert.is(rig.last.sent.at(-1), granted === undefined ? 'connect' : 'disconnect');
    assert.is(rig.connections.length, 1);
    rig.clock.advanceTo(500);
    assert.is(rig.connections.length, 2);
  }
});

test('HRD-13: as many packets as a keep-alive time allows, and one more is a flood', () => {
  const rig = new Rig();
  rig.last.accept();
  // Each time begins anew; the answer to the ping is the first packet of each.
  for (let time = 0; time < 2; time++) {
    rig.last.packet({ cmd: 'pingresp' });
    for (let i = 1; i < maxMqttPacketsPerKeepAlive; i++) rig.last.ring(i);
    rig.clock.advanceTo(rig.clock.now + keepAlive);
  }
  assert.equal(rig.changes, ['on']);
  for (let i = 0; i <= maxMqttPacketsPerKeepAlive; i++) rig.last.ring(i);
  assert.equal(rig.changes, ['on', 'net-endless']);
  assert.is(rig.rung.length, 3 * maxMqttPacketsPerKeepAlive - 2);
});

test('a silent broker is left after two keep-alive times at most, one that answers is not', () => {
  const rig = new Rig();
  rig.last.accept();
  for (let i = 1; i <= 3; i++) {
    rig.last.packet({ cmd: 'pingresp' });
    rig.clock.advanceTo(i * keepAlive);
  }
  assert.is(rig.last.sent.filter((name) => name === 'pingreq').length, 4);
  assert.equal(rig.changes, ['on']);
  rig.clock.advanceTo(4 * keepAlive);
  assert.equal(rig.changes, ['on', 'net-closed']);
});

test('one that does not answer at all is given up after the time to connect', () => {
  const rig = new Rig();
  rig.clock.advanceTo(connectTimeoutMilliseconds - 1);
  assert.equal(rig.changes, []);
  rig.clock.advanceTo(connectTimeoutMilliseconds);
  assert.equal(rig.changes, ['net-too-slow']);
  assert.ok(rig.last.closed);
});

test('waits double up to their bound, and are short again once a connection has lasted', () => {
  const rig = new Rig();
  const waits: number[] = [];
  const lose = () => {
    const { now } = rig.clock;
    const { length } = rig.connections;
    rig.last.options.onEnd();
    while (rig.connections.length === length) rig.clock.step();
    waits.push(rig.clock.now - now);
  };
  for (let i = 0; i < 12; i++) {
    // Being accepted is not enough: a broker that falls over at once must not be asked all the time.
    rig.last.accept();
    lose();
  }
  assert.equal(waits.slice(0, 4), [500, 1_000, 2_000, 4_000]);
  assert.equal(waits.slice(-2), [maxDoorbellRetryMilliseconds, maxDoorbellRetryMilliseconds]);
  rig.last.accept();
  rig.last.packet({ cmd: 'pingresp' });
  rig.clock.advanceTo(rig.clock.now + keepAlive);
  lose();
  assert.is(waits.at(-1), 500);
});

test('an error of the connection keeps its code', () => {
  for (const [refused, code] of [
    ['tls-refused', 'tls-refused'],
    [undefined, 'net-unreachable'],
  ] as const) {
    const rig = new Rig();
    rig.last.options.onError(Object.assign(new Error('x'), refused && { refused }));
    assert.equal(rig.changes, [code]);
  }
});

test('it takes leave when it is closed, and does not come back', () => {
  const rig = new Rig();
  rig.last.accept();
  rig.client.close();
  assert.is(rig.last.sent.at(-1), 'disconnect');
  assert.ok(rig.last.closed);
  assert.is(rig.clock.waiting, 0);
});

test.run();
