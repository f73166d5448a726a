/** Requests and answers of the operator plane (docs/POUF.md §2). */
import { coseKey } from '../../agent/codec/cose-key.ts';
import {
  array,
  boolean,
  bytes,
  dictionary,
  field,
  type Infer,
  integer,
  named,
  optional,
  record,
  text,
  unsigned,
} from '../../agent/codec/schema.ts';
import {
  maxEcusPerVehicle,
  maxFilesPerPublication,
  maxInstallStep,
  maxKeyObjectBytes,
  maxManifestBytes,
  maxManifestsPerBatch,
  maxRefusalDetailCharacters,
  maxRolesPerSnapshot,
  maxTargetsBytes,
} from '../../agent/limits.ts';
import {
  filename,
  hashes,
  identifier,
  roleName,
  sha256,
  unixSeconds,
  versionNumber,
} from '../../agent/metadata/common.ts';
import {
  ecuRoles,
  enrolmentToken,
  manifestAnswer,
  refusalAnswer,
  verifications,
} from '../../agent/metadata/device-messages.ts';
import { detection, installedImage } from '../../agent/metadata/report.ts';
import { bundlePolicy } from '../../agent/metadata/targets.ts';

/** Vehicles on one page of `GET /vehicles?after=<vehicle id>`. */
export const vehiclesPerPage = 1_000;
/** Manifests and anomalies that are shown, newest last. */
export const historyEntries = 100;
const maxDetectionsPerManifest = 16 * maxEcusPerVehicle;

/** Answer of `POST /upload`: the ciphertext as it was stored. */
export const uploadAnswer = record({
  filename: field(1, filename),
  length: field(2, unsigned),
  hashes: field(3, hashes),
});

/** Answer of `PUT` on metadata: what was published, and what the server signed for it. */
export const publishAnswer = record({
  version: field(1, versionNumber),
  /** Absent after a Director Root: vehicles' metadata is made per vehicle. */
  snapshotVersion: optional(2, versionNumber),
  timestampVersion: optional(3, versionNumber),
});

/** Body of `POST /manifests`: signed manifests as their vehicles sent them. */
export const manifestBatch = array(
  record({ vehicleId: field(1, identifier), manifest: field(2, bytes(1, maxManifestBytes)) }),
  1,
  maxManifestsPerBatch,
);

/** Answer of `POST /manifests`, in the order of the request: one of the two for each manifest. */
export const manifestBatchAnswer = array(
  record({ taken: optional(1, manifestAnswer), refused: optional(2, refusalAnswer) }),
  1,
  maxManifestsPerBatch,
);

/** Answer of `GET /director/wrapping-key`: CLIs seal content keys to it. */
export const wrappingKeyAnswer = coseKey;

/** Body of `POST /content-keys`; the answer is `emptyAnswer`. */
export const contentKeyRequest = record({
  filename: field(1, filename),
  ciphertextSha256: field(2, sha256),
  /** A key object sealed under `['director', 'director', filename, ciphertextSha256]`. */
  sealed: field(3, bytes(1, maxKeyObjectBytes)),
});

/** Body of `POST /offline/key-objects`; the answer is a `keyObject` (PURE-2). */
export const keyObjectRequest = record({
  vehicleId: field(1, identifier),
  ecuId: field(2, identifier),
  filename: field(3, filename),
});

/** Body of `POST /enrolment-tokens`; without a vehicle id the token enrols any one vehicle. */
export const enrolmentTokenRequest = record({
  vehicleId: optional(1, identifier),
  /** The fleet whose quota the vehicle counts against; `default` when absent. */
  fleet: optional(2, identifier),
});
export const enrolmentTokenAnswer = record({ token: field(1, enrolmentToken) });

/** One line of `GET /vehicles`. */
export const vehicleSummary = record({
  vehicleId: field(1, identifier),
  primaryEcuId: field(2, identifier),
  ecus: field(3, unsigned),
  registered: field(4, unixSeconds),
  /** When the last manifest was accepted; absent before the first. */
  lastManifest: optional(5, unixSeconds),
  timestampVersion: field(6, versionNumber),
  updateAvailable: field(7, boolean),
});

/** Answer of `GET /vehicles`, in order of vehicle id. */
export const vehicleList = array(vehicleSummary, 0, vehiclesPerPage);

/** What the Director wants an ECU to run. */
export const assignedImage = record({
  filename: field(1, filename),
  releaseCounter: field(2, unsigned),
  plaintextLength: field(3, unsigned),
  plaintextSha256: field(4, sha256),
});

/** One ECU of `GET /vehicles/{id}`. */
export const ecuView = record({
  ecuId: field(1, identifier),
  hardwareId: field(2, identifier),
  role: field(3, named(ecuRoles)),
  verification: field(4, named(verifications)),
  hostedBy: optional(5, identifier),
  signingKey: field(6, coseKey),
  /** Key identifier of `signingKey` (INV-07). */
  signingKeyId: field(7, bytes(32)),
  wrappingKey: field(8, coseKey),
  /** From the last manifest; absent before the first. */
  installed: optional(9, installedImage),
  detections: field(10, array(detection, 0, maxDetectionsPerManifest)),
  assigned: optional(11, assignedImage),
  /** The Primary said in its last manifest that it has no report of this ECU. */
  absent: optional(12, record({ code: field(1, text(48)), since: field(2, unixSeconds) })),
});

/** Answer of `GET /vehicles/{id}`. */
export const vehicleView = record({
  vehicleId: field(1, identifier),
  primaryEcuId: field(2, identifier),
  registered: field(3, unixSeconds),
  lastManifest: optional(4, unixSeconds),
  timestampVersion: field(5, versionNumber),
  updateAvailable: field(6, boolean),
  ecus: field(7, array(ecuView, 1, maxEcusPerVehicle)),
});

/** Body of `POST /vehicles/{id}/device`; the answer is `emptyAnswer`. */
export const deviceRequest = record({
  /** Whether the certificates of the vehicle's device key are refused from now on. */
  revoked: field(1, boolean),
});

/** One accepted manifest of `GET /vehicles/{id}/manifests`, with what its ECUs detected. */
export const manifestRecord = record({
  received: field(1, unixSeconds),
  detections: field(
    2,
    array(
      record({
        ecuId: field(1, identifier),
        code: field(2, text(48)),
        row: field(3, text(16)),
        attack: optional(4, text(48)),
      }),
      0,
      maxDetectionsPerManifest,
    ),
  ),
});

/** Answer of `GET /vehicles/{id}/manifests`, oldest first. */
export const manifestHistory = array(manifestRecord, 0, historyEntries);

/** What an entry of the Director's log is; `detection`: by a verified report. */
export const logKinds = { decision: 1, detection: 2, anomaly: 3 } as const;

/** Entries on one page of `GET /log?after=<id>&vehicle=<vehicle id>`. */
export const logEntriesPerPage = 500;

/** One entry of the Director's log (DBP-09). */
export const logEntry = record({
  id: field(1, unsigned),
  recorded: field(2, unixSeconds),
  kind: field(3, named(logKinds)),
  /** Absent when the entry concerns no vehicle; the vehicle need not exist. */
  vehicleId: optional(4, identifier),
  ecuId: optional(5, identifier),
  code: field(6, text(48)),
  row: field(7, text(16)),
  attack: optional(8, text(48)),
  detail: optional(9, text(maxRefusalDetailCharacters)),
});

/** Answer of `GET /log`, oldest first. */
export const logPage = array(logEntry, 0, logEntriesPerPage);

/** One anomaly: a refused manifest, or what the Director noticed by itself (DBP-09). */
export const anomaly = record({
  received: field(1, unixSeconds),
  /** As the request named it; the vehicle need not exist. */
  vehicleId: field(2, identifier),
  code: field(3, text(48)),
  row: field(4, text(16)),
  detail: optional(5, text(maxRefusalDetailCharacters)),
});

/** Answer of `GET /anomalies`, oldest first. */
export const anomalyHistory = array(anomaly, 0, historyEntries);

/** Body of `POST /images/publications`: Targets files that appear together, delegators first. */
export const publicationRequest = record({
  files: field(
    1,
    array(
      record({
        role: field(1, roleName),
        version: field(2, versionNumber),
        file: field(3, bytes(1, maxTargetsBytes)),
      }),
      1,
      maxFilesPerPublication,
    ),
  ),
});

/** Answer of `POST /images/publications`. */
export const publicationAnswer = record({
  snapshotVersion: field(1, versionNumber),
  timestampVersion: field(2, versionNumber),
});

/** Body of `POST /assignments`. ECUs that are not named keep what they have. */
export const assignmentRequest = record({
  vehicleId: field(1, identifier),
  assignments: field(
    2,
    array(
      record({
        ecuId: field(1, identifier),
        filename: field(2, filename),
        /** ECUs of a lower step install and confirm before a higher one begins; 0 when absent. */
        installStep: optional(3, integer(0, maxInstallStep)),
      }),
      1,
      maxEcusPerVehicle,
    ),
  ),
  /** For all of the vehicle's assignments; absent: the policy stays as it was. */
  bundlePolicy: optional(3, bundlePolicy),
  /** Signed at once and served before all else: the way back from an image that is not safe. */
  urgent: optional(4, boolean),
});

/** Answer of `POST /assignments`: the version of the vehicle's new Targets. */
export const assignmentAnswer = record({ version: field(1, versionNumber) });

/** Answer of `POST /vehicles/{id}/refresh`. */
export const refreshAnswer = record({ timestampVersion: field(1, versionNumber) });

/** Answer of `GET /status`. */
export const statusAnswer = record({
  vehicles: field(1, unsigned),
  ecus: field(2, unsigned),
  images: field(3, unsigned),
  /** Refused manifests on record. */
  anomalies: field(4, unsigned),
  directorRootVersion: field(5, versionNumber),
  imagesRootVersion: field(6, versionNumber),
  /** Latest version of each Image-repository role but Root; empty before the first release. */
  imagesVersions: field(7, dictionary(roleName, versionNumber, 0, maxRolesPerSnapshot + 2)),
});

export type UploadAnswer = Infer<typeof uploadAnswer>;
export type PublishAnswer = Infer<typeof publishAnswer>;
export type PublicationAnswer = Infer<typeof publicationAnswer>;
export type ContentKeyRequest = Infer<typeof contentKeyRequest>;
export type KeyObjectRequest = Infer<typeof keyObjectRequest>;
export type EnrolmentTokenRequest = Infer<typeof enrolmentTokenRequest>;
export type VehicleSummary = Infer<typeof vehicleSummary>;
export type EcuView = Infer<typeof ecuView>;
export type VehicleView = Infer<typeof vehicleView>;
export type ManifestRecord = Infer<typeof manifestRecord>;
export type LogEntry = Infer<typeof logEntry>;
export type Anomaly = Infer<typeof anomaly>;
export type AssignmentRequest = Infer<typeof assignmentRequest>;
export type Status = Infer<typeof statusAnswer>;
