/**
 * What every metadata payload has to hold, which bytes text may have (Uptane §5.2), and the cases
 * that the formats leave no room for.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import {
  type AnyField,
  decode,
  encode,
  record,
  type Schema,
  text,
} from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { ecuConfiguration } from '../../../agent/metadata/configuration.ts';
import { keyObject, wrapSuites } from '../../../agent/metadata/key-object.ts';
import { root } from '../../../agent/metadata/root.ts';
import { snapshot } from '../../../agent/metadata/snapshot.ts';
import { assignment, targets } from '../../../agent/metadata/targets.ts';
import { timestamp } from '../../../agent/metadata/timestamp.ts';
import { SimulatedRepository } from '../../simulator/simulated-repository.ts';

type RecordSchema = Schema<unknown> & { readonly fields: Readonly<Record<string, AnyField>> };

/** The value encoded without one field. */
function encodeWithout(schema: RecordSchema, value: object, name: string): Uint8Array {
  const { [name]: _dropped, ...fields } = schema.fields;
  const rest = record(fields) as Schema<unknown>;
  return encode(rest, value);
}

function codeOf(schema: Schema<unknown>, bytes: Uint8Array): string {
  const found = decode(schema, bytes, 65_536);
  return isRefusal(found) ? found.refused : 'read';
}

const repository = new SimulatedRepository('director', 'ecdsa', 1_800_000_000, 'vehicle-1');
const files = {
  root: [root, repository.publishedRoots[0]!, ['keys', 'roles']],
  timestamp: [timestamp, repository.timestampFile(), ['snapshot']],
  snapshot: [snapshot, repository.snapshotFile(), ['versions']],
  targets: [targets, repository.targetsFile(), ['targets']],
} as const;

for (const [name, [schema, file, own]] of Object.entries(files)) {
  test(`MET-04, MET-05, MET-06, MET-08: ${name} has type, expiry, version and its own part`, () => {
    const envelope = decodeEnvelope(file, 65_536);
    if (isRefusal(envelope)) return assert.unreachable(envelope.detail);
    const form = schema as unknown as RecordSchema;
    const value = decode(form, envelope.payload, 65_536);
    if (isRefusal(value)) return assert.unreachable(value.detail);
    for (const field of ['type', 'version', 'expires', ...own]) {
      const bytes = encodeWithout(form, value as object, field);
      assert.is(codeOf(form, bytes), 'cbor-missing-field', field);
    }
    for (const field of ['version', 'expires'] as const) {
      const negative = encode(
        record({ ...form.fields, [field]: { ...form.fields[field]!, schema: text(8) } }),
        { ...(value as object), [field]: 'soon' } as never,
      );
      assert.is(codeOf(form, negative), 'cbor-wrong-type', `${field} is an integer`);
    }
  });
}

test('MET-01, HRD-20: text is printable ASCII, which is its own NFC form; all else is refused', () => {
  const anyText = text(8);
  for (let byte = 0; byte < 256; byte++) {
    const allowed = byte >= 0x20 && byte <= 0x7e;
    assert.is(
      codeOf(anyText, Uint8Array.of(0x61, byte)),
      allowed ? 'read' : 'cbor-text-charset',
      `byte ${byte}`,
    );
  }
  for (const form of ['\u00e9', 'e\u0301']) {
    const bytes = new TextEncoder().encode(form);
    assert.is(codeOf(anyText, Uint8Array.of(0x60 + bytes.length, ...bytes)), 'cbor-text-charset');
  }
});

test('VIM-05: a key object for a symmetric ECU key is refused', () => {
  const value = {
    suite: wrapSuites['MLKEM768-P256+HKDF-SHA256+AES-256-GCM'],
    encapsulation: new Uint8Array(1_153),
    wrappedKey: new Uint8Array(48),
  };
  const bytes = encode(keyObject, value);
  assert.is(codeOf(keyObject, bytes), 'read');
  assert.is(bytes[2], 1, 'the suite');
  bytes[2] = 2;
  assert.is(codeOf(keyObject, bytes), 'cbor-unknown-value');
  assert.is(
    codeOf(keyObject, encodeWithout(keyObject, value, 'encapsulation')),
    'cbor-missing-field',
  );
});

test('VIM-07: an encrypted image without a wrapped key cannot be assigned', () => {
  const value = { ecuId: 'ecu-1', keyObjectSha256: new Uint8Array(32), keyObjectLength: 1_200 };
  assert.is(codeOf(assignment, encode(assignment, value)), 'read');
  for (const field of ['keyObjectSha256', 'keyObjectLength']) {
    assert.is(codeOf(assignment, encodeWithout(assignment, value, field)), 'cbor-missing-field');
  }
});

test('INS-10: an ECU without a second slot cannot be configured', () => {
  const value = {
    ecuId: 'ecu-1',
    hardwareId: 'hw-a',
    kinds: [1 as const],
    slots: ['slot-a', 'slot-b'],
    journal: 'journal',
    filenamePattern: '*',
  };
  const bytes = encode(ecuConfiguration, value);
  assert.is(codeOf(ecuConfiguration, bytes), 'read');
  const short = Buffer.from(bytes);
  const at = short.indexOf(Buffer.from('66736c6f742d61', 'hex')); // text of 6: slot-a
  assert.is(short[at - 1], 0x82, 'an array of two');
  const without = Buffer.concat([
    short.subarray(0, at - 1),
    Buffer.of(0x81),
    short.subarray(at + 7),
  ]);
  assert.is(codeOf(ecuConfiguration, without), 'cbor-too-short');
});

test.run();
