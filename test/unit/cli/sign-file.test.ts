/** `ota sign`: what it refuses unless it is forced, and the JSON view as its input. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { encode, type Schema } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { type Signer, signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { profiles, roles } from '../../../agent/metadata/common.ts';
import { type Root, root } from '../../../agent/metadata/root.ts';
import { snapshot } from '../../../agent/metadata/snapshot.ts';
import { targets } from '../../../agent/metadata/targets.ts';
import { timeAttestation } from '../../../agent/metadata/time.ts';
import { timestamp } from '../../../agent/metadata/timestamp.ts';
import { type SignFileOptions, signFile } from '../../../backend/cli/sign-file.ts';
import { envelopeToJson, toJson } from '../../../backend/http/json-view.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import { valuesOf } from '../codec/arbitrary.ts';

const test = suite('ota sign');
const crypto = createNodeCrypto();
const now = 1_800_000_000;
const newSigner = (): Signer => signerOf(generateKeyPair('MLDSA65-ECDSA-P256-SHA512'));
const [first, second] = [newSigner(), newSigner()];
const text = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json));

const common = { formatVersion: 1, version: 1, expires: now + 1 } as const;
const listing = { type: roles.snapshot, ...common, versions: [{ key: 'targets', value: 1 }] };

function rootWith(signers: readonly Signer[], threshold: number): Root {
  const keyIds = signers.map(({ key }) => keyId(crypto, key));
  return {
    type: roles.root,
    ...common,
    keys: signers.map(({ key }) => key),
    roles: (['root', 'targets', 'snapshot', 'timestamp'] as const).map((role) => ({
      role: roles[role],
      profile: profiles.composite,
      keyIds,
      threshold,
    })),
  };
}

function sign(more: Partial<SignFileOptions>): Uint8Array | string {
  const signed = signFile({
    crypto,
    role: 'snapshot',
    input: encode(snapshot, listing),
    signers: [first],
    keep: false,
    force: false,
    now,
    ...more,
  });
  return isRefusal(signed) ? `${signed.refused}: ${signed.detail}` : signed;
}

function signed(more: Partial<SignFileOptions>): Uint8Array {
  const file = sign(more);
  if (typeof file === 'string') throw new Error(file);
  return file;
}

const signaturesOf = (file: Uint8Array) => {
  const envelope = decodeEnvelope(file, file.length);
  return isRefusal(envelope) ? [] : envelope.signatures;
};

const two = signEnvelope(
  crypto,
  [first, second],
  'metadata',
  encode(root, rootWith([first, second], 2)),
);
const whole = rootWith([first], 1);
const withoutSnapshot = signEnvelope(
  crypto,
  [first],
  'metadata',
  encode(root, {
    ...whole,
    roles: whole.roles.map((one) =>
      one.role === roles.snapshot ? { ...one, role: roles.time } : one,
    ),
  }),
);
const expired = { ...listing, expires: now };

for (const [what, code, more] of [
  ['no key', 'signature-missing', { signers: [] }],
  ['a key given twice', 'key-duplicate', { signers: [first, first] }],
  ['half a signature', 'signature-half', { half: 'ecdsa' }],
  ['an expired payload', 'metadata-expired', { input: encode(snapshot, expired) }],
  ['an expired payload in JSON', 'metadata-expired', { input: text(toJson(snapshot, expired)) }],
  ['another role', 'metadata-role-type', { role: 'timestamp' }],
  [
    'another role in JSON',
    'metadata-role-type',
    { role: 'root', input: text(toJson(snapshot, listing)) },
  ],
  ['bytes that are no payload', 'cbor-', { input: new Uint8Array([0xa1, 0x01]) }],
  ['a threshold that is not met', 'signature-', { authority: two }],
  [
    'a Root without its own threshold',
    'signature-',
    { role: 'root', input: encode(root, rootWith([first, second], 2)) },
  ],
  [
    'a Root with a threshold of 0',
    'root-threshold',
    { role: 'root', input: encode(root, rootWith([first], 0)) },
  ],
  [
    'a Root without the threshold of the one before',
    'signature-',
    { role: 'root', input: encode(root, rootWith([first], 1)), authority: two },
  ],
  ['ROOT-01: a role that its Root does not name', 'root-threshold', { authority: withoutSnapshot }],
  [
    'a role that nobody delegates to',
    'delegation-role',
    {
      role: 'targets',
      roleName: 'a',
      input: encode(targets, { type: roles.targets, ...common, targets: [] }),
      authority: signEnvelope(
        crypto,
        [first],
        'metadata',
        encode(targets, { type: roles.targets, ...common, targets: [] }),
      ),
    },
  ],
] as readonly (readonly [string, string, Partial<SignFileOptions>])[]) {
  test(`${what} is refused, and signed with --force`, () => {
    const refused = sign(more);
    assert.type(refused, 'string');
    assert.ok(String(refused).startsWith(code), String(refused));
    assert.match(String(refused), /--force/);
    const file = signed({ ...more, force: true });
    assert.is(signaturesOf(file).length, (more.signers ?? [first]).length);
  });
}

test('a threshold that is met is accepted', () => {
  assert.is(signaturesOf(signed({ signers: [first, second], authority: two })).length, 2);
});

test('--keep adds to the signatures of a file, so that two persons can sign one after the other', () => {
  const begun = signed({});
  const both = signed({ input: begun, signers: [second], keep: true, authority: two });
  assert.is(signaturesOf(both).length, 2);
  assert.is(signaturesOf(signed({ input: begun, signers: [second] })).length, 1);
});

test('halves are the two parts of one signature', () => {
  const lengths = (['ml-dsa', 'ecdsa'] as const).map(
    (half) => signaturesOf(signed({ half, force: true }))[0]!.signature.length,
  );
  assert.is(lengths[0], 3_309);
  assert.ok(lengths[1]! >= 8 && lengths[1]! <= 72);
});

test('a signed file in the JSON view is signed by its payload', () => {
  const shown = envelopeToJson(snapshot, signed({}));
  for (const json of [shown, { format: 'Snapshot', length: 1, content: shown }]) {
    const again = decodeEnvelope(signed({ input: text(json) }), 10_000);
    assert.equal(isRefusal(again) || again.payload, encode(snapshot, listing));
  }
});

for (const [input, expected] of [
  ['{"type":"snapshot"', /request-malformed: --in: /],
  ['{"type":"snapshot"}', /request-malformed: \$: expected field/],
  ['[1]', /request-malformed/],
] as const) {
  test(`'${input}' is refused with the place, also with --force`, () => {
    assert.match(String(sign({ input: new TextEncoder().encode(input), force: true })), expected);
  });
}

for (const [role, schema] of [
  ['root', root],
  ['targets', targets],
  ['snapshot', snapshot],
  ['timestamp', timestamp],
  ['time', timeAttestation],
] as readonly (readonly [
  'root' | 'targets' | 'snapshot' | 'timestamp' | 'time',
  Schema<unknown>,
])[]) {
  test(`${role}: the JSON view of any payload signs the very bytes of its CBOR`, () => {
    fc.assert(
      fc.property(valuesOf(schema.shape), (value) => {
        const payload = encode(schema, value);
        const input = text(toJson(schema, value));
        const file = signed({ role, input, signers: [], force: true });
        const envelope = decodeEnvelope(file, file.length);
        assert.equal(isRefusal(envelope) || envelope.payload, payload);
      }),
      { numRuns: 100 },
    );
  });
}

test.run();
