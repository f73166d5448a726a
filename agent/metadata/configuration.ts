/**
 * What an ECU is told at its provisioning (Uptane §5.4.1), stored under the key `configuration`.
 * Private keys lie beside it, never in it.
 */
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
} from '../codec/schema.ts';
import {
  leastUdsBlockBytes,
  maxCertificateBytes,
  maxEcusPerVehicle,
  maxFilenameCharacters,
  maxHostedEcusPerAgent,
  maxMaintenanceWindows,
  maxTlsTrustAnchors,
  maxUdsBlockBytes,
} from '../limits.ts';
import { identifier, profiles, unixSeconds } from './common.ts';
import { verifications } from './device-messages.ts';
import { endpoint, repositoryMap } from './repository-map.ts';
import { imageKinds } from './targets.ts';

const partitionName = text(32);
const filenamePattern = text(maxFilenameCharacters);
const canIdentifier = integer(0, 536_870_911);

/** One Uptane ECU: the agent's own (first) or one hosted beside it. */
export const ecuConfiguration = record({
  ecuId: field(1, identifier),
  hardwareId: field(2, identifier),
  kinds: field(3, array(named(imageKinds), 1, 3)),
  /** Names of the two slots and the journal in the board's flash map. */
  slots: field(4, array(partitionName, 2, 2)),
  journal: field(5, partitionName),
  /** Boot block of a hosted ECU; the agent's own belongs to the platform's boot control. */
  state: optional(6, partitionName),
  /** Filenames of images for this ECU (VIM-03); `*` matches any run of characters. */
  filenamePattern: field(7, filenamePattern),
});

/** A UDS server on the bus, as its client reaches it. */
export const canAddress = record({
  requestId: field(1, canIdentifier),
  responseId: field(2, canIdentifier),
  extended: field(3, boolean),
});

/** What only a Primary has: its Secondaries, and what it needs to serve them. */
export const primaryConfiguration = record({
  secondaries: field(
    3,
    array(
      record({
        address: field(1, canAddress),
        /** The Secondary's own ECU id first, then those it hosts. */
        ecuIds: field(2, array(identifier, 1, 1 + maxHostedEcusPerAgent)),
        hardwareIds: field(3, array(identifier, 1, 1 + maxHostedEcusPerAgent)),
        filenamePatterns: field(4, array(filenamePattern, 1, 1 + maxHostedEcusPerAgent)),
        /** The ECUs' signing keys: an ECU with another one has been replaced (INV-03). */
        signingKeys: field(5, array(coseKey, 1, 1 + maxHostedEcusPerAgent)),
      }),
      0,
      maxEcusPerVehicle,
    ),
  ),
  /** Partition that holds verified ciphertexts until they are handed on. */
  download: field(4, partitionName),
  pollMilliseconds: field(5, unsigned),
  /** When images may be installed, in seconds of the UTC day; always when absent. */
  maintenance: optional(
    6,
    array(
      record({ from: field(1, integer(0, 86_399)), to: field(2, integer(0, 86_400)) }),
      1,
      maxMaintenanceWindows,
    ),
  ),
  /** The broker that rings when there is something new; without one, polling alone finds it. */
  doorbell: optional(7, endpoint),
});

/** How this ECU keeps its time (docs/POUF.md, time). */
export const timeConfiguration = record({
  /** KEY-04: the time of provisioning. */
  provisionedSeconds: optional(1, unixSeconds),
  /** HRD-03: how long an attested time serves while the source is silent. */
  maxSilentSeconds: optional(2, unsigned),
});

/** Mutual TLS with the device plane (docs/POUF.md, TLS). */
export const tlsConfiguration = record({
  /** CA certificates in DER at which the servers' chains end: the offline device root. */
  trustAnchors: field(1, array(bytes(1, maxCertificateBytes), 1, maxTlsTrustAnchors)),
});

export const configuration = record({
  vehicleId: field(1, identifier),
  profile: field(2, named(profiles)),
  /** Full verification (1) or partial (2). */
  verification: field(3, named(verifications)),
  ecus: field(4, array(ecuConfiguration, 1, 1 + maxHostedEcusPerAgent)),
  can: field(
    5,
    record({
      port: field(1, text(32)),
      flexibleData: field(2, boolean),
      /** Where this ECU's UDS server listens; absent on a Primary. */
      address: optional(3, canAddress),
      /** A second address of that server, for a workshop's tester. */
      testerAddress: optional(4, canAddress),
      /** Largest TransferData that this ECU has a buffer for; `maxUdsBlockBytes` when absent. */
      maxBlockBytes: optional(5, integer(leastUdsBlockBytes, maxUdsBlockBytes)),
    }),
  ),
  trialBoots: field(6, integer(1, 8)),
  primary: optional(7, primaryConfiguration),
  /** The Primary's signing key: who alone may update this Secondary. Absent on a Primary. */
  primaryKey: optional(8, coseKey),
  /** Full verifiers only, always (MAP-01, KEY-03). */
  repositoryMap: optional(9, repositoryMap),
  time: optional(10, timeConfiguration),
  /** A Primary's; without it, it speaks plain HTTP with the repositories. */
  tls: optional(11, tlsConfiguration),
});

/**
 * An ECU's own key pair, stored under `signing-key/ECU` or `wrapping-key/ECU` (KEY-05, KEY-06); the
 * vehicle's device key under `device-key`.
 */
export const storedKeyPair = record({
  key: field(1, coseKey),
  secret: field(2, bytes(32, 64)),
});

export type Configuration = Infer<typeof configuration>;
export type EcuConfiguration = Infer<typeof ecuConfiguration>;
export type PrimaryConfiguration = Infer<typeof primaryConfiguration>;
export type CanAddress = Infer<typeof canAddress>;
