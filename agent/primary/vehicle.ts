/** The Primary's view of its vehicle: its own ECUs and its Secondaries, with what they report. */

import { decodeEnvelope } from '../codec/cose-sign.ts';
import { decode } from '../codec/schema.ts';
import { isRefusal, type Refusal } from '../codes.ts';
import type { EcuState } from '../ecu/start-up.ts';
import { maxImageBytes, maxReportBytes } from '../limits.ts';
import type { PrimaryConfiguration } from '../metadata/configuration.ts';
import { type Report, report } from '../metadata/report.ts';
import { type ImageKindName, imageKinds, type Target } from '../metadata/targets.ts';
import type { VerifierEcu } from '../verify/verification.ts';
import type { Secondary } from './secondary-client.ts';

/** A version report as received, and what it says. Only the Director judges its signature. */
export interface ReceivedReport {
  readonly envelope: Uint8Array;
  readonly report: Report;
}

/** Opens version reports without judging their signatures. Codes `cbor-…`. */
export function openReports(envelopes: readonly Uint8Array[]): ReceivedReport[] | Refusal {
  const opened: ReceivedReport[] = [];
  for (const bytes of envelopes) {
    const envelope = decodeEnvelope(bytes, maxReportBytes);
    if (isRefusal(envelope)) return envelope;
    const payload = decode(report, envelope.payload, maxReportBytes);
    if (isRefusal(payload)) return payload;
    opened.push({ envelope: bytes, report: payload });
  }
  return opened;
}

/**
 * Every ECU of the vehicle, as the Primary's verification has to know it (CTG-08, FV-11). What a
 * Secondary has installed is its own word; it only decides whether there is something to do, since
 * each ECU keeps its own counter and judges again.
 */
export function vehicleEcus(
  state: EcuState,
  configuration: PrimaryConfiguration,
  reports: readonly ReceivedReport[],
): VerifierEcu[] {
  const ecus = state.ecus.map((ecu) => ecu.verifierEcu());
  for (const secondary of configuration.secondaries) {
    secondary.ecuIds.forEach((ecuId, i) => {
      const known = reports.filter((one) => one.report.ecuId === ecuId)[0]?.report.installed;
      const sha256 = known?.hashes[0]?.value;
      ecus.push({
        ecuId,
        hardwareId: secondary.hardwareIds[i]!,
        // A configuration that lists too few patterns allows this ECU no image at all.
        filenamePattern: secondary.filenamePatterns[i] ?? '',
        kinds: Object.keys(imageKinds) as ImageKindName[],
        installed:
          known && sha256
            ? { filename: known.filename, sha256, releaseCounter: known.releaseCounter }
            : undefined,
        counter: 0,
        bytecodeVersion: undefined,
        halVersion: undefined,
        maxPlaintextBytes: maxImageBytes,
      });
    });
  }
  return ecus;
}

/** The Secondary that answers for an ECU id; undefined for the Primary's own ECUs. */
export function secondaryOf(
  secondaries: readonly Secondary[],
  ecuId: string,
): Secondary | undefined {
  return secondaries.filter((one) => one.ecuIds.indexOf(ecuId) >= 0)[0];
}

/** Those of `targets` that are for one of these ECUs, in their order. */
export function targetsOf(
  targets: readonly Target[],
  ecuIds: readonly string[],
): readonly Target[] {
  return targets.filter((target) => ecuIds.indexOf(target.assignment!.ecuId) >= 0);
}
