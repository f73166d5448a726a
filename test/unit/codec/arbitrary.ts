/** Random values of any schema, made from its shape, and every schema that crosses a link. */
import * as fc from 'fast-check';
import { type AlgorithmName, coseKey, publicKeyBytes } from '../../../agent/codec/cose-key.ts';
import { merkleProof, merkleRoot, signatureHeader } from '../../../agent/codec/cose-sign.ts';
import type { Schema, Shape } from '../../../agent/codec/schema.ts';
import * as configuration from '../../../agent/metadata/configuration.ts';
import * as deviceMessages from '../../../agent/metadata/device-messages.ts';
import * as keyObjects from '../../../agent/metadata/key-object.ts';
import * as reports from '../../../agent/metadata/report.ts';
import * as roots from '../../../agent/metadata/root.ts';
import * as snapshots from '../../../agent/metadata/snapshot.ts';
import * as targets from '../../../agent/metadata/targets.ts';
import * as times from '../../../agent/metadata/time.ts';
import * as timestamps from '../../../agent/metadata/timestamp.ts';
import * as vehicleMessages from '../../../agent/metadata/vehicle-messages.ts';

function isSchema(value: unknown): value is Schema<unknown> {
  return typeof value === 'object' && value !== null && 'shape' in value && 'read' in value;
}

/** Every schema that a module of formats exports, by name. */
export const schemas: readonly (readonly [string, Schema<unknown>])[] = [
  configuration,
  deviceMessages,
  keyObjects,
  reports,
  roots,
  snapshots,
  targets,
  times,
  timestamps,
  vehicleMessages,
  { coseKey, merkleProof, merkleRoot, signatureHeader },
].flatMap((module) =>
  Object.entries(module).flatMap(([name, value]) =>
    isSchema(value) ? [[name, value] as const] : [],
  ),
);

const characters = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i));
/** How far above its least size a collection or string grows. */
const growth = 3;

function bytesOf(min: number, max: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: min, maxLength: Math.min(max, min + growth) });
}

const keys: fc.Arbitrary<unknown> = fc
  .constantFrom(...(Object.keys(publicKeyBytes) as AlgorithmName[]))
  .chain((algorithm) => {
    const length = publicKeyBytes[algorithm];
    return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => {
      if (algorithm === 'ESP256') bytes[0] = 4;
      return { algorithm, bytes };
    });
  });

/** Values that fit `shape`, at its bounds more often than by chance. */
export function valuesOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'boolean':
      return fc.boolean();
    case 'key':
      return keys;
    case 'integer': {
      const edges = [shape.min, shape.max, 0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_296];
      const fitting = edges.filter((edge) => edge >= shape.min && edge <= shape.max);
      return fc.oneof(
        fc.constantFrom(...fitting),
        fc.maxSafeInteger().map((n) => Math.min(shape.max, Math.max(shape.min, n))),
      );
    }
    case 'bytes':
      return bytesOf(shape.min, shape.max);
    case 'text': {
      const { allowed, min, max } = shape;
      const usable = characters.filter((one) => allowed?.(one.charCodeAt(0)) ?? true);
      const unit = fc.constantFrom(...usable);
      const text = (minLength: number, maxLength: number) =>
        fc.array(unit, { minLength, maxLength }).map((parts) => parts.join(''));
      return fc.oneof(text(min, Math.min(max, 30)), text(max, max));
    }
    case 'named':
      return fc.constantFrom(...Object.values(shape.names));
    case 'array':
      return fc.array(valuesOf(shape.item.shape), {
        minLength: shape.min,
        maxLength: Math.min(shape.max, shape.min + growth),
      });
    case 'tuple':
      return fc.tuple(...shape.items.map((item) => valuesOf(item.shape)));
    case 'dictionary':
      return fc.uniqueArray(
        fc.record({ key: valuesOf(shape.key.shape), value: valuesOf(shape.value.shape) }),
        {
          selector: (entry) => entry.key,
          minLength: shape.min,
          maxLength: Math.min(shape.max, shape.min + growth),
        },
      );
    case 'record': {
      const fields = Object.entries(shape.fields);
      const required = fields.filter(([, field]) => !field.optional).map(([name]) => name);
      return fc.record(
        Object.fromEntries(fields.map(([name, { schema }]) => [name, valuesOf(schema.shape)])),
        { requiredKeys: required },
      );
    }
  }
}
