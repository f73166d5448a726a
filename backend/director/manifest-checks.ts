/**
 * Vehicle version manifests: checked against the inventory, and taken whole or dropped whole
 * (Uptane §5.3.2.1). A dropped manifest is recorded as an anomaly (DBP-09).
 */
import { decodeEnvelope, type Envelope } from '../../agent/codec/cose-sign.ts';
import { decode } from '../../agent/codec/schema.ts';
import { type Code, codes, isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import {
  maxManifestBytes,
  maxReportBytes,
  maxReportClockSkewSeconds,
  maxReportTimeBehindSeconds,
} from '../../agent/limits.ts';
import type { EcuDescription, ManifestAnswer } from '../../agent/metadata/device-messages.ts';
import {
  type AbsentEcu,
  manifest as manifestSchema,
  type Report,
  report as reportSchema,
} from '../../agent/metadata/report.ts';
import { historyEntries } from '../http/messages.ts';
import type { Services } from '../services.ts';
import {
  forgetAbsence,
  insertAnomaly,
  insertDetection,
  insertManifest,
  storeAbsence,
  storeReport,
  trimAnomalies,
  trimManifests,
} from '../store/manifests.ts';
import { ecusOf, findVehicle } from './inventory.ts';
import { freshenMetadata, latestMetadata } from './metadata.ts';
import { isUpdateAvailable, lastReport } from './updates.ts';

/** Anybody can send bad manifests: only so many are remembered. */
const keptAnomalies = 10_000;

/** A report whose signature was checked, with the payload as received. */
interface CheckedReport {
  readonly report: Report;
  readonly bytes: Uint8Array;
}

interface CheckedManifest {
  readonly reports: readonly CheckedReport[];
  /** The Primary's statements of ECUs that it has no report of. */
  readonly absent: readonly AbsentEcu[];
}

/**
 * Takes a manifest and answers whether there is an update. A refusal leaves nothing but an anomaly.
 * @param body encoded COSE_Sign as received
 * @returns codes `cbor-…`, `vehicle-unknown`, `vehicle-mismatch`, `signature-…`,
 *   `payload-hash-mismatch`, `ecu-unknown`, `ecu-missing`, `report-replayed`, `report-time`,
 *   `report-mismatch`
 */
export function acceptManifest(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
): ManifestAnswer | Refusal {
  const checked = checkManifest(services, vehicleId, body);
  const refused = isRefusal(checked) ? checked : store(services, vehicleId, body, checked);
  if (refused !== undefined) {
    recordAnomaly(services, vehicleId, refused);
    return refused;
  }
  freshenMetadata(services, vehicleId);
  return {
    accepted: true,
    updateAvailable: isUpdateAvailable(services, vehicleId),
    timestampVersion: latestMetadata(services, vehicleId, 'timestamp').version,
  };
}

/** Everything but the counters, which are judged in the transaction that stores them. */
function checkManifest(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
): CheckedManifest | Refusal {
  // DIR-05: first, which vehicle
  const vehicle = findVehicle(services, vehicleId);
  if (isRefusal(vehicle)) return vehicle;
  const envelope = decodeEnvelope(body, maxManifestBytes);
  if (isRefusal(envelope)) return envelope;
  const ecus = new Map(ecusOf(services, vehicleId).map((ecu) => [ecu.ecuId, ecu]));
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
    const checked = checkReport(services, vehicleId, ecus, bytes);
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
  for (const ecuId of ecus.keys()) {
    if (!reports.has(ecuId) && !stated.has(ecuId)) {
      return refuse('ecu-missing', `no report of ${ecuId}`);
    }
  }
  return { reports: [...reports.values()], absent };
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

function checkReport(
  services: Services,
  vehicleId: string,
  ecus: ReadonlyMap<string, EcuDescription>,
  bytes: Uint8Array,
): CheckedReport | Refusal {
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
  const time = checkReportTime(services, report);
  return time ?? { report, bytes: envelope.payload };
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

/**
 * DIR-11: the time in a report is neither ahead of us nor far behind the report before. A little
 * behind is honest: after a restart an ECU knows only the last time that it had stored (TIM-10);
 * 0 says that it knows none yet. Replays are caught by the counters.
 */
function checkReportTime(services: Services, report: Report): Refusal | undefined {
  if (report.time > services.now() + maxReportClockSkewSeconds) {
    return refuse('report-time', `${report.ecuId}: time ${report.time} is in the future`);
  }
  const last = lastReport(services, report.ecuId);
  if (last && report.time !== 0 && report.time < last.time - maxReportTimeBehindSeconds) {
    return refuse('report-time', `${report.ecuId}: time ${report.time}, before ${last.time}`);
  }
  return undefined;
}

/** HRD-17: counters are compared in the transaction that stores them, so no replay slips between. */
function store(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
  { reports, absent }: CheckedManifest,
): Refusal | undefined {
  const { database } = services;
  return database.transaction(() => {
    const inserted = database.one(insertManifest, vehicleId, services.now(), body);
    let position = 0;
    for (const { report, bytes } of reports) {
      // DIR-12: the counter was never used before
      if (database.run(storeReport, report.ecuId, report.counter, bytes) !== 1) {
        return refuse('report-replayed', `${report.ecuId}: counter ${report.counter}`);
      }
      for (const { code, row, attack } of report.detections) {
        const id = inserted!.id;
        database.run(insertDetection, id, position, report.ecuId, code, row, attack ?? null);
        position += 1;
      }
      database.run(forgetAbsence, report.ecuId);
    }
    for (const { ecuId, code } of absent) {
      const row = Object.hasOwn(codes, code) ? codes[code as Code].row : 'DIR-08';
      database.run(insertDetection, inserted!.id, position, ecuId, code, row, null);
      database.run(storeAbsence, ecuId, code, services.now());
      position += 1;
    }
    database.run(trimManifests, vehicleId, vehicleId, historyEntries);
    return undefined;
  });
}

function recordAnomaly(services: Services, vehicleId: string, refused: Refusal): void {
  const { database } = services;
  const { refused: code, row, detail } = refused;
  database.transaction(() => {
    database.run(insertAnomaly, services.now(), vehicleId, code, row, detail);
    database.run(trimAnomalies, keptAnomalies);
  });
}
