/**
 * What an encrypted image is bound to (docs/POUF.md §5.7): its name, release counter and plaintext.
 * It is the context of the chunked encryption, so that a key opens no other release.
 */
import { encode, tuple, unsigned } from '../codec/schema.ts';
import { filename, sha256 } from '../metadata/common.ts';

const context = tuple(filename, unsigned, sha256);

/**
 * Deterministic CBOR `[filename, release counter, SHA-256 of the plaintext]`.
 * @param plaintextSha256 32 bytes
 */
export function imageContext(
  imageFilename: string,
  releaseCounter: number,
  plaintextSha256: Uint8Array,
): Uint8Array {
  return encode(context, [imageFilename, releaseCounter, plaintextSha256] as const);
}
