/**
 * Shows what a file holds, without believing it: signatures are not verified here. Every format of
 * the project is tried with the strict decoder; any other CBOR goes to an independent one.
 */
import { Decoder } from 'cbor-x';
import { coseKey } from '../../agent/codec/cose-key.ts';
import { decodeEnvelope, type Envelope } from '../../agent/codec/cose-sign.ts';
import { decode, type Schema } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxDirectorTargetsBytes, maxManifestBytes } from '../../agent/limits.ts';
import { configuration } from '../../agent/metadata/configuration.ts';
import { keyObject } from '../../agent/metadata/key-object.ts';
import { offlineSnapshot, offlineTargets } from '../../agent/metadata/offline.ts';
import { manifest, report } from '../../agent/metadata/report.ts';
import { root } from '../../agent/metadata/root.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { timeAttestation } from '../../agent/metadata/time.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import { envelopeToJson, type Json, toJson } from '../http/json-view.ts';
import { keyFile } from '../signer/key-file.ts';

/** The largest file of any format: Director Targets or a manifest, with their envelope. */
export const maxInspectedBytes = Math.max(maxDirectorTargetsBytes, maxManifestBytes) * 2;

interface Format<T> {
  readonly name: string;
  readonly schema: Schema<T>;
}

// biome-ignore lint/suspicious/noExplicitAny: the formats have unrelated types
type AnyFormat = Format<any>;

/** Payloads of envelopes; no two of them have a decoding in common. */
const payloads: readonly AnyFormat[] = [
  { name: 'Root', schema: root },
  { name: 'Targets', schema: targets },
  { name: 'Snapshot', schema: snapshot },
  { name: 'Timestamp', schema: timestamp },
  { name: 'Offline Snapshot', schema: offlineSnapshot },
  { name: 'Offline Targets', schema: offlineTargets },
  { name: 'time attestation', schema: timeAttestation },
  { name: 'version report', schema: report },
  { name: 'vehicle version manifest', schema: manifest },
];

/** Files that nobody signs. */
const plain: readonly AnyFormat[] = [
  { name: 'key file', schema: keyFile },
  { name: 'public key', schema: coseKey },
  { name: 'key object', schema: keyObject },
  { name: 'ECU configuration', schema: configuration },
];

export interface Inspected {
  /** What the file is, for a person. */
  readonly format: string;
  readonly content: Json;
}

/** Formats a file's content; the strict decoder's refusal when it is no CBOR at all. */
export function inspect(bytes: Uint8Array): Inspected | Refusal {
  const envelope = decodeEnvelope(bytes, bytes.length);
  if (!isRefusal(envelope)) return inspectEnvelope(bytes, envelope);
  for (const { name, schema } of plain) {
    const value = decode(schema, bytes, bytes.length);
    if (!isRefusal(value)) return { format: name, content: toJson(schema, value) };
  }
  return inspectUnknown(bytes, envelope);
}

function inspectEnvelope(bytes: Uint8Array, envelope: Envelope): Inspected | Refusal {
  for (const { name, schema } of payloads) {
    const value = decode(schema, envelope.payload, envelope.payload.length);
    if (isRefusal(value)) continue;
    const content = envelopeToJson(schema, bytes);
    if (isRefusal(content)) return content;
    const count = envelope.signatures.length;
    return { format: `${name}, ${count} signature${count === 1 ? '' : 's'}`, content };
  }
  const payload = inspectUnknown(envelope.payload, undefined);
  if (isRefusal(payload)) return payload;
  return { format: `COSE_Sign, payload: ${payload.format}`, content: payload.content };
}

function inspectUnknown(bytes: Uint8Array, refusal: Refusal | undefined): Inspected | Refusal {
  try {
    const value: unknown = new Decoder({ mapsAsObjects: false, useRecords: false }).decode(
      Buffer.from(bytes),
    );
    return { format: 'CBOR of no known format', content: jsonOf(value) };
  } catch {
    return refusal ?? refuse('cbor-wrong-type', 'not CBOR');
  }
}

/** A decoded CBOR value as JSON: byte strings as {"bytes": hex}, maps as lists of pairs. */
function jsonOf(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(jsonOf);
  if (value instanceof Map)
    return { map: [...value].map(([key, item]) => [jsonOf(key), jsonOf(item)]) };
  return String(value);
}
