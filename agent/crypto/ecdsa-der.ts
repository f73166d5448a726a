/**
 * DER form of an ECDSA P-256 signature (Ecdsa-Sig-Value, RFC 5480), as composite signatures hold it.
 * Strict: one encoding for each pair r, s. That r and s lie below the group order is checked by the
 * verifier itself.
 */

const sequenceTag = 0x30;
const integerTag = 0x02;
const scalarBytes = 32;

/** Converts a strict DER signature to r‖s (64 bytes); undefined when it is malformed. */
export function ecdsaFromDer(der: Uint8Array): Uint8Array | undefined {
  // Two integers of at most 33 bytes keep every length in its one-byte form.
  if (der.length < 8 || der.length > 72) return undefined;
  if (der[0] !== sequenceTag || der[1] !== der.length - 2) return undefined;
  const raw = new Uint8Array(2 * scalarBytes);
  const afterR = readScalar(der, 2, raw, scalarBytes);
  if (afterR === undefined) return undefined;
  return readScalar(der, afterR, raw, 2 * scalarBytes) === der.length ? raw : undefined;
}

/** Reads one INTEGER at `offset`, right-aligned in `raw` before `end`; the offset after it. */
function readScalar(
  der: Uint8Array,
  offset: number,
  raw: Uint8Array,
  end: number,
): number | undefined {
  const length = der[offset + 1];
  if (der[offset] !== integerTag || length === undefined || length === 0) return undefined;
  let start = offset + 2;
  const after = start + length;
  if (after > der.length || length > scalarBytes + 1) return undefined;
  if (der[start]! >= 0x80) return undefined; // negative
  if (der[start] === 0) {
    // A leading zero is right only before a high bit; alone it is the value 0.
    if (length === 1 || der[start + 1]! < 0x80) return undefined;
    start += 1;
  }
  if (after - start > scalarBytes) return undefined;
  raw.set(der.subarray(start, after), end - (after - start));
  return after;
}

/** Converts r‖s (64 bytes) to DER. */
export function ecdsaToDer(raw: Uint8Array): Uint8Array {
  if (raw.length !== 2 * scalarBytes) throw new RangeError(`raw: ${raw.length} bytes, 64 expected`);
  const r = minimalInteger(raw.subarray(0, scalarBytes));
  const s = minimalInteger(raw.subarray(scalarBytes));
  const der = new Uint8Array(2 + r.length + s.length);
  der[0] = sequenceTag;
  der[1] = r.length + s.length;
  der.set(r, 2);
  der.set(s, 2 + r.length);
  return der;
}

function minimalInteger(scalar: Uint8Array): Uint8Array {
  let start = 0;
  while (start < scalar.length - 1 && scalar[start] === 0) start += 1;
  const pad = scalar[start]! >= 0x80 ? 1 : 0;
  const integer = new Uint8Array(2 + pad + scalar.length - start);
  integer[0] = integerTag;
  integer[1] = integer.length - 2;
  integer.set(scalar.subarray(start), 2 + pad);
  return integer;
}
