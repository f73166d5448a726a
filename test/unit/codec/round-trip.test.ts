/** Every format: what is accepted is encoded again to the same bytes; nothing ever throws. */
import { Decoder } from 'cbor-x';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { algorithms } from '../../../agent/codec/cose-key.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode, encode, type Schema, type Shape } from '../../../agent/codec/schema.ts';
import { isCode, isRefusal } from '../../../agent/codes.ts';
import { schemas, valuesOf } from './arbitrary.ts';

const test = suite('formats');
const limit = 2_097_152;
const runs = { numRuns: 60 };

/** Decodes; an accepted value must encode to the same bytes, a refusal must be in the catalogue. */
function check(schema: Schema<unknown>, bytes: Uint8Array): boolean {
  const value = decode(schema, bytes, limit);
  if (isRefusal(value)) {
    assert.ok(isCode(value.refused));
    return false;
  }
  assert.equal(encode(schema, value), new Uint8Array(bytes));
  return true;
}

test('every format of the agent is under test', () => {
  const names = schemas.map(([name]) => name);
  for (const name of [
    'root',
    'targets',
    'snapshot',
    'timestamp',
    'timeAttestation',
    'keyObject',
    'wrapContext',
    'report',
    'manifest',
    'configuration',
    'verificationStep',
    'statusMessage',
    'signatureHeader',
    'coseKey',
  ]) {
    assert.ok(names.includes(name), name);
  }
});

for (const [name, schema] of schemas) {
  const values = valuesOf(schema.shape);

  test(`${name}: a value survives encoding and decoding`, () => {
    fc.assert(
      fc.property(values, (value) => {
        assert.ok(check(schema, encode(schema, value)));
      }),
      runs,
    );
  });

  test(`${name}: each truncation is refused`, () => {
    for (const value of fc.sample(values, { numRuns: 3, seed: 7 })) {
      const bytes = encode(schema, value);
      const step = Math.max(1, Math.floor(bytes.length / 500));
      for (let length = 0; length < bytes.length; length += step) {
        const cut = decode(schema, bytes.subarray(0, length), limit);
        assert.is(isRefusal(cut) && cut.refused, 'cbor-truncated', `${length} bytes`);
      }
      const longer = decode(schema, new Uint8Array([...bytes, 0]), limit);
      assert.is(isRefusal(longer) && longer.refused, 'cbor-trailing-bytes');
    }
  });

  test(`${name}: a changed byte is refused or stands for another value`, () => {
    fc.assert(
      fc.property(values, fc.nat(), fc.integer({ min: 0, max: 255 }), (value, where, byte) => {
        const bytes = encode(schema, value);
        bytes[where % bytes.length] = byte;
        check(schema, bytes);
      }),
      { numRuns: 200 },
    );
  });

  test(`${name}: random bytes are refused or canonical, and never throw`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        check(schema, bytes);
      }),
      runs,
    );
  });

  test(`${name}: an independent decoder reads what is encoded`, () => {
    fc.assert(
      fc.property(values, (value) => {
        assert.equal(plain(oracle.decode(encode(schema, value))), seenFrom(schema.shape, value));
      }),
      runs,
    );
  });
}

const oracle = new Decoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });

/** cbor-x's answer with one type for numbers and one for byte strings. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) {
    return new Map([...value].map(([key, item]) => [plain(key), plain(item)]));
  }
  return value;
}

/** The value as a decoder sees it that knows no schema: maps by number, arrays, strings. */
function seenFrom(shape: Shape, value: unknown): unknown {
  switch (shape.kind) {
    case 'array':
      return (value as unknown[]).map((item) => seenFrom(shape.item.shape, item));
    case 'tuple':
      return (value as unknown[]).map((item, i) => seenFrom(shape.items[i]!.shape, item));
    case 'dictionary':
      return new Map(
        (value as { key: unknown; value: unknown }[]).map((entry) => [
          entry.key,
          seenFrom(shape.value.shape, entry.value),
        ]),
      );
    case 'record': {
      const record = value as Record<string, unknown>;
      const present = Object.entries(shape.fields).filter(([name]) => record[name] !== undefined);
      return new Map(
        present.map(([name, { key, schema }]) => [key, seenFrom(schema.shape, record[name])]),
      );
    }
    case 'key': {
      const { algorithm, bytes } = value as {
        algorithm: keyof typeof algorithms;
        bytes: Uint8Array;
      };
      const number = algorithms[algorithm];
      return algorithm === 'ESP256'
        ? new Map<number, unknown>([
            [1, 2],
            [3, number],
            [-1, 1],
            [-2, bytes.slice(1, 33)],
            [-3, bytes.slice(33)],
          ])
        : new Map<number, unknown>([
            [1, 7],
            [3, number],
            [-1, bytes],
          ]);
    }
    default:
      return value;
  }
}

test('random bytes are never an envelope that encodes otherwise, and never throw', () => {
  const head = fc.constantFrom(
    [],
    [0x84, 0x40, 0xa0, 0x41, 0x00],
    [0x84, 0x40, 0xa0, 0x41, 0, 0x81],
  );
  fc.assert(
    fc.property(head, fc.uint8Array({ maxLength: 100 }), (start, rest) => {
      const bytes = new Uint8Array([...start, ...rest]);
      const envelope = decodeEnvelope(bytes, limit);
      if (!isRefusal(envelope)) assert.equal(encodeEnvelope(envelope), bytes);
    }),
    { numRuns: 2_000 },
  );
});

test.run();
