/**
 * Strict reader of deterministic CBOR (RFC 8949 §4.2.1).
 *
 * Refuses what a deterministic encoder never writes: non-shortest arguments, indefinite lengths,
 * floats, tags, text outside printable ASCII. Nothing is allocated before its bounds are checked;
 * byte strings are views into the input.
 *
 * The first refusal sticks: every later read returns a harmless default, so callers check once, at
 * the end. This keeps the decoders free of exceptions and small on engines without try/catch speed.
 */
import { type Code, type Refusal, refuse } from '../codes.ts';
import { maxCborDepth } from '../limits.ts';

export const majorUnsigned = 0;
export const majorNegative = 1;
export const majorBytes = 2;
export const majorText = 3;
export const majorArray = 4;
export const majorMap = 5;
export const majorSimple = 7;

const twoTo32 = 4294967296;
const noBytes = new Uint8Array(0);

export class Reader {
  readonly bytes: Uint8Array;
  offset = 0;
  depth = 0;
  refused: Refusal | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Records the first refusal; what names the place is the byte offset. */
  refuse(code: Code, what: string): void {
    if (this.refused === undefined) this.refused = refuse(code, `${what} at byte ${this.offset}`);
  }

  /** The major type of the next item, or -1 at the end of the input; consumes nothing. */
  peekMajor(): number {
    if (this.refused !== undefined || this.offset >= this.bytes.length) return -1;
    return this.bytes[this.offset]! >>> 5;
  }

  /**
   * Reads an item's head and returns its argument (0 … 2⁵³−1).
   * Refuses another major type, a non-shortest argument, indefinite lengths and truncation.
   */
  head(major: number): number {
    if (this.refused !== undefined) return 0;
    if (this.offset >= this.bytes.length) {
      this.refuse('cbor-truncated', 'item expected');
      return 0;
    }
    const initial = this.bytes[this.offset]!;
    if (initial >>> 5 !== major) {
      this.refuse('cbor-wrong-type', `major type ${initial >>> 5} where ${major} is expected`);
      return 0;
    }
    const additional = initial & 31;
    if (additional < 24) {
      this.offset += 1;
      return additional;
    }
    if (additional > 27) {
      this.refuse('cbor-not-deterministic', 'indefinite length or reserved argument');
      return 0;
    }
    return this.argument(additional === 24 ? 1 : additional === 25 ? 2 : additional === 26 ? 4 : 8);
  }

  private argument(size: number): number {
    if (this.bytes.length - this.offset - 1 < size) {
      this.refuse('cbor-truncated', 'argument');
      return 0;
    }
    let value = 0;
    // Arithmetic, not shifts: a 32-bit operator would wrap lengths at 2 GiB.
    for (let i = 1; i <= size; i++) value = value * 256 + this.bytes[this.offset + i]!;
    if (value > Number.MAX_SAFE_INTEGER) {
      this.refuse('cbor-integer-range', 'integer above 2^53-1');
      return 0;
    }
    const least = size === 1 ? 24 : size === 2 ? 256 : size === 4 ? 65536 : twoTo32;
    if (value < least) {
      this.refuse('cbor-not-deterministic', 'argument not in its shortest form');
      return 0;
    }
    this.offset += 1 + size;
    return value;
  }

  /** A byte string of at most `max` bytes, as a view into the input. */
  byteString(max: number): Uint8Array {
    return this.take(this.head(majorBytes), max, 'byte string');
  }

  /** A text string of at most `max` printable ASCII characters (HRD-20, MET-01: its own NFC form). */
  text(max: number): string {
    const view = this.take(this.head(majorText), max, 'text string');
    let text = '';
    for (let i = 0; i < view.length; i++) {
      const byte = view[i]!;
      if (byte < 0x20 || byte > 0x7e) {
        this.refuse('cbor-text-charset', 'character outside printable ASCII');
        return '';
      }
      text += String.fromCharCode(byte);
    }
    return text;
  }

  private take(length: number, max: number, what: string): Uint8Array {
    if (this.refused !== undefined) return noBytes;
    if (length > max) {
      this.refuse('cbor-too-large', `${what} of ${length} bytes, at most ${max} allowed`);
      return noBytes;
    }
    if (length > this.bytes.length - this.offset) {
      this.refuse('cbor-truncated', what);
      return noBytes;
    }
    const view = this.bytes.subarray(this.offset, this.offset + length);
    this.offset += length;
    return view;
  }

  /** true or false; every other simple value and float is refused. */
  boolean(): boolean {
    const value = this.head(majorSimple);
    if (this.refused === undefined && value !== 20 && value !== 21) {
      this.refuse('cbor-wrong-type', 'true or false expected');
    }
    return value === 21;
  }

  /** Enters an array or a map: its number of items or pairs, at most `max`. Pair with `leave`. */
  enter(major: number, max: number): number {
    const count = this.head(major);
    if (this.refused !== undefined) return 0;
    if (count > max) {
      this.refuse('cbor-too-large', `${count} items, at most ${max} allowed`);
      return 0;
    }
    this.depth += 1;
    if (this.depth > maxCborDepth) {
      this.refuse('cbor-too-deep', `nesting deeper than ${maxCborDepth}`);
      return 0;
    }
    return count;
  }

  leave(): void {
    this.depth -= 1;
  }

  /** Refuses bytes after the last item. */
  end(): void {
    if (this.refused === undefined && this.offset !== this.bytes.length) {
      this.refuse('cbor-trailing-bytes', `${this.bytes.length - this.offset} bytes left over`);
    }
  }
}

/** Compares two byte strings bytewise, shorter first when one is the other's prefix. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

/** Sets every byte and returns `bytes`: arrays of tier-2 engines have no `fill`. */
export function fillBytes(bytes: Uint8Array, value: number): Uint8Array {
  for (let i = 0; i < bytes.length; i++) bytes[i] = value;
  return bytes;
}

/** True when both hold the same bytes. For public data; secrets go through `crypto/constant-time`. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return compareBytes(a, b) === 0;
}
