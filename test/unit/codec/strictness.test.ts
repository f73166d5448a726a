/** The strict subset of CBOR: RFC 8949's examples, and every deviation by the code that names it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  majorArray,
  majorBytes,
  majorMap,
  majorNegative,
  majorText,
  majorUnsigned,
  type Reader,
} from '../../../agent/codec/reader.ts';
import {
  array,
  boolean,
  bytes,
  decode,
  dictionary,
  encode,
  field,
  integer,
  named,
  optional,
  record,
  type Schema,
  text,
  tuple,
  unsigned,
} from '../../../agent/codec/schema.ts';
import { Writer } from '../../../agent/codec/writer.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { maxCborDepth } from '../../../agent/limits.ts';
import { fromHex, loadVectors, toHex } from '../../vectors.ts';

const most = Number.MAX_SAFE_INTEGER;
const test = suite('strict CBOR');

/** Everything that the reader's primitives can read, without a schema. */
type Item =
  | number
  | boolean
  | string
  | Uint8Array
  | readonly Item[]
  | { readonly pairs: readonly (readonly [Item, Item])[] };

const anything: Schema<Item> = {
  shape: { kind: 'boolean' },
  read(reader: Reader): Item {
    switch (reader.peekMajor()) {
      case majorUnsigned:
        return reader.head(majorUnsigned);
      case majorNegative:
        return -1 - reader.head(majorNegative);
      case majorBytes:
        return reader.byteString(1_000);
      case majorText:
        return reader.text(1_000);
      case majorArray: {
        const count = reader.enter(majorArray, 1_000);
        const items: Item[] = [];
        for (let i = 0; i < count && reader.refused === undefined; i++) {
          items.push(anything.read(reader));
        }
        reader.leave();
        return items;
      }
      case majorMap: {
        const count = reader.enter(majorMap, 1_000);
        const pairs: (readonly [Item, Item])[] = [];
        for (let i = 0; i < count && reader.refused === undefined; i++) {
          pairs.push([anything.read(reader), anything.read(reader)]);
        }
        reader.leave();
        return { pairs };
      }
      default:
        return reader.boolean();
    }
  },
  write(writer: Writer, value: Item): void {
    if (typeof value === 'number') writer.integer(value);
    else if (typeof value === 'boolean') writer.boolean(value);
    else if (typeof value === 'string') writer.text(value);
    else if (value instanceof Uint8Array) writer.byteString(value);
    else if ('pairs' in value) {
      writer.map(value.pairs.length);
      for (const [key, item] of value.pairs) {
        anything.write(writer, key);
        anything.write(writer, item);
      }
    } else {
      writer.array(value.length);
      for (const item of value) anything.write(writer, item);
    }
  },
};

/** The 31 of the 82 examples of RFC 8949 Appendix A that the subset holds. */
const accepted = [
  ...['00', '01', '0a', '17', '1818', '1819', '1864', '1903e8', '1a000f4240', '1b000000e8d4a51000'],
  ...['20', '29', '3863', '3903e7', 'f4', 'f5', '40', '4401020304'],
  ...['60', '6161', '6449455446', '62225c', '80', '83010203', '8301820203820405'],
  '98190102030405060708090a0b0c0d0e0f101112131415161718181819',
  ...['a0', 'a201020304', 'a26161016162820203', '826161a161626163'],
  'a56161614161626142616361436164614461656145',
];

interface Example {
  readonly hex: string;
  readonly roundtrip: boolean;
  readonly decoded?: unknown;
}
const examples = loadVectors<readonly Example[]>('cbor_appendix_a.json', 82);

function seen(value: Item): unknown {
  if (typeof value !== 'object' || value instanceof Uint8Array) return value;
  if (!('pairs' in value)) return value.map(seen);
  return Object.fromEntries(value.pairs.map(([key, item]) => [String(key), seen(item)]));
}

if (examples !== undefined) {
  test('RFC 8949 Appendix A: 31 examples are read and written equally, 51 are refused', () => {
    let [read, refused] = [0, 0];
    for (const { hex, decoded } of examples) {
      const value = decode(anything, fromHex(hex), 1_000);
      if (isRefusal(value)) {
        assert.not.ok(accepted.includes(hex), hex);
        refused += 1;
        continue;
      }
      assert.ok(accepted.includes(hex), hex);
      assert.is(toHex(encode(anything, value)), hex);
      if (decoded !== undefined) assert.equal(seen(value), decoded, hex);
      read += 1;
    }
    assert.equal([read, refused], [31, 51]);
  });
}

const pair = record({ first: field(1, unsigned), second: optional(2, unsigned) });
const signedKeys = record({
  low: field(1, unsigned),
  minusOne: optional(-1, unsigned),
  minusTwo: optional(-2, unsigned),
  private: optional(-65537, unsigned),
  next: optional(-65538, unsigned),
  last: optional(-65539, unsigned),
});
const numbers = dictionary(integer(-10, 1_000), unsigned, 1, 3);
const words = dictionary(text(8), unsigned, 0, 3);
const kind = named({ one: 1, two: 2, minus: -7 });
const list = array(unsigned, 1, 3);
const two = tuple(unsigned, boolean);

/** Schema, input, and the code of its refusal (undefined: accepted). */
const table: readonly (readonly [string, Schema<never>, string, string | undefined])[] = (
  [
    // Arguments
    ['shortest 1-byte argument', unsigned, '1818', undefined],
    ['23 in two bytes', unsigned, '1817', 'cbor-not-deterministic'],
    ['255 in three bytes', unsigned, '1900ff', 'cbor-not-deterministic'],
    ['65535 in five bytes', unsigned, '1a0000ffff', 'cbor-not-deterministic'],
    ['2^32-1 in nine bytes', unsigned, '1b00000000ffffffff', 'cbor-not-deterministic'],
    ['2^32', unsigned, '1b0000000100000000', undefined],
    ['2^53-1', unsigned, '1b001fffffffffffff', undefined],
    ['2^53', unsigned, '1b0020000000000000', 'cbor-integer-range'],
    ['2^64-1', unsigned, '1bffffffffffffffff', 'cbor-integer-range'],
    ['-2^53', integer(-most, most), '3b001fffffffffffff', 'cbor-integer-range'],
    ['-2^53+1', integer(-most, most), '3b001ffffffffffffe', undefined],
    ['reserved argument 28', unsigned, '1c', 'cbor-not-deterministic'],
    ['reserved argument 30', unsigned, '1e', 'cbor-not-deterministic'],
    ['indefinite integer', unsigned, '1f', 'cbor-not-deterministic'],
    ['integer above its range', integer(0, 5), '06', 'cbor-integer-range'],
    ['integer below its range', integer(3, 5), '02', 'cbor-integer-range'],
    ['negative where none is allowed', unsigned, '20', 'cbor-wrong-type'],
    ['nothing', unsigned, '', 'cbor-truncated'],
    ['argument cut off', unsigned, '1900', 'cbor-truncated'],
    ['bytes after the item', unsigned, '0000', 'cbor-trailing-bytes'],
    // Simple values, floats, tags
    ['true', boolean, 'f5', undefined],
    ['null', boolean, 'f6', 'cbor-wrong-type'],
    ['undefined', boolean, 'f7', 'cbor-wrong-type'],
    ['simple value in two bytes', boolean, 'f8ff', 'cbor-wrong-type'],
    ['false in two bytes', boolean, 'f814', 'cbor-not-deterministic'],
    ['half float', boolean, 'f93c00', 'cbor-wrong-type'],
    ['double', boolean, 'fb3ff199999999999a', 'cbor-integer-range'],
    ['break alone', boolean, 'ff', 'cbor-not-deterministic'],
    ['float where an integer is expected', unsigned, 'f93c00', 'cbor-wrong-type'],
    ['tagged integer', unsigned, 'c100', 'cbor-wrong-type'],
    ['bignum', unsigned, 'c249010000000000000000', 'cbor-wrong-type'],
    // Byte strings
    ['3 bytes of 2 to 4', bytes(2, 4), '43010203', undefined],
    ['1 byte of 2 to 4', bytes(2, 4), '4101', 'cbor-too-short'],
    ['5 bytes of 2 to 4', bytes(2, 4), '450102030405', 'cbor-too-large'],
    ['byte string cut off', bytes(2, 4), '430102', 'cbor-truncated'],
    ['indefinite byte string', bytes(2, 4), '5f42010243030405ff', 'cbor-not-deterministic'],
    ['text for bytes', bytes(2, 4), '63616263', 'cbor-wrong-type'],
    // Text
    ['text', text(4), '6161', undefined],
    ['empty text', text(4), '60', 'cbor-too-short'],
    ['text at its limit', text(4), '6461626364', undefined],
    ['text one past its limit', text(4), '656162636465', 'cbor-too-large'],
    ['text outside ASCII', text(4), '62c3bc', 'cbor-text-charset'],
    ['malformed UTF-8', text(4), '62c328', 'cbor-text-charset'],
    ['line feed in text', text(4), '610a', 'cbor-text-charset'],
    ['zero in text', text(4), '6100', 'cbor-text-charset'],
    ['delete in text', text(4), '617f', 'cbor-text-charset'],
    ['character outside the set', text(4, (code) => code !== 47), '612f', 'cbor-text-charset'],
    ['indefinite text', text(9), '7f6161ff', 'cbor-not-deterministic'],
    // Named values
    ['named value', kind, '02', undefined],
    ['negative named value', kind, '26', undefined],
    ['unknown value', kind, '03', 'cbor-unknown-value'],
    ['unknown negative value', kind, '20', 'cbor-unknown-value'],
    ['text for a named value', kind, '6131', 'cbor-wrong-type'],
    // Arrays and tuples
    ['array', list, '820102', undefined],
    ['array too short', list, '80', 'cbor-too-short'],
    ['array at its limit', list, '83010203', undefined],
    ['array one past its limit', list, '8401020304', 'cbor-too-large'],
    ['array cut off', list, '8201', 'cbor-truncated'],
    ['indefinite array', list, '9f01ff', 'cbor-not-deterministic'],
    ['array length in two bytes', list, '980101', 'cbor-not-deterministic'],
    ['tuple', two, '8201f4', undefined],
    ['tuple one short', two, '8101', 'cbor-too-short'],
    ['tuple one long', two, '8301f400', 'cbor-too-large'],
    ['map for a tuple', two, 'a201f402f5', 'cbor-wrong-type'],
    // Records
    ['record', pair, 'a201050206', undefined],
    ['record without its optional field', pair, 'a10105', undefined],
    ['required field missing', pair, 'a10206', 'cbor-missing-field'],
    ['empty record', pair, 'a0', 'cbor-missing-field'],
    ['key repeated', pair, 'a201050105', 'cbor-duplicate-key'],
    ['keys out of order', pair, 'a202060105', 'cbor-missing-field'],
    ['optional keys out of order', signedKeys, 'a30100210020 00', 'cbor-not-deterministic'],
    ['unknown key', pair, 'a201050306', 'cbor-unknown-field'],
    ['unknown key before', pair, 'a200050106', 'cbor-unknown-field'],
    ['text key', pair, 'a1613105', 'cbor-wrong-type'],
    ['key in two bytes', pair, 'a1180105', 'cbor-not-deterministic'],
    ['far too many keys', pair, 'b8ff0105', 'cbor-too-large'],
    ['indefinite map', pair, 'bf0105ff', 'cbor-not-deterministic'],
    ['value missing', pair, 'a101', 'cbor-truncated'],
    ['negative keys in order', signedKeys, 'a3010020002100', undefined],
    [
      'private keys in order',
      signedKeys,
      'a40100 3a0001000000 3a0001000100 3a0001000200',
      undefined,
    ],
    [
      'private keys out of order',
      signedKeys,
      'a30100 3a0001000200 3a0001000100',
      'cbor-not-deterministic',
    ],
    ['private key repeated', signedKeys, 'a30100 3a0001000100 3a0001000100', 'cbor-duplicate-key'],
    ['negative key first', signedKeys, 'a220000100', 'cbor-missing-field'],
    ['key above 2^52', signedKeys, 'a201001b001fffffffffffff00', 'cbor-unknown-field'],
    // Dictionaries
    ['dictionary', numbers, 'a3010018200020 00', undefined],
    ['dictionary out of order', numbers, 'a218200001 00', 'cbor-not-deterministic'],
    ['dictionary with a negative key first', numbers, 'a220000100', 'cbor-not-deterministic'],
    ['dictionary key repeated', numbers, 'a201000100', 'cbor-duplicate-key'],
    ['empty dictionary below its least size', numbers, 'a0', 'cbor-too-short'],
    ['dictionary past its size', numbers, 'a40100020003000400', 'cbor-too-large'],
    ['text keys by length, then by letter', words, 'a3616100616200 62616100', undefined],
    ['text keys out of order', words, 'a262616100616200', 'cbor-not-deterministic'],
    ['text key repeated', words, 'a2616100616101', 'cbor-duplicate-key'],
  ] as const
).map(([what, schema, hex, code]) => [what, schema as never, hex.replaceAll(' ', ''), code]);

for (const [what, schema, hex, code] of table) {
  test(`${what} (${hex || 'no bytes'}): ${code ?? 'accepted'}`, () => {
    const value = decode(schema as Schema<unknown>, fromHex(hex), 100);
    assert.is(isRefusal(value) ? value.refused : undefined, code);
    if (!isRefusal(value)) assert.is(toHex(encode(schema as Schema<unknown>, value)), hex);
  });
}

test('HRD-13: nesting is read to its limit and refused one past it', () => {
  const nested = (depth: number) => fromHex(`${'81'.repeat(depth)}00`);
  assert.not.ok(isRefusal(decode(anything, nested(maxCborDepth), 100)));
  const deeper = decode(anything, nested(maxCborDepth + 1), 100);
  assert.is(isRefusal(deeper) && deeper.refused, 'cbor-too-deep');
  const maps = decode(anything, fromHex(`${'a100'.repeat(maxCborDepth + 1)}00`), 100);
  assert.is(isRefusal(maps) && maps.refused, 'cbor-too-deep');
  const bomb = decode(anything, new Uint8Array(1_000_000).fill(0x81), 1_000_000);
  assert.is(isRefusal(bomb) && bomb.refused, 'cbor-too-deep');
});

test('HRD-13: siblings do not add to the depth', () => {
  const inner = '81'.repeat(maxCborDepth - 1);
  const value = decode(anything, fromHex(`82${inner}00${inner}00`), 100);
  assert.not.ok(isRefusal(value));
});

test('HRD-13: an input is read to its size limit and refused one past it', () => {
  const schema = bytes(0, 100);
  const input = encode(schema, new Uint8Array(20));
  assert.not.ok(isRefusal(decode(schema, input, 21)));
  const refused = decode(schema, input, 20);
  assert.is(isRefusal(refused) && refused.refused, 'cbor-too-large');
});

test('HRD-13: huge declared lengths allocate nothing', () => {
  const huge = '1b001fffffffffffff';
  const head = (major: number) => fromHex((major * 32 + 27).toString(16) + huge.slice(2));
  const schemas: readonly (readonly [number, Schema<unknown>])[] = [
    [majorBytes, bytes(0, most) as Schema<unknown>],
    [majorText, text(most) as Schema<unknown>],
    [majorArray, array(unsigned, 0, most) as Schema<unknown>],
    [majorMap, dictionary(unsigned, unsigned, 0, most) as Schema<unknown>],
  ];
  const before = process.memoryUsage();
  for (const [major, schema] of schemas) {
    const value = decode(schema, head(major), 100);
    assert.is(isRefusal(value) && value.refused, 'cbor-truncated');
  }
  const after = process.memoryUsage();
  assert.ok(after.arrayBuffers - before.arrayBuffers < 1_048_576);
  assert.ok(after.heapUsed - before.heapUsed < 16_777_216);
});

test('the first refusal stands and names its place', () => {
  const value = decode(array(pair, 0, 9), fromHex('82a10105a10306'), 100);
  assert.ok(isRefusal(value));
  if (isRefusal(value)) {
    assert.is(value.row, 'DBP-20');
    assert.match(value.detail, /at byte/);
  }
});

test('decoded byte strings are views, not copies', () => {
  const input = fromHex('43010203');
  const value = decode(bytes(3), input, 100);
  assert.ok(value instanceof Uint8Array && value.buffer === input.buffer);
});

test('values that fit no schema are bugs and throw', () => {
  const attempts: readonly (() => void)[] = [
    () => encode(unsigned, -1),
    () => encode(unsigned, 0.5),
    () => encode(unsigned, most + 1),
    () => encode(unsigned, Number.NaN),
    () => encode(integer(-5, 5), -6),
    () => encode(bytes(2), new Uint8Array(3)),
    () => encode(text(3), ''),
    () => encode(text(3), 'abcd'),
    () => encode(text(3), 'ü'),
    () => encode(text(3), '\n'),
    () =>
      encode(
        text(3, (code) => code !== 47),
        'a/b',
      ),
    () => encode(kind, 3 as never),
    () => encode(list, []),
    () => encode(list, [1, 2, 3, 4]),
    () => encode(two, [1] as never),
    () => encode(two, [1, true, 2] as never),
    () => encode(pair, {} as never),
    () => encode(numbers, []),
    () =>
      encode(numbers, [
        { key: 1, value: 1 },
        { key: 1, value: 2 },
      ]),
  ];
  for (const attempt of attempts)
    assert.throws(attempt, /expected|missing|not allowed|no name|dup/);
});

test('dictionaries are written in key order, whatever the order of their entries', () => {
  const entries = [
    { key: -1, value: 0 },
    { key: 32, value: 0 },
    { key: 1, value: 0 },
  ];
  assert.is(toHex(encode(numbers, entries)), 'a301001820002000');
});

test('a writer grows past its first buffer', () => {
  const writer = new Writer();
  const block = new Uint8Array(1_000).fill(7);
  for (let i = 0; i < 5; i++) writer.byteString(block);
  const written = writer.finish();
  assert.is(written.length, 5 * 1_003);
  assert.equal(written.slice(4 * 1_003 + 3), block);
});

test.run();
