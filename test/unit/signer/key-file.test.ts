import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { type Code, isRefusal } from '../../../agent/codes.ts';
import {
  keyFile,
  readKeyFile,
  readKeyFilePublicKey,
  readKeyFileTokenKey,
  readOnlineKeyFile,
  writeKeyFile,
} from '../../../backend/signer/key-file.ts';

const test = suite('key file');
const folder = mkdtempSync(join(tmpdir(), 'ota-key-file-'));
const path = join(folder, 'test.key');
const passphrase = 'correct horse battery staple';
const pair = {
  key: { algorithm: 'MLDSA65-ECDSA-P256-SHA512', bytes: new Uint8Array(2017).fill(7) },
  secret: Uint8Array.from({ length: 64 }, (_, i) => i),
} as const;
/** These keys protect nothing: a low cost keeps the many cases below fast. */
const cheap = { cost: 16 };

writeKeyFile(path, pair, passphrase, cheap);
const content = new Uint8Array(readFileSync(path));

function expectRefusal(bytes: Uint8Array, codes: readonly Code[], what: string): void {
  const copy = join(folder, 'changed.key');
  writeFileSync(copy, bytes);
  const result = readKeyFile(copy, passphrase);
  assert.ok(isRefusal(result), `${what}: was accepted`);
  assert.ok(codes.includes(result.refused), `${what}: ${result.refused}`);
}

/** The file with fields replaced, encoded as a well-formed file. */
function changed(change: (fields: Record<string, unknown>) => void): Uint8Array {
  const fields = decode(keyFile, content, content.length);
  if (isRefusal(fields)) throw new Error(fields.detail);
  const copy: Record<string, unknown> = { ...fields, derivation: { ...fields.derivation } };
  change(copy);
  return encode(keyFile, copy as typeof fields);
}

test('a key pair comes back under its passphrase', () => {
  const opened = readKeyFile(path, passphrase);
  assert.not(isRefusal(opened));
  assert.equal(opened, pair);
});

test('the public key is readable without the passphrase', () => {
  assert.equal(readKeyFilePublicKey(path), pair.key);
});

test('the file is readable by its owner alone and leaves no temporary file', () => {
  assert.is(statSync(path).mode & 0o777, 0o600);
  assert.equal(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('the secret is nowhere in the file', () => {
  assert.is(Buffer.from(content).indexOf(pair.secret.subarray(0, 8)), -1);
});

test('a wrong passphrase is refused', () => {
  const result = readKeyFile(path, `${passphrase}!`);
  assert.ok(isRefusal(result));
  assert.is(result.refused, 'passphrase-wrong');
});

test('equivalent Unicode forms are one passphrase', () => {
  const other = join(folder, 'unicode.key');
  writeKeyFile(other, pair, 'caf\u00e9', cheap);
  assert.equal(readKeyFile(other, 'cafe\u0301'), pair);
});

test('a key that is half in a token: the file keeps the rest, and the id of that half', () => {
  const half = {
    key: pair.key,
    secret: pair.secret.subarray(0, 32),
    tokenKey: Uint8Array.of(1, 2),
  };
  const other = join(folder, 'half.key');
  writeKeyFile(other, half, passphrase, cheap);
  assert.equal(readOnlineKeyFile(other, passphrase), half);
  assert.equal(readKeyFileTokenKey(other), half.tokenKey);
  assert.is(readKeyFileTokenKey(path), undefined);
  assert.equal(readOnlineKeyFile(path, passphrase), pair);
  const alone = readKeyFile(other, passphrase);
  assert.ok(isRefusal(alone));
  assert.is(alone.refused, 'key-file-invalid');
  // Another half cannot be put in its place.
  const fields = decode(keyFile, new Uint8Array(readFileSync(other)), 8_192);
  if (isRefusal(fields)) throw new Error(fields.detail);
  const moved = { ...fields, tokenKey: Uint8Array.of(1, 3) };
  writeFileSync(other, encode(keyFile, moved));
  const refused = readOnlineKeyFile(other, passphrase);
  assert.is(isRefusal(refused) && refused.refused, 'passphrase-wrong');
});

test('a format and what belongs to the other one are refused together', () => {
  const invalid = ['key-file-invalid'] as const;
  const named = { tokenKey: Uint8Array.of(1) };
  expectRefusal(
    changed((fields) => Object.assign(fields, named)),
    invalid,
    'format 1, an id',
  );
  expectRefusal(
    changed((fields) => Object.assign(fields, { format: 2 })),
    invalid,
    'no id',
  );
  const whole = { format: 2, ...named };
  expectRefusal(
    changed((fields) => Object.assign(fields, whole)),
    invalid,
    'a whole secret',
  );
  const wrapping = { algorithm: 'MLKEM768-P256', bytes: new Uint8Array(1249).fill(4) };
  const odd = { ...whole, key: wrapping, sealed: new Uint8Array(48) };
  expectRefusal(
    changed((fields) => Object.assign(fields, odd)),
    invalid,
    'no half for a token',
  );
});

test('an empty passphrase is a bug of the caller', () => {
  assert.throws(() => writeKeyFile(join(folder, 'empty.key'), pair, '', cheap), /passphrase/);
});

test('an absent file, a folder and an oversized file are unreadable', () => {
  for (const name of [join(folder, 'absent.key'), folder]) {
    const result = readKeyFile(name, passphrase);
    assert.ok(isRefusal(result));
    assert.is(result.refused, 'file-unreadable');
  }
  expectRefusal(new Uint8Array(8_193), ['file-unreadable'], '8193 bytes');
  expectRefusal(new Uint8Array(8_192), ['key-file-invalid'], '8192 bytes');
});

test('every truncation is refused', () => {
  for (let length = 0; length < content.length; length += length < 64 ? 1 : 61) {
    expectRefusal(content.subarray(0, length), ['key-file-invalid'], `${length} bytes`);
  }
  expectRefusal(Uint8Array.of(...content, 0), ['key-file-invalid'], 'one byte more');
});

test('a flipped bit anywhere is refused', () => {
  const step = 37;
  const offsets = [...content.keys()].filter(
    (offset) => offset < 16 || offset > content.length - 140 || offset % step === 0,
  );
  for (const offset of offsets) {
    const flipped = content.slice();
    flipped[offset]! ^= 1;
    expectRefusal(flipped, ['key-file-invalid', 'passphrase-wrong'], `byte ${offset}`);
  }
});

test('scrypt parameters that exhaust memory or time are refused before use', () => {
  const costs = [1_048_576, 524_288, 262_144, 24, 1_000];
  for (const cost of costs) {
    const bytes = changed((fields) => Object.assign(fields['derivation'] as object, { cost }));
    expectRefusal(bytes, ['key-file-invalid'], `N ${cost}`);
  }
  const wide = { cost: 131_072, blockSize: 16 };
  const bytes = changed((fields) => Object.assign(fields['derivation'] as object, wide));
  expectRefusal(bytes, ['key-file-invalid'], 'N 131072 with r 16');
});

test('parameters out of range are refused as they are decoded', () => {
  // In the file: map(4), 1 → N … ; the derivation starts after the 2017-byte key.
  const start = Buffer.from(content).indexOf(Uint8Array.of(3, 0xa4, 1, 16, 2, 8, 3, 1, 4, 0x50));
  assert.ok(start > 0);
  for (const [offset, value] of [
    [3, 0],
    [3, 1],
    [5, 0],
    [5, 7],
    [5, 17],
    [7, 0],
    [7, 5],
  ] as const) {
    const copy = content.slice();
    copy[start + offset] = value;
    expectRefusal(copy, ['key-file-invalid'], `byte ${offset} = ${value}`);
  }
});

test('the greatest parameters allowed are computed', () => {
  const other = join(folder, 'costly.key');
  writeKeyFile(other, pair, passphrase, { cost: 131_072 });
  assert.equal(readKeyFile(other, passphrase), pair);
});

test('the default cost is at least 2^15', () => {
  const other = join(folder, 'default.key');
  writeKeyFile(other, pair, passphrase);
  const fields = decode(keyFile, new Uint8Array(readFileSync(other)), 8_192);
  if (isRefusal(fields)) throw new Error(fields.detail);
  assert.ok(fields.derivation.cost >= 32_768 && fields.derivation.blockSize >= 8);
});

test('a secret of the wrong length for its algorithm is refused', () => {
  const bytes = changed((fields) => {
    fields['sealed'] = (fields['sealed'] as Uint8Array).subarray(0, 48);
  });
  expectRefusal(bytes, ['key-file-invalid'], '32-byte secret of a composite key');
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
