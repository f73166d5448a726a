/** The field tables of docs/POUF.md, made from the schemas: the document must hold each of them. */
import * as cose from '../agent/codec/cose-sign.ts';
import type { Schema, Shape } from '../agent/codec/schema.ts';
import * as device from '../agent/metadata/device-messages.ts';
import * as keyObject from '../agent/metadata/key-object.ts';
import * as report from '../agent/metadata/report.ts';
import * as root from '../agent/metadata/root.ts';
import { snapshot } from '../agent/metadata/snapshot.ts';
import * as targets from '../agent/metadata/targets.ts';
import { timestamp } from '../agent/metadata/timestamp.ts';
import * as vehicle from '../agent/metadata/vehicle-messages.ts';

/** Every record that crosses a wire, by the name that the document gives it. */
export const records: Readonly<Record<string, Schema<never>>> = {
  SignatureHeader: cose.signatureHeader,
  MerkleRoot: cose.merkleRoot,
  Root: root.root,
  RoleKeys: root.roleKeys,
  Timestamp: timestamp,
  Snapshot: snapshot,
  Targets: targets.targets,
  Target: targets.target,
  MustMatch: targets.mustMatch,
  Assignment: targets.assignment,
  Delegation: targets.delegation,
  DelegatedRole: targets.delegatedRole,
  TimeKeys: targets.timeKeys,
  KeyObject: keyObject.keyObject,
  Report: report.report,
  InstalledImage: report.installedImage,
  Detection: report.detection,
  Manifest: report.manifest,
  Registration: device.registration,
  EcuDescription: device.ecuDescription,
  ManifestAnswer: device.manifestAnswer,
  UpdateQuery: device.updateQuery,
  UpdateAnswer: device.updateAnswer,
  ServiceDescription: device.serviceDescription,
  RefusalAnswer: device.refusalAnswer,
  RoutineResult: vehicle.routineResult,
  VerificationStep: vehicle.verificationStep,
  SuppliedFile: vehicle.suppliedFile,
  InstallationRequest: vehicle.installationRequest,
  ActivationRequest: vehicle.activationRequest,
  StatusMessage: vehicle.statusMessage,
} as unknown as Record<string, Schema<never>>;

function typeOf(shape: Shape): string {
  switch (shape.kind) {
    case 'integer':
      return shape.max === Number.MAX_SAFE_INTEGER && shape.min === 0
        ? 'uint'
        : `int ${bounds(shape)}`;
    case 'bytes':
      return `bstr ${bounds(shape)}`;
    case 'text':
      return `tstr ${bounds(shape)}`;
    case 'boolean':
      return 'bool';
    case 'key':
      return 'COSE_Key';
    case 'named':
      return Object.entries(shape.names)
        .map(([name, value]) => `${value} ${name}`)
        .join(', ');
    case 'array':
      return `[${bounds(shape)} × ${typeOf(shape.item.shape)}]`;
    case 'tuple':
      return `[${shape.items.map((item) => typeOf(item.shape)).join(', ')}]`;
    case 'dictionary':
      return `{${bounds(shape)} × ${typeOf(shape.key.shape)} => ${typeOf(shape.value.shape)}}`;
    case 'record':
      return recordName(shape);
  }
}

/** Least and greatest value, or number of bytes, characters or items. */
function bounds({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? String(min) : `${min}..${max}`;
}

/** A record that has a name is shown by it; another one by its fields. */
function recordName(shape: Extract<Shape, { kind: 'record' }>): string {
  const found = Object.entries(records).find(([, schema]) => sameFields(schema.shape, shape));
  if (found !== undefined) return found[0];
  const fields = Object.entries(shape.fields);
  return `{${fields.map(([name, { key, schema }]) => `${key} ${name}: ${typeOf(schema.shape)}`).join(', ')}}`;
}

function sameFields(a: Shape, b: Shape): boolean {
  return a.kind === 'record' && b.kind === 'record' && a.fields === b.fields;
}

/** One table: key, field, presence, type. */
export function table(name: string): string {
  const { shape } = records[name]!;
  if (shape.kind !== 'record') throw new Error(`${name} is no record`);
  const rows = Object.entries(shape.fields).map(
    ([field, { key, optional, schema }]) =>
      `| ${key} | \`${field}\` | ${optional ? 'optional' : 'always'} | ${typeOf(schema.shape)} |`,
  );
  return [`**${name}**`, '', '| Key | Field | | Type |', '|---|---|---|---|', ...rows].join('\n');
}
