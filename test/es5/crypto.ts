/**
 * In place of hal/node/crypto.ts: digests and AES-256-GCM in plain ES5, as a tier-2 platform has them
 * in silicon, and the verification of hal/es5 over them. SHA-2 (FIPS 180-4) on 32-bit halves, AES
 * (FIPS 197), GCM (SP 800-38D) bit by bit. Short and slow, with lookups that depend on keys: for tests
 * only.
 */
import { verifyP256 } from '../../hal/es5/p256-verify.ts';
import { verifySlhDsa } from '../../hal/es5/slh-dsa.ts';
import type { Crypto, Digest, DigestAlgorithm, SignatureAlgorithm } from '../../hal/types.ts';

/** First 64 bits of the fractions of the cube roots of 80 primes, and of 8 square roots. */
const cubeRoots =
  '428a2f98d728ae227137449123ef65cdb5c0fbcfec4d3b2fe9b5dba58189dbbc' +
  '3956c25bf348b53859f111f1b605d019923f82a4af194f9bab1c5ed5da6d8118' +
  'd807aa98a303024212835b0145706fbe243185be4ee4b28c550c7dc3d5ffb4e2' +
  '72be5d74f27b896f80deb1fe3b1696b19bdc06a725c71235c19bf174cf692694' +
  'e49b69c19ef14ad2efbe4786384f25e30fc19dc68b8cd5b5240ca1cc77ac9c65' +
  '2de92c6f592b02754a7484aa6ea6e4835cb0a9dcbd41fbd476f988da831153b5' +
  '983e5152ee66dfaba831c66d2db43210b00327c898fb213fbf597fc7beef0ee4' +
  'c6e00bf33da88fc2d5a79147930aa72506ca6351e003826f142929670a0e6e70' +
  '27b70a8546d22ffc2e1b21385c26c9264d2c6dfc5ac42aed53380d139d95b3df' +
  '650a73548baf63de766a0abb3c77b2a881c2c92e47edaee692722c851482353b' +
  'a2bfe8a14cf10364a81a664bbc423001c24b8b70d0f89791c76c51a30654be30' +
  'd192e819d6ef5218d69906245565a910f40e35855771202a106aa07032bbd1b8' +
  '19a4c116b8d2d0c81e376c085141ab532748774cdf8eeb9934b0bcb5e19b48a8' +
  '391c0cb3c5c95a634ed8aa4ae3418acb5b9cca4f7763e373682e6ff3d6b2b8a3' +
  '748f82ee5defb2fc78a5636f43172f6084c87814a1f0ab728cc702081a6439ec' +
  '90befffa23631e28a4506cebde82bde9bef9a3f7b2c67915c67178f2e372532b' +
  'ca273eceea26619cd186b8c721c0c207eada7dd6cde0eb1ef57d4f7fee6ed178' +
  '06f067aa72176fba0a637dc5a2c898a6113f9804bef90dae1b710b35131c471b' +
  '28db77f523047d8432caab7b40c724933c9ebe0a15c9bebc431d67c49c100d4c' +
  '4cc5d4becb3e42b6597f299cfc657e2a5fcb6fab3ad6faec6c44198c4a475817';
const squareRoots =
  '6a09e667f3bcc908bb67ae8584caa73b3c6ef372fe94f82ba54ff53a5f1d36f1' +
  '510e527fade682d19b05688c2b3e6c1f1f83d9abfb41bd6b5be0cd19137e2179';

/** High halves are even, low halves odd. */
function words(hex: string): Int32Array {
  const values = new Int32Array(hex.length / 8);
  for (let i = 0; i < values.length; i++) values[i] = parseInt(hex.substr(8 * i, 8), 16);
  return values;
}
const constants = words(cubeRoots);
const initial = words(squareRoots);

function padded(bytes: Uint8Array, blockBytes: number): Uint8Array {
  const lengthBytes = blockBytes / 8;
  const blocks = Math.ceil((bytes.length + 1 + lengthBytes) / blockBytes);
  const message = new Uint8Array(blocks * blockBytes);
  message.set(bytes, 0);
  message[bytes.length] = 0x80;
  let bits = bytes.length * 8;
  for (let i = message.length - 1; bits > 0; i--) {
    message[i] = bits % 256;
    bits = Math.floor(bits / 256);
  }
  return message;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function bytesOf(state: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(4 * state.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = state[i >> 2]! >>> (24 - 8 * (i & 3));
  return bytes;
}

const constants256: number[] = [];
for (let i = 0; i < 64; i++) constants256[i] = constants[2 * i]!;

/**
 * Numbers in plain arrays and one assignment each: on this engine typed arrays are slow, and a list of
 * assignments makes arrays. A signature costs 4,400 of these blocks.
 */
function sha256(bytes: Uint8Array): Uint8Array {
  const message = padded(bytes, 64);
  const state: number[] = [];
  for (let i = 0; i < 8; i++) state[i] = initial[2 * i]!;
  const w: number[] = [];
  for (let start = 0; start < message.length; start += 64) {
    for (let i = 0; i < 16; i++) w[i] = wordAt(message, start + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!;
      const y = w[i - 2]!;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0;
    }
    let a = state[0]!;
    let b = state[1]!;
    let c = state[2]!;
    let d = state[3]!;
    let e = state[4]!;
    let f = state[5]!;
    let g = state[6]!;
    let h = state[7]!;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = h + s1 + ((e & f) ^ (~e & g)) + constants256[i]! + w[i]!;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      const majority = (a & b) ^ (a & c) ^ (b & c);
      c = b;
      b = a;
      a = (t1 + s0 + majority) | 0;
    }
    const sums = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) state[i] = (state[i]! + sums[i]!) | 0;
  }
  return bytesOf(state);
}

/** A 64-bit number as two halves. */
type Long = readonly [number, number];

function add(...terms: readonly Long[]): Long {
  let [high, low] = [0, 0];
  for (let i = 0; i < terms.length; i++) {
    high += terms[i]![0];
    low += terms[i]![1] >>> 0;
  }
  return [(high + Math.floor(low / 4294967296)) | 0, low | 0];
}

function right([high, low]: Long, by: number): Long {
  return by < 32
    ? [(high >>> by) | (low << (32 - by)), (low >>> by) | (high << (32 - by))]
    : [(low >>> (by - 32)) | (high << (64 - by)), (high >>> (by - 32)) | (low << (64 - by))];
}

function shift([high, low]: Long, by: number): Long {
  return [high >>> by, (low >>> by) | (high << (32 - by))];
}

const xor = (a: Long, b: Long, c: Long): Long => [a[0] ^ b[0] ^ c[0], a[1] ^ b[1] ^ c[1]];

function sha512(bytes: Uint8Array): Uint8Array {
  const message = padded(bytes, 128);
  const state: Long[] = [];
  for (let i = 0; i < 8; i++) state[i] = [initial[2 * i]!, initial[2 * i + 1]!];
  const w: Long[] = [];
  for (let start = 0; start < message.length; start += 128) {
    for (let i = 0; i < 80; i++) {
      if (i < 16) {
        w[i] = [wordAt(message, start + 8 * i), wordAt(message, start + 8 * i + 4)];
        continue;
      }
      const [x, y] = [w[i - 15]!, w[i - 2]!];
      const s0 = xor(right(x, 1), right(x, 8), shift(x, 7));
      const s1 = xor(right(y, 19), right(y, 61), shift(y, 6));
      w[i] = add(w[i - 16]!, s0, w[i - 7]!, s1);
    }
    let [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!];
    let [e, f, g, h] = [state[4]!, state[5]!, state[6]!, state[7]!];
    for (let i = 0; i < 80; i++) {
      const s1 = xor(right(e, 14), right(e, 18), right(e, 41));
      const choice: Long = [(e[0] & f[0]) ^ (~e[0] & g[0]), (e[1] & f[1]) ^ (~e[1] & g[1])];
      const t1 = add(h, s1, choice, [constants[2 * i]!, constants[2 * i + 1]!], w[i]!);
      const s0 = xor(right(a, 28), right(a, 34), right(a, 39));
      const majority: Long = [
        (a[0] & b[0]) ^ (a[0] & c[0]) ^ (b[0] & c[0]),
        (a[1] & b[1]) ^ (a[1] & c[1]) ^ (b[1] & c[1]),
      ];
      [h, g, f, e, d, c, b, a] = [g, f, e, add(d, t1), c, b, a, add(t1, s0, majority)];
    }
    const sums = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) state[i] = add(state[i]!, sums[i]!);
  }
  const halves = new Int32Array(16);
  for (let i = 0; i < 16; i++) halves[i] = state[i >> 1]![i & 1]!;
  return bytesOf(halves);
}

function digest(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array {
  return algorithm === 'SHA-256' ? sha256(bytes) : sha512(bytes);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += parts[i]!.length;
  const whole = new Uint8Array(length);
  for (let i = 0, at = 0; i < parts.length; at += parts[i++]!.length) whole.set(parts[i]!, at);
  return whole;
}

/** FIPS 198-1. */
function hmac(algorithm: DigestAlgorithm, key: Uint8Array, message: Uint8Array): Uint8Array {
  const blockBytes = algorithm === 'SHA-256' ? 64 : 128;
  const short = key.length > blockBytes ? digest(algorithm, key) : key;
  const [inner, outer] = [new Uint8Array(blockBytes), new Uint8Array(blockBytes)];
  for (let i = 0; i < blockBytes; i++) {
    inner[i] = (short[i] ?? 0) ^ 0x36;
    outer[i] = (short[i] ?? 0) ^ 0x5c;
  }
  return digest(algorithm, joined(outer, digest(algorithm, joined(inner, message))));
}

const double = (x: number): number => ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff;

const box = ((): Uint8Array => {
  const values = new Uint8Array(256);
  // p runs through all powers of 3, q through those of its inverse.
  let [p, q] = [1, 1];
  do {
    p ^= double(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q = (q ^ (q & 0x80 ? 0x09 : 0)) & 0xff;
    const spread = q | (q << 8);
    const turned = (spread >> 7) ^ (spread >> 6) ^ (spread >> 5) ^ (spread >> 4);
    values[p] = q ^ (turned & 0xff) ^ 0x63;
  } while (p !== 1);
  values[0] = 0x63;
  return values;
})();

/** The 15 round keys of AES-256. */
function expand(key: Uint8Array): Uint8Array {
  const keys = new Uint8Array(240);
  keys.set(key, 0);
  for (let at = 32, round = 1; at < 240; at += 4) {
    let word = [keys[at - 4]!, keys[at - 3]!, keys[at - 2]!, keys[at - 1]!];
    if (at % 32 === 0) {
      word = [box[word[1]!]! ^ round, box[word[2]!]!, box[word[3]!]!, box[word[0]!]!];
      round = double(round);
    } else if (at % 32 === 16) {
      word = word.map((byte) => box[byte]!);
    }
    for (let i = 0; i < 4; i++) keys[at + i] = keys[at - 32 + i]! ^ word[i]!;
  }
  return keys;
}

function encryptBlock(keys: Uint8Array, block: Uint8Array): Uint8Array {
  let state = new Uint8Array(16);
  for (let i = 0; i < 16; i++) state[i] = block[i]! ^ keys[i]!;
  for (let round = 1; round <= 14; round++) {
    const next = new Uint8Array(16);
    for (let i = 0; i < 16; i++) next[i] = box[state[(i + 4 * (i & 3)) & 15]!]!;
    for (let i = 0; round < 14 && i < 16; i += 4) {
      const column = [next[i]!, next[i + 1]!, next[i + 2]!, next[i + 3]!];
      const all = column[0]! ^ column[1]! ^ column[2]! ^ column[3]!;
      for (let j = 0; j < 4; j++) {
        next[i + j] = column[j]! ^ all ^ double(column[j]! ^ column[(j + 1) & 3]!);
      }
    }
    for (let i = 0; i < 16; i++) next[i] = next[i]! ^ keys[16 * round + i]!;
    state = next;
  }
  return state;
}

/** x · h in GF(2^128), both most significant bit first. */
function multiply(x: Uint8Array, h: Int32Array): Uint8Array {
  let [v0, v1, v2, v3] = [h[0]!, h[1]!, h[2]!, h[3]!];
  const z = new Int32Array(4);
  for (let i = 0; i < 128; i++) {
    if ((x[i >> 3]! >> (7 - (i & 7))) & 1) {
      z[0] = z[0]! ^ v0;
      z[1] = z[1]! ^ v1;
      z[2] = z[2]! ^ v2;
      z[3] = z[3]! ^ v3;
    }
    const carry = v3 & 1;
    v3 = (v3 >>> 1) | (v2 << 31);
    v2 = (v2 >>> 1) | (v1 << 31);
    v1 = (v1 >>> 1) | (v0 << 31);
    v0 = (v0 >>> 1) ^ (carry ? 0xe1000000 : 0);
  }
  return bytesOf(z);
}

class Gcm {
  private readonly keys: Uint8Array;
  private readonly counter = new Uint8Array(16);
  private readonly mask: Uint8Array;

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.keys = expand(key);
    this.counter.set(nonce, 0);
    this.counter[15] = 1;
    this.mask = encryptBlock(this.keys, this.counter);
  }

  /** Encrypts or decrypts. */
  apply(text: Uint8Array): Uint8Array {
    const out = new Uint8Array(text.length);
    const counter = new Uint8Array(this.counter);
    for (let at = 0; at < text.length; at += 16) {
      for (let i = 15; i >= 12; i--) {
        counter[i] = counter[i]! + 1;
        if (counter[i] !== 0) break;
      }
      const stream = encryptBlock(this.keys, counter);
      for (let i = 0; i < 16 && at + i < text.length; i++) out[at + i] = text[at + i]! ^ stream[i]!;
    }
    return out;
  }

  tag(additional: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    const key = encryptBlock(this.keys, new Uint8Array(16));
    const h = new Int32Array(4);
    for (let i = 0; i < 4; i++) h[i] = wordAt(key, 4 * i);
    let sum = new Uint8Array(16);
    const lengths = new Uint8Array(16);
    for (let i = 0; i < 4; i++) {
      lengths[7 - i] = (additional.length * 8) / 2 ** (8 * i);
      lengths[15 - i] = (ciphertext.length * 8) / 2 ** (8 * i);
    }
    const parts = [additional, ciphertext, lengths];
    for (let p = 0; p < parts.length; p++) {
      for (let at = 0; at < parts[p]!.length; at += 16) {
        for (let i = 0; i < 16; i++) sum[i] = sum[i]! ^ (parts[p]![at + i] ?? 0);
        sum = multiply(sum, h) as typeof sum;
      }
    }
    for (let i = 0; i < 16; i++) sum[i] = sum[i]! ^ this.mask[i]!;
    return sum;
  }
}

const absent = (): never => {
  throw new Error('no operation of a private key, and no lattice, runs here');
};

function verify(
  algorithm: SignatureAlgorithm,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  context: Uint8Array = new Uint8Array(0),
): boolean {
  if (algorithm === 'ESP256') return verifyP256(sha256, publicKey, message, signature);
  if (algorithm !== 'SLH-DSA-SHA2-128s') return absent();
  return verifySlhDsa(sha256, publicKey, message, signature, context);
}

export function createNodeCrypto(): Crypto {
  return {
    digest,
    createDigest(algorithm): Digest {
      let pieces = new Uint8Array(0);
      return {
        update: (bytes) => {
          pieces = joined(pieces, bytes) as typeof pieces;
        },
        finish: () => digest(algorithm, pieces),
      };
    },
    hmac,
    verify,
    sign: absent,
    aeadOpen(key, nonce, additional, sealed, out) {
      const ciphertext = sealed.subarray(0, sealed.length - 16);
      const gcm = new Gcm(key, nonce);
      const tag = gcm.tag(additional, ciphertext);
      for (let i = 0; i < 16; i++) if (tag[i] !== sealed[ciphertext.length + i]) return false;
      out.set(gcm.apply(ciphertext), 0);
      return true;
    },
    aeadSeal(key, nonce, additional, plaintext) {
      const gcm = new Gcm(key, nonce);
      const ciphertext = gcm.apply(plaintext);
      return joined(ciphertext, gcm.tag(additional, ciphertext));
    },
    decapsulate: absent,
    encapsulate: absent,
  };
}

export const providers = [{ name: 'ES5', crypto: createNodeCrypto() }];
