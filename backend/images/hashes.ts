/** Digests as the metadata lists them. */
import type { Infer } from '../../agent/codec/schema.ts';
import { hashAlgorithms, type hashes } from '../../agent/metadata/common.ts';

export type Hashes = Infer<typeof hashes>;

/** The SHA-256 among a file's digests, if it is listed. */
export function sha256Of(listed: Hashes): Uint8Array | undefined {
  return listed.find((entry) => entry.key === hashAlgorithms['SHA-256'])?.value;
}

/** Both digests of a file, in the metadata's form. */
export function hashesOf(file: {
  readonly sha256: Uint8Array;
  readonly sha512: Uint8Array;
}): Hashes {
  return [
    { key: hashAlgorithms['SHA-256'], value: file.sha256 },
    { key: hashAlgorithms['SHA-512'], value: file.sha512 },
  ];
}
