/** The formats as docs/POUF.md tabulates them: one table of fields for each record of the schemas. */
import { coseKey } from '../agent/codec/cose-key.ts';
import { merkleProof, merkleRoot, signatureHeader } from '../agent/codec/cose-sign.ts';
import { type AnyField, type Schema, type Shape, unsigned } from '../agent/codec/schema.ts';
import * as common from '../agent/metadata/common.ts';
import * as configuration from '../agent/metadata/configuration.ts';
import * as deviceMessages from '../agent/metadata/device-messages.ts';
import * as doorbells from '../agent/metadata/doorbell.ts';
import * as keyObjects from '../agent/metadata/key-object.ts';
import * as offline from '../agent/metadata/offline.ts';
import * as reports from '../agent/metadata/report.ts';
import * as repositoryMaps from '../agent/metadata/repository-map.ts';
import * as roots from '../agent/metadata/root.ts';
import * as snapshots from '../agent/metadata/snapshot.ts';
import * as targets from '../agent/metadata/targets.ts';
import * as times from '../agent/metadata/time.ts';
import * as timestamps from '../agent/metadata/timestamp.ts';
import * as vehicleMessages from '../agent/metadata/vehicle-messages.ts';
import * as operatorMessages from '../backend/http/messages.ts';

type Fields = Readonly<Record<string, AnyField>>;

/** Tables of numbers with names, by the name under which the code exports them. */
export const enumerations: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  roles: common.roles,
  profiles: common.profiles,
  repositories: common.repositories,
  hashAlgorithms: common.hashAlgorithms,
  imageKinds: targets.imageKinds,
  bundleFailures: targets.bundleFailures,
  ecuRoles: deviceMessages.ecuRoles,
  verifications: deviceMessages.verifications,
  wrapSuites: keyObjects.wrapSuites,
  stages: vehicleMessages.stages,
  trials: vehicleMessages.trials,
  logKinds: operatorMessages.logKinds,
};

function isSchema(value: unknown): value is Schema<unknown> {
  return typeof value === 'object' && value !== null && 'shape' in value && 'read' in value;
}

/** Every schema that the modules of formats export, by name. */
export const formats: readonly (readonly [string, Schema<unknown>])[] = [
  { merkleProof, merkleRoot, signatureHeader },
  roots,
  timestamps,
  snapshots,
  targets,
  times,
  reports,
  keyObjects,
  offline,
  deviceMessages,
  doorbells,
  vehicleMessages,
  repositoryMaps,
  configuration,
  operatorMessages,
].flatMap((module) =>
  Object.entries(module).flatMap(([name, value]) =>
    isSchema(value) ? [[name, value] as const] : [],
  ),
);

/** Shapes that a type column calls by name. */
const calledByName = new Map<Shape, string>([
  [unsigned.shape, 'uint'],
  [coseKey.shape, 'COSE_Key'],
  [common.identifier.shape, 'identifier'],
  [common.filename.shape, 'filename'],
  [common.roleName.shape, 'role name'],
  [common.hashes.shape, 'hashes'],
  [deviceMessages.enrolmentToken.shape, 'base64url'],
]);

const namesOfRecords = new Map<Shape, string>();
const found: { readonly name: string; readonly fields: Fields }[] = [];

/** Notes the records inside a shape; one that nobody exports is called by its place. */
function collect(shape: Shape, place: string): void {
  if (shape.kind === 'array') collect(shape.item.shape, place);
  if (shape.kind === 'dictionary') collect(shape.value.shape, place);
  if (shape.kind === 'tuple') for (const item of shape.items) collect(item.shape, place);
  if (shape.kind !== 'record' || namesOfRecords.has(shape)) return;
  namesOfRecords.set(shape, place);
  found.push({ name: place, fields: shape.fields });
  for (const [name, { schema }] of Object.entries(shape.fields)) {
    collect(schema.shape, `${place}.${name}`);
  }
}

// Exported records first: an inner one then has its own name wherever it is used.
for (const [name, { shape }] of formats) {
  if (shape.kind === 'record' && !namesOfRecords.has(shape)) {
    namesOfRecords.set(shape, name);
    found.push({ name, fields: shape.fields });
  }
}
for (const [name, { shape }] of formats) {
  if (shape.kind !== 'record') collect(shape, name);
  else {
    for (const [inner, { schema }] of Object.entries(shape.fields)) {
      collect(schema.shape, `${name}.${inner}`);
    }
  }
}

/** Every record of the formats, once. */
export const records: readonly { readonly name: string; readonly fields: Fields }[] = found;

function range(min: number, max: number): string {
  return min === max ? String(min) : `${min}…${max}`;
}

/** A type as the type column says it. */
export function typeOf(shape: Shape): string {
  const called = calledByName.get(shape);
  if (called !== undefined) return called;
  switch (shape.kind) {
    case 'boolean':
      return 'bool';
    case 'key':
      return 'COSE_Key';
    case 'integer':
      return `int ${range(shape.min, shape.max)}`;
    case 'bytes':
      return `bytes ${range(shape.min, shape.max)}`;
    case 'text':
      return `text ${range(shape.min, shape.max)}`;
    case 'named': {
      const { names } = shape;
      const known = Object.keys(enumerations).find((name) => enumerations[name] === names);
      return known ?? Object.values(names).join(', ');
    }
    case 'array':
      return `[${range(shape.min, shape.max)} × ${typeOf(shape.item.shape)}]`;
    case 'tuple':
      return `[${shape.items.map((item) => typeOf(item.shape)).join(', ')}]`;
    case 'dictionary': {
      const entry = `${typeOf(shape.key.shape)}: ${typeOf(shape.value.shape)}`;
      return `{${range(shape.min, shape.max)} × ${entry}}`;
    }
    case 'record':
      return namesOfRecords.get(shape) ?? 'record without a name';
  }
}

/** One row of a record's table: key, field name with `?` when optional, type. */
export function rowsOf(fields: Fields): readonly (readonly [string, string, string])[] {
  return Object.entries(fields).map(([name, { key, optional, schema }]) => [
    String(key),
    optional ? `${name}?` : name,
    typeOf(schema.shape),
  ]);
}
