/**
 * Beside the catalogue of refusals: every requirement that a code is refused under. A file of its own,
 * since no program of the agent loads it; tools and tests do.
 */
import { type Code, rowOf } from './codes.ts';

/** Rows under which every file's signatures are judged, by its role. */
const signatureRows = ['CRT-03', 'CTS-02', 'CSN-03', 'CTG-03', 'OFF-04', 'OFF-05'];

/**
 * The rows that a verification refuses under, beside a code's own: one check serves several roles.
 */
export const furtherRows: Readonly<Partial<Record<Code, readonly string[]>>> = {
  'cbor-too-large': ['CSN-01'],
  'key-malformed': ['DEL-03'],
  'signature-missing': signatureRows,
  'signature-threshold': signatureRows,
  'signature-algorithm': signatureRows,
  'signature-invalid': signatureRows,
  'merkle-proof-invalid': signatureRows,
  'payload-hash-mismatch': signatureRows,
  'metadata-expired': ['CRT-06', 'CTS-04', 'CSN-07', ...signatureRows],
  'metadata-rollback': ['CTS-03', 'CSN-04', 'CSN-05', 'OFF-04', 'OFF-05'],
  'metadata-absent': ['OFF-03'],
  'metadata-not-stored': ['HRD-15'],
  'root-threshold': ['ROOT-01', 'ROOT-03', 'OFF-01', ...signatureRows],
  'snapshot-mismatch': ['SNP-01'],
  'snapshot-role-removed': ['OFF-04'],
  'targets-version-mismatch': ['OFF-04'],
  'targets-ecu-repeated': ['OFF-04'],
  'targets-ecu-unknown': ['CUS-06', 'OFF-04'],
  'delegation-role': ['ROL-09', 'IMG-05'],
  'target-filename': ['IMG-05'],
  'target-rollback': ['HRD-04'],
  'time-unknown': ['TIM-05'],
  'configuration-invalid': ['MAP-01', 'MAP-02', 'MAP-03'],
  'image-length': ['INS-09'],
  'image-unknown': ['FNM-03'],
  'net-endless': ['CRT-02', 'CSN-01', 'CTG-01', 'OFF-04', 'INS-09'],
};

/** Every requirement that a code can be refused under, its own first. */
export function rowsOf(code: Code): readonly string[] {
  const row = rowOf(code);
  return [row, ...(furtherRows[code] ?? []).filter((other) => other !== row)];
}
