/**
 * Every refusal, in one catalogue. Agent, backend, logs, reports and documents share these codes.
 *
 * A refusal is a value, never an exception: exceptions are bugs and failing devices. A code names
 * the check that failed; `row` is the requirement it serves (docs/conformance rows), `attack` the
 * attack of the Standard's §4.3 it stops, where there is one (VER-04). Codes are stable: a code
 * once released is never given another meaning.
 */

/** Attacks as they are named in version reports (EVR-04) and in `make demo ATTACK=…`. */
export type Attack =
  | 'arbitrary-software'
  | 'tampered-image'
  | 'unsigned'
  | 'half-signature'
  | 'rollback'
  | 'freeze'
  | 'mix-and-match'
  | 'wrong-ecu'
  | 'endless-data'
  | 'slow-retrieval'
  | 'cross-vehicle-replay'
  | 'report-replay'
  | 'drop-request'
  | 'denial-of-service'
  | 'partial-bundle'
  | 'fast-forward';

interface Entry {
  readonly row: string;
  readonly attack?: Attack;
  /** A failure of the moment (link, peer, load): tried again, and not told to the Director. */
  readonly transient?: true;
}

const catalogue = {
  // Decoding (agent/codec)
  'cbor-truncated': { row: 'DBP-20' },
  'cbor-wrong-type': { row: 'DBP-20' },
  'cbor-not-deterministic': { row: 'DBP-20' },
  'cbor-integer-range': { row: 'DBP-20' },
  'cbor-too-large': { row: 'HRD-13' },
  'cbor-too-short': { row: 'DBP-20' },
  'cbor-too-deep': { row: 'HRD-13' },
  'cbor-text-charset': { row: 'HRD-20' },
  'cbor-duplicate-key': { row: 'DBP-20' },
  'cbor-unknown-field': { row: 'DBP-20' },
  'cbor-unknown-value': { row: 'DBP-20' },
  'cbor-missing-field': { row: 'DBP-20' },
  'cbor-trailing-bytes': { row: 'DBP-20' },

  // Signatures (agent/crypto)
  'key-malformed': { row: 'MET-02' },
  'key-duplicate': { row: 'ROOT-02' },
  'signature-missing': { row: 'MET-03', attack: 'unsigned' },
  'signature-half': { row: 'HRD-18', attack: 'half-signature' },
  'signature-threshold': { row: 'CTG-03', attack: 'arbitrary-software' },
  'signature-algorithm': { row: 'MET-02', attack: 'arbitrary-software' },
  'signature-invalid': { row: 'MET-03', attack: 'arbitrary-software' },
  'merkle-proof-invalid': { row: 'MET-03', attack: 'arbitrary-software' },
  'payload-hash-mismatch': { row: 'HRD-19' },

  // Metadata (agent/verify)
  'metadata-role-type': { row: 'MET-04', attack: 'arbitrary-software' },
  'metadata-expired': { row: 'CTG-05', attack: 'freeze' },
  'metadata-rollback': { row: 'CTG-04', attack: 'rollback' },
  'metadata-changed-in-place': { row: 'HRD-02', attack: 'arbitrary-software' },
  'metadata-absent': { row: 'FNM-01' },
  'metadata-not-stored': { row: 'KEY-01' },
  'root-version': { row: 'CRT-04', attack: 'rollback' },
  'root-threshold': { row: 'HRD-06' },
  'root-too-many': { row: 'HRD-13', attack: 'endless-data' },
  'snapshot-mismatch': { row: 'CSN-02', attack: 'mix-and-match' },
  'snapshot-role-removed': { row: 'CSN-06', attack: 'rollback' },
  'targets-version-mismatch': { row: 'CTG-02', attack: 'mix-and-match' },
  'targets-delegation': { row: 'CTG-06', attack: 'arbitrary-software' },
  'targets-ecu-repeated': { row: 'CTG-07', attack: 'wrong-ecu' },
  'targets-ecu-unknown': { row: 'CTG-08', attack: 'wrong-ecu' },
  'vehicle-mismatch': { row: 'HRD-01', attack: 'cross-vehicle-replay' },
  'hash-missing': { row: 'HRD-12' },
  'delegation-limit': { row: 'HRD-13' },
  'delegation-role': { row: 'RDL-02' },
  'target-not-found': { row: 'RDL-08', attack: 'arbitrary-software' },
  'target-mismatch': { row: 'FV-13', attack: 'mix-and-match' },
  'target-must-match': { row: 'FV-14', attack: 'mix-and-match' },
  'target-rollback': { row: 'FV-15', attack: 'rollback' },
  'target-hardware': { row: 'VIM-02', attack: 'wrong-ecu' },
  'target-filename': { row: 'VIM-03' },
  'target-unmapped': { row: 'MAP-03' },
  'target-kind': { row: 'FV-14' },
  'target-format': { row: 'CUS-05' },
  'target-too-large': { row: 'INS-09' },
  'bundle-incompatible': { row: 'DIR-13', attack: 'mix-and-match' },

  // Time (agent/verify)
  'time-nonce': { row: 'HRD-03', attack: 'freeze' },
  // No attestation was asked for since the start: the ECU has restarted between question and answer.
  'time-unasked': { row: 'HRD-03', transient: true },
  'time-backwards': { row: 'TIM-04', attack: 'freeze' },
  'time-unknown': { row: 'HRD-03' },
  'time-silent': { row: 'HRD-03' },

  // Images and keys (agent/image)
  'key-object-hash': { row: 'CUS-05', attack: 'arbitrary-software' },
  'key-object-unwrap': { row: 'VIM-06' },
  'image-hash': { row: 'PRI-09', attack: 'tampered-image' },
  'image-length': { row: 'VIM-09', attack: 'endless-data' },
  'image-header': { row: 'VIM-06', attack: 'tampered-image' },
  'image-chunk': { row: 'VIM-06', attack: 'tampered-image' },
  'image-truncated': { row: 'VIM-09', attack: 'tampered-image' },
  'image-plaintext-hash': { row: 'VIM-08', attack: 'tampered-image' },
  'image-plaintext-length': { row: 'VIM-09', attack: 'tampered-image' },

  // Installation (agent/install)
  'slot-too-small': { row: 'INS-10' },
  'slot-corrupt': { row: 'HRD-15' },
  'boot-block-corrupt': { row: 'VER-02' },
  'boot-nothing-to-run': { row: 'VER-02' },
  'counter-rollback': { row: 'HRD-04', attack: 'rollback' },
  'self-test-failed': { row: 'INS-13' },
  'self-test-hung': { row: 'INS-13' },
  'trial-rolled-back': { row: 'INS-12' },
  'update-given-up': { row: 'INS-12' },
  'install-out-of-order': { row: 'INS-01' },

  // The platform (hal/quickjs)
  'flash-unusable': { row: 'VER-02' },
  'bytecode-version': { row: 'VER-02' },
  'can-unavailable': { row: 'VER-02' },
  'no-entropy': { row: 'VER-02' },
  'heap-exhausted': { row: 'VER-02' },

  // Network (agent/net)
  'net-unreachable': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  'net-closed': { row: 'VER-01', attack: 'drop-request', transient: true },
  'net-endless': { row: 'CTS-01', attack: 'endless-data' },
  'net-too-slow': { row: 'ECU-03', attack: 'slow-retrieval' },
  'http-malformed': { row: 'VER-01', transient: true },
  'http-status': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  'http-object-changed': { row: 'PRI-09', attack: 'mix-and-match' },
  // TLS guards the connection, Uptane the update: without one, the vehicle goes on as offline.
  'tls-untrusted': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  'tls-name': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  'tls-certificate-expired': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  'tls-not-yet-valid': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  'tls-refused': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  'tls-malformed': { row: 'VER-01', attack: 'denial-of-service', transient: true },
  // The doorbell is a convenience: without it, the vehicle polls.
  'mqtt-malformed': { row: 'DBP-20', transient: true },
  'mqtt-refused': { row: 'VER-01', transient: true },

  // In-vehicle bus (agent/can)
  'can-frame-malformed': { row: 'DBP-20' },
  'can-client-slow': { row: 'HRD-13' },
  'iso-tp-unexpected-frame': { row: 'DBP-20' },
  'iso-tp-sequence': { row: 'DBP-20' },
  'iso-tp-overflow': { row: 'HRD-13', attack: 'endless-data' },
  'iso-tp-timeout': { row: 'VER-01', attack: 'drop-request', transient: true },
  'uds-negative-response': { row: 'VER-01', transient: true },
  'uds-malformed': { row: 'DBP-20' },
  'secondary-disagrees': { row: 'PRI-12' },
  'secondary-silent': { row: 'PRI-15', attack: 'drop-request', transient: true },
  'secondary-slow': { row: 'ECU-03', attack: 'slow-retrieval', transient: true },
  'access-denied': { row: 'EVR-04', attack: 'arbitrary-software' },
  'secondary-replaced': { row: 'INV-03' },
  'bundle-rolled-back': { row: 'DBP-18' },
  'installation-declined': { row: 'INS-13' },

  // Offline updates (agent/primary)
  'medium-removed': { row: 'OFF-03', transient: true },

  // Configuration and provisioning
  'configuration-invalid': { row: 'KEY-01' },

  // Backend (backend/)
  'token-missing': { row: 'IMG-03' },
  'token-invalid': { row: 'IMG-03' },
  'enrolment-token-invalid': { row: 'INV-01' },
  'key-unproven': { row: 'INV-05' },
  'certificate-missing': { row: 'DIR-05' },
  'certificate-untrusted': { row: 'DIR-05' },
  'certificate-expired': { row: 'DIR-05' },
  'certificate-unknown': { row: 'DIR-05' },
  'certificate-revoked': { row: 'DIR-05' },
  'certificate-vehicle': { row: 'DIR-05', attack: 'cross-vehicle-replay' },
  'vehicle-unknown': { row: 'DIR-05' },
  'vehicle-registered': { row: 'INV-02' },
  'ecu-unknown': { row: 'DIR-06' },
  'ecu-registered': { row: 'INV-03' },
  'ecu-missing': { row: 'DIR-08' },
  'report-replayed': { row: 'DIR-12', attack: 'report-replay' },
  'report-time': { row: 'DIR-11' },
  'report-mismatch': { row: 'DIR-06' },
  'image-unknown': { row: 'IMG-06' },
  'image-exists': { row: 'IMG-06' },
  'image-not-encrypted': { row: 'CUS-04' },
  'image-not-listed': { row: 'TGT-01' },
  'assignment-refused': { row: 'DIR-13' },
  'vehicle-silent': { row: 'DIR-08', attack: 'drop-request' },
  'bundle-mixed': { row: 'DBP-12', attack: 'partial-bundle' },
  'versions-lost': { row: 'MET-07' },
  'versions-implausible': { row: 'MET-07', attack: 'fast-forward' },
  'log-limit': { row: 'DBP-09' },
  'metadata-not-next': { row: 'MET-07' },
  'body-too-large': { row: 'HRD-13' },
  'body-incomplete': { row: 'IMG-06' },
  'content-type': { row: 'IMG-01' },
  'request-malformed': { row: 'IMG-01' },
  'not-found': { row: 'IMG-01' },
  'method-not-allowed': { row: 'IMG-01' },
  'wrong-plane': { row: 'IMG-03' },
  'quota-exceeded': { row: 'HRD-13', transient: true },
  overloaded: { row: 'VER-01', transient: true },
  'storage-full': { row: 'IMG-06', transient: true },
  'database-unavailable': { row: 'VER-01', transient: true },
  'images-unavailable': { row: 'VER-01', transient: true },
  'internal-error': { row: 'VER-02' },

  // Operator's command line (backend/cli)
  'argument-invalid': { row: 'IMG-04' },
  'passphrase-wrong': { row: 'IMG-03' },
  'key-file-invalid': { row: 'IMG-03' },
  'file-unreadable': { row: 'IMG-04' },
  'file-unwritable': { row: 'IMG-04' },
  'backup-invalid': { row: 'IMG-04' },
  'port-taken': { row: 'SRV-01' },
  'database-newer': { row: 'SRV-01' },
} as const satisfies Record<string, Entry>;

export type Code = keyof typeof catalogue;

/** Every code with its default row and attack. */
export const codes: Readonly<Record<Code, Entry>> = catalogue;

/** A check that said no: which one, which requirement, and what was wrong. */
export interface Refusal {
  readonly refused: Code;
  /** The requirement's row id; the code's own unless the caller serves a more special one. */
  readonly row: string;
  /** What was wrong, for a person. Never holds secrets. */
  readonly detail: string;
}

/** Makes a refusal. `row` names the requirement when the code serves several (CTS-03, CSN-04 …). */
export function refuse(code: Code, detail = '', row: string = catalogue[code].row): Refusal {
  return { refused: code, row, detail };
}

/** True when `value` is a refusal and not a result. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'refused' in value;
}

/** The attack that a refusal names in the next version report, if its check stops one (VER-04). */
export function attackOf(refusal: Refusal): Attack | undefined {
  return codes[refusal.refused].attack;
}
