/**
 * ECDSA verification on P-256 with SHA-256 (FIPS 186-5), in the language of tier 2: an ECU without
 * wide integers checks its Primary's proofs with it. Its time depends on its input, all of it public:
 * it must never hold a private key.
 *
 * Numbers are 11 limbs of 24 bits, the lowest first, in Montgomery form to the base 2^264: a limb's
 * sums of products stay below 2^53, where plain numbers are exact.
 */
import type { Sha256 } from './slh-dsa.ts';

const limbs = 11;
const base = 16_777_216;
const scalarBytes = 32;

type Limbs = readonly number[];

function limbsOf(bytes: Uint8Array): number[] {
  const number: number[] = [];
  for (let i = 0; i < limbs; i++) {
    const at = bytes.length - 3 * i;
    const byte = (back: number) => bytes[at - back] ?? 0;
    number.push(byte(1) + 256 * byte(2) + 65_536 * byte(3));
  }
  return number;
}

function fromHex(text: string): number[] {
  const bytes = new Uint8Array(scalarBytes);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return limbsOf(bytes);
}

function small(value: number): number[] {
  const number = [value];
  while (number.length < limbs) number.push(0);
  return number;
}

function isZero(a: Limbs): boolean {
  for (let i = 0; i < limbs; i++) if (a[i] !== 0) return false;
  return true;
}

function isLess(a: Limbs, b: Limbs): boolean {
  for (let i = limbs - 1; i >= 0; i--) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}

function areEqual(a: Limbs, b: Limbs): boolean {
  for (let i = 0; i < limbs; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** a + b, without a modulus: below 2^264 for what is used here. */
function sum(a: Limbs, b: Limbs): number[] {
  const out: number[] = [];
  let carry = 0;
  for (let i = 0; i < limbs; i++) {
    const limb = a[i]! + b[i]! + carry;
    carry = limb >= base ? 1 : 0;
    out.push(limb - carry * base);
  }
  return out;
}

/** a − b for a ≥ b. */
function difference(a: Limbs, b: Limbs): number[] {
  const out: number[] = [];
  let borrow = 0;
  for (let i = 0; i < limbs; i++) {
    const limb = a[i]! - b[i]! - borrow;
    borrow = limb < 0 ? 1 : 0;
    out.push(limb + borrow * base);
  }
  return out;
}

/** Numbers modulo an odd prime of 256 bits. */
class Field {
  readonly modulus: Limbs;
  /** −1/modulus modulo 2^24. */
  private readonly inverse: number;
  /** 2^528 modulo the prime: what brings a number into Montgomery form. */
  private readonly square: Limbs;
  readonly one: Limbs;

  constructor(modulus: Limbs) {
    this.modulus = modulus;
    // Newton's iteration doubles the bits that are right; an odd number is its own inverse to 3.
    let inverse = modulus[0]!;
    for (let i = 0; i < 3; i++) {
      const error = (2 + base - lowProduct(modulus[0]!, inverse)) % base;
      inverse = lowProduct(inverse, error);
    }
    this.inverse = base - inverse;
    this.one = this.doubled(small(1), 264);
    this.square = this.doubled(this.one, 264);
  }

  private doubled(a: Limbs, times: number): Limbs {
    let out = a;
    for (let i = 0; i < times; i++) out = this.add(out, out);
    return out;
  }

  add(a: Limbs, b: Limbs): number[] {
    const whole = sum(a, b);
    return isLess(whole, this.modulus) ? whole : difference(whole, this.modulus);
  }

  subtract(a: Limbs, b: Limbs): number[] {
    return isLess(a, b) ? difference(sum(a, this.modulus), b) : difference(a, b);
  }

  /** Montgomery's product: a · b / 2^264. */
  multiply(a: Limbs, b: Limbs): number[] {
    const { modulus, inverse } = this;
    const t = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (let i = 0; i < limbs; i++) {
      const digit = a[i]!;
      const first = t[0]! + digit * b[0]!;
      const low = first % base;
      const factor = inverse === 1 ? low : lowProduct(low, inverse);
      const carry = (first + factor * modulus[0]!) / base;
      for (let j = 1; j < limbs; j++) t[j - 1] = t[j]! + digit * b[j]! + factor * modulus[j]!;
      t[0] = t[0]! + carry;
      t[limbs - 1] = 0;
    }
    let carry = 0;
    for (let i = 0; i < limbs; i++) {
      const limb = t[i]! + carry;
      carry = Math.floor(limb / base);
      t[i] = limb - carry * base;
    }
    t.length = limbs;
    return isLess(t, modulus) ? t : difference(t, modulus);
  }

  toMontgomery(a: Limbs): number[] {
    return this.multiply(a, this.square);
  }

  /** 1/a by Fermat; a is in Montgomery form, and so is the result. */
  invert(a: Limbs): Limbs {
    const exponent = difference(this.modulus, small(2));
    let out = this.one;
    for (let i = 255; i >= 0; i--) {
      out = this.multiply(out, out);
      if (bitOf(exponent, i) === 1) out = this.multiply(out, a);
    }
    return out;
  }
}

/** a · b modulo 2^24: the product of two limbs is exact. */
function lowProduct(a: number, b: number): number {
  return (a * b) % base;
}

function bitOf(a: Limbs, bit: number): number {
  return (a[Math.floor(bit / 24)]! >> (bit % 24)) & 1;
}

const prime = new Field(
  fromHex('ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'),
);
const order = new Field(
  fromHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'),
);
const curveB = prime.toMontgomery(
  fromHex('5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b'),
);

/** Jacobian: x = X/Z², y = Y/Z³, in Montgomery form; undefined: the point at infinity. */
type Point = { readonly x: Limbs; readonly y: Limbs; readonly z: Limbs } | undefined;

const generator: Point = {
  x: prime.toMontgomery(
    fromHex('6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'),
  ),
  y: prime.toMontgomery(
    fromHex('4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5'),
  ),
  z: prime.one,
};

/** "dbl-2001-b" for a = −3. */
function double(point: Point): Point {
  if (point === undefined) return undefined;
  const { x, y, z } = point;
  const delta = prime.multiply(z, z);
  const gamma = prime.multiply(y, y);
  const beta = prime.multiply(x, gamma);
  const product = prime.multiply(prime.subtract(x, delta), prime.add(x, delta));
  const alpha = prime.add(prime.add(product, product), product);
  const twice = prime.add(beta, beta);
  const fourfold = prime.add(twice, twice);
  const outX = prime.subtract(prime.multiply(alpha, alpha), prime.add(fourfold, fourfold));
  const yz = prime.add(y, z);
  const outZ = prime.subtract(prime.subtract(prime.multiply(yz, yz), gamma), delta);
  let gammas = prime.multiply(gamma, gamma);
  for (let i = 0; i < 3; i++) gammas = prime.add(gammas, gammas);
  const outY = prime.subtract(prime.multiply(alpha, prime.subtract(fourfold, outX)), gammas);
  return { x: outX, y: outY, z: outZ };
}

/** "add-1998-cmo-2". */
function addPoints(a: Point, b: Point): Point {
  if (a === undefined || b === undefined) return a ?? b;
  const [zzA, zzB] = [prime.multiply(a.z, a.z), prime.multiply(b.z, b.z)];
  const [xA, xB] = [prime.multiply(a.x, zzB), prime.multiply(b.x, zzA)];
  const yA = prime.multiply(a.y, prime.multiply(b.z, zzB));
  const yB = prime.multiply(b.y, prime.multiply(a.z, zzA));
  const h = prime.subtract(xB, xA);
  const r = prime.subtract(yB, yA);
  if (isZero(h)) return isZero(r) ? double(a) : undefined;
  const hh = prime.multiply(h, h);
  const hhh = prime.multiply(h, hh);
  const v = prime.multiply(xA, hh);
  const squared = prime.subtract(prime.multiply(r, r), hhh);
  const x = prime.subtract(squared, prime.add(v, v));
  const y = prime.subtract(prime.multiply(r, prime.subtract(v, x)), prime.multiply(yA, hhh));
  return { x, y, z: prime.multiply(prime.multiply(a.z, b.z), h) };
}

/** The public point of an uncompressed key (SEC 1 §2.3.4); undefined when it is not on the curve. */
function pointOf(key: Uint8Array): Point {
  if (key.length !== 1 + 2 * scalarBytes || key[0] !== 4) return undefined;
  const [x, y] = [limbsOf(key.subarray(1, 33)), limbsOf(key.subarray(33))];
  if (!isLess(x, prime.modulus) || !isLess(y, prime.modulus)) return undefined;
  const [mx, my] = [prime.toMontgomery(x), prime.toMontgomery(y)];
  const cube = prime.multiply(prime.multiply(mx, mx), mx);
  const right = prime.subtract(prime.add(cube, curveB), prime.add(prime.add(mx, mx), mx));
  return areEqual(prime.multiply(my, my), right) ? { x: mx, y: my, z: prime.one } : undefined;
}

/**
 * Checks a signature.
 * @param key uncompressed point, 65 bytes
 * @param signature r‖s, 64 bytes
 * @returns false for everything that is no signature of `message` by `key`, malformed input included
 */
export function verifyP256(
  sha256: Sha256,
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const point = pointOf(key);
  if (point === undefined || signature.length !== 2 * scalarBytes) return false;
  const r = limbsOf(signature.subarray(0, scalarBytes));
  const s = limbsOf(signature.subarray(scalarBytes));
  if (isZero(r) || isZero(s)) return false;
  if (!isLess(r, order.modulus) || !isLess(s, order.modulus)) return false;
  const whole = limbsOf(sha256(message));
  const digest = isLess(whole, order.modulus) ? whole : difference(whole, order.modulus);
  // One factor in Montgomery form and one outside: the products are outside.
  const inverse = order.invert(order.toMontgomery(s));
  const [u, v] = [order.multiply(digest, inverse), order.multiply(r, inverse)];
  // u·G + v·Q, both at once, bit by bit.
  const choices = [undefined, generator, point, addPoints(generator, point)];
  let result: Point;
  for (let i = 255; i >= 0; i--) {
    result = addPoints(double(result), choices[bitOf(u, i) + 2 * bitOf(v, i)]);
  }
  if (result === undefined) return false;
  const { x, z } = result;
  const zz = prime.multiply(z, z);
  if (areEqual(prime.multiply(prime.toMontgomery(r), zz), x)) return true;
  // The abscissa was reduced by the order: rare, since both moduli begin with the same bits.
  const other = sum(r, order.modulus);
  if (!isLess(other, prime.modulus)) return false;
  return areEqual(prime.multiply(prime.toMontgomery(other), zz), x);
}
