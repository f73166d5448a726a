/** Metadata files as deterministic CBOR in a COSE_Sign envelope (docs/POUF.md §3 and §5). */
import { decodeEnvelope } from '../codec/cose-sign.ts';
import { majorMap, majorUnsigned, Reader } from '../codec/reader.ts';
import { decode } from '../codec/schema.ts';
import type { MetadataFormat } from './metadata-format.ts';

/** Entries of a payload that is looked into before it is decoded; every role has fewer. */
const maxPayloadFields = 64;

export const cborMetadata: MetadataFormat = {
  open: decodeEnvelope,
  roleType(payload) {
    const reader = new Reader(payload);
    reader.enter(majorMap, maxPayloadFields);
    const key = reader.head(majorUnsigned);
    const type = reader.head(majorUnsigned);
    return reader.refused === undefined && key === 1 ? type : undefined;
  },
  decode,
};
