/**
 * Which images the ECUs of a vehicle run, may run and shall run, with what each requires of the
 * others. What an image requires stands in the Image repository's signed Targets alone (DIR-13).
 */
import { compareBytes } from '../../agent/codec/reader.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import type { EcuDescription } from '../../agent/metadata/device-messages.ts';
import type { Report } from '../../agent/metadata/report.ts';
import { type Target, target as targetSchema } from '../../agent/metadata/targets.ts';
import { type PlacedImage, placedImageOf } from '../../agent/verify/compatibility.ts';
import { sha256Of } from '../images/hashes.ts';
import { currentTargets, targetsVersions } from '../images/listing.ts';
import type { Services } from '../services.ts';
import { assignmentsOfVehicle, unconfirmedImagesOf } from '../store/images.ts';
import { lastReport } from './updates.ts';

export interface EcuImages {
  readonly ecuId: string;
  readonly hardwareId: string;
  /** By the last accepted report; undefined before the first. */
  readonly reported: PlacedImage | undefined;
  readonly assigned: PlacedImage | undefined;
  /** The step that its assignment is stored with, 0 without one. */
  readonly installStep: number;
  /**
   * All that it may hold by now: the reported image, the assigned one, and what was assigned since
   * the last manifest (DBP-12). `undefined` in it stands for whatever it left the factory with.
   */
  readonly possible: readonly (PlacedImage | undefined)[];
}

/** Every image that the Image repository's current Targets files list. */
export async function publishedImages(services: Services): Promise<readonly Target[]> {
  const published: Target[] = [];
  for (const { role } of await targetsVersions(services)) {
    published.push(...((await currentTargets(services, role))?.targets ?? []));
  }
  return published;
}

/** The images of every ECU of a vehicle, in the inventory's order. */
export async function imagesOfVehicle(
  services: Services,
  vehicleId: string,
  ecus: readonly EcuDescription[],
  published: readonly Target[],
): Promise<readonly EcuImages[]> {
  const { database } = services;
  const rows = new Map(
    (await database.all(assignmentsOfVehicle, vehicleId)).map((row) => [row.ecu_id, row] as const),
  );
  const unconfirmed = await database.all(unconfirmedImagesOf, vehicleId);
  const images: EcuImages[] = [];
  for (const { ecuId, hardwareId } of ecus) {
    const row = rows.get(ecuId);
    const report = await lastReport(services, ecuId);
    const reported = report && reportedImage(report, published);
    const assigned = row && placedImageOf(storedTarget(row.target));
    const issued = unconfirmed
      .filter((one) => one.ecu_id === ecuId)
      .map((one) => placedImageOf(storedTarget(one.target)));
    const possible = [reported, ...issued, ...(assigned ? [assigned] : [])];
    const installStep = row?.install_step ?? 0;
    images.push({ ecuId, hardwareId, reported, assigned, installStep, possible });
  }
  return images;
}

/** A target as it was stored with an assignment. */
export function storedTarget(bytes: Uint8Array): Target {
  const target = decode(targetSchema, bytes, bytes.length);
  if (isRefusal(target)) throw new Error(`stored target: ${target.detail}`);
  return target;
}

/** The reported image with its requirements, where the same image is still published. */
function reportedImage({ installed }: Report, published: readonly Target[]): PlacedImage {
  const { filename, releaseCounter } = installed;
  const sha256 = sha256Of(installed.hashes);
  const listed = published.find(
    (target) =>
      target.filename === filename &&
      sha256 !== undefined &&
      compareBytes(target.mustMatch.plaintextSha256, sha256) === 0,
  );
  return listed === undefined ? { filename, releaseCounter } : placedImageOf(listed);
}
