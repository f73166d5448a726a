/**
 * Every bound of the agent, in one place, with its unit in its name (HRD-13).
 * A bound is tested at its value and one past it.
 */

// Encoding
export const maxCborDepth = 8;
export const maxIdentifierCharacters = 64;
export const maxFilenameCharacters = 128;
export const maxRoleNameCharacters = 64;

// Metadata files, as fetched (CRT-02, CTS-01, CSN-01, CTG-01)
export const maxRootBytes = 65_536;
export const maxTimestampBytes = 16_384;
export const maxSnapshotBytes = 32_768;
/** A Secondary's limit; the operator's tool refuses to publish larger Image-repository Targets. */
export const maxTargetsBytes = 32_768;
/** Director Targets name every ECU of one vehicle. */
export const maxDirectorTargetsBytes = 1_048_576;
export const maxOfflineSnapshotBytes = 32_768;
/** One campaign on a medium: as much as a Secondary takes in one message. */
export const maxOfflineTargetsBytes = 65_536;
export const maxTimeBytes = 65_536;
export const maxKeyObjectBytes = 4_096;

// Metadata contents
export const maxRootRotationsPerCycle = 32;
/** Root versions a Primary keeps for Secondaries that are behind. */
export const maxRootsKept = 32;
export const maxKeysPerRoot = 32;
export const maxKeysPerRole = 16;
export const maxSignaturesPerFile = 16;
export const maxRolesPerSnapshot = 256;
export const maxTargetsPerFile = 1_024;
export const maxHardwareIdsPerTarget = 32;
export const maxHashesPerTarget = 4;
/** Releases of other ECUs that an image may require, and as many that it may conflict with. */
export const maxReleaseRangesPerImage = 8;
export const maxDelegationsPerTargets = 32;
export const maxPathsPerDelegation = 32;
/** Mappings in a repository map. */
export const maxMappings = 16;
export const maxRolesPerDelegation = 8;
export const maxDelegationsVisited = 32;
export const maxDelegationDepth = 8;
/** Targets files that are published together, with one Snapshot. */
export const maxFilesPerPublication = 40;
/** Files that the Image repository looks into for the chains to one role. */
export const maxDelegationChains = 1_024;
export const maxMerkleProofNodes = 40;
export const maxOfflineTargetsFiles = 256;
export const maxTargetsPerOfflineFile = 64;
export const maxOfflineAssignments = 512;

// Time
export const maxNoncesPerTimeRequest = 1_024;
export const nonceBytes = 16;
/** Attested time is written to flash again when it moved by at least this (TIM-10). */
export const minimumPersistedTimeStepSeconds = 60;

/**
 * How long an attested time is carried on by the clock of the ECU alone while the time source is
 * silent (HRD-03); a configuration may say otherwise.
 */
export const maxTimeSilentSeconds = 86_400;

/** Interval between two looks for a medium with an offline update (PURE-2). */
export const mediumPollMilliseconds = 2_000;

// Vehicle and reports
export const maxEcusPerVehicle = 1_024;
export const maxReportBytes = 4_096;
export const maxManifestBytes = 1_048_576;
export const maxAttacksPerReport = 16;
export const maxHostedEcusPerAgent = 4;
/** Largest install step of an image; as many steps as ECUs are more than any order needs. */
export const maxInstallStep = 1_023;
/** How often signed metadata may have an installation tried before the bundle counts as failed. */
export const maxBundleAttempts = 16;
/** How often a cycle begins again because a Secondary has restarted in its midst. */
export const maxRestartsPerCycle = 3;
/** Spans of the day in which a vehicle may install. */
export const maxMaintenanceWindows = 8;

// Messages of the backend's planes
export const maxRegistrationBytes = 2_097_152;
/** Manifests of any vehicles that a gateway or depot hands over at once. */
export const maxManifestsPerBatch = 1_024;
export const maxManifestBatchBytes = 4_194_304;
/** Bodies that carry a handful of identifiers. */
export const maxSmallBodyBytes = 4_096;
export const maxTokenCharacters = 64;
export const maxRefusalDetailCharacters = 512;
/** How far ahead of the Director's clock a report's time may be (DIR-11). */
export const maxReportClockSkewSeconds = 300;
/**
 * How far above its own a Director believes the metadata versions that a vehicle reports to hold:
 * far more than a restored backup can have lost, far too few to use up the numbers.
 */
export const maxVersionsRecovered = 1_000_000;
/** How far a report's time may lie behind the one before (a restart forgets a little). */
export const maxReportTimeBehindSeconds = 86_400;

// Images: 64 MiB and more are allowed; sizes are never handled with 32-bit operators
export const maxImageBytes = 4_294_967_296;
export const cobblestoneChunkBytes = 16_384;
export const cobblestoneTagBytes = 16;
export const cobblestoneHeaderBytes = 56;

// Installation
export const defaultTrialBoots = 1;
/** Trials of one image that may fail before it is not installed any more. */
export const maxFailedTrials = 3;
/** How long a trial may take to confirm itself, and a hosted firmware's self-test to answer. */
export const trialWatchdogMilliseconds = 60_000;
/** Payload of one record of a record log: boot block or journal. */
export const maxFlashRecordBytes = 1_024;
/** Chunks that wait for a busy part: an erasure of 150 ms hides behind them at 190 kB/s. */
export const maxQueuedChunks = 3;
/** How far a part that overlaps is erased ahead; what is not written then is erased once more. */
export const maxEraseAheadBytes = 131_072;
/** Chunks of an image in the Primary's own flash that one record of its installation counts. */
export const chunksPerLocalRecord = 64;
/** Buffer through which a slot is read back and hashed. */
export const slotReadBytes = 4_096;

// Network (ECU-03)
export const maxHttpHeaderBytes = 8_192;
export const maxHttpRangeBytes = 1_049_600; // 64 Cobblestone chunks a request
export const minimumBytesPerSecond = 1_024;
/** How long a transfer may stay below the minimum rate before it is given up. */
export const slowWindowMilliseconds = 5_000;
export const connectTimeoutMilliseconds = 10_000;
/** Certificates of a TLS server between its own and the trust anchor. */
export const maxTlsIntermediates = 1;
export const maxTlsTrustAnchors = 2;
/** One certificate in DER: P-256 keys and short names need about 500. */
export const maxCertificateBytes = 1_024;
/** An enrolment's COSE_Sign with its token, key and one ESP256 signature. */
export const maxEnrolmentProofBytes = 1_024;
/** Answers of the Director with a certificate chain in them. */
export const maxCertificateAnswerBytes = 2_304;
/** What a platform keeps of a session to resume it; held in memory only. */
export const maxTlsSessionBytes = 4_096;
/** Cycles in a row that the network or the bus made fail before a report says so (EVR-04). */
export const failedCyclesReported = 3;
/** Failures of an image download in a row, without a complete chunk between them. */
export const maxDownloadFailures = 8;
/** How often an image begins anew in one cycle, when the object is no longer the earlier one. */
export const maxDownloadRestarts = 2;
/** First bound of the waiting time between attempts (full jitter), and its last. */
export const retryBaseMilliseconds = 500;
export const maxRetryMilliseconds = 30_000;
/** A download waits so long for a busy server at most; a later cycle goes on. */
export const maxDownloadWaitMilliseconds = 120_000;
/** Longest Retry-After that is obeyed: no peer may silence a vehicle for longer. */
export const maxRetryAfterSeconds = 86_400;

// Doorbell (docs/POUF.md §2.6)
export const maxDoorbellBytes = 64;
/** Fixed header, topic of the longest vehicle id, packet identifier and payload: 150 at most. */
export const maxMqttPacketBytes = 256;
/** A connection without a word for so long gets a PINGREQ; without an answer to it, it is over. */
export const mqttKeepAliveSeconds = 60;
/** Packets of a broker within one such time: more is a flood, and ends the connection. */
export const maxMqttPacketsPerKeepAlive = 32;
/** Longest wait between two attempts to reach the broker: polling goes on meanwhile. */
export const maxDoorbellRetryMilliseconds = 300_000;
/** Least time between two cycles that a doorbell begins: all that a forged one costs. */
export const minimumDoorbellMilliseconds = 5_000;

// ISO-TP and UDS
/** SID, block sequence counter, one Cobblestone chunk with its tag. */
export const maxUdsBlockBytes = 2 + cobblestoneChunkBytes + cobblestoneTagBytes;
/** What blocks shrink to on a bus that loses frames: one FD frame each. */
export const leastUdsBlockBytes = 62;
/** How often a transfer that was cut off goes on by itself, each time in smaller blocks. */
export const maxTransferResumptions = 8;
export const maxUdsMessageBytes = maxRootBytes + 64;
export const isoTpTimeoutMilliseconds = 1_000;
/** Flow-control WAIT frames in a row that a sender bears (N_WFTmax). */
export const maxIsoTpWaitFrames = 16;
export const maxUdsIdentifiersPerRead = 16;
/** How often a request whose answer was lost is sent, where a repetition is harmless. */
export const maxUdsAttempts = 3;
/** Answers "response pending" (NRC 0x78) to one request that a client bears. */
export const maxUdsPendingResponses = 120;
/** How long a request may be answered with nothing else (ECU-03). */
export const maxUdsPendingMilliseconds = 300_000;
export const udsP2Milliseconds = 1_000;
export const udsP2StarMilliseconds = 30_000;
/** S3 of the server: a session without any request of its tester ends. */
export const udsSessionTimeoutMilliseconds = 5_000;
/** S3 of the client: a session that is to be kept gets a TesterPresent this often. */
export const udsTesterPresentMilliseconds = 2_000;
/** Wrong proofs of one tester before it has to wait; and each one after that. */
export const maxAuthenticationAttempts = 3;
export const authenticationDelayMilliseconds = 10_000;
export const authenticationChallengeBytes = 32;
export const maxAuthenticationProofBytes = 96;
export const rebootWaitMilliseconds = 30_000;
