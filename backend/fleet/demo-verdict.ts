/** What the Director learnt of a demonstration, and how its end is told. */
import type { VehicleView } from '../http/messages.ts';
import type { DemoReport, ReportedRefusal } from './demo-report.ts';
import type { Operator } from './operator.ts';
import { vehicleId } from './vehicle-layout.ts';

/** True when the last accepted manifest says that every ECU runs `release`. */
export function runsRelease(view: VehicleView | undefined, release: number): boolean {
  return view?.ecus.every((ecu) => ecu.installed?.releaseCounter === release) ?? false;
}

/** The attacks that the manifests so far have named. */
export async function attacksReported(operator: Operator): Promise<string[]> {
  const manifests = await operator.manifests(vehicleId);
  const named = manifests.flatMap(({ detections }) =>
    detections.flatMap((one) => one.attack ?? []),
  );
  return [...new Set(named)];
}

/** Every refusal that the manifests so far have told, each once. */
export async function refusalsReported(operator: Operator): Promise<ReportedRefusal[]> {
  const manifests = await operator.manifests(vehicleId);
  const refusals = new Map<string, ReportedRefusal>();
  for (const { ecuId, code, row, attack } of manifests.flatMap((one) => one.detections)) {
    refusals.set(`${ecuId} ${code} ${row}`, { ecuId, code, row, attack: attack ?? null });
  }
  return [...refusals.values()];
}

/** The report in lines for a person; `attacked`: with the attacks that were named. */
export function summaryOf(
  report: DemoReport,
  failure: string | undefined,
  attacked: boolean,
): readonly string[] {
  const lines = [`\n${report.result} in ${report.seconds} s`];
  if (failure !== undefined) lines.push(`  ${failure}`);
  for (const ecu of report.ecus) {
    const host = ecu.hostedBy === undefined ? '' : ` (hosted by ${ecu.hostedBy})`;
    const where = `slot ${ecu.slot}, ${ecu.length} bytes`;
    lines.push(`  ${ecu.ecuId}${host}: ${ecu.image}, release ${ecu.version}, ${where}`);
  }
  for (const { ecuId, code, row, attack } of report.refusals) {
    lines.push(`  ${ecuId} refused: ${code} (${row})${attack === null ? '' : `, ${attack}`}`);
  }
  if (attacked) {
    lines.push(`  attacks named in the manifest: ${report.attacksReported.join(', ') || 'none'}`);
  }
  return lines;
}
