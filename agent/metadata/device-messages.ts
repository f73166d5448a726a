/** Requests and answers of the device plane that are not metadata (docs/POUF.md §2). */
import { coseKey } from '../codec/cose-key.ts';
import {
  array,
  boolean,
  bytes,
  field,
  type Infer,
  named,
  optional,
  record,
  text,
  unsigned,
} from '../codec/schema.ts';
import {
  maxCertificateBytes,
  maxEcusPerVehicle,
  maxEnrolmentProofBytes,
  maxRefusalDetailCharacters,
  maxTlsIntermediates,
  maxTokenCharacters,
} from '../limits.ts';
import { formatVersion, identifier, unixSeconds } from './common.ts';

function isBase64Url(code: number): boolean {
  return (
    (code >= 48 && code <= 57) ||
    (code >= 65 && code <= 90) ||
    (code >= 97 && code <= 122) ||
    code === 45 ||
    code === 95
  );
}

/** What an ECU is in its vehicle (INV-08). */
export const ecuRoles = { primary: 1, secondary: 2 } as const;
export type EcuRoleName = keyof typeof ecuRoles;

/** How an ECU verifies metadata (§5.4.4). */
export const verifications = { full: 1, partial: 2 } as const;
export type VerificationName = keyof typeof verifications;

/** Answer of `GET /` on every plane. */
export const serviceDescription = record({
  service: field(1, text(64)),
  version: field(2, text(32)),
  formatVersion: field(3, formatVersion),
});

/** A one-time enrolment token: base64url text. */
export const enrolmentToken = text(maxTokenCharacters, isBase64Url);

/** One ECU of the inventory (INV-03 … INV-09). */
export const ecuDescription = record({
  ecuId: field(1, identifier),
  hardwareId: field(2, identifier),
  role: field(3, named(ecuRoles)),
  verification: field(4, named(verifications)),
  /** ESP256: signs this ECU's version reports. */
  signingKey: field(5, coseKey),
  /** MLKEM768-P256: content keys are wrapped for it (KEY-06: separate from the signing key). */
  wrappingKey: field(6, coseKey),
  /** The ECU whose agent runs this one, for hosted ECUs. */
  hostedBy: optional(7, identifier),
});

/**
 * What the Primary signs by its device key (domain `enrolment`) to show that it has it: bound to
 * the token, so that it serves no other enrolment.
 */
export const enrolmentProof = record({
  token: field(1, enrolmentToken),
  vehicleId: field(2, identifier),
});

/** Body of `POST /register`; the answer is `registrationAnswer`. */
export const registration = record({
  token: field(1, enrolmentToken),
  vehicleId: field(2, identifier),
  primaryEcuId: field(3, identifier),
  ecus: field(4, array(ecuDescription, 1, maxEcusPerVehicle)),
  /** ESP256: authenticates the vehicle by TLS; needed where the device plane speaks it. */
  deviceKey: optional(5, coseKey),
  /** COSE_Sign over `enrolmentProof` by the device key; present with it. */
  proof: optional(6, bytes(1, maxEnrolmentProofBytes)),
});

/** Certificates of the vehicle's device key in DER, its own first; answer of `POST /renew`. */
export const deviceCertificate = record({
  chain: field(1, array(bytes(1, maxCertificateBytes), 1, 1 + maxTlsIntermediates)),
  /** Validity of the first. */
  notBefore: field(2, unixSeconds),
  notAfter: field(3, unixSeconds),
});

/** Answer of `POST /register`; without a certificate where no proof was given. */
export const registrationAnswer = record({ certificate: optional(1, deviceCertificate) });

export const emptyAnswer = record({});

/** Answer of `POST /manifest/{vehicleId}`. */
export const manifestAnswer = record({
  accepted: field(1, boolean),
  /** What the Director wants differs from what this manifest says is installed. */
  updateAvailable: field(2, boolean),
  /** Version of the vehicle's latest Timestamp. */
  timestampVersion: field(3, unsigned),
});

/** Body of `POST /check_updates`: the newest Timestamp version the vehicle has, 0 for none. */
export const updateQuery = record({
  vehicleId: field(1, identifier),
  timestampVersion: field(2, unsigned),
});

/** Answer of `POST /check_updates`. */
export const updateAnswer = record({
  updateAvailable: field(1, boolean),
  timestampVersion: field(2, unsigned),
});

/** Body of every answer with a status from 400 on. */
export const refusalAnswer = record({
  code: field(1, text(48)),
  row: field(2, text(16)),
  /** For a person; absent when the code says it all. */
  detail: optional(3, text(maxRefusalDetailCharacters)),
});

export type ServiceDescription = Infer<typeof serviceDescription>;
export type EcuDescription = Infer<typeof ecuDescription>;
export type Registration = Infer<typeof registration>;
export type EnrolmentProof = Infer<typeof enrolmentProof>;
export type DeviceCertificate = Infer<typeof deviceCertificate>;
export type RegistrationAnswer = Infer<typeof registrationAnswer>;
export type ManifestAnswer = Infer<typeof manifestAnswer>;
export type UpdateQuery = Infer<typeof updateQuery>;
export type UpdateAnswer = Infer<typeof updateAnswer>;
export type RefusalAnswer = Infer<typeof refusalAnswer>;
