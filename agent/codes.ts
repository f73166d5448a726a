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

/**
 * Row, attack and `transient`: a failure of the moment (link, peer, load), tried again and not told to
 * the Director. As text: on a small engine an object for each code would cost 15 KB of memory.
 */
type Entry = string;

const agentCatalogue = {
  // Decoding (agent/codec)
  'cbor-truncated': 'DBP-20',
  'cbor-wrong-type': 'DBP-20',
  'cbor-not-deterministic': 'DBP-20',
  'cbor-integer-range': 'DBP-20',
  'cbor-too-large': 'HRD-13',
  'cbor-too-short': 'DBP-20',
  'cbor-too-deep': 'HRD-13',
  'cbor-text-charset': 'HRD-20',
  'cbor-duplicate-key': 'DBP-20',
  'cbor-unknown-field': 'DBP-20',
  'cbor-unknown-value': 'DBP-20',
  'cbor-missing-field': 'DBP-20',
  'cbor-trailing-bytes': 'DBP-20',

  // Signatures (agent/crypto)
  'key-malformed': 'MET-02',
  'key-duplicate': 'ROOT-02',
  'signature-missing': 'MET-03 unsigned',
  'signature-half': 'HRD-18 half-signature',
  'signature-threshold': 'CTG-03 arbitrary-software',
  'signature-algorithm': 'MET-02 arbitrary-software',
  'signature-invalid': 'MET-03 arbitrary-software',
  'merkle-proof-invalid': 'MET-03 arbitrary-software',
  'payload-hash-mismatch': 'HRD-19',

  // Metadata (agent/verify)
  'metadata-role-type': 'MET-04 arbitrary-software',
  'metadata-expired': 'CTG-05 freeze',
  'metadata-rollback': 'CTG-04 rollback',
  'metadata-changed-in-place': 'HRD-02 arbitrary-software',
  'metadata-absent': 'FNM-01',
  'metadata-not-stored': 'KEY-01',
  'root-version': 'CRT-04 rollback',
  'root-threshold': 'HRD-06',
  'root-too-many': 'HRD-13 endless-data',
  'snapshot-mismatch': 'CSN-02 mix-and-match',
  'snapshot-role-removed': 'CSN-06 rollback',
  'targets-version-mismatch': 'CTG-02 mix-and-match',
  'targets-delegation': 'CTG-06 arbitrary-software',
  'targets-ecu-repeated': 'CTG-07 wrong-ecu',
  'targets-ecu-unknown': 'CTG-08 wrong-ecu',
  'vehicle-mismatch': 'HRD-01 cross-vehicle-replay',
  'hash-missing': 'HRD-12',
  'delegation-limit': 'HRD-13',
  'delegation-role': 'RDL-02',
  'target-not-found': 'RDL-08 arbitrary-software',
  'target-mismatch': 'FV-13 mix-and-match',
  'target-must-match': 'FV-14 mix-and-match',
  'target-rollback': 'FV-15 rollback',
  'target-hardware': 'VIM-02 wrong-ecu',
  'target-filename': 'VIM-03',
  'target-unmapped': 'MAP-03',
  'target-kind': 'FV-14',
  'target-format': 'CUS-05',
  'target-too-large': 'INS-09',
  'bundle-incompatible': 'DIR-13 mix-and-match',

  // Time (agent/verify)
  'time-nonce': 'HRD-03 freeze',
  // No attestation was asked for since the start: the ECU has restarted between question and answer.
  'time-unasked': 'HRD-03 transient',
  'time-backwards': 'TIM-04 freeze',
  'time-unknown': 'HRD-03',
  'time-silent': 'HRD-03',

  // Images and keys (agent/image)
  'key-object-hash': 'CUS-05 arbitrary-software',
  'key-object-unwrap': 'VIM-06',
  'image-hash': 'PRI-09 tampered-image',
  'image-length': 'VIM-09 endless-data',
  'image-header': 'VIM-06 tampered-image',
  'image-chunk': 'VIM-06 tampered-image',
  'image-truncated': 'VIM-09 tampered-image',
  'image-plaintext-hash': 'VIM-08 tampered-image',
  'image-plaintext-length': 'VIM-09 tampered-image',

  // Installation (agent/install)
  'slot-too-small': 'INS-10',
  'slot-corrupt': 'HRD-15',
  'boot-block-corrupt': 'VER-02',
  'boot-nothing-to-run': 'VER-02',
  'counter-rollback': 'HRD-04 rollback',
  'self-test-failed': 'INS-13',
  'self-test-hung': 'INS-13',
  'trial-rolled-back': 'INS-12',
  'update-given-up': 'INS-12',
  'install-out-of-order': 'INS-01',

  // The platform (hal/quickjs)
  'flash-unusable': 'VER-02',
  'bytecode-version': 'VER-02',
  'can-unavailable': 'VER-02',
  'no-entropy': 'VER-02',
  'heap-exhausted': 'VER-02',

  // Network (agent/net)
  'net-unreachable': 'VER-01 denial-of-service transient',
  'net-closed': 'VER-01 drop-request transient',
  'net-endless': 'CTS-01 endless-data',
  'net-too-slow': 'ECU-03 slow-retrieval',
  'http-malformed': 'VER-01 transient',
  'http-status': 'VER-01 denial-of-service transient',
  'http-object-changed': 'PRI-09 mix-and-match',
  // TLS guards the connection, Uptane the update: without one, the vehicle goes on as offline.
  'tls-untrusted': 'VER-01 denial-of-service transient',
  'tls-name': 'VER-01 denial-of-service transient',
  'tls-certificate-expired': 'VER-01 denial-of-service transient',
  'tls-not-yet-valid': 'VER-01 denial-of-service transient',
  'tls-refused': 'VER-01 denial-of-service transient',
  'tls-malformed': 'VER-01 denial-of-service transient',
  // The doorbell is a convenience: without it, the vehicle polls.
  'mqtt-malformed': 'DBP-20 transient',
  'mqtt-refused': 'VER-01 transient',

  // In-vehicle bus (agent/can)
  'can-frame-malformed': 'DBP-20',
  'can-client-slow': 'HRD-13',
  'iso-tp-unexpected-frame': 'DBP-20',
  'iso-tp-sequence': 'DBP-20',
  'iso-tp-overflow': 'HRD-13 endless-data',
  'iso-tp-timeout': 'VER-01 drop-request transient',
  'uds-negative-response': 'VER-01 transient',
  'uds-malformed': 'DBP-20',
  'secondary-disagrees': 'PRI-12',
  'secondary-silent': 'PRI-15 drop-request transient',
  'secondary-slow': 'ECU-03 slow-retrieval transient',
  'access-denied': 'EVR-04 arbitrary-software',
  'secondary-replaced': 'INV-03',
  'bundle-rolled-back': 'DBP-18',
  'installation-declined': 'INS-13',

  // Offline updates (agent/primary)
  'medium-removed': 'OFF-03 transient',

  // Configuration and provisioning
  'configuration-invalid': 'KEY-01',

  // Of servers, and told to them
  'certificate-expired': 'DIR-05',
  'ecu-unknown': 'DIR-06',
  'body-too-large': 'HRD-13',
} as const satisfies Record<string, Entry>;

/** Only these refuse with them: programs of ECUs are built without. */
const backendCatalogue = {
  // Backend (backend/)
  'internal-error': 'VER-02',
  'token-missing': 'IMG-03',
  'token-invalid': 'IMG-03',
  'enrolment-token-invalid': 'INV-01',
  'key-unproven': 'INV-05',
  'certificate-missing': 'DIR-05',
  'certificate-untrusted': 'DIR-05',
  'certificate-unknown': 'DIR-05',
  'certificate-revoked': 'DIR-05',
  'certificate-vehicle': 'DIR-05 cross-vehicle-replay',
  'vehicle-unknown': 'DIR-05',
  'vehicle-registered': 'INV-02',
  'ecu-registered': 'INV-03',
  'ecu-missing': 'DIR-08',
  'report-replayed': 'DIR-12 report-replay',
  'report-time': 'DIR-11',
  'report-mismatch': 'DIR-06',
  'image-unknown': 'IMG-06',
  'image-exists': 'IMG-06',
  'image-not-encrypted': 'CUS-04',
  'image-not-listed': 'TGT-01',
  'assignment-refused': 'DIR-13',
  'vehicle-silent': 'DIR-08 drop-request',
  'bundle-mixed': 'DBP-12 partial-bundle',
  'versions-lost': 'MET-07',
  'versions-implausible': 'MET-07 fast-forward',
  'log-limit': 'DBP-09',
  'metadata-not-next': 'MET-07',
  'body-incomplete': 'IMG-06',
  'content-type': 'IMG-01',
  'request-malformed': 'IMG-01',
  'not-found': 'IMG-01',
  'method-not-allowed': 'IMG-01',
  'wrong-plane': 'IMG-03',
  'quota-exceeded': 'HRD-13 transient',
  overloaded: 'VER-01 transient',
  'storage-full': 'IMG-06 transient',
  'database-unavailable': 'VER-01 transient',
  'images-unavailable': 'VER-01 transient',
  'signer-unavailable': 'VER-01 transient',

  // Operator's command line (backend/cli)
  'argument-invalid': 'IMG-04',
  'passphrase-wrong': 'IMG-03',
  'token-pin-refused': 'IMG-03',
  'key-file-invalid': 'IMG-03',
  'file-unreadable': 'IMG-04',
  'file-unwritable': 'IMG-04',
  'backup-invalid': 'IMG-04',
  'port-taken': 'SRV-01',
  'database-newer': 'SRV-01',
} as const satisfies Record<string, Entry>;

export type Code = keyof typeof agentCatalogue | keyof typeof backendCatalogue;

/** Defined where the program of an ECU is built (boards/build.ts, runtime.mk). */
declare const ECU_PROGRAM: true | undefined;

const catalogue: Readonly<Record<string, Entry>> =
  typeof ECU_PROGRAM === 'undefined' ? { ...agentCatalogue, ...backendCatalogue } : agentCatalogue;

/** Every code. */
export const codeNames = Object.keys(catalogue) as readonly Code[];

/** True for a text that is a code. */
export function isCode(text: string): text is Code {
  return codeNames.indexOf(text as Code) >= 0;
}

/** The requirement that a code serves where nobody says a more special one. */
export function rowOf(code: Code): string {
  return catalogue[code]!.split(' ')[0]!;
}

/** True for a failure of the moment: tried again, and not told to the Director. */
export function isTransient(code: Code): boolean {
  return catalogue[code]!.split(' ').indexOf('transient') > 0;
}

/** A check that said no: which one, which requirement, and what was wrong. */
export interface Refusal {
  readonly refused: Code;
  /** The requirement's row id; the code's own unless the caller serves a more special one. */
  readonly row: string;
  /** What was wrong, for a person. Never holds secrets. */
  readonly detail: string;
}

/** Makes a refusal. `row` names the requirement when the code serves several (CTS-03, CSN-04 …). */
export function refuse(code: Code, detail = '', row: string = rowOf(code)): Refusal {
  return { refused: code, row, detail };
}

/** True when `value` is a refusal and not a result. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'refused' in value;
}

/** The attack that a refusal names in the next version report, if its check stops one (VER-04). */
export function attackOf(refusal: Refusal): Attack | undefined {
  const second = catalogue[refusal.refused]!.split(' ')[1];
  return second === 'transient' ? undefined : (second as Attack | undefined);
}
