/** ECU version report and vehicle version manifest (Uptane §5.4.2.1). */
import {
  array,
  bytes,
  field,
  type Infer,
  optional,
  record,
  text,
  unsigned,
} from '../codec/schema.ts';
import { maxAttacksPerReport, maxEcusPerVehicle, maxReportBytes } from '../limits.ts';
import { filename, hashes, identifier, sha256, unixSeconds, versionNumber } from './common.ts';

/** An attack that was detected, or a refusal that is none (EVR-04). */
export const detection = record({
  code: field(1, text(48)),
  row: field(2, text(16)),
  /** Absent when the refused check names no attack. */
  attack: optional(3, text(48)),
});

/** The installed image: filename, plaintext length and hashes (EVR-03). */
export const installedImage = record({
  filename: field(1, filename),
  length: field(2, unsigned),
  hashes: field(3, hashes),
  releaseCounter: field(4, unsigned),
});

/**
 * What an ECU holds of the Director's metadata, so that a Director restored from a backup issues
 * higher versions instead of a rollback. Absent before the first of each.
 */
export const heldMetadata = record({
  timestamp: optional(1, versionNumber),
  snapshot: optional(2, versionNumber),
  targets: optional(3, versionNumber),
  /** Release that the held Targets name for this ECU. */
  releaseCounter: optional(4, unsigned),
  /** Of the held Timestamp file: the same version with other content is a lost one too. */
  timestampSha256: optional(5, sha256),
});

/** Payload of one ECU's version report (§5.4.2.1.2). */
export const report = record({
  /** EVR-02 */
  ecuId: field(1, identifier),
  vehicleId: field(2, identifier),
  hardwareId: field(3, identifier),
  installed: field(4, installedImage),
  detections: field(5, array(detection, 0, maxAttacksPerReport)),
  /** Latest time this ECU could verify (EVR-05); 0 before the first. */
  time: field(6, unixSeconds),
  /** Rises with every report of this ECU, for ever (EVR-06). */
  counter: field(7, unsigned),
  /** The ECU whose agent runs this one, for hosted ECUs. */
  hostedBy: optional(8, identifier),
  held: optional(9, heldMetadata),
});

/** The Primary's statement that it has no report of an ECU, and why (DIR-08). */
export const absentEcu = record({
  ecuId: field(1, identifier),
  /** `secondary-silent`, `secondary-slow`, `secondary-replaced` … */
  code: field(2, text(48)),
});

/**
 * Payload of the vehicle version manifest (§5.4.2.1.1): which vehicle (VVM-02), which Primary
 * (VVM-03). Its signature names the payload's hash and the hash function (VVM-01).
 */
export const manifest = record({
  vehicleId: field(1, identifier),
  primaryEcuId: field(2, identifier),
  /** Encoded COSE_Sign of each report, the Primary's own among them (VVM-04, VVM-05). */
  reports: field(3, array(bytes(1, maxReportBytes), 1, maxEcusPerVehicle)),
  /** ECUs without a report; each ECU of the vehicle is in one of the two lists. */
  absent: optional(4, array(absentEcu, 1, maxEcusPerVehicle)),
});

export type Report = Infer<typeof report>;
export type HeldMetadata = Infer<typeof heldMetadata>;
export type Manifest = Infer<typeof manifest>;
export type AbsentEcu = Infer<typeof absentEcu>;
export type Detection = Infer<typeof detection>;
export type InstalledImage = Infer<typeof installedImage>;
