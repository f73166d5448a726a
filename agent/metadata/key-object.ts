/** The wrapped content key of one image for one ECU (docs/POUF.md §5.8). */
import { bytes, field, type Infer, named, record, tuple } from '../codec/schema.ts';
import { filename, identifier, sha256 } from './common.ts';

/** Suites that wrap a content key. */
export const wrapSuites = { 'MLKEM768-P256+HKDF-SHA256+AES-256-GCM': 1 } as const;

export const keyObject = record({
  suite: field(1, named(wrapSuites)),
  /** KEM ciphertext: ML-KEM-768 (1,088 B) ‖ uncompressed P-256 point (65 B). */
  encapsulation: field(2, bytes(1153)),
  /** The 32-byte content key under AES-256-GCM, with its tag. */
  wrappedKey: field(3, bytes(48)),
});

/** What a wrapped key is bound to: HKDF info and AAD. */
export const wrapContext = tuple(identifier, identifier, filename, sha256);

export type KeyObject = Infer<typeof keyObject>;
/** `[vehicle id, ECU id, filename, SHA-256 of the ciphertext]`. */
export type WrapContext = Infer<typeof wrapContext>;
