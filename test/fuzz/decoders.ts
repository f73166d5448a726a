/** Every decoder as a fuzz target: what is accepted is encoded again to the same bytes. */
import * as fc from 'fast-check';
import { decodeEnvelope, encodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode, encode, type Schema } from '../../agent/codec/schema.ts';
import { isCode, isRefusal } from '../../agent/codes.ts';
import { fromJson, toJson } from '../../backend/http/json-view.ts';
import { schemas, valuesOf } from '../unit/codec/arbitrary.ts';

export interface Target {
  readonly name: string;
  /** Throws when the property does not hold. */
  check(input: Uint8Array): void;
  /** Inputs to begin with. */
  readonly seeds: readonly Uint8Array[];
}

const maxInputBytes = 2_097_152;
const seedsPerSchema = 12;

export class Broken extends Error {}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function checkSchema(schema: Schema<unknown>, input: Uint8Array): void {
  const value = decode(schema, input, maxInputBytes);
  if (isRefusal(value)) {
    if (!isCode(value.refused)) throw new Broken(`code ${value.refused} is in no catalogue`);
    return;
  }
  if (!same(encode(schema, value), input)) throw new Broken('accepted, but encoded to other bytes');
  const json = JSON.parse(JSON.stringify(toJson(schema, value)));
  const back = fromJson(schema, json);
  if (isRefusal(back)) throw new Broken(`its JSON view is refused: ${back.detail}`);
  if (!same(encode(schema, back), input)) throw new Broken('its JSON view is another value');
}

function checkEnvelope(input: Uint8Array): void {
  const envelope = decodeEnvelope(input, maxInputBytes);
  if (isRefusal(envelope)) return;
  if (!same(encodeEnvelope(envelope), input)) throw new Broken('another envelope');
}

/** @param seed chooses the seeds of each decoder */
export function decoderTargets(seed: number, envelopes: readonly Uint8Array[]): readonly Target[] {
  const ofSchemas = schemas.map(([name, schema]): Target => {
    const values = fc.sample(valuesOf(schema.shape), { numRuns: seedsPerSchema, seed });
    return {
      name,
      check: (input) => checkSchema(schema, input),
      seeds: values.map((value) => encode(schema, value)),
    };
  });
  return [...ofSchemas, { name: 'envelope', check: checkEnvelope, seeds: envelopes }];
}
