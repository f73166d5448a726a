/** MQTT 3.1.1 of the agent against `mqtt-packet`, which the brokers of Node are built on. */
import * as fc from 'fast-check';
import { generate, type Packet, parser } from 'mqtt-packet';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isCode, isRefusal } from '../../../agent/codes.ts';
import { maxIdentifierCharacters, maxMqttPacketBytes } from '../../../agent/limits.ts';
import { doorbellClient, doorbellTopic } from '../../../agent/metadata/doorbell.ts';
import {
  connectPacket,
  disconnectPacket,
  pingRequest,
  pubackPacket,
  readPacket,
  subscribePacket,
} from '../../../agent/net/mqtt-packets.ts';

const test = suite('MQTT packets');

/** What the other implementation makes of bytes: exactly one packet, and nothing left. */
function foreign(bytes: Uint8Array): Packet & Record<string, unknown> {
  const packets: Packet[] = [];
  const reader = parser({ protocolVersion: 4 });
  reader.on('packet', (packet) => packets.push(packet));
  reader.on('error', (error) => {
    throw error;
  });
  assert.is(reader.parse(Buffer.from(bytes)), 0, 'bytes are left');
  assert.is(packets.length, 1);
  return packets[0] as Packet & Record<string, unknown>;
}

const own = (packet: Packet) => readPacket(generate(packet, { protocolVersion: 4 }));
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/ /g, ''), 'hex'));

const identifiers = fc
  .array(fc.constantFrom(...'abcXYZ019-._:'), { minLength: 1, maxLength: maxIdentifierCharacters })
  .map((characters) => characters.join(''));
const packetIds = fc.integer({ min: 1, max: 65_535 });
const topics = fc
  .array(fc.integer({ min: 0x21, max: 0x7e }), { minLength: 1, maxLength: 76 })
  .map((characters) => String.fromCharCode(...characters))
  .filter((topic) => !/[+#]/.test(topic));

test('what the agent sends is what another implementation reads', () => {
  fc.assert(
    fc.property(
      identifiers,
      packetIds,
      fc.integer({ min: 0, max: 65_535 }),
      (id, number, alive) => {
        const client = doorbellClient(id);
        const connect = foreign(connectPacket(client, alive));
        assert.is(connect.cmd, 'connect');
        assert.is(connect['clientId'], client);
        assert.is(connect['protocolId'], 'MQTT');
        assert.is(connect['protocolVersion'], 4);
        assert.is(connect['keepalive'], alive);
        assert.is(connect['clean'], true);
        for (const absent of ['will', 'username', 'password']) {
          assert.is(connect[absent], undefined, absent);
        }
        const subscribe = foreign(subscribePacket(number, doorbellTopic(id)));
        assert.is(subscribe.cmd, 'subscribe');
        assert.is(subscribe.messageId, number);
        assert.equal(subscribe['subscriptions'], [{ topic: doorbellTopic(id), qos: 1 }]);
        const puback = foreign(pubackPacket(number));
        assert.equal([puback.cmd, puback.messageId], ['puback', number]);
      },
    ),
  );
  assert.is(foreign(pingRequest()).cmd, 'pingreq');
  assert.is(foreign(disconnectPacket()).cmd, 'disconnect');
});

test('what another implementation sends is what the agent reads', () => {
  const payloads = fc.uint8Array({ maxLength: 64 });
  fc.assert(
    fc.property(
      topics,
      payloads,
      packetIds,
      fc.boolean(),
      fc.boolean(),
      (topic, payload, number, once, flag) => {
        const message = {
          cmd: 'publish',
          topic,
          payload: Buffer.from(payload),
          retain: flag,
        } as const;
        const read = once
          ? own({ ...message, qos: 0, dup: false })
          : own({ ...message, qos: 1, dup: flag, messageId: number });
        assert.not(isRefusal(read), JSON.stringify(read));
        const { packet } = read as Exclude<typeof read, undefined | { refused: unknown }>;
        if (packet.type !== 'publish') throw new Error(packet.type);
        assert.is(packet.topic, topic);
        assert.equal([...packet.payload], [...payload]);
        assert.is(packet.packetId, once ? undefined : number);
      },
    ),
  );
  for (const returnCode of [0, 1, 2, 3, 4, 5]) {
    const packet = { type: 'connack', code: returnCode };
    assert.equal(own({ cmd: 'connack', sessionPresent: false, returnCode }), { packet, bytes: 4 });
  }
  for (const granted of [0, 1, 128]) {
    const packet = { type: 'suback', packetId: 258, code: granted };
    assert.equal(own({ cmd: 'suback', messageId: 258, granted: [granted] }), { packet, bytes: 5 });
  }
  assert.equal(own({ cmd: 'pingresp' }), { packet: { type: 'pingresp' }, bytes: 2 });
});

test('a packet that is not complete is waited for, and what follows is left alone', () => {
  const bytes = generate(
    {
      cmd: 'publish',
      topic: 'ota/a',
      payload: Buffer.alloc(120, 7),
      qos: 1,
      messageId: 9,
      dup: false,
      retain: true,
    },
    { protocolVersion: 4 },
  );
  for (let length = 0; length < bytes.length; length++) {
    assert.is(readPacket(bytes.subarray(0, length)), undefined, String(length));
  }
  const whole = readPacket(Buffer.concat([bytes, bytes.subarray(0, 5)]));
  assert.ok(whole !== undefined && !isRefusal(whole));
  assert.is(whole.bytes, bytes.length);
});

test('packets that no broker sends to a subscriber are refused, and say why', () => {
  const cases: readonly (readonly [bytes: string, detail: RegExp])[] = [
    ['00 00', /first byte 0/],
    ['10 00', /first byte 16/],
    ['20 01 00', /first byte 32, 1 bytes/],
    ['20 02 01 00', /CONNACK 1 0/],
    ['20 02 00 06', /CONNACK 0 6/],
    ['21 02 00 00', /first byte 33/],
    ['90 02 00 01', /first byte 144, 2 bytes/],
    ['90 04 00 01 00 00', /first byte 144, 4 bytes/],
    ['90 03 00 01 02', /SUBACK 2/],
    ['d0 01 00', /first byte 208, 1 bytes/],
    ['40 02 00 01', /first byte 64/],
    ['38 04 00 01 61 00', /PUBLISH flags 56/],
    ['34 06 00 01 61 00 01 00', /PUBLISH flags 52/],
    ['36 06 00 01 61 00 01 00', /PUBLISH flags 54/],
    ['30 00', /without its topic/],
    ['30 01 00', /without its topic/],
    ['30 02 00 00', /without its topic/],
    ['30 03 00 02 61', /without its topic/],
    ['32 04 00 01 61 00', /without its topic/],
    ['32 05 00 01 61 00 00', /packet identifier 0/],
    ['30 03 00 01 0a', /character 10/],
    ['30 04 00 02 c3 a4', /character 195/],
    ['30 ff ff ff ff', /remaining length/],
  ];
  for (const [bytes, detail] of cases) {
    const refusal = readPacket(hex(bytes));
    assert.ok(isRefusal(refusal), bytes);
    assert.is(refusal.refused, 'mqtt-malformed', bytes);
    assert.match(refusal.detail, detail, bytes);
  }
});

test('HRD-13: a packet is read at the bound, and refused one past it by its header alone', () => {
  const announced = (bytes: number) =>
    Uint8Array.of(0x30, 0x80 + ((bytes - 3) % 128), (bytes - 3) >> 7);
  assert.is(readPacket(announced(maxMqttPacketBytes)), undefined);
  const refusal = readPacket(announced(maxMqttPacketBytes + 1));
  assert.ok(isRefusal(refusal));
  assert.is(refusal.refused, 'net-endless');
  assert.is(refusal.row, 'HRD-13');
  // 256 MiB, the longest that the format can say
  assert.ok(isRefusal(readPacket(hex('30 ff ff ff 7f'))));
});

test('the longest message of a doorbell is within the bound', () => {
  const topic = doorbellTopic('x'.repeat(maxIdentifierCharacters));
  const read = own({
    cmd: 'publish',
    topic,
    payload: Buffer.alloc(64),
    qos: 1,
    messageId: 1,
    dup: false,
    retain: true,
  });
  assert.ok(read !== undefined && !isRefusal(read));
});

test('whatever comes is read, waited for or refused by a code of the catalogue, never thrown', () => {
  const valid = generate(
    {
      cmd: 'publish',
      topic: 'ota/a',
      payload: 'x',
      qos: 1,
      messageId: 1,
      dup: false,
      retain: true,
    },
    { protocolVersion: 4 },
  );
  const changed = fc
    .tuple(fc.nat(valid.length - 1), fc.nat(255))
    .map(([at, value]) => Uint8Array.from(valid, (byte, i) => (i === at ? value : byte)));
  const outcomes = { read: 0, waited: 0, refused: 0 };
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), changed), (bytes) => {
      const before = bytes.slice();
      const result = readPacket(bytes);
      assert.equal(bytes, before, 'reading changes nothing');
      if (result === undefined) outcomes.waited += 1;
      else if (isRefusal(result)) {
        outcomes.refused += 1;
        assert.ok(isCode(result.refused));
      } else {
        outcomes.read += 1;
        assert.ok(result.bytes <= bytes.length);
      }
    }),
    { numRuns: 2_000 },
  );
  for (const [outcome, count] of Object.entries(outcomes)) assert.ok(count > 0, outcome);
});

test.run();
