/** Whether a vehicle runs what the Director wants, by its last accepted manifest. */
import { sameBytes } from '../../agent/codec/reader.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import type { UpdateAnswer, UpdateQuery } from '../../agent/metadata/device-messages.ts';
import {
  type InstalledImage,
  type Report,
  report as reportSchema,
} from '../../agent/metadata/report.ts';
import type { Target } from '../../agent/metadata/targets.ts';
import { sha256Of } from '../images/hashes.ts';
import type { Services } from '../services.ts';
import { reportOfEcu } from '../store/manifests.ts';
import { findVehicle } from './inventory.ts';
import { assignedTargets, latestMetadata } from './metadata.ts';
import { freshenMetadata } from './signing.ts';

/** What an ECU reported last; undefined before the vehicle's first manifest. */
export async function lastReport(services: Services, ecuId: string): Promise<Report | undefined> {
  const row = await services.database.one(reportOfEcu, ecuId);
  if (row === undefined) return undefined;
  const report = decode(reportSchema, row.report, row.report.length);
  if (isRefusal(report)) throw new Error(`stored report of ${ecuId}: ${report.detail}`);
  return report;
}

/** True when a report's image is the wanted one. */
export function isInstalled(target: Target, installed: InstalledImage | undefined): boolean {
  if (installed === undefined || installed.filename !== target.filename) return false;
  // Reports speak of the plaintext (EVR-03).
  const sha256 = sha256Of(installed.hashes);
  return sha256 !== undefined && sameBytes(sha256, target.mustMatch.plaintextSha256);
}

/** True when an ECU shall run another image than it last said it runs. */
export async function isUpdateAvailable(services: Services, vehicleId: string): Promise<boolean> {
  for (const target of await assignedTargets(services, vehicleId)) {
    const report = await lastReport(services, target.assignment!.ecuId);
    if (!isInstalled(target, report?.installed)) return true;
  }
  return false;
}

/** Answers `POST /check_updates`. Code `vehicle-unknown`. */
export async function checkUpdates(
  services: Services,
  query: UpdateQuery,
): Promise<UpdateAnswer | Refusal> {
  const vehicle = await findVehicle(services, query.vehicleId);
  if (isRefusal(vehicle)) return vehicle;
  await freshenMetadata(services, query.vehicleId);
  return {
    updateAvailable: await isUpdateAvailable(services, query.vehicleId),
    timestampVersion: (await latestMetadata(services, query.vehicleId, 'timestamp')).version,
  };
}
