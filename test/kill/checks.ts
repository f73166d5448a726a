/** What has to hold when a killed backend has started again: asked over its planes, and read from its files. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { codeOf, crypto, toHex } from '../scenario/backend-fixture.ts';
import type { EnrolledVehicle } from './enrolled-vehicle.ts';
import type { Load, UploadedImage } from './load.ts';

/** What was found; empty problems are what is wanted. */
export interface Findings {
  readonly problems: readonly string[];
  /** Manifests that were stored although their answer was lost. */
  readonly storedUnanswered: number;
}

/**
 * Looks at everything that was acknowledged, while no other request is under way.
 * @param images those that are downloaded and compared
 */
export async function checkAll(load: Load, images: readonly UploadedImage[]): Promise<Findings> {
  const problems: string[] = [...checkFiles(load)];
  let storedUnanswered = 0;
  const database = new DatabaseSync(join(load.backend.stateFolder, 'director.sqlite'), {
    readOnly: true,
  });
  try {
    problems.push(...checkDatabase(database));
    for (const vehicle of load.vehicles) {
      const stored = checkNewestManifest(database, vehicle);
      if (typeof stored === 'string') problems.push(stored);
      else if (stored) storedUnanswered += 1;
      problems.push(...(await checkVehicle(vehicle)));
    }
  } finally {
    database.close();
  }
  const asker = load.vehicles[0]!;
  for (const image of images) problems.push(...(await checkImage(asker, image)));
  for (const image of load.unansweredImages) {
    problems.push(...(await checkImage(asker, image, '404 image-unknown')));
  }
  for (const newcomer of load.newcomers) {
    // With the certificate that it was given: the backend knows its key.
    if (newcomer.isEnrolled) problems.push(...[await newcomer.poll()].filter(isProblem));
  }
  return { problems, storedUnanswered };
}

function isProblem(problem: string | undefined): problem is string {
  return problem !== undefined;
}

function checkDatabase(database: DatabaseSync): readonly string[] {
  const rows = [
    ...database.prepare('PRAGMA integrity_check').all(),
    ...database.prepare('PRAGMA foreign_key_check').all(),
  ].map((row) => JSON.stringify(row));
  return rows.filter((row) => row !== '{"integrity_check":"ok"}');
}

/** No half upload is left, and every blob belongs to an upload. */
function checkFiles({ backend }: Load): readonly string[] {
  const left = readdirSync(join(backend.stateFolder, 'blobs', 'incoming'));
  return left.map((name) => `half an upload was left: ${name}`);
}

/** True when the newest stored manifest is one whose answer was lost; a text when one is missing. */
function checkNewestManifest(database: DatabaseSync, vehicle: EnrolledVehicle): boolean | string {
  const { vehicleId, acknowledged, unanswered } = vehicle;
  const row = database
    .prepare('SELECT bytes FROM manifests WHERE vehicle_id = ? ORDER BY id DESC LIMIT 1')
    .get(vehicleId);
  const newest = row && (row['bytes'] as Uint8Array);
  const isNewest = (body: Uint8Array) => newest !== undefined && Buffer.compare(newest, body) === 0;
  if (unanswered.some(isNewest)) return true;
  if (acknowledged === undefined || isNewest(acknowledged)) return false;
  return `${vehicleId}: an acknowledged manifest is lost`;
}

async function checkVehicle(vehicle: EnrolledVehicle): Promise<readonly string[]> {
  const { vehicleId, acknowledged, targetsVersion } = vehicle;
  const problems: string[] = [];
  const rollback = await vehicle.poll();
  if (rollback !== undefined) problems.push(rollback);
  const version = await vehicle.currentTargets();
  if (version < targetsVersion) {
    problems.push(`${vehicleId}: assignment lost: Targets ${version} after ${targetsVersion}`);
  }
  if (acknowledged !== undefined) {
    // HRD-17: its counters were used
    const code = codeOf(await vehicle.send(acknowledged));
    if (code !== '409 report-replayed') problems.push(`${vehicleId}: replay answered by ${code}`);
  }
  return problems;
}

/** Whole and with its bytes, or refused by `otherwise`. */
async function checkImage(
  asker: EnrolledVehicle,
  { filename, sha256 }: UploadedImage,
  otherwise?: string,
): Promise<readonly string[]> {
  const answer = await asker.ask(`/targets/${sha256}.${filename}`, {}, 'images');
  const code = codeOf(answer);
  if (code === otherwise) return [];
  if (code !== '200') return [`image ${filename}: ${code}`];
  const digest = toHex(crypto.digest('SHA-256', answer.body));
  return digest === sha256 ? [] : [`image ${filename}: other content`];
}
