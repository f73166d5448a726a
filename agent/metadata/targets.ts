/** Targets metadata (Uptane §5.2.3): images, and on the Image repository delegations. */
import { coseKey } from '../codec/cose-key.ts';
import {
  array,
  boolean,
  bytes,
  field,
  type Infer,
  integer,
  named,
  optional,
  record,
  text,
  unsigned,
  withEncoding,
} from '../codec/schema.ts';
import {
  maxBundleAttempts,
  maxDelegationsPerTargets,
  maxEcusPerVehicle,
  maxFilenameCharacters,
  maxHardwareIdsPerTarget,
  maxInstallStep,
  maxKeysPerRole,
  maxKeysPerRoot,
  maxPathsPerDelegation,
  maxReleaseRangesPerImage,
  maxRolesPerDelegation,
  maxTargetsPerFile,
} from '../limits.ts';
import {
  filename,
  formatVersion,
  hashes,
  identifier,
  roleName,
  roles,
  sha256,
  unixSeconds,
  versionNumber,
} from './common.ts';

/** `agent`: what the bootloader runs; `opaque`: a hosted ECU's firmware; `runtime`: the engine. */
export const imageKinds = { agent: 1, opaque: 2, runtime: 3 } as const;
export type ImageKindName = keyof typeof imageKinds;

/** The only image encryption in use (docs/POUF.md §5.7). */
export const cobblestoneFormat = 'c2sp-cobblestone-256@v1';

/**
 * Releases on ECUs of one hardware, in the range from `min` to `max`, both included (DIR-13).
 * Without `max` the range is open. ECUs of other hardware are not meant.
 */
export const releaseRange = record({
  hardwareId: field(1, identifier),
  min: field(2, unsigned),
  max: optional(3, unsigned),
});

/** The must-match section (CUS-01): equal bytes in both repositories. */
export const mustMatch = record({
  plaintextLength: field(1, unsigned),
  plaintextSha256: field(2, sha256),
  hardwareIds: field(3, array(identifier, 1, maxHardwareIdsPerTarget)),
  releaseCounter: field(4, unsigned),
  kind: field(5, named(imageKinds)),
  encryption: field(6, text(32)),
  /** Kind `agent` only: version of the bytecode and of the HAL interface the image needs. */
  bytecodeVersion: optional(7, unsigned),
  halVersion: optional(8, unsigned),
  /** The vehicle has such an ECU, and every such ECU runs a release of the range. */
  requires: optional(9, array(releaseRange, 1, maxReleaseRangesPerImage)),
  /** No ECU of the vehicle runs a release of the range. */
  conflicts: optional(10, array(releaseRange, 1, maxReleaseRangesPerImage)),
});

/** What the Director adds for one ECU, outside must-match. */
export const assignment = record({
  ecuId: field(1, identifier),
  /** The ECU's key object (wrapped content key) travels beside the metadata. */
  keyObjectSha256: field(2, sha256),
  keyObjectLength: field(3, unsigned),
  /** ECUs of a lower step install and confirm before a higher one begins; 0 when absent. */
  installStep: optional(4, integer(0, maxInstallStep)),
});

/**
 * What becomes of a bundle when an ECU fails (DBP-18). `stop`: nothing more of it is begun.
 * `retry`: the same, once the ECU has failed `attempts` times. `two-phase`: no ECU confirms before
 * all have passed their trial, else all go back; tried `attempts` times.
 */
export const bundleFailures = { stop: 1, retry: 2, 'two-phase': 3 } as const;

export const bundlePolicy = record({
  onFailure: field(1, named(bundleFailures)),
  attempts: field(2, integer(1, maxBundleAttempts)),
});

/** One listed image: filename, length and hashes are the ciphertext's (CUS-04). */
export const target = record({
  filename: field(1, filename),
  length: field(2, unsigned),
  hashes: field(3, hashes),
  mustMatch: field(4, withEncoding(mustMatch)),
  assignment: optional(5, assignment),
});

export const delegatedRole = record({
  name: field(1, roleName),
  keyIds: field(2, array(bytes(32), 1, maxKeysPerRole)),
  threshold: field(3, unsigned),
});

/** One delegation (ROL-03), in priority order (DEL-02); several roles make it multi-role (TAP 3). */
export const delegation = record({
  /** Filename patterns; `*` matches any run of characters. */
  paths: field(1, array(text(maxFilenameCharacters), 1, maxPathsPerDelegation)),
  hardwareIds: optional(2, array(identifier, 1, maxHardwareIdsPerTarget)),
  /** DEL-07 */
  terminating: field(3, boolean),
  roles: field(4, array(delegatedRole, 1, maxRolesPerDelegation)),
  /** How many of `roles` have to agree; 1 where there is one role. */
  minimumRoles: field(5, unsigned),
});

/** Keys that attest time, for partial verifiers (TIM-06). */
export const timeKeys = record({
  keys: field(1, array(coseKey, 1, maxKeysPerRole)),
  threshold: field(2, unsigned),
});

export const targets = record({
  type: field(1, named({ targets: roles.targets })),
  formatVersion: field(2, formatVersion),
  version: field(3, versionNumber),
  expires: field(4, unixSeconds),
  /** Director only, always (TGT-03, HRD-01). */
  vehicleId: optional(5, identifier),
  targets: field(10, array(target, 0, Math.max(maxTargetsPerFile, maxEcusPerVehicle))),
  timeKeys: optional(12, timeKeys),
  /** Director only; absent: `stop` at the first failure. */
  bundlePolicy: optional(13, bundlePolicy),
  /** Image repository only (DEL-01, CTG-06). */
  delegations: optional(
    20,
    record({
      keys: field(1, array(coseKey, 1, maxKeysPerRoot)),
      delegations: field(2, array(delegation, 1, maxDelegationsPerTargets)),
    }),
  ),
});

export type Targets = Infer<typeof targets>;
export type Target = Infer<typeof target>;
export type MustMatch = Infer<typeof mustMatch>;
export type ReleaseRange = Infer<typeof releaseRange>;
export type Assignment = Infer<typeof assignment>;
export type BundlePolicy = Infer<typeof bundlePolicy>;
export type Delegation = Infer<typeof delegation>;
export type DelegatedRole = Infer<typeof delegatedRole>;
export type TimeKeys = Infer<typeof timeKeys>;

/** The policy of Director Targets that state none. */
export const defaultBundlePolicy: BundlePolicy = { onFailure: bundleFailures.stop, attempts: 1 };

/** The step in which a Director entry is installed (INS-12). */
export function installStepOf(entry: Target): number {
  return entry.assignment?.installStep ?? 0;
}
