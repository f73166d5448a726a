/**
 * The JSON view of the formats: any value that a schema describes, for people and for tools without
 * CBOR. Records by field names, bytes as base64url, named values by their names (docs/POUF.md §5).
 *
 * Nothing is verified or signed in this form; the CBOR bytes are what counts.
 */
import {
  type AlgorithmName,
  algorithms,
  type PublicKey,
  publicKeyBytes,
} from '../../agent/codec/cose-key.ts';
import { decodeEnvelope, merkleProof, type Signature } from '../../agent/codec/cose-sign.ts';
import { decode, type Entry, encode, type Schema, type Shape } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json };

/** A JSON object without a prototype: names from outside can be anything, `__proto__` too. */
function emptyObject(): Record<string, Json> {
  return Object.create(null) as Record<string, Json>;
}

const algorithmNames = new Map<number, AlgorithmName>(
  (Object.keys(algorithms) as AlgorithmName[]).map((name) => [algorithms[name], name]),
);

/** Bytes as base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

/** The JSON view of a value that fits `schema`. */
export function toJson<T>(schema: Schema<T>, value: T): Json {
  return viewOf(schema.shape, value);
}

function viewOf(shape: Shape, value: unknown): Json {
  switch (shape.kind) {
    case 'integer':
    case 'text':
    case 'boolean':
      return value as Json;
    case 'bytes':
      return toBase64Url(value as Uint8Array);
    case 'named':
      return nameOf(shape.names, value as number);
    case 'key': {
      const key = value as PublicKey;
      return { algorithm: key.algorithm, publicKey: toBase64Url(key.bytes) };
    }
    case 'array':
      return (value as readonly unknown[]).map((item) => viewOf(shape.item.shape, item));
    case 'tuple':
      return (value as readonly unknown[]).map((item, i) => viewOf(shape.items[i]!.shape, item));
    case 'dictionary': {
      const view = emptyObject();
      for (const entry of value as readonly Entry<number | string, unknown>[]) {
        view[String(entry.key)] = viewOf(shape.value.shape, entry.value);
      }
      return view;
    }
    case 'record': {
      const view = emptyObject();
      for (const name of Object.keys(shape.fields)) {
        const field = (value as Record<string, unknown>)[name];
        if (field !== undefined) view[name] = viewOf(shape.fields[name]!.schema.shape, field);
      }
      return view;
    }
  }
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}

/**
 * The value that a JSON view stands for, checked as strictly as its CBOR form.
 * @returns the value, or `request-malformed` naming the place
 */
export function fromJson<T>(schema: Schema<T>, json: unknown): T | Refusal {
  const value = parse(schema.shape, json, '$');
  if (isRefusal(value)) return value;
  let encoded: Uint8Array;
  try {
    encoded = encode(schema, value as T);
  } catch (error) {
    // The encoder throws RangeError for what does not fit the schema; the value came from outside.
    if (error instanceof RangeError) return refuse('request-malformed', error.message);
    throw error;
  }
  return decode(schema, encoded, encoded.length);
}

function malformed(place: string, expected: string): Refusal {
  return refuse('request-malformed', `${place}: expected ${expected}`);
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function bytesOf(json: unknown, place: string): Uint8Array | Refusal {
  if (typeof json !== 'string') return malformed(place, 'base64url text');
  const value = new Uint8Array(Buffer.from(json, 'base64url'));
  // Node skips what is not base64url; the way back shows it.
  return toBase64Url(value) === json ? value : malformed(place, 'base64url text');
}

function itemsOf(json: unknown, place: string, shapes: (i: number) => Shape | undefined): unknown {
  if (!Array.isArray(json)) return malformed(place, 'an array');
  const items: unknown[] = [];
  for (let i = 0; i < json.length; i++) {
    const shape = shapes(i);
    if (shape === undefined) return malformed(place, `${i} items`);
    const item = parse(shape, json[i], `${place}[${i}]`);
    if (isRefusal(item)) return item;
    items.push(item);
  }
  return items;
}

function parse(shape: Shape, json: unknown, place: string): unknown {
  switch (shape.kind) {
    case 'integer':
      return Number.isSafeInteger(json) ? json : malformed(place, 'an integer');
    case 'text':
      return typeof json === 'string' ? json : malformed(place, 'text');
    case 'boolean':
      return typeof json === 'boolean' ? json : malformed(place, 'true or false');
    case 'bytes':
      return bytesOf(json, place);
    case 'named':
      return typeof json === 'string' && Object.hasOwn(shape.names, json)
        ? shape.names[json]
        : malformed(place, `one of ${Object.keys(shape.names).join(', ')}`);
    case 'key':
      return keyOf(json, place);
    case 'array':
      return itemsOf(json, place, () => shape.item.shape);
    case 'tuple': {
      const items = itemsOf(json, place, (i) => shape.items[i]?.shape);
      const complete = isRefusal(items) || (items as unknown[]).length === shape.items.length;
      return complete ? items : malformed(place, `${shape.items.length} items`);
    }
    case 'dictionary':
      return entriesOf(shape, json, place);
    case 'record':
      return recordOf(shape, json, place);
  }
}

function keyOf(json: unknown, place: string): PublicKey | Refusal {
  const known = isObject(json) && Object.keys(json).length === 2;
  const name = known ? json['algorithm'] : undefined;
  if (!known || typeof name !== 'string' || !Object.hasOwn(algorithms, name)) {
    return malformed(place, 'a key: {"algorithm", "publicKey"}');
  }
  const algorithm = name as AlgorithmName;
  const bytes = bytesOf(json['publicKey'], `${place}.publicKey`);
  if (isRefusal(bytes)) return bytes;
  const fits = bytes.length === publicKeyBytes[algorithm];
  // A COSE_Key holds x and y alone: a point in another form would silently become this one.
  if (!fits || (algorithm === 'ESP256' && bytes[0] !== 4)) {
    return malformed(`${place}.publicKey`, `a raw ${algorithm} key`);
  }
  return { algorithm, bytes };
}

function entriesOf(
  shape: Extract<Shape, { kind: 'dictionary' }>,
  json: unknown,
  place: string,
): unknown {
  if (!isObject(json)) return malformed(place, 'an object');
  const entries: Entry<number | string, unknown>[] = [];
  for (const name of Object.keys(json)) {
    const key = shape.keys === 'text' ? name : Number(name);
    if (String(key) !== name) return malformed(place, 'integers as names');
    const value = parse(shape.value.shape, json[name], `${place}.${name}`);
    if (isRefusal(value)) return value;
    entries.push({ key, value });
  }
  return entries;
}

function recordOf(
  shape: Extract<Shape, { kind: 'record' }>,
  json: unknown,
  place: string,
): unknown {
  if (!isObject(json)) return malformed(place, 'an object');
  for (const name of Object.keys(json)) {
    if (!Object.hasOwn(shape.fields, name)) return malformed(place, `no field ${name}`);
  }
  const record: Record<string, unknown> = {};
  for (const name of Object.keys(shape.fields)) {
    const field = shape.fields[name]!;
    if (json[name] === undefined) {
      if (!field.optional) return malformed(place, `field ${name}`);
      continue;
    }
    const value = parse(field.schema.shape, json[name], `${place}.${name}`);
    if (isRefusal(value)) return value;
    record[name] = value;
  }
  return record;
}

function signatureView(signature: Signature): Json {
  const { header, proof } = signature;
  return {
    algorithm: algorithmNames.get(header.algorithm) ?? header.algorithm,
    keyId: toBase64Url(header.keyId),
    ...(header.payloadHash && { payloadHash: { 'SHA-256': toBase64Url(header.payloadHash[1]) } }),
    ...(proof !== undefined && { merkleProof: toJson(merkleProof, proof) }),
    signature: toBase64Url(signature.signature),
  };
}

/**
 * The JSON view of a COSE_Sign envelope: `{"payload", "signatures"}`.
 * @param payload schema of the payload
 * @returns the view, or the codec's refusal of the bytes
 */
export function envelopeToJson<T>(payload: Schema<T>, bytes: Uint8Array): Json | Refusal {
  const envelope = decodeEnvelope(bytes, bytes.length);
  if (isRefusal(envelope)) return envelope;
  const value = decode(payload, envelope.payload, envelope.payload.length);
  if (isRefusal(value)) return value;
  return { payload: toJson(payload, value), signatures: envelope.signatures.map(signatureView) };
}
