/**
 * The checks of a vehicle version manifest against the inventory (Uptane §5.3.2.1). The replay
 * counters are judged once more in the transaction that stores them.
 */
import { decodeEnvelope, type Envelope } from '../../agent/codec/cose-sign.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import {
  maxManifestBytes,
  maxReportBytes,
  maxReportClockSkewSeconds,
  maxReportTimeBehindSeconds,
} from '../../agent/limits.ts';
import type { EcuDescription } from '../../agent/metadata/device-messages.ts';
import {
  type AbsentEcu,
  manifest as manifestSchema,
  type Report,
  report as reportSchema,
} from '../../agent/metadata/report.ts';
import type { Services } from '../services.ts';
import { ecusOf, findVehicle } from './inventory.ts';
import { lastReport } from './updates.ts';

/** A report whose signature was checked, with the payload as received. */
export interface CheckedReport {
  readonly report: Report;
  readonly bytes: Uint8Array;
}

export interface CheckedManifest {
  readonly primaryEcuId: string;
  readonly reports: readonly CheckedReport[];
  /** The Primary's statements of ECUs that it has no report of. */
  readonly absent: readonly AbsentEcu[];
}

/**
 * Checks a manifest as received.
 * @param body encoded COSE_Sign
 * @returns codes `cbor-…`, `vehicle-unknown`, `vehicle-mismatch`, `signature-…`,
 *   `payload-hash-mismatch`, `ecu-unknown`, `ecu-missing`, `report-time`, `report-replayed`,
 *   `report-mismatch`
 */
export async function checkManifest(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
): Promise<CheckedManifest | Refusal> {
  // DIR-05: first, which vehicle
  const vehicle = await findVehicle(services, vehicleId);
  if (isRefusal(vehicle)) return vehicle;
  const envelope = decodeEnvelope(body, maxManifestBytes);
  if (isRefusal(envelope)) return envelope;
  const ecus = new Map((await ecusOf(services, vehicleId)).map((ecu) => [ecu.ecuId, ecu]));
  // DIR-09: signed by the Primary of this vehicle
  const primary = ecus.get(vehicle.primary_ecu_id)!;
  const forged = verifyByEcu(services, envelope, primary, 'manifest');
  if (forged !== undefined) return refuse(forged.refused, `manifest: ${forged.detail}`, 'DIR-09');
  const manifest = decode(manifestSchema, envelope.payload, maxManifestBytes);
  if (isRefusal(manifest)) return manifest;
  if (manifest.vehicleId !== vehicleId) {
    return refuse('vehicle-mismatch', `manifest of ${manifest.vehicleId}`, 'DIR-06');
  }
  if (manifest.primaryEcuId !== vehicle.primary_ecu_id) {
    return refuse('report-mismatch', `${manifest.primaryEcuId} is not the primary`, 'DIR-06');
  }
  const reports = new Map<string, CheckedReport>();
  for (const bytes of manifest.reports) {
    const checked = await checkReport(services, vehicleId, ecus, bytes);
    if (isRefusal(checked)) return checked;
    const { ecuId } = checked.report;
    if (reports.has(ecuId)) return refuse('report-mismatch', `two reports of ${ecuId}`);
    reports.set(ecuId, checked);
  }
  const absent = manifest.absent ?? [];
  const misstated = checkAbsences(absent, vehicle.primary_ecu_id, ecus, reports);
  if (misstated !== undefined) return misstated;
  // DIR-08: every ECU of the inventory is represented: by its report, or by what the Primary signs
  const stated = new Set(absent.map(({ ecuId }) => ecuId));
  const missing = [...ecus.keys()].find((ecuId) => !reports.has(ecuId) && !stated.has(ecuId));
  if (missing !== undefined) return refuse('ecu-missing', `no report of ${missing}`);
  const { primary_ecu_id: primaryEcuId } = vehicle;
  const { time } = reports.get(primaryEcuId)!.report;
  // DIR-12, HRD-17: counters that were used after the backup are lost; a Primary asks for the time
  // before it reports, so what it signed before the restore is a replay
  if (time < services.restored) {
    const detail = `${primaryEcuId}: time ${time}, before the restore at ${services.restored}`;
    return refuse('report-replayed', detail, 'DIR-12');
  }
  return { primaryEcuId, reports: [...reports.values()], absent };
}

/** Statements of absence: each for one ECU of the vehicle, not the Primary, without a report. */
function checkAbsences(
  absent: readonly AbsentEcu[],
  primaryEcuId: string,
  ecus: ReadonlyMap<string, EcuDescription>,
  reports: ReadonlyMap<string, CheckedReport>,
): Refusal | undefined {
  const named = new Set<string>();
  for (const { ecuId } of absent) {
    if (!ecus.has(ecuId)) return refuse('ecu-unknown', `${ecuId} is not in this vehicle`);
    if (ecuId === primaryEcuId) return refuse('report-mismatch', 'the Primary reports for itself');
    if (reports.has(ecuId) || named.has(ecuId)) {
      return refuse('report-mismatch', `${ecuId} is absent and reported, or named twice`);
    }
    named.add(ecuId);
  }
  return undefined;
}

async function checkReport(
  services: Services,
  vehicleId: string,
  ecus: ReadonlyMap<string, EcuDescription>,
  bytes: Uint8Array,
): Promise<CheckedReport | Refusal> {
  const envelope = decodeEnvelope(bytes, maxReportBytes);
  if (isRefusal(envelope)) return envelope;
  // Decoded before its signature is checked, but only to learn whose key has to fit.
  const report = decode(reportSchema, envelope.payload, maxReportBytes);
  if (isRefusal(report)) return report;
  const ecu = ecus.get(report.ecuId);
  if (ecu === undefined) return refuse('ecu-unknown', `${report.ecuId} is not in this vehicle`);
  // DIR-10: signed by that ECU itself; neither the Primary nor another ECU may stand in
  const forged = verifyByEcu(services, envelope, ecu, 'report');
  if (forged !== undefined) {
    return refuse(forged.refused, `report of ${ecu.ecuId}: ${forged.detail}`, 'DIR-10');
  }
  const mismatch = matchInventory(report, ecu, vehicleId);
  if (mismatch !== undefined) return mismatch;
  return (await checkAgainstLast(services, report)) ?? { report, bytes: envelope.payload };
}

/** HRD-19: manifests and reports state the hash of what they sign. */
function verifyByEcu(
  services: Services,
  envelope: Envelope,
  ecu: EcuDescription,
  domain: 'manifest' | 'report',
): Refusal | undefined {
  const authority = { keys: [ecu.signingKey], threshold: 1 };
  return verifyEnvelope(services.crypto, envelope, authority, { domain, payloadHash: 'required' });
}

/** DIR-06: what an ECU says of itself is what the inventory says of it. */
function matchInventory(
  report: Report,
  ecu: EcuDescription,
  vehicleId: string,
): Refusal | undefined {
  if (report.vehicleId !== vehicleId) {
    return refuse('vehicle-mismatch', `${ecu.ecuId} reports for ${report.vehicleId}`, 'DIR-06');
  }
  if (report.hardwareId !== ecu.hardwareId) {
    return refuse('report-mismatch', `${ecu.ecuId} reports hardware ${report.hardwareId}`);
  }
  if (report.hostedBy !== ecu.hostedBy) {
    return refuse('report-mismatch', `${ecu.ecuId} reports another host than the inventory`);
  }
  return undefined;
}

/** What a report has to be after the one before it. */
async function checkAgainstLast(services: Services, report: Report): Promise<Refusal | undefined> {
  const last = await lastReport(services, report.ecuId);
  // Judged again in the transaction that stores it; here it spares a replay's verification.
  if (last !== undefined && report.counter <= last.counter) {
    return refuse('report-replayed', `${report.ecuId}: counter ${report.counter}`);
  }
  return checkReportTime(services, report, last);
}

/**
 * DIR-11: the time in a report is neither ahead of us nor far behind the report before. A little
 * behind is honest: after a restart an ECU knows only the last time that it had stored (TIM-10);
 * 0 says that it knows none yet. Replays are caught by the counters.
 */
function checkReportTime(
  services: Services,
  report: Report,
  last: Report | undefined,
): Refusal | undefined {
  if (report.time > services.now() + maxReportClockSkewSeconds) {
    return refuse('report-time', `${report.ecuId}: time ${report.time} is in the future`);
  }
  if (last && report.time !== 0 && report.time < last.time - maxReportTimeBehindSeconds) {
    return refuse('report-time', `${report.ecuId}: time ${report.time}, before ${last.time}`);
  }
  return undefined;
}
