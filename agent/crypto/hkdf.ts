/** HKDF (RFC 5869) over the platform's HMAC. */
import type { Crypto, DigestAlgorithm } from '../../hal/types.ts';

const digestBytes: Readonly<Record<DigestAlgorithm, number>> = { 'SHA-256': 32, 'SHA-512': 64 };

/**
 * HKDF-Extract.
 * @param salt any length; empty stands for a digest's length of zero bytes
 * @param inputKey the input keying material
 * @returns the pseudorandom key: 32 or 64 bytes
 */
export function hkdfExtract(
  crypto: Crypto,
  algorithm: DigestAlgorithm,
  salt: Uint8Array,
  inputKey: Uint8Array,
): Uint8Array {
  const key = salt.length === 0 ? new Uint8Array(digestBytes[algorithm]) : salt;
  return crypto.hmac(algorithm, key, inputKey);
}

/**
 * HKDF-Expand. More than 255 digests of output are never right and throw.
 * @param pseudorandomKey from `hkdfExtract`, or a uniformly random key
 * @param info what the output is bound to, any length
 * @param length bytes of output
 */
export function hkdfExpand(
  crypto: Crypto,
  algorithm: DigestAlgorithm,
  pseudorandomKey: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const size = digestBytes[algorithm];
  if (!(length >= 0 && length <= 255 * size)) {
    throw new RangeError(`length: expected 0 to ${255 * size} bytes, got ${length}`);
  }
  const output = new Uint8Array(length);
  let previous = new Uint8Array(0);
  for (let done = 0, counter = 1; done < length; done += size, counter++) {
    const block = new Uint8Array(previous.length + info.length + 1);
    block.set(previous, 0);
    block.set(info, previous.length);
    block[block.length - 1] = counter;
    previous = new Uint8Array(crypto.hmac(algorithm, pseudorandomKey, block));
    output.set(previous.subarray(0, Math.min(size, length - done)), done);
  }
  return output;
}
