/** Writer of deterministic CBOR (RFC 8949 §4.2.1): shortest arguments, definite lengths. */
import {
  majorArray,
  majorBytes,
  majorMap,
  majorNegative,
  majorSimple,
  majorText,
  majorUnsigned,
} from './reader.ts';

export class Writer {
  protected buffer: Uint8Array;
  protected length = 0;

  /** @param capacity bytes that it takes before it grows, which copies */
  constructor(capacity = 256) {
    this.buffer = new Uint8Array(capacity);
  }

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.buffer.length) return;
    let capacity = this.buffer.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }

  /** Writes an item's head. `argument` is a safe integer ≥ 0; anything else is a bug and throws. */
  head(major: number, argument: number): void {
    if (!(argument >= 0 && argument <= Number.MAX_SAFE_INTEGER && argument % 1 === 0)) {
      throw new RangeError(`argument: expected an integer from 0 to 2^53-1, got ${argument}`);
    }
    this.reserve(9);
    const type = major * 32;
    if (argument < 24) {
      this.buffer[this.length++] = type + argument;
      return;
    }
    const size = argument < 256 ? 1 : argument < 65536 ? 2 : argument < 4294967296 ? 4 : 8;
    this.buffer[this.length++] = type + (size === 1 ? 24 : size === 2 ? 25 : size === 4 ? 26 : 27);
    let rest = argument;
    for (let i = size - 1; i >= 0; i--) {
      this.buffer[this.length + i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.length += size;
  }

  integer(value: number): void {
    if (value >= 0) this.head(majorUnsigned, value);
    else this.head(majorNegative, -1 - value);
  }

  byteString(value: Uint8Array): void {
    this.byteStringHead(value.length);
    this.raw(value);
  }

  /** What stands before the `length` bytes of a byte string. */
  byteStringHead(length: number): void {
    this.head(majorBytes, length);
  }

  text(value: string): void {
    this.head(majorText, value.length);
    this.reserve(value.length);
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code < 0x20 || code > 0x7e) {
        throw new RangeError('value: expected printable ASCII text');
      }
      this.buffer[this.length++] = code;
    }
  }

  boolean(value: boolean): void {
    this.head(majorSimple, value ? 21 : 20);
  }

  array(count: number): void {
    this.head(majorArray, count);
  }

  map(count: number): void {
    this.head(majorMap, count);
  }

  /** Appends bytes that are already encoded. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** What was written so far, copied to its exact size. */
  finish(): Uint8Array {
    return new Uint8Array(this.buffer.subarray(0, this.length));
  }
}
