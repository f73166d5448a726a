/** Messages between Primary and Secondary over UDS (docs/POUF.md §4, in-vehicle messages). */
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
  tuple,
  unsigned,
} from '../codec/schema.ts';
import {
  authenticationChallengeBytes,
  maxHostedEcusPerAgent,
  maxKeyObjectBytes,
  maxRootBytes,
  nonceBytes,
} from '../limits.ts';
import { filename, identifier, repositories } from './common.ts';
import { refusalAnswer } from './device-messages.ts';

const maxEcusPerAgent = 1 + maxHostedEcusPerAgent;

/** Data identifiers (ReadDataByIdentifier). */
export const dataIdentifiers = {
  /** A fresh nonce, valid for the next time attestation. */
  nonce: 0xfd01,
  /** Signed version reports of the agent's ECUs: array of bstr. */
  reports: 0xfd02,
  status: 0xfd03,
} as const;

/** Routine identifiers (RoutineControl, startRoutine). */
export const routines = {
  checkTime: 0xfd10,
  startVerification: 0xfd11,
  supplyFile: 0xfd12,
  prepareInstallation: 0xfd13,
  activate: 0xfd14,
  acknowledgeReports: 0xfd15,
  /** As startVerification, for the files of a medium (PURE-2). */
  startOfflineVerification: 0xfd16,
  commitTrial: 0xfd17,
  withdrawTrial: 0xfd18,
} as const;

/** dataFormatIdentifier of an image download: no compression, encryption method 1 (Cobblestone). */
export const cobblestoneDataFormat = 0x01;

/** Download addresses: ECU index × this + offset in the ciphertext. */
export const addressesPerEcu = 1_099_511_627_776;

/**
 * What a tester signs to be let in (service 0x29): the vehicle, the Secondary's own ECU id, the
 * diagnostic session, the Secondary's challenge and its own. Signed as payload in domain `access`.
 */
export const accessStatement = tuple(
  identifier,
  identifier,
  integer(1, 127),
  bytes(authenticationChallengeBytes),
  bytes(authenticationChallengeBytes),
);

export const nonceMessage = bytes(nonceBytes);

/** Answer of a routine: `{}` when all is well. */
export const routineResult = record({
  refusal: optional(1, refusalAnswer),
  /** prepareInstallation: ciphertext bytes that are already durable. */
  resumeOffset: optional(2, unsigned),
});

/** Answer of startVerification and supplyFile: the next file asked for, or the outcome. */
export const verificationStep = record({
  ask: optional(
    1,
    record({
      repository: field(1, named(repositories)),
      name: field(2, filename),
      maxBytes: field(3, unsigned),
    }),
  ),
  /** Verified images that this agent's ECUs have yet to install. */
  assignments: optional(2, array(tuple(identifier, filename), 0, maxEcusPerAgent)),
  refusal: optional(3, refusalAnswer),
});

/** supplyFile: the file asked for; absent content means that it is not available. */
export const suppliedFile = record({ content: optional(1, bytes(1, maxRootBytes)) });

export const installationRequest = record({
  ecuId: field(1, identifier),
  keyObject: field(2, bytes(1, maxKeyObjectBytes)),
});

export const activationRequest = record({
  ecuId: field(1, identifier),
  /** The trial ends with commitTrial or withdrawTrial, not with the self-test (DBP-18). */
  hold: optional(2, boolean),
});

/** commitTrial and withdrawTrial: whose held trial. */
export const trialRequest = record({ ecuId: field(1, identifier) });

/** Reports that the Director accepted: their detections need not be reported again. */
export const acknowledgement = array(tuple(identifier, unsigned), 1, maxEcusPerAgent);

export const reportsMessage = array(bytes(1, 8_192), 1, maxEcusPerAgent);

export const stages = { idle: 0, verifying: 1, installing: 2, checked: 3, pending: 4 } as const;

/** `pending`: waits for its restart, or its self-test; `passed`: held until all ECUs have passed. */
export const trials = { none: 0, pending: 1, passed: 2 } as const;

export const statusMessage = record({
  stage: field(1, named(stages)),
  /** Release number compiled into the running agent. */
  release: field(2, unsigned),
  ecus: field(
    3,
    array(
      record({
        ecuId: field(1, identifier),
        releaseCounter: field(2, unsigned),
        slot: field(3, integer(0, 1)),
        trial: field(4, named(trials)),
      }),
      1,
      maxEcusPerAgent,
    ),
  ),
});

export type VerificationStep = Infer<typeof verificationStep>;
export type StatusMessage = Infer<typeof statusMessage>;
export type TrialName = keyof typeof trials;
export type StageName = keyof typeof stages;
