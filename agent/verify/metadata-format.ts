/**
 * The boundary between verification and encoding: the checks see records, and the bytes that were
 * signed. Which encoding they came from is the format's business, so that repositories in another
 * one are judged by the very code that ships.
 */
import type { Envelope } from '../codec/cose-sign.ts';
import type { Schema } from '../codec/schema.ts';
import type { Refusal } from '../codes.ts';

/** How metadata files are written. `cbor-metadata.ts` is the one of docs/POUF.md. */
export interface MetadataFormat {
  /**
   * Takes a file apart into payload and signatures, believing neither. A format other than
   * COSE_Sign names with each signature the bytes that it signs, and with each key its identifier.
   * @param maxBytes refused before reading when the file is longer
   */
  open(file: Uint8Array, maxBytes: number): Envelope | Refusal;
  /** The number of the role type that a payload states (MET-04); undefined: none that can be read. */
  roleType(payload: Uint8Array): number | undefined;
  /** Decodes a payload strictly. `record` says which record it has to be. */
  decode<T>(record: Schema<T>, payload: Uint8Array, maxBytes: number): T | Refusal;
}
