/**
 * The vehicle version manifest (PRI-01 step 1, PRI-04): a report of every ECU that answers
 * (VVM-04, VVM-05), the Primary's statement about every other one (DIR-08), signed by the Primary.
 */
import { decodeEnvelope } from '../codec/cose-sign.ts';
import { encode } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { signEnvelope } from '../crypto/sign-envelope.ts';
import { verifyEnvelope } from '../crypto/verify-envelope.ts';
import { maxManifestBytes, maxReportBytes } from '../limits.ts';
import { manifest } from '../metadata/report.ts';
import type { Attendance } from './attendance.ts';
import { registrationKey } from './enrolment.ts';
import { type PrimaryContext, recordRefusal } from './primary-context.ts';
import type { Secondary } from './secondary-client.ts';
import { openReports, type ReceivedReport } from './vehicle.ts';

/** What became of a manifest: the reports are good to know even when the Director has them not. */
export interface ManifestOutcome {
  readonly reports: readonly ReceivedReport[];
  readonly refused: Refusal | undefined;
}

/** Gathers the reports, sends the manifest and, once it is accepted, tells the ECUs so. */
export async function sendManifest(
  primary: PrimaryContext,
  attendance: Attendance,
): Promise<ManifestOutcome> {
  const { state, repositories } = primary;
  const reports = await gatherReports(primary, attendance);
  const absent = attendance.statements();
  const payload = encode(manifest, {
    vehicleId: state.configuration.vehicleId,
    primaryEcuId: state.ecus[0]!.ecuId,
    reports: reports.map(({ envelope }) => envelope),
    ...(absent.length > 0 && { absent }),
  });
  const signed = signEnvelope(state.hal.crypto, [state.ecus[0]!.signer], 'manifest', payload, {
    payloadHash: true,
  });
  const answer =
    signed.length > maxManifestBytes
      ? refuse('body-too-large', 'manifest')
      : await repositories.postManifest(signed);
  if (isRefusal(answer)) {
    state.hal.board.log(`manifest accepted=false detail=${answer.detail}`);
    return { reports, refused: answer };
  }
  state.hal.keyValue.delete(registrationKey);
  state.hal.board.log(`manifest accepted=true update=${answer.updateAvailable}`);
  await acknowledge(primary, attendance, reports);
  return { reports, refused: undefined };
}

/** Version reports of every ECU that answers, the Primary's own first (VVM-04, VVM-05). */
export async function gatherReports(
  primary: PrimaryContext,
  attendance: Attendance,
): Promise<readonly ReceivedReport[]> {
  const { state } = primary;
  const [own, ...hosted] = state.ecus;
  const time = state.time.lowerBound();
  const envelopes = [state.reports.make(own!, time, undefined)];
  for (const ecu of hosted) envelopes.push(state.reports.make(ecu, time, own!.ecuId));
  const reports = openReports(envelopes);
  if (isRefusal(reports)) throw new Error(`own report: ${reports.detail}`);
  const gathered = [...reports];
  for (const secondary of attendance.present()) {
    const answered = await secondary.reports();
    const opened = isRefusal(answered) ? answered : reportsOf(primary, secondary, answered);
    if (isRefusal(opened)) attendance.miss(secondary, opened);
    else gathered.push(...opened);
  }
  return gathered;
}

/**
 * The reports of exactly this Secondary's ECUs, each signed by the key it was provisioned with: an
 * ECU that was replaced is not believed, and would have the Director drop all reports (DIR-10).
 */
function reportsOf(
  { configuration, state }: PrimaryContext,
  secondary: Secondary,
  envelopes: readonly Uint8Array[],
): readonly ReceivedReport[] | Refusal {
  const known = configuration.secondaries.filter(
    (one) => one.ecuIds[0] === secondary.ecuIds[0],
  )[0]!;
  const reports = openReports(envelopes.map((bytes) => bytes.slice()));
  if (isRefusal(reports)) return reports;
  const named = reports.map(({ report }) => report.ecuId);
  const { ecuIds } = secondary;
  if (named.length !== ecuIds.length || named.some((ecuId, i) => ecuId !== ecuIds[i])) {
    return refuse('secondary-replaced', `${named.join(', ')} in place of ${ecuIds.join(', ')}`);
  }
  for (let i = 0; i < reports.length; i++) {
    const envelope = decodeEnvelope(reports[i]!.envelope, maxReportBytes);
    if (isRefusal(envelope)) return envelope;
    const authority = { keys: [known.signingKeys[i]!], threshold: 1 };
    const options = { domain: 'report', payloadHash: 'required' } as const;
    const foreign = verifyEnvelope(state.hal.crypto, envelope, authority, options);
    if (foreign !== undefined) {
      return refuse('secondary-replaced', `report of ${ecuIds[i]}: ${foreign.detail}`);
    }
  }
  return reports;
}

/** Tells every ECU that the Director has its report, so that it need not repeat its detections. */
async function acknowledge(
  primary: PrimaryContext,
  attendance: Attendance,
  reports: readonly ReceivedReport[],
): Promise<void> {
  for (const { report } of reports) {
    primary.state.reports.acknowledge(report.ecuId, report.counter);
  }
  for (const secondary of attendance.present()) {
    const accepted = reports
      .filter(({ report }) => secondary.ecuIds.indexOf(report.ecuId) >= 0)
      .map(({ report }) => [report.ecuId, report.counter] as const);
    const refusal = await secondary.acknowledge(accepted);
    if (refusal !== undefined) attendance.miss(secondary, refusal);
  }
}

/** Logs an ECU that is left out, and keeps for the report what is more than a silence. */
export function recordAbsence(
  primary: PrimaryContext,
  secondary: Secondary,
  refusal: Refusal,
): void {
  const ecuId = secondary.ecuIds[0]!;
  primary.state.hal.board.log(
    `absent ecu=${ecuId} code=${refusal.refused} detail=${refusal.detail}`,
  );
  recordRefusal(primary.state, refusal);
}
