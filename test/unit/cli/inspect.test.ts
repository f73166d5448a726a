import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { coseKey } from '../../../agent/codec/cose-key.ts';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { report } from '../../../agent/metadata/report.ts';
import { snapshot } from '../../../agent/metadata/snapshot.ts';
import { timeAttestation } from '../../../agent/metadata/time.ts';
import { inspect } from '../../../backend/cli/inspect.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';

const test = suite('ota inspect');
const crypto = createNodeCrypto();
const signer = signerOf(generateKeyPair('ESP256'));

function must<T>(value: T | Refusal): T {
  if (isRefusal(value)) throw new Error(`${value.refused}: ${value.detail}`);
  return value;
}

const versions = [{ key: 'targets', value: 3 }];
const snapshotBytes = encode(snapshot, {
  type: roles.snapshot,
  formatVersion: 1,
  version: 7,
  expires: 1_800_000_000,
  versions,
});

test('a signed document is named and shown with its signatures', () => {
  const { format, content } = must(
    inspect(signEnvelope(crypto, [signer], 'metadata', snapshotBytes)),
  );
  assert.is(format, 'Snapshot, 1 signature');
  const shown = content as { payload: { version: number }; signatures: { algorithm: string }[] };
  assert.is(shown.payload.version, 7);
  assert.is(shown.signatures[0]!.algorithm, 'ESP256');
});

test('reports and time attestations are told apart', () => {
  const reportBytes = encode(report, {
    ecuId: 'e',
    vehicleId: 'v',
    hardwareId: 'h',
    installed: {
      filename: 'f',
      length: 1,
      hashes: [{ key: -16, value: new Uint8Array(32) }],
      releaseCounter: 1,
    },
    detections: [],
    time: 0,
    counter: 1,
  });
  const time = encode(timeAttestation, [[new Uint8Array(16)], 1] as const);
  const named = (bytes: Uint8Array, domain: 'report' | 'time') =>
    must(inspect(signEnvelope(crypto, [signer], domain, bytes))).format;
  assert.is(named(reportBytes, 'report'), 'version report, 1 signature');
  assert.is(named(time, 'time'), 'time attestation, 1 signature');
});

test('a public key is shown by its algorithm', () => {
  const { format, content } = must(inspect(encode(coseKey, signer.key)));
  assert.is(format, 'public key');
  assert.is((content as { algorithm: string }).algorithm, 'ESP256');
});

test('CBOR of no known format is shown by an independent decoder', () => {
  const { format, content } = must(inspect(Uint8Array.of(0xa1, 0x01, 0x82, 0x41, 0xff, 0xf6)));
  assert.is(format, 'CBOR of no known format');
  assert.equal(content, { map: [[1, [{ bytes: 'ff' }, null]]] });
});

test('what is no CBOR, empty, truncated or trailing is refused', () => {
  const whole = signEnvelope(crypto, [signer], 'metadata', snapshotBytes);
  for (const bytes of [
    new Uint8Array(0),
    Uint8Array.of(0xff),
    whole.subarray(0, whole.length - 1),
    Uint8Array.of(...whole, 0),
    new Uint8Array(1_000).fill(0x9f),
    new Uint8Array(1_000_000).fill(0x81),
  ]) {
    assert.ok(isRefusal(inspect(bytes)), `${bytes.length} bytes`);
  }
});

test('random bytes never crash it', () => {
  let state = 12_345;
  for (let round = 0; round < 2_000; round++) {
    const bytes = Uint8Array.from({ length: round % 97 }, () => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor(state / 65_536) % 256;
    });
    const result = inspect(bytes);
    assert.ok(isRefusal(result) || typeof result.format === 'string');
  }
});

test.run();
