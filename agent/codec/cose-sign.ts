/**
 * COSE_Sign (RFC 9052 §4.1), untagged, with an attached payload: the envelope of everything signed.
 *
 * COSE_Sign = [ body protected: empty, unprotected: {}, payload: bstr, [+ COSE_Signature] ]
 * COSE_Signature = [ protected: bstr .cbor {1: alg, 4: kid, ? -65537: payload hash,
 *                    ? -65538: 1 (Merkle)}, unprotected: {} or {-65539: proof}, signature: bstr ]
 */
import type { Refusal } from '../codes.ts';
import { isRefusal } from '../codes.ts';
import { maxMerkleProofNodes, maxSignaturesPerFile } from '../limits.ts';
import {
  array,
  bytes,
  decode,
  encode,
  field,
  type Infer,
  integer,
  named,
  optional,
  record,
  tuple,
  unsigned,
} from './schema.ts';
import { Writer } from './writer.ts';

const maxSignatureBytes = 8_192;
const maxPayloadBytes = 2_097_152;
const maxProtectedBytes = 128;
const maxMerkleRootBytes = 128;
/** Heads, empty items, a salt, a domain: room that a writer plans for beside what varies. */
export const maxHeadsBytes = 96;
/** A hash of an inclusion path with its head. */
export const pathNodeBytes = 34;
/** Label of the inclusion proof in the unprotected header. */
export const proofLabel = -65_539;

/** COSE algorithm number of SHA-256 (RFC 9054), the only payload hash in use. */
export const hashSha256 = -16;

/** Domain of each signed kind of document: the external_aad of its Sig_structure, in ASCII. */
export const domains = {
  metadata: 'ota-metadata-v1',
  time: 'ota-time-v1',
  report: 'ota-report-v1',
  manifest: 'ota-manifest-v1',
  merkleRoot: 'ota-merkle-root-v1',
  access: 'ota-uds-access-v1',
  enrolment: 'ota-enrolment-v1',
} as const;

export type Domain = keyof typeof domains;

/** Protected header of one signature. */
export const signatureHeader = record({
  algorithm: field(1, integer(-100_000, -1)),
  keyId: field(4, bytes(32)),
  /** HRD-19: manifests and reports name the hash of their payload and its function. */
  payloadHash: optional(-65537, tuple(named({ 'SHA-256': hashSha256 }), bytes(32))),
  /** Present on a signature over a Merkle batch instead of over the document itself. */
  merkle: optional(-65538, named({ merkle: 1 })),
});

/** RFC 9162 inclusion proof of one document in a signed batch. */
export const merkleProof = tuple(
  bytes(16), // salt of the leaf
  unsigned, // leaf index
  array(bytes(32), 0, maxMerkleProofNodes), // inclusion path, leaf to root
  bytes(1, maxMerkleRootBytes), // the signed root object, as bytes
);

/** The root object of a batch: what a Merkle signature really signs. */
export const merkleRoot = record({
  role: field(1, unsigned),
  batchId: field(2, bytes(16)),
  treeSize: field(3, unsigned),
  rootHash: field(4, bytes(32)),
  expires: field(5, unsigned),
});

const signatureSchema = tuple(
  bytes(1, maxProtectedBytes),
  record({ proof: optional(proofLabel, merkleProof) }),
  bytes(1, maxSignatureBytes),
);

const envelopeSchema = tuple(
  bytes(0),
  record({}),
  bytes(1, maxPayloadBytes),
  array(signatureSchema, 0, maxSignaturesPerFile),
);

/** What stands for an algorithm where another format than COSE_Sign states none. */
export const noAlgorithm = 0;

export interface Signature {
  readonly header: Infer<typeof signatureHeader>;
  /** The protected header as received: part of what is signed. */
  readonly protectedBytes: Uint8Array;
  /** What is signed, where the file is no COSE_Sign; the Sig_structure when absent. */
  readonly signedBytes?: Uint8Array;
  readonly proof?: Infer<typeof merkleProof>;
  readonly signature: Uint8Array;
}

export interface Envelope {
  /** As received; decoded only after its signatures were verified. */
  readonly payload: Uint8Array;
  readonly signatures: readonly Signature[];
}

/** Opens an envelope. Codes `cbor-…`. */
export function decodeEnvelope(input: Uint8Array, maxBytes: number): Envelope | Refusal {
  const opened = decode(envelopeSchema, input, maxBytes);
  if (isRefusal(opened)) return opened;
  const signatures: Signature[] = [];
  for (const [protectedBytes, unprotected, signature] of opened[3]) {
    const header = decode(signatureHeader, protectedBytes, maxProtectedBytes);
    if (isRefusal(header)) return header;
    const { proof } = unprotected;
    signatures.push({ header, protectedBytes, signature, ...(proof && { proof }) });
  }
  return { payload: opened[2], signatures };
}

/** Encodes an envelope; zero signatures are allowed so that tests can compose broken ones. */
export function encodeEnvelope({ payload, signatures }: Envelope): Uint8Array {
  let expectedBytes = payload.length + maxHeadsBytes;
  const parts = signatures.map(({ protectedBytes, proof, signature }) => {
    expectedBytes += protectedBytes.length + signature.length + maxHeadsBytes;
    if (proof !== undefined) expectedBytes += proof[3].length + pathNodeBytes * proof[2].length;
    return [protectedBytes, proof ? { proof } : {}, signature] as const;
  });
  return encode(envelopeSchema, [new Uint8Array(0), {}, payload, parts], expectedBytes);
}

/** Sig_structure (RFC 9052 §4.4) of a signature over `payload`: the bytes that are signed. */
export function signatureStructure(
  domain: Domain,
  protectedBytes: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  return joinPieces(signaturePieces(domain, protectedBytes, payload));
}

/** The same in two pieces, the second of them `payload`: what is only hashed is not copied. */
export function signaturePieces(
  domain: Domain,
  protectedBytes: Uint8Array,
  payload: Uint8Array,
): readonly Uint8Array[] {
  const writer = new Writer(protectedBytes.length + maxHeadsBytes);
  writeStructureStart(writer, domain, protectedBytes);
  writer.byteStringHead(payload.length);
  return [writer.finish(), payload];
}

/** What is the same in the Sig_structure of every payload: all before the payload's byte string. */
export function writeStructureStart(
  writer: Writer,
  domain: Domain,
  protectedBytes: Uint8Array,
): void {
  writer.array(5);
  writer.text('Signature');
  writer.byteString(new Uint8Array(0));
  writer.byteString(protectedBytes);
  writer.byteString(asciiBytes(domains[domain]));
}

/** One piece behind the other. */
export function joinPieces(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const joined = new Uint8Array(length);
  length = 0;
  for (const piece of pieces) {
    joined.set(piece, length);
    length += piece.length;
  }
  return joined;
}

/** The bytes of a string of ASCII, or of any characters below 256. */
export function asciiBytes(text: string): Uint8Array {
  const result = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) result[i] = text.charCodeAt(i);
  return result;
}
