/** The JSON view and its way back (backend/http/json-view.ts). */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { coseKey } from '../../../agent/codec/cose-key.ts';
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
import { isRefusal } from '../../../agent/codes.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { hashes, roleName } from '../../../agent/metadata/common.ts';
import { registration } from '../../../agent/metadata/device-messages.ts';
import { report } from '../../../agent/metadata/report.ts';
import { mustMatch } from '../../../agent/metadata/targets.ts';
import { envelopeToJson, fromJson, toJson } from '../../../backend/http/json-view.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';

const test = suite('json view');

/** Through JSON text and back: the same CBOR has to come out. */
function expectRoundTrip<T>(schema: Schema<T>, value: T): void {
  const json = JSON.parse(JSON.stringify(toJson(schema, value)));
  const back = fromJson(schema, json);
  if (isRefusal(back)) throw new Error(back.detail);
  assert.equal(encode(schema, back), encode(schema, value));
}

const everything = record({
  count: field(1, integer(-5, 5)),
  name: field(2, text(8)),
  yes: field(3, boolean),
  raw: field(4, bytes(0, 4)),
  kind: optional(5, named({ one: 1, minusTwo: -2 })),
  list: field(6, array(unsigned, 0, 4)),
  pair: field(7, tuple(unsigned, text(3))),
  byRole: field(8, dictionary(roleName, unsigned, 0, 8)),
});

const sample = {
  count: -5,
  name: 'a"\\b',
  yes: false,
  raw: new Uint8Array([255, 254, 62]),
  kind: -2 as const,
  list: [0, Number.MAX_SAFE_INTEGER],
  pair: [7, 'x'] as const,
  byRole: [{ key: 'b', value: 1 }],
};

test('every kind of value has its form', () => {
  assert.equal(JSON.parse(JSON.stringify(toJson(everything, sample))), {
    count: -5,
    name: 'a"\\b',
    yes: false,
    raw: '__4-',
    kind: 'minusTwo',
    list: [0, 9007199254740991],
    pair: [7, 'x'],
    byRole: { b: 1 },
  });
});

test('a value comes back as it was, whatever it is', () => {
  const value = fc.record(
    {
      count: fc.integer({ min: -5, max: 5 }),
      name: fc.stringMatching(/^[\x20-\x7e]{1,8}$/),
      yes: fc.boolean(),
      raw: fc.uint8Array({ maxLength: 4 }),
      kind: fc.constantFrom(1 as const, -2 as const),
      list: fc.array(fc.nat(), { maxLength: 4 }),
      pair: fc.tuple(fc.nat(), fc.stringMatching(/^[a-z]{1,3}$/)),
      byRole: fc.uniqueArray(
        fc.record({ key: fc.stringMatching(/^[\w.-]{1,4}$/), value: fc.nat() }),
        { selector: (entry) => entry.key, maxLength: 8 },
      ),
    },
    { requiredKeys: ['count', 'name', 'yes', 'raw', 'list', 'pair', 'byRole'] },
  );
  // `kind` is left out, never undefined.
  fc.assert(fc.property(value, (sample) => expectRoundTrip(everything, sample as never)));
});

test('names that mean something to JavaScript are names like any other', () => {
  for (const key of ['__proto__', 'constructor', 'toString', '10', '2', 'a', 'hasOwnProperty']) {
    const entries = [
      { key, value: 3 },
      { key: 'zz', value: 4 },
    ];
    expectRoundTrip(dictionary(roleName, unsigned, 0, 4), entries);
  }
  const view = JSON.stringify(
    toJson(dictionary(roleName, unsigned, 0, 4), [{ key: '__proto__', value: 3 }]),
  );
  assert.is(view, '{"__proto__":3}');
});

test('keys, hashes and whole messages come back', () => {
  for (const algorithm of ['ESP256', 'MLDSA65-ECDSA-P256-SHA512', 'MLKEM768-P256'] as const) {
    expectRoundTrip(coseKey, generateKeyPair(algorithm).key);
  }
  expectRoundTrip(hashes, [
    { key: -16, value: new Uint8Array(32).fill(1) },
    { key: -44, value: new Uint8Array(64).fill(2) },
  ]);
  const key = generateKeyPair('ESP256').key;
  const wrappingKey = generateKeyPair('MLKEM768-P256').key;
  const ecu = {
    ecuId: 'a:b',
    hardwareId: 'h',
    role: 1 as const,
    verification: 2 as const,
    signingKey: key,
    wrappingKey,
    hostedBy: 'c',
  };
  expectRoundTrip(registration, {
    token: 'Az_-09',
    vehicleId: 'v',
    primaryEcuId: 'a:b',
    ecus: [ecu, ecu],
  });
});

test('a section that keeps its encoding gets it on the way back', () => {
  const value = {
    plaintextLength: 1,
    plaintextSha256: new Uint8Array(32),
    hardwareIds: ['h'],
    releaseCounter: 2,
    kind: 1 as const,
    encryption: 'none',
  };
  const back = fromJson(mustMatch, JSON.parse(JSON.stringify(toJson(mustMatch, value))));
  assert.ok(!isRefusal(back));
  assert.equal(decode(mustMatch, encode(mustMatch, value), 1_000), back);
});

test('what does not fit the schema is refused with its place', () => {
  const good = JSON.parse(JSON.stringify(toJson(everything, sample))) as Record<string, unknown>;
  const bad: readonly (readonly [string, unknown, string])[] = [
    ['count', 6, ''],
    ['count', 0.5, '$.count'],
    ['count', '1', '$.count'],
    ['count', null, '$.count'],
    ['count', undefined, 'count'],
    ['name', '', ''],
    ['name', 'too long for it', ''],
    ['name', 'é', ''],
    ['name', 3, '$.name'],
    ['yes', 1, '$.yes'],
    ['raw', 'AA==', '$.raw'],
    ['raw', 'AA\n', '$.raw'],
    ['raw', 'A', '$.raw'],
    ['raw', '+/+/', '$.raw'],
    ['raw', 'AAAAAAAA', ''],
    ['raw', [1], '$.raw'],
    ['kind', 1, '$.kind'],
    ['kind', 'two', '$.kind'],
    ['kind', 'constructor', '$.kind'],
    ['list', [1, 2, 3, 4, 5], ''],
    ['list', [1, -1], ''],
    ['list', [1, 'x'], '$.list[1]'],
    ['list', { 0: 1 }, '$.list'],
    ['pair', [1], '$.pair'],
    ['pair', [1, 'x', 2], '$.pair'],
    ['byRole', { 'a/b': 1 }, ''],
    ['byRole', { a: -1 }, ''],
    ['byRole', [], '$.byRole'],
    ['extra', 1, 'extra'],
    ['__proto__x', 1, '__proto__x'],
  ];
  for (const [name, value, place] of bad) {
    const result = fromJson(everything, { ...good, [name]: value });
    assert.ok(isRefusal(result), `${name} = ${JSON.stringify(value)}`);
    assert.ok(['request-malformed', 'cbor-text-charset'].includes(result.refused), name);
    assert.ok(result.detail.includes(place), `${result.detail} names ${place}`);
  }
  for (const json of [undefined, null, 1, 'x', [], true]) {
    assert.ok(isRefusal(fromJson(everything, json)));
  }
});

test('a key in another form than its own is refused', () => {
  const { key } = generateKeyPair('ESP256');
  const good = toJson(coseKey, key) as { readonly algorithm: string; readonly publicKey: string };
  const other = Uint8Array.from(key.bytes);
  other[0] = 6;
  const bad = [
    { ...good, algorithm: 'ML-DSA-65' },
    { ...good, algorithm: 'toString' },
    { ...good, more: 1 },
    { algorithm: 'ESP256' },
    { ...good, publicKey: good.publicKey.slice(2) },
    { ...good, publicKey: Buffer.from(other).toString('base64url') },
  ];
  for (const json of bad) assert.ok(isRefusal(fromJson(coseKey, json)), JSON.stringify(json));
});

test('an envelope shows its payload and who signed it', () => {
  const signer = generateKeyPair('ESP256');
  const payload = encode(report, {
    ecuId: 'ecu',
    vehicleId: 'v',
    hardwareId: 'h',
    installed: {
      filename: 'f',
      length: 1,
      hashes: [{ key: -16, value: new Uint8Array(32) }],
      releaseCounter: 1,
    },
    detections: [],
    time: 5,
    counter: 6,
  });
  const options = { payloadHash: true };
  const crypto = createNodeCrypto();
  const bytes = signEnvelope(crypto, [signerOf(signer)], 'report', payload, options);
  const view = JSON.parse(JSON.stringify(envelopeToJson(report, bytes)));
  assert.is(view.payload.counter, 6);
  assert.is(view.signatures.length, 1);
  const [signature] = view.signatures;
  assert.is(signature.algorithm, 'ESP256');
  assert.is(Buffer.from(signature.keyId, 'base64url').length, 32);
  const hash = Buffer.from(crypto.digest('SHA-256', payload)).toString('base64url');
  assert.equal(signature.payloadHash, { 'SHA-256': hash });
  assert.is(Buffer.from(signature.signature, 'base64url').length, 64);
  assert.ok(isRefusal(envelopeToJson(report, bytes.subarray(1))));
  assert.ok(isRefusal(envelopeToJson(registration, bytes)));
});

test.run();
