/** Signed files that were verified before they were stored, opened again. */
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode, type Schema } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';

/**
 * The document in a stored file; its signatures are not checked again. A damaged database is no
 * refusal: throws.
 * @param bytes encoded COSE_Sign, at most `maxBytes`
 * @param what names the file in the exception
 */
export function storedDocument<T>(
  schema: Schema<T>,
  bytes: Uint8Array,
  maxBytes: number,
  what: string,
): T {
  const envelope = decodeEnvelope(bytes, maxBytes);
  if (isRefusal(envelope)) throw new Error(`stored ${what}: ${envelope.detail}`);
  const document = decode(schema, envelope.payload, maxBytes);
  if (isRefusal(document)) throw new Error(`stored ${what}: ${document.detail}`);
  return document;
}
