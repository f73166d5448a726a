/** ECU version reports (Uptane §5.4.2.1.2): made, signed, and acknowledged by the Director. */
import type { Hal } from '../../hal/types.ts';
import { decode, encode, unsigned } from '../codec/schema.ts';
import { isRefusal } from '../codes.ts';
import { signEnvelope } from '../crypto/sign-envelope.ts';
import { hashAlgorithms } from '../metadata/common.ts';
import { type Detection, report } from '../metadata/report.ts';
import { readHeldMetadata } from '../verify/held-metadata.ts';
import type { MetadataStore } from '../verify/metadata-store.ts';
import type { DetectionLog } from './detections.ts';
import type { ManagedEcu } from './managed-ecu.ts';

interface Sent {
  readonly ecuId: string;
  readonly counter: number;
  readonly detections: number;
}

export class VersionReports {
  private readonly hal: Hal;
  private readonly vehicleId: string;
  private readonly detections: DetectionLog;
  private readonly store: MetadataStore;
  private sent: Sent[] = [];

  constructor(hal: Hal, vehicleId: string, detections: DetectionLog, store: MetadataStore) {
    this.hal = hal;
    this.vehicleId = vehicleId;
    this.detections = detections;
    this.store = store;
  }

  /**
   * Makes and signs the report of one ECU (INS-14): who it is (EVR-02), what runs on it (EVR-03) and
   * what it refused (EVR-04).
   * @param time latest attested time in Unix seconds, 0 before the first (EVR-05)
   * @param hostedBy the agent's own ECU id, for a hosted ECU
   */
  make(ecu: ManagedEcu, time: number, hostedBy: string | undefined): Uint8Array {
    const image = ecu.running;
    if (image === undefined) throw new Error(`${ecu.ecuId} has no image to report`);
    const found: readonly Detection[] = this.detections.of(ecu.ecuId);
    const counter = this.nextCounter(ecu.ecuId);
    this.sent = this.sent.filter((one) => one.ecuId !== ecu.ecuId);
    this.sent.push({ ecuId: ecu.ecuId, counter, detections: found.length });
    const held = readHeldMetadata(this.store, this.hal.crypto, ecu.ecuId);
    const payload = encode(report, {
      ecuId: ecu.ecuId,
      vehicleId: this.vehicleId,
      hardwareId: ecu.configuration.hardwareId,
      installed: {
        filename: image.filename,
        length: image.length,
        hashes: [{ key: hashAlgorithms['SHA-256'], value: image.sha256 }],
        releaseCounter: image.releaseCounter,
      },
      detections: found,
      time,
      counter,
      ...(hostedBy === undefined ? {} : { hostedBy }),
      ...(held && { held }),
    });
    // EVR-01: the signature entry names the payload's hash and its function (HRD-19).
    return signEnvelope(this.hal.crypto, [ecu.signer], 'report', payload, { payloadHash: true });
  }

  /** The Director accepted the report with this counter: what it said need not be said again. */
  acknowledge(ecuId: string, counter: number): void {
    const one = this.sent.filter((sent) => sent.ecuId === ecuId && sent.counter === counter)[0];
    if (one === undefined) return;
    this.sent = this.sent.filter((sent) => sent !== one);
    if (one.detections > 0) this.detections.forget(ecuId, one.detections);
  }

  /** EVR-06: rises with every report, across restarts; stored before the report is sent. */
  private nextCounter(ecuId: string): number {
    const key = `report-counter/${ecuId}`;
    const bytes = this.hal.keyValue.read(key);
    const last = bytes === undefined ? 0 : decode(unsigned, bytes, bytes.length);
    if (isRefusal(last)) throw new Error(`${key}: ${last.detail}`);
    this.hal.keyValue.write(key, encode(unsigned, last + 1));
    return last + 1;
  }
}
