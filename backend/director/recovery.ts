/**
 * A Director that was restored from a backup has forgotten what it signed since. A vehicle that has
 * it would call everything that comes now a rollback. Reports say what each ECU holds; the Director
 * then issues higher versions, and never what is older than the vehicle's (MET-07, CUS-02).
 */
import { compareBytes } from '../../agent/codec/reader.ts';
import { refuse } from '../../agent/codes.ts';
import { maxVersionsRecovered } from '../../agent/limits.ts';
import type { Report } from '../../agent/metadata/report.ts';
import type { Services } from '../services.ts';
import { assignmentsOfVehicle, deleteAssignment } from '../store/images.ts';
import {
  type DirectorRole,
  directorMetadataByVersion,
  endRecovery,
  storeRecovery,
} from '../store/metadata.ts';
import type { WithinTransaction } from '../transactions.ts';
import { recordAnomaly, recordDecision } from './log.ts';
import { issueMetadata, latestMetadata } from './metadata.ts';
import { isInstalled } from './updates.ts';
import { storedTarget } from './vehicle-images.ts';

const roles: readonly DirectorRole[] = ['timestamp', 'snapshot', 'targets'];

/**
 * Withdraws assignments of releases below what an ECU runs or was told to run: it would refuse them
 * for ever.
 */
export async function withdrawOlderAssignments(
  services: WithinTransaction,
  vehicleId: string,
  reports: readonly Report[],
): Promise<void> {
  const byEcu = new Map(reports.map((report) => [report.ecuId, report]));
  let withdrawn = false;
  for (const row of await services.database.all(assignmentsOfVehicle, vehicleId)) {
    const report = byEcu.get(row.ecu_id);
    if (report === undefined) continue;
    const { filename, mustMatch } = storedTarget(row.target);
    const held = Math.max(report.installed.releaseCounter, report.held?.releaseCounter ?? 0);
    if (mustMatch.releaseCounter >= held) continue;
    const detail = `${filename} is release ${mustMatch.releaseCounter}, the ECU holds ${held}`;
    await withdraw(services, vehicleId, row.ecu_id, detail);
    withdrawn = true;
  }
  if (withdrawn) await issueMetadata(services, vehicleId, 'targets');
}

/**
 * Looks for versions that the vehicle holds and this store does not know, and issues higher ones.
 * What is assigned and not installed is withdrawn then: it is an old decision. The Primary is the
 * one that is believed on that; another ECU could only make versions rise.
 */
export async function recoverFromRestore(
  services: WithinTransaction,
  vehicleId: string,
  primaryEcuId: string,
  reports: readonly Report[],
): Promise<void> {
  const { database } = services;
  const primary = reports.find(({ ecuId }) => ecuId === primaryEcuId);
  await database.run(endRecovery, vehicleId, primary?.held?.targets ?? 0);
  const lost: Report[] = [];
  for (const report of reports) {
    if (await holdsLost(services, vehicleId, report)) lost.push(report);
  }
  if (lost.length === 0) return;
  const floors = {
    timestamp: highest(lost, 'timestamp'),
    snapshot: highest(lost, 'snapshot'),
    targets: highest(lost, 'targets'),
  };
  const held = roles.map((role) => `${role} ${floors[role]}`).join(', ');
  const ecuIds = lost.map(({ ecuId }) => ecuId).join(', ');
  await recordAnomaly(services, vehicleId, refuse('versions-lost', `${ecuIds}: holds ${held}`));
  if (lost.includes(primary!)) await withdrawUninstalled(services, vehicleId, reports);
  await issueMetadata(services, vehicleId, 'targets', floors);
  const issued: number[] = [];
  for (const role of roles) issued.push((await latestMetadata(services, vehicleId, role)).version);
  if (lost.includes(primary!)) await database.run(storeRecovery, vehicleId, issued[2]!);
  const detail = roles.map((role, i) => `${role} ${issued[i]}`).join(', ');
  await recordDecision(services, 'versions-recovered', { vehicleId, detail });
}

/** True when an ECU holds metadata that this store never had, within what is plausible. */
async function holdsLost(
  services: Services,
  vehicleId: string,
  { ecuId, held }: Report,
): Promise<boolean> {
  if (held === undefined) return false;
  let above = false;
  for (const role of roles) {
    const claimed = held[role] ?? 0;
    const { version } = await latestMetadata(services, vehicleId, role);
    // MET-07: nobody makes the numbers run out; a fast-forwarded vehicle needs new keys (CRT-07)
    if (claimed > version + maxVersionsRecovered) {
      const detail = `${ecuId} holds ${role} ${claimed}, issued was ${version}; rotate the keys`;
      await recordAnomaly(services, vehicleId, refuse('versions-implausible', detail));
      return false;
    }
    above ||= claimed > version;
  }
  const { timestamp, timestampSha256 } = held;
  if (above || timestamp === undefined || timestampSha256 === undefined) return above;
  const own = await services.database.one(
    directorMetadataByVersion,
    vehicleId,
    'timestamp',
    timestamp,
  );
  // The same number with other content: signed after the backup, and signed anew after the restore.
  return (
    own !== undefined &&
    compareBytes(services.crypto.digest('SHA-256', own.bytes), timestampSha256) !== 0
  );
}

function highest(reports: readonly Report[], role: DirectorRole): number {
  return Math.max(0, ...reports.map(({ held }) => held?.[role] ?? 0));
}

async function withdrawUninstalled(
  services: WithinTransaction,
  vehicleId: string,
  reports: readonly Report[],
): Promise<void> {
  for (const row of await services.database.all(assignmentsOfVehicle, vehicleId)) {
    const target = storedTarget(row.target);
    const report = reports.find(({ ecuId }) => ecuId === row.ecu_id);
    if (isInstalled(target, report?.installed)) continue;
    const detail = `${target.filename}: assigned before the backup, not installed`;
    await withdraw(services, vehicleId, row.ecu_id, detail);
  }
}

async function withdraw(
  services: WithinTransaction,
  vehicleId: string,
  ecuId: string,
  detail: string,
): Promise<void> {
  await services.database.run(deleteAssignment, ecuId);
  await recordDecision(services, 'assignment-withdrawn', { vehicleId, ecuId, detail });
}
