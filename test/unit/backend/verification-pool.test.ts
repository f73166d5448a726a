/** Signatures of ECUs on every core: the same answers as one by one, whoever gives them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { packClaims, unpackClaims } from '../../../backend/director/claim-buffer.ts';
import type { SignatureClaim } from '../../../backend/director/ecu-signatures.ts';
import { minPooledClaims, VerificationPool } from '../../../backend/director/verification-pool.ts';
import { Metrics } from '../../../backend/metrics.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';

const test = suite('verification pool');
const crypto = createNodeCrypto();
const pairs = Array.from({ length: 4 }, () => generateKeyPair('ESP256'));
let metrics: Metrics;
let pool: VerificationPool;

test.before.each(() => {
  metrics = new Metrics();
  pool = new VerificationPool(metrics, 2);
});
test.after.each(async () => {
  await pool.close();
  metrics.close();
});

/** Every fifth claim is wrong, each time in another way. */
function claimOf(i: number): SignatureClaim {
  const pair = pairs[i % pairs.length]!;
  const message = new Uint8Array(i % 7).fill(i % 256);
  const signature = signerOf(pair).sign(message);
  const good = { publicKey: pair.key.bytes, message, signature };
  if (i % 5 !== 4) return good;
  const wrong: readonly SignatureClaim[] = [
    { ...good, message: new Uint8Array(40) },
    { ...good, publicKey: pairs[(i + 1) % pairs.length]!.key.bytes },
    { ...good, publicKey: new Uint8Array(65).fill(4) },
    { ...good, publicKey: good.publicKey.subarray(1) },
    { ...good, signature: signature.subarray(1) },
    { ...good, signature: new Uint8Array(64) },
  ];
  return wrong[Math.floor(i / 5) % wrong.length]!;
}

const claims = Array.from({ length: 400 }, (_, i) => claimOf(i));
const expected = claims.map(({ publicKey, message, signature }) =>
  crypto.verify('ESP256', publicKey, message, signature),
);

const verifiedBy = (where: string) =>
  metrics.valueOf('ota_signature_verifications_total', { where });

test('a few are verified here, without a thread', async () => {
  const few = minPooledClaims - 1;
  assert.equal(await pool.verify(claims.slice(0, few)), expected.slice(0, few));
  assert.is(await verifiedBy('thread'), few);
  assert.is(await verifiedBy('pool'), 0);
  assert.equal(await pool.verify([]), []);
});

test('many are verified by the threads: bad ones are found, their neighbours stand', async () => {
  assert.is(expected.filter((good) => !good).length, 80);
  assert.equal(await pool.verify(claims), expected);
  assert.is(await verifiedBy('pool'), claims.length);
});

test('small questions of one turn go together, and each gets its own answers', async () => {
  const answers = await Promise.all(claims.map((claim) => pool.verify([claim])));
  assert.equal(answers.flat(), expected);
  assert.is(await verifiedBy('pool'), claims.length);
});

test('what is asked while it closes is answered all the same', async () => {
  const asked = pool.verify(claims);
  await new Promise((resolve) => setImmediate(resolve));
  const [answers] = await Promise.all([asked, pool.close()]);
  assert.equal(answers, expected);
});

test('a buffer of claims gives back what went in', () => {
  const whole = claims.filter(
    ({ publicKey, signature }) => publicKey.length === 65 && signature.length === 64,
  );
  assert.equal([...unpackClaims(packClaims(whole))], whole);
  assert.equal([...unpackClaims(packClaims([]))], []);
});

test.run();
