/** Makes Merkle batches: many documents, one signature of each signer (docs/POUF.md §3.4). */
import type { Crypto } from '../../hal/types.ts';
import { algorithms, type PublicKey } from '../codec/cose-key.ts';
import {
  maxHeadsBytes,
  merkleRoot,
  pathNodeBytes,
  proofLabel,
  signatureHeader,
  signatureStructure,
  writeStructureStart,
} from '../codec/cose-sign.ts';
import { encode } from '../codec/schema.ts';
import { Writer } from '../codec/writer.ts';
import { keyId } from './key-id.ts';
import { type MerkleTree, treeOf } from './merkle.ts';
import { finishWith, type Signer, type Unsigned } from './sign-envelope.ts';

export interface BatchOptions {
  /** Number of the role type that every document of the batch states. */
  readonly role: number;
  /** 16 bytes that name the batch. */
  readonly batchId: Uint8Array;
  /** Unix seconds after which no verifier accepts the batch. */
  readonly expires: number;
}

/** One document of a batch with 16 random bytes of its own, which hide it from the others. */
export interface BatchDocument {
  readonly payload: Uint8Array;
  readonly salt: Uint8Array;
}

/** Signs a batch as `prepareBatch` prepares it. */
export function signBatch(
  crypto: Crypto,
  signers: readonly Signer[],
  documents: readonly BatchDocument[],
  options: BatchOptions,
): Uint8Array[] {
  const keys = signers.map(({ key }) => key);
  return finishWith(signers, prepareBatch(crypto, keys, documents, options));
}

/**
 * Prepares a batch for the signatures of these keys: one tree and one signature per key.
 * @param documents at least one; all of one role
 * @returns what to sign; finished, the encoded COSE_Sign of each document, in the same order; some
 *   share a buffer
 */
export function prepareBatch(
  crypto: Crypto,
  keys: readonly PublicKey[],
  documents: readonly BatchDocument[],
  options: BatchOptions,
): Unsigned<Uint8Array[]> {
  const trees = keys.map((key) => {
    const header = {
      algorithm: algorithms[key.algorithm],
      keyId: keyId(crypto, key),
      merkle: 1 as const,
    };
    const protectedBytes = encode(signatureHeader, header);
    const tree = treeOf(crypto, leavesOf(crypto, protectedBytes, documents));
    const root = encode(merkleRoot, {
      ...options,
      treeSize: tree.size,
      rootHash: tree.rootHash,
    });
    return { protectedBytes, tree, root };
  });
  return {
    messages: trees.map(({ protectedBytes, root }) => {
      return signatureStructure('merkleRoot', protectedBytes, root);
    }),
    finish: (made) =>
      writeEnvelopes(
        documents,
        trees.map((tree, i) => ({ ...tree, signature: made[i]! })),
      ),
  };
}

/** One signature of all documents. */
interface BatchSignature {
  readonly tree: MerkleTree;
  readonly protectedBytes: Uint8Array;
  readonly root: Uint8Array;
  readonly signature: Uint8Array;
}

/** A buffer for many results: allocating one for each costs more than making it. */
class SharedWriter extends Writer {
  get position(): number {
    return this.length;
  }

  /** Goes on at `position`, over what is there. */
  seek(position: number): void {
    this.length = position;
  }

  /** What was written from `start` on; a view. */
  since(start: number): Uint8Array {
    return this.buffer.subarray(start, this.length);
  }
}

/** `leafHash` of each document; what is the same in all of them is written once. */
function leavesOf(
  crypto: Crypto,
  protectedBytes: Uint8Array,
  documents: readonly BatchDocument[],
): Uint8Array[] {
  const writer = new SharedWriter();
  writeStructureStart(writer, 'metadata', protectedBytes);
  const start = writer.finish();
  return documents.map(({ payload, salt }) => {
    writer.seek(0);
    writer.raw(leafPrefix);
    writer.raw(salt);
    writer.raw(start);
    writer.byteString(payload);
    return crypto.digest('SHA-256', writer.since(0));
  });
}

const leafPrefix = new Uint8Array(1);
/** Levels of the tree below which neighbours have no common path. */
const ownLevels = 4;
/**
 * Neighbours, whose paths are the same from `ownLevels` on. They share a buffer: few, so that one
 * which is kept does not keep megabytes.
 */
const neighbours = 2 ** ownLevels;

/**
 * What `encodeEnvelope` would write for each document. Nearly all of it is the same in all of them,
 * or in neighbours, and is encoded once: a batch is as fast as its hashes.
 */
function writeEnvelopes(
  documents: readonly BatchDocument[],
  signatures: readonly BatchSignature[],
): Uint8Array[] {
  const starts = signatures.map(({ protectedBytes }) => startOf(protectedBytes));
  const encoded: Uint8Array[] = [];
  for (let first = 0; first < documents.length; first += neighbours) {
    const some = documents.slice(first, first + neighbours);
    const shared = signatures.map((signature) => sharedOf(signature, first));
    const sameBytes = shared.reduce((sum, { end }) => sum + end.length + maxOwnBytes, 0);
    const writer = new SharedWriter(
      some.reduce((sum, { payload }) => sum + payload.length + sameBytes, 0),
    );
    for (let i = 0; i < some.length; i++) {
      const start = writer.position;
      writer.raw(envelopeStart);
      writer.byteString(some[i]!.payload);
      writer.array(signatures.length);
      for (let signer = 0; signer < signatures.length; signer++) {
        writer.raw(starts[signer]!);
        writer.byteString(some[i]!.salt);
        writer.integer(first + i);
        const own = signatures[signer]!.tree.pathOf(first + i, 0, ownLevels);
        const { nodes, end } = shared[signer]!;
        writer.array(own.length + nodes);
        for (const node of own) writer.byteString(node);
        writer.raw(end);
      }
      encoded.push(writer.since(start));
    }
  }
  return encoded;
}

/** Of a COSE_Sign, all before the payload. */
const envelopeStart = new Uint8Array([0x84, 0x40, 0xa0]);
/** At most what a document takes beside its payload and what its neighbours share. */
const maxOwnBytes = 2 * maxHeadsBytes + ownLevels * pathNodeBytes;

/** Of a COSE_Signature, all before the salt. */
function startOf(protectedBytes: Uint8Array): Uint8Array {
  const writer = new Writer();
  writer.array(3);
  writer.byteString(protectedBytes);
  writer.map(1);
  writer.integer(proofLabel);
  writer.array(4);
  return writer.finish();
}

/** Of a COSE_Signature, all from the first node of the path on that neighbours share. */
function sharedOf({ tree, root, signature }: BatchSignature, index: number) {
  const path = tree.pathOf(index, ownLevels);
  const writer = new Writer(
    path.length * pathNodeBytes + root.length + signature.length + maxHeadsBytes,
  );
  for (const node of path) writer.byteString(node);
  writer.byteString(root);
  writer.byteString(signature);
  return { nodes: path.length, end: writer.finish() };
}
